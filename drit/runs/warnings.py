"""Warnings of a run: what the lines of warnings.jsonl come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def active(events: Sequence[Mapping[str, Any]], before: Mapping[str, str] | None = None) -> dict[str, str]:
    """Cause to message of the warnings that have not recovered, after the lines of a warnings.jsonl."""
    left = dict(before or {})
    for event in events:
        if event.get("recovered"):
            left.pop(event["cause"], None)
        else:
            left[event["cause"]] = event["message"]
    return left
