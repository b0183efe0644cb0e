"""Methods: networks plus an objective. One file each; this registry is the only place that lists them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from drit.config import NetworkConfig, methods_of
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


def with_styles() -> tuple[str, ...]:
    """The methods that give many outputs for one picture."""
    return methods_of(NetworkConfig, "style_dim")


def with_exemplars() -> tuple[str, ...]:
    """The methods that can take a style from a picture: those with an encoder for it."""
    return methods_of(NetworkConfig, "attribute_width")


def no_styles() -> str:
    """What to say where styles are asked of a method that has none."""
    return f"This method gives one output for each picture: it has no styles; {', '.join(with_styles())} have."


def without_pairs() -> list[str]:
    """The methods that translate and need no pairs."""
    found = {name: method_class(name) for name in METHODS}
    return [name for name, method in found.items() if not method.paired and method.domains[1] > 1]
