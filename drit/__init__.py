"""drit: diverse image-to-image translation from unpaired images, by disentangled representations.

Public names: `load(run)` gives a `Translator`; `list_methods()` names the methods.
"""

from __future__ import annotations

from typing import Any

from drit.version import VERSION

__version__ = VERSION

__all__ = ["Translator", "list_methods", "load"]


def list_methods() -> dict[str, str]:
    """The methods that can be trained: name to what it is. Those of installed packages among them."""
    from drit.methods.registry import entries

    return {name: entry.summary for name, entry in entries().items()}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: `import drit` alone does not load torch."""
    if name in ("Translator", "load"):
        from drit.inference import translator

        return getattr(translator, name)
    raise AttributeError(f"module 'drit' has no attribute '{name}'")
