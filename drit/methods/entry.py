"""How a method makes itself known: one entry for each name, which loads nothing until it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drit.methods.base import Method
    from drit.methods.imported import Importer
    from drit.settings.common import TrainSettings


@dataclass(frozen=True)
class Entry:
    """A method by name. Places are `module:attribute`, imported when first asked for."""

    name: str  # as `--method` takes it
    summary: str  # one line: what it is, and its paper
    settings: str  # the class of its settings; the module imports no torch
    method: str  # the class of the method
    importer: str = ""  # what recognises checkpoints of the official implementation, if anything does

    def settings_class(self) -> type[TrainSettings]:
        """The class of the method's settings."""
        return _load(self.settings)

    def method_class(self) -> type[Method]:
        """The class of the method; loads torch."""
        return _load(self.method)

    def load_importer(self) -> Importer:
        """The method's importer; loads torch."""
        return _load(self.importer)


def _load(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
