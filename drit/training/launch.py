"""Runs: a new one, one to go on with, and how many iterations a time is enough for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drit.atomic import write_json
from drit.errors import UsageError
from drit.methods.registry import method_class
from drit.runs import checkpoint as files
from drit.runs.record import record, recorded_config
from drit.runtime import choose_device
from drit.settings.common import TrainSettings
from drit.settings.schema import differences
from drit.training.checks import open_sets, settled
from drit.training.trainer import Outcome, Trainer

# Settings that change nothing of the result, or that a resume is meant to change.
FREE_TO_CHANGE = ("steps", "preset", "threads", "recompute", "log.", "data.workers", "data.cache")
TIMED = 3  # iterations, at each end


def train(config: TrainSettings, out: Path, stop_after: int | None = None) -> Outcome:
    """Train a new run into the folder `out`.

    stop_after: stop (with a checkpoint) after so many iterations, as an interruption would; for tests and time slices.
    Raises UsageError when `out` holds something already, DataError for unusable images, DivergedError for NaN.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if (out / "config.json").is_file() and not files.checkpoints(out):
            raise UsageError(
                f"{out} is a run without a checkpoint: it ended before the first, or is at work. If nothing trains it, "
                "remove the folder and give the command again."
            )
        if (out / "config.json").is_file():
            raise UsageError(
                f"{out} is another run. Go on with it: drit train --resume {out}. Or choose another --out."
            )
        raise UsageError(f"{out} exists and is not empty. Choose another --out.")
    sets = open_sets(config)
    config = settled(config, sets)
    method_class(config.method), choose_device(config.device)  # raise before anything is written
    with Trainer(config, out, sets) as trainer:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "config.json", record(config, trainer.chosen()))
        write_json(out / "data.json", {d: s.fingerprint() for d, s in sets.items()})
        return trainer.fit(stop_after)


def resume(
    run: Path, changes: TrainSettings | None = None, allow_changes: bool = False, stop_after: int | None = None
) -> Outcome:
    """Go on with a run from its newest whole checkpoint, bit-exactly on a CPU.

    changes: the settings to go on with (None: the recorded ones). Settings other than `FREE_TO_CHANGE`, and data that
    changed, need `allow_changes`; the error lists them. Raises CheckpointError for a run that cannot be read.
    """
    found = files.find(run)
    recorded = recorded_config(run)
    config = changes or recorded
    changed = {
        name: pair for name, pair in differences(recorded, config).items() if not name.startswith(FREE_TO_CHANGE)
    }
    if changed and not allow_changes:
        listed = "; ".join(f"{name}: {old!r} -> {new!r}" for name, (old, new) in changed.items())
        raise UsageError(
            f"Settings differ from those of {run}: {listed}. Add --allow-changes to go on with the new ones."
        )
    sets = open_sets(config)
    config = settled(config, sets)
    told = {d: s.fingerprint() for d, s in sets.items()}
    before = files.read_json(run / "data.json")
    moved = _moved(before, {d: s.fingerprint(before.get(d)) for d, s in sets.items()})  # of the kind that it recorded
    if moved and not allow_changes:
        raise UsageError(
            f"The images differ from those that {run} was trained on ({moved}). Add --allow-changes to go on."
        )
    with Trainer(config, run, sets) as trainer:
        trainer.restore(found)
        write_json(run / "config.json", record(config, trainer.chosen()))
        write_json(run / "data.json", told)
        return trainer.fit(stop_after)


def affordable(config: TrainSettings, seconds: float, clock: Callable[[], float] = time.monotonic) -> int:
    """Iterations of `config` that fit into `seconds` of a clock on this machine, from a few timed ones; at least 50.

    Those at the start and at the end of a run are timed, since a method may train in stages.
    """
    sets = open_sets(config)
    config = settled(config, sets)
    with tempfile.TemporaryDirectory() as folder, Trainer(config, Path(folder), sets) as trainer:
        trainer.start_stream()
        for _ in range(2):
            trainer.iterate()
        trainer.wait()
        began = clock()
        for step in (0, config.steps - TIMED):
            trainer.step = step
            for _ in range(TIMED):
                trainer.iterate()
        trainer.wait()
        each = (clock() - began) / (2 * TIMED)
    return max(50, int(seconds / each))


def _moved(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two fingerprints of the domains, in words; empty if nothing does."""
    parts = []
    for d, prints in now.items():
        old = before.get(d, {})
        changes = [f"{name} {old.get(name)} -> {value}" for name, value in prints.items() if old.get(name) != value]
        if changes:
            parts.append(f"{d}: {', '.join(changes)}")
    return "; ".join(parts)
