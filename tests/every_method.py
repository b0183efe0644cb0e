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
    "drit", "drit-feature", "drit-film", "drit-resize", "drit-film-resize", "drit-smooth", "drit-filtered", "drit++",
    "drit++-film-resize", "munit", "unit", "cyclegan", "cyclegan-noise", "cycle-bicycle", "pix2pix", "bicyclegan",
]  # fmt: skip
PUBLISHED = {"network.generator": "concat", "network.upsample": "transposed"}  # where a method has other forms


def method(name: str, folders: tuple[Path, Path]) -> Method:
    """One of `METHODS`, with weights of which none is 0 or 1."""
    base, *forms = name.split("-") if name.startswith(("drit-", "drit++-")) else (name,)
    settings = changed(tiny(*folders, method=base), PUBLISHED, ignore_unknown=True)
    for form in forms:
        name_of_form = "network.upsample" if form in UPSAMPLE_BLOCKS else "network.generator"
        settings = changed(settings, {"network.content_filter": True} if form == "filtered" else {name_of_form: form})
    torch.manual_seed(0)
    made = method_class(base)(settings, {"a": 3, "b": 3}).double().eval().requires_grad_(False)
    with torch.no_grad():
        for p in made.parameters():  # gains and biases away from 1 and 0
            p.add_(0.05 * torch.randn_like(p))
    return made
