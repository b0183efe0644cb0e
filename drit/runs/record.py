"""What a run and its checkpoints record of themselves: settings, versions, machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from drit.errors import CheckpointError, UsageError
from drit.methods.registry import settings_from
from drit.runs.checkpoint import read_json
from drit.runtime import processor
from drit.settings.common import TrainSettings
from drit.settings.schema import to_dict
from drit.version import VERSION

FORMAT = 2  # of config.json and meta.json; 1 held the settings of all methods in one class


def settings_of_record(values: Any, version: Any) -> TrainSettings:
    """Settings as a record of this format version holds them. Those that format 1 kept of other methods are dropped.

    Raises UsageError for what are none.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"the settings are a {type(values).__name__}, not an object of names and values")
    return settings_from(values, ignore_unknown=version == 1)


def settings_of_meta(checkpoint: Path, meta: Mapping[str, Any]) -> TrainSettings:
    """The settings that meta.json of a checkpoint holds. Raises CheckpointError where they cannot be read."""
    try:
        return settings_of_record(meta["config"], meta["format"])
    except UsageError as error:
        raise CheckpointError(f"{checkpoint}/meta.json does not hold this version's settings: {error}") from error


def recorded_settings(run: Path) -> TrainSettings:
    """The settings that a run recorded. Raises CheckpointError when they cannot be read."""
    record = read_json(run / "config.json")
    try:
        return settings_of_record(record["settings"], record.get("format", 1))
    except (KeyError, UsageError) as error:
        raise CheckpointError(f"{run}/config.json does not hold this version's settings: {error}") from error


def record(
    settings: TrainSettings, chosen: Mapping[str, Any] | None = None, at_chance: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What config.json of a run holds.

    chosen: what `auto` and 0 among the settings became. at_chance: losses of discriminators that only guess.
    """
    whole: dict[str, Any] = {
        "format": FORMAT,
        "settings": to_dict(settings),
        "versions": _versions(),
        "machine": processor(),
    }
    return whole | ({"chosen": chosen} if chosen else {}) | ({"at_chance": at_chance} if at_chance else {})


def describe(
    settings: TrainSettings, channels: Mapping[str, int], depth: Mapping[str, int], metrics: Mapping[str, float]
) -> dict[str, Any]:
    """What meta.json of a checkpoint says of its weights, beside format and step.

    channels, depth (bits): of each domain.
    """
    return {
        "method": settings.method,
        "channels": dict(channels),
        "config": to_dict(settings),
        "images": "float in [-1, 1], (N, C, H, W)",
        "depth": dict(depth),
        "metrics": dict(metrics),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {"drit": VERSION, "torch": torch.__version__, "python": platform.python_version()}
