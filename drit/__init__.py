"""drit: diverse image-to-image translation from unpaired images, by disentangled representations.

Public names: `load(run)` gives a `Translator`; `list_methods()` names the methods; `read_state(image)` tells how an
output was made.
"""

from __future__ import annotations

from typing import Any

from drit.version import VERSION

__version__ = VERSION

__all__ = ["State", "Translator", "list_methods", "load", "read_state"]


def list_methods() -> dict[str, str]:
    """The methods that can be trained: name to what it is. Those of installed packages among them."""
    from drit.methods.registry import entries

    return {name: entry.summary for name, entry in entries().items()}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: `import drit` alone does not load torch."""
    if name in ("Translator", "load"):
        from drit.inference import translator

        return getattr(translator, name)
    if name in ("State", "read_state"):
        from drit.inference import state

        return getattr(state, name)
    raise AttributeError(f"module 'drit' has no attribute '{name}'")
