"""Methods: networks plus an objective. One file each; this registry is the only place that lists them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from drit.errors import UsageError, nearest

if TYPE_CHECKING:
    from drit.methods.base import Method

# Named, not imported: `drit methods --help` and a wrong name answer without loading torch.
METHODS: dict[str, str] = {
    "drit": "drit.methods.drit:DRIT",
    "drit++": "drit.methods.dritpp:DRITPP",
    "cyclegan": "drit.methods.cyclegan:CycleGAN",
    "cyclegan-noise": "drit.methods.cyclegan:CycleGAN",
    "unit": "drit.methods.unit:UNIT",
    "munit": "drit.methods.munit:MUNIT",
    "cycle-bicycle": "drit.methods.cycle_bicycle:CycleBicycle",
    "infogan": "drit.methods.infogan:InfoGAN",
    "pix2pix": "drit.methods.pix2pix:Pix2Pix",
    "bicyclegan": "drit.methods.bicyclegan:BicycleGAN",
}


def method_class(name: str) -> type[Method]:
    """The class of a method by name. Raises UsageError, with the nearest name, for an unknown one."""
    if name not in METHODS:
        raise UsageError(f"There is no method '{name}'.{nearest(name, METHODS)} Methods: {', '.join(METHODS)}.")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
