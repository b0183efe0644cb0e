"""Trainings: a new one, one to go on with, and how many iterations a time is enough for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drit.atomic import write_json
from drit.errors import UsageError
from drit.methods.registry import method_for
from drit.runs import checkpoint as files
from drit.runs.record import record, recorded_settings
from drit.runtime import choose_device
from drit.settings.common import TrainSettings
from drit.settings.schema import differences, settings_of
from drit.training.checks import open_sets, settled
from drit.training.trainer import Outcome, Trainer

TIMED = 3  # iterations, at each end


def train(settings: TrainSettings, out: Path, stop_after: int | None = None) -> Outcome:
    """Train a new run into the folder `out`.

    stop_after: stop (with a checkpoint) after so many iterations, as an interruption would; for tests and time slices.
    Raises UsageError when `out` holds something already, DataError for unusable images, DivergedError for NaN.
    """
    _check_free(out)
    method = method_for(settings)
    choose_device(settings.device)  # raises before the images are opened
    sets = open_sets(method, settings)
    settings = settled(settings, sets)
    with Trainer(method, settings, sets, out) as trainer:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "config.json", record(settings, trainer.chosen(), trainer.method.at_chance()))
        write_json(out / "data.json", {d: s.fingerprint() for d, s in sets.items()})
        return trainer.fit(stop_after)


def _check_free(out: Path) -> None:
    """Raises UsageError where a new run's folder holds something."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "config.json").is_file():
        raise UsageError(f"{out} exists and is not empty. Choose another --out.")
    if files.checkpoints(out):
        raise UsageError(f"{out} is another run. Go on with it: drit train --resume {out}. Or choose another --out.")
    raise UsageError(
        f"{out} is a run without a checkpoint: it ended before the first, or is at work. If nothing trains it, "
        "remove the folder and give the command again."
    )


def resume(
    run: Path, changes: TrainSettings | None = None, allow_changes: bool = False, stop_after: int | None = None
) -> Outcome:
    """Go on with a run from its newest whole checkpoint, bit-exactly on a CPU.

    changes: the settings to go on with (None: the recorded ones). Settings that a resume may not change by itself, and
    data that changed, need `allow_changes`; the error lists them. Nothing is written before all is checked. Raises
    CheckpointError for a run that cannot be read.
    """
    checkpoint = files.find(run)
    recorded = recorded_settings(run)
    settings = changes or recorded
    if not allow_changes:
        _check_unchanged(run, recorded, settings)
    method = method_for(settings)
    sets = open_sets(method, settings)
    settings = settled(settings, sets)
    prints = {d: s.fingerprint() for d, s in sets.items()}
    before = files.read_json(run / "data.json")
    moved = _moved(before, {d: s.fingerprint(before.get(d)) for d, s in sets.items()})  # of the kind that it recorded
    if moved and not allow_changes:
        raise UsageError(
            f"The images differ from those that {run} was trained on ({moved}). Add --allow-changes to go on."
        )
    with Trainer(method, settings, sets, run) as trainer:
        trainer.restore(checkpoint)
        trainer.check_unfinished()
        write_json(run / "config.json", record(settings, trainer.chosen(), trainer.method.at_chance()))
        write_json(run / "data.json", prints)
        return trainer.fit(stop_after)


def _check_unchanged(run: Path, recorded: TrainSettings, settings: TrainSettings) -> None:
    """Raises UsageError that lists the settings that differ, but for those that a resume may change."""
    if settings.method != recorded.method:
        raise UsageError(f"{run} is of the method '{recorded.method}', not '{settings.method}': leave --method out.")
    free = {s.name for s in settings_of(type(settings)) if s.resumable}
    changed = {name: pair for name, pair in differences(recorded, settings).items() if name not in free}
    if changed:
        listed = "; ".join(f"{name}: {old!r} -> {new!r}" for name, (old, new) in changed.items())
        raise UsageError(
            f"Settings differ from those of {run}: {listed}. Add --allow-changes to go on with the new ones."
        )


def affordable(settings: TrainSettings, seconds: float, clock: Callable[[], float] = time.monotonic) -> int:
    """Iterations that fit into `seconds` of a clock on this machine, from a few timed ones; at least 50.

    Those at the start and at the end of a run are timed, since a method may train in stages.
    """
    method = method_for(settings)
    sets = open_sets(method, settings)
    settings = settled(settings, sets)
    with tempfile.TemporaryDirectory() as folder, Trainer(method, settings, sets, Path(folder)) as trainer:
        trainer.start_stream()
        for _ in range(2):
            trainer.iterate()
        trainer.wait()
        began = clock()
        for step in (0, settings.steps - TIMED):
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
