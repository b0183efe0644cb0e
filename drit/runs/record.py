"""What a run and its checkpoints record of themselves: settings, versions, machine, images, origin."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from drit.bounded import resolved
from drit.errors import CheckpointError, UsageError
from drit.methods.registry import settings_from
from drit.runs.folder import META, RunFolder, find, run_of
from drit.runs.reading import DamagedError, is_count, read_object
from drit.runtime import processor
from drit.settings.common import DataSettings, TrainSettings
from drit.settings.schema import check_ranges, settings_of, to_dict, value_of
from drit.version import VERSION

FORMAT = 2  # of config.json and meta.json; 1 held the settings of all methods in one class
MAX_DOMAINS = 26
# A damaged record must not ask for a network that fills the memory: larger than anyone trains.
MAX_NUMBER = {"network": 4096, "data.crop": 1 << 16, "data.resize": 1 << 16, "batch": 1 << 16}
_CONFIG_REMEDY = "Put it back from a copy; a checkpoint's meta.json holds the same settings under 'config'."
_DATA_REMEDY = "Add --allow-changes: then it is written anew, from the images that are there now."


def settings_of_record(values: Any, version: Any) -> TrainSettings:
    """Settings as a record of this format version holds them. Those that format 1 kept of other methods are dropped.

    Raises UsageError for what are none.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"the settings are a {type(values).__name__}, not an object of names and values")
    settings = settings_from(values, ignore_unknown=version == 1)
    check_ranges(settings)
    for setting in settings_of(type(settings)):
        limit = MAX_NUMBER.get(setting.name) or MAX_NUMBER.get(setting.name.partition(".")[0])
        value = value_of(settings, setting.name)
        if limit and setting.type is int and value > limit:
            raise UsageError(f"'{setting.name}' is {value}: more than {limit}")
    return replace(settings, data=_of_this_system(settings.data))


def _of_this_system(data: DataSettings) -> DataSettings:
    """Data settings with paths that this system can read: those of a run that was trained on Windows have backslashes.

    Elsewhere a backslash is a letter like others, so that a path which is there as it is stays so.
    """
    return replace(
        data,
        a=_slashes(data.a),
        b=_slashes(data.b),
        pairs=_slashes(data.pairs),
        domains=tuple(map(_slashes, data.domains)),
    )


def _slashes(path: str) -> str:
    return path.replace("\\", "/") if os.name != "nt" and "\\" in path and not os.path.exists(path) else path


def settings_of_meta(checkpoint: Path, meta: Mapping[str, Any], name: str = META) -> TrainSettings:
    """The settings that meta.json of a checkpoint (or the file of this name) holds. Raises CheckpointError where they
    cannot be read."""
    try:
        return settings_of_record(meta["config"], meta["format"])
    except UsageError as error:
        raise CheckpointError(f"{checkpoint / name} does not hold this version's settings: {error}") from error


def recorded_settings(run: Path) -> TrainSettings:
    """The settings that a run recorded. Raises CheckpointError when they cannot be read."""
    record = run_record(run)
    try:
        return settings_of_record(record["settings"], record.get("format", 1))
    except UsageError as error:
        raise CheckpointError(f"{RunFolder(run).config} does not hold this version's settings: {error}") from error


def run_record(run: Path) -> dict[str, Any]:
    """What config.json of a run holds. Raises CheckpointError when it is missing, damaged or of a newer version."""
    path = RunFolder(run).config
    whole = read_object(path, run, _CONFIG_REMEDY)
    if not isinstance(whole.get("settings"), dict):
        raise CheckpointError(f"{path} is not one of a drit run: it holds no settings. {_CONFIG_REMEDY}")
    version = whole.get("format", 1)
    if is_count(version) and version > FORMAT:
        raise CheckpointError(f"{path} has format {version}; this version reads up to {FORMAT}. Update drit.")
    wrong = [name for name in ("chosen", "versions", "started_from") if not _is_object(whole, name)]
    wrong += [] if is_count(version) and version else ["format"]
    if wrong:
        raise DamagedError(f"{path} is damaged: '{wrong[0]}' cannot be {repr(whole[wrong[0]])[:40]}. {_CONFIG_REMEDY}")
    return whole


def _is_object(record: Mapping[str, Any], name: str) -> bool:
    return isinstance(record.get(name, {}), dict)


def data_record(run: Path) -> dict[str, dict[str, Any]]:
    """What data.json holds: of each domain what identifies its images; nothing of an imported run. Raises
    CheckpointError where it is missing or damaged."""
    path = RunFolder(run).data
    domains = read_object(path, run, _DATA_REMEDY)
    if len(domains) > MAX_DOMAINS or not all(isinstance(images, dict) for images in domains.values()):
        raise DamagedError(f"{path} is damaged: it does not hold an object for each domain. {_DATA_REMEDY}")
    return domains


def training_hashes(run: Path) -> dict[str, str]:
    """The hash of the images that a run, or the run of a checkpoint, learnt from, by domain: `KIND:HASH`.

    KIND is empty in records of format 1. Nothing for an imported run. Raises CheckpointError for a damaged record.
    """
    folder = run_of(resolved(find(run)))
    if folder is None or not RunFolder(folder).data.is_file():
        return {}
    return {d: f"{images.get('hash', '')}:{images.get('sha256', '')}" for d, images in data_record(folder).items()}


def image_changes(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> str:
    """What differs between two records of the domains' images; empty if nothing does.

    Where the images lie is no difference. What one record does not know is not compared, nor hashes of two kinds.
    """
    parts = []
    for d, images in now.items():
        old = before.get(d)
        if old is None:
            parts.append(f"{d}: no record of its images")
            continue
        left_out = {"source", "hash"} | ({"sha256"} if old.get("hash") != images.get("hash") else set())
        names = [name for name in images if name in old and name not in left_out and old[name] != images[name]]
        if names:
            parts.append(f"{d}: {', '.join(f'{name} {_shown(old[name])} -> {_shown(images[name])}' for name in names)}")
    return "; ".join(parts)


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) > 40 else text


def record(
    settings: TrainSettings,
    chosen: Mapping[str, Any] | None = None,
    at_chance: Mapping[str, float] | None = None,
    started_from: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What config.json of a run holds.

    chosen: what `auto` and 0 among the settings became. at_chance: losses of discriminators that only guess.
    started_from: whose weights the training began with.
    """
    whole: dict[str, Any] = {
        "format": FORMAT,
        "settings": to_dict(settings),
        "versions": _versions(),
        "machine": processor(),
    }
    more = {"chosen": chosen, "at_chance": at_chance, "started_from": started_from}
    return whole | {name: dict(value) for name, value in more.items() if value}


def describe(
    settings: TrainSettings, channels: Mapping[str, int], depth: Mapping[str, int], metrics: Mapping[str, float]
) -> dict[str, Any]:
    """What meta.json of a checkpoint says of its weights, beside format, step and hashes.

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
