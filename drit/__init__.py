"""drit: diverse image-to-image translation from unpaired images, by disentangled representations.

What `__all__` names is the public API:

    train, evaluate, augment   what the commands of these names do, as functions
    load                       a trained run as a `Translator`
    list_methods               the methods that can be trained
    read_state                 how an image was made, if this program wrote it (`State`)
    AugmentedDataset           an augmentation for `torch.utils.data`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from drit.version import VERSION

if TYPE_CHECKING:
    from drit.api import augment, evaluate, train
    from drit.augmentation.dataset import AugmentedDataset
    from drit.inference.state import State, read_state
    from drit.inference.translator import Translator, load
    from drit.methods.registry import list_methods

__version__ = VERSION

__all__ = [
    "AugmentedDataset",
    "State",
    "Translator",
    "augment",
    "evaluate",
    "list_methods",
    "load",
    "read_state",
    "train",
]

_PLACES = {
    "AugmentedDataset": "drit.augmentation.dataset",
    "State": "drit.inference.state",
    "Translator": "drit.inference.translator",
    "augment": "drit.api",
    "evaluate": "drit.api",
    "list_methods": "drit.methods.registry",
    "load": "drit.inference.translator",
    "read_state": "drit.inference.state",
    "train": "drit.api",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: `import drit` alone does not load torch."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'drit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
