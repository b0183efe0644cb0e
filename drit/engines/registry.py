"""Engines by name."""

from __future__ import annotations

from drit.engines.base import Engine, OneProcess
from drit.errors import UsageError

PROCESS, RAY = "process", "ray"
NAMES = (PROCESS, RAY)


def find_engine(name: str) -> Engine:
    """The engine of a name. Raises UsageError for a name that is none, or where packages of the engine are missing."""
    if name == PROCESS:
        return OneProcess()
    if name == RAY:
        from drit.engines.ray_data import RayData

        return RayData()
    raise UsageError(f"There is no engine '{name}': {', '.join(NAMES)}.")
