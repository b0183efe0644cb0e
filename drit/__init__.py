"""drit: diverse image-to-image translation from unpaired images, by disentangled representations.

Public names: `load(run)` gives a `Translator`; `METHODS` lists the methods.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["METHODS", "Translator", "load"]


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: `import drit` alone does not load torch."""
    if name == "METHODS":
        from drit.methods.registry import METHODS

        return METHODS
    if name in ("Translator", "load"):
        from drit.inference import translator

        return getattr(translator, name)
    raise AttributeError(f"module 'drit' has no attribute '{name}'")
