"""Every method that translates, in every form of its networks, small and in float64."""

from __future__ import annotations

from pathlib import Path

import torch

from drit.methods.base import Method
from drit.methods.registry import method_class
from drit.networks.decoder_layers import UPSAMPLE_BLOCKS
from drit.settings.schema import changed
from tests.conftest import tiny

METHODS = [
    "drit", "drit-feature", "drit-film", "drit-resize", "drit-smooth", "drit-filtered", "drit++", "munit", "unit",
    "cyclegan", "cyclegan-noise", "cycle-bicycle", "pix2pix",
    "bicyclegan",
]  # fmt: skip


def method(name: str, folders: tuple[Path, Path]) -> Method:
    """One of `METHODS`, with weights of which none is 0 or 1."""
    base, _, form = name.partition("-") if name.startswith("drit-") else (name, "", "")
    settings = tiny(*folders, method=base)
    if form:
        name_of_form = "network.upsample" if form in UPSAMPLE_BLOCKS else "network.generator"
        settings = changed(settings, {"network.content_filter": True} if form == "filtered" else {name_of_form: form})
    torch.manual_seed(0)
    made = method_class(base)(settings, {"a": 3, "b": 3}).double().eval().requires_grad_(False)
    with torch.no_grad():
        for p in made.parameters():  # gains and biases away from 1 and 0
            p.add_(0.05 * torch.randn_like(p))
    return made
