"""Which methods there are."""

from __future__ import annotations

import importlib

from drit.errors import UsageError, nearest
from drit.methods.base import Method
from drit.settings.common import NetworkSettings
from drit.settings.schema import methods_of

# Named, not imported: `drit methods --help` and a wrong name answer without loading torch.
METHODS: dict[str, str] = {
    "drit": "drit.methods.drit.objective:DRIT",
    "drit++": "drit.methods.dritpp.objective:DRITPP",
    "cyclegan": "drit.methods.cyclegan.objective:CycleGAN",
    "cyclegan-noise": "drit.methods.cyclegan.objective:CycleGAN",
    "unit": "drit.methods.unit.objective:UNIT",
    "munit": "drit.methods.munit.objective:MUNIT",
    "cycle-bicycle": "drit.methods.cycle_bicycle.objective:CycleBicycle",
    "infogan": "drit.methods.infogan.objective:InfoGAN",
    "pix2pix": "drit.methods.pix2pix.objective:Pix2Pix",
    "bicyclegan": "drit.methods.bicyclegan.objective:BicycleGAN",
}


def method_class(name: str) -> type[Method]:
    """The class of a method by name. Raises UsageError, with the nearest name, for an unknown one."""
    if name not in METHODS:
        raise UsageError(f"There is no method '{name}'.{nearest(name, METHODS)} Methods: {', '.join(METHODS)}.")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def with_styles() -> tuple[str, ...]:
    """The methods that give many outputs for one image."""
    return methods_of(NetworkSettings, "style_dim")


def with_exemplars() -> tuple[str, ...]:
    """The methods that can take a style from an image: those with an encoder for it."""
    return methods_of(NetworkSettings, "attribute_width")


def no_styles() -> str:
    """What to say where styles are asked of a method that has none."""
    return f"This method gives one output for each image: it has no styles; {', '.join(with_styles())} have."


def without_pairs() -> list[str]:
    """The methods that translate and need no pairs."""
    found = {name: method_class(name) for name in METHODS}
    return [name for name, method in found.items() if not method.paired and method.domains[1] > 1]
