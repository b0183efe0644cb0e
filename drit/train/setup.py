"""Before the first iteration: pictures opened, settings checked and completed; what a run records of itself."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from drit import __version__
from drit.config import TrainConfig, from_dict, to_dict
from drit.data.folders import PictureSet, open_domain
from drit.data.pairs import align
from drit.errors import CheckpointError, UsageError
from drit.machine import processor
from drit.methods import method_class
from drit.train import checkpoint as files


def choose_device(name: str) -> torch.device:
    """The device a name means. Raises UsageError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"There is no device '{name}' here: {str(error).splitlines()[0]} Use cpu or auto.") from error
    return device


def open_sets(config: TrainConfig) -> dict[str, PictureSet]:
    """The domains of a configuration, checked. Raises DataError or UsageError for what cannot be trained on."""
    method, data = method_class(config.method), config.data
    sources = data.sources()
    _check_count(config, sources)
    sets = {d: open_domain(path, data, d) for d, path in sources.items()}
    if method.domains[1] > 2 and len({s.channels for s in sets.values()}) > 1:  # one encoder for all
        most = max(s.channels for s in sets.values())
        data = replace(data, channels_a=most, channels_b=most)
        sets = {d: open_domain(path, data, d) for d, path in sources.items()}
    seen: dict[str, str] = {}
    for d, s in sets.items():
        other = seen.setdefault(s.fingerprint()["sha256"], d)
        if other != d:
            raise UsageError(
                f"Domains {other} and {d} are the same pictures: nothing to translate. "
                f"Check --data.{other} and --data.{d}."
            )
    return align(sets, config.method) if method.paired else sets


def _check_count(config: TrainConfig, sources: dict[str, str]) -> None:
    """Raises UsageError when the data settings do not name as many domains as the method takes."""
    method, data = method_class(config.method), config.data
    fewest, most = method.domains
    if data.pairs and not method.paired:
        raise UsageError(
            f"--data.pairs is for methods that learn from pairs; {config.method} does not. Give --data.a and --data.b."
        )
    if data.domains and most <= 2:
        raise UsageError(f"{config.method} knows domains a and b alone: give --data.a and --data.b in their place.")
    if len(data.domains) > most:
        raise UsageError(f"--data.domains names {len(data.domains)} domains; at most {most} are possible.")
    if data.domains and len(data.domains) < fewest:
        raise UsageError(
            f"--data.domains names {len(data.domains)} domain: {config.method} translates between at least {fewest}. "
            "Give the folders or .npz files of all domains: --data.domains DIR DIR ..."
        )
    for d in "ab"[:fewest]:
        if d not in sources:
            raise UsageError(f"No pictures of domain {d}: give a folder or .npz file with --data.{d}")
    if len(sources) > most:
        raise UsageError(f"{config.method} learns from one set of pictures: leave --data.b out.")


def settled(config: TrainConfig, sets: dict[str, PictureSet]) -> TrainConfig:
    """The configuration with what was left to be found out: channels as the files have them; checked values."""
    if config.batch < 1 or config.steps < 1:
        raise UsageError("--steps and --batch must be at least 1.")
    if config.accumulate < 1 or config.batch % config.accumulate:
        raise UsageError(
            f"--accumulate {config.accumulate} must divide the batch of {config.batch}: parts are of equal size."
        )
    if config.optim.split_batch and config.batch < 2 * config.accumulate:
        raise UsageError(
            "--optim.split-batch needs a batch of at least 2, in each part with --accumulate: one half is encoded, the "
            "other judged against."
        )
    least = max(16, 1 << config.network.downsamplings)
    if config.data.crop < least:
        raise UsageError(f"--data.crop {config.data.crop} is too small: at least {least} pixels.")
    halved = 1 << config.network.downsamplings
    if config.data.crop % halved:
        below, above = config.data.crop // halved * halved, -(-config.data.crop // halved) * halved
        raise UsageError(
            f"--data.crop {config.data.crop} cannot be halved --network.downsamplings {config.network.downsamplings} "
            f"times and doubled again: take {below} or {above}."
        )
    if not 1 <= config.network.downsamplings <= 5:
        raise UsageError("--network.downsamplings must be 1 to 5.")
    method_class(config.method).check(config)
    channels_a, channels_b = (sets[d].channels if d in sets else 0 for d in "ab")
    return replace(config, data=replace(config.data, channels_a=channels_a, channels_b=channels_b))


def recorded_config(run: Path) -> TrainConfig:
    """The settings a run recorded. Raises CheckpointError when they cannot be read."""
    record = files.read_json(run / "config.json")
    try:
        return from_dict(TrainConfig, record["settings"])
    except (KeyError, UsageError) as error:
        raise CheckpointError(f"{run}/config.json does not hold this version's settings: {error}") from error


def record(config: TrainConfig, chosen: dict[str, Any] | None = None) -> dict[str, Any]:
    """What config.json of a run holds. chosen: what `auto` and 0 among the settings became (`Trainer.chosen`)."""
    found = {"settings": to_dict(config), "versions": _versions(), "machine": processor()}
    return found | ({"chosen": chosen} if chosen else {})


def describe(
    config: TrainConfig, channels: dict[str, int], depth: dict[str, int], metrics: dict[str, float]
) -> dict[str, Any]:
    """What meta.json of a checkpoint says of its weights, beside format and step."""
    return {
        "method": config.method,
        "channels": channels,
        "config": to_dict(config),
        "pictures": "float in [-1, 1], (N, C, H, W)",
        "depth": depth,
        "metrics": metrics,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {"drit": __version__, "torch": torch.__version__, "python": platform.python_version()}
