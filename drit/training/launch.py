"""Trainings: a new one, one to go on with, and how many iterations a time is enough for."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from drit import peers
from drit.atomic import write_json
from drit.data.folders import ImageSet
from drit.errors import CheckpointError, DataError, DritError, ToldError, UsageError
from drit.methods.registry import method_for
from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder, refuse_inside, step_of
from drit.runs.lock import holder, locked
from drit.runs.metrics import check_lines, read_lines
from drit.runs.record import data_record, image_changes, record, recorded_settings, run_record
from drit.runtime import choose_device
from drit.settings.common import TrainSettings
from drit.settings.schema import differences, settings_of, value_of
from drit.training.checks import open_sets, settled
from drit.training.interrupt import Interrupt
from drit.training.start import skeleton, starting_weights
from drit.training.trainer import Outcome, Trainer
from drit.version import VERSION

TIMED = 3  # iterations, at each end
_PLACES = ("data.a", "data.b", "data.domains", "data.pairs")  # settings that say where images lie, not what they are
_OF_MACHINE = (*_PLACES, "data.workers", "device", "threads")  # which each machine of a training may have of its own


def train(
    settings: TrainSettings,
    out: Path,
    stop_after: int | None = None,
    start_from: Path | None = None,
    start_networks: Sequence[str] = (),
    interrupt: Interrupt | None = None,
) -> Outcome:
    """Train a new run into the folder `out`.

    stop_after: stop (with a checkpoint) after so many iterations, as an interruption would; for tests and time slices.
    start_from: a run or checkpoint whose weights the training begins with; start_networks: only of these networks.
    interrupt: what may stop the training; without it, signals alone. Raises UsageError when `out` holds something
    already or is being trained, DataError for unusable images, CheckpointError and UsageError for weights that cannot
    be started from, DivergedError for NaN.
    """
    with _joined(settings), ExitStack() as stack:
        with peers.together():
            if peers.is_first():
                _check_free(out)
            method = method_for(settings)
            choose_device(settings.device)  # raises before the images are opened
            sets = open_sets(method, settings)
            data = settings.data
            refuse_inside(out, [source for source in (data.a, data.b, data.pairs, *data.domains) if source])
            settings = settled(settings, sets)
            channels = {d: s.channels for d, s in sets.items()}
            start = None
            if start_from:
                start = starting_weights(start_from, start_networks, skeleton(method, settings, channels))
            trainer = stack.enter_context(Trainer(method, settings, sets, out))
            if start:
                trainer.begin_with(start.weights, start.average)
            prints = {d: s.fingerprint() for d, s in sets.items()}
        with peers.together():
            _check_same(trainer, prints)
            if peers.is_first():
                out.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(out))
                _check_free(out)  # another process may have been faster
                _write_records(trainer, start.record if start else None, prints)
        return trainer.fit(stop_after, interrupt)


def _joined(settings: TrainSettings) -> AbstractContextManager[None]:
    """The processes that a launcher started, joined. Raises UsageError for a batch that they cannot share evenly."""
    count, unit = peers.launched(), settings.divisions
    if count > 1 and settings.batch % (unit * count):
        if peers.launched_rank():
            raise ToldError(UsageError.exit_code)
        below = settings.batch - settings.batch % (unit * count)
        batches = " or ".join(f"--batch {n}" for n in (below, below + unit * count) if n)
        fitting = [n for n in range(1, settings.batch + 1) if not settings.batch % (unit * n)]
        counts = f", or start {_either(fitting)} process{'es' if fitting[-1] > 1 else ''}" if fitting else ""
        halves = "" if unit == 1 else f", each in {unit} parts (--accumulate, --optim.split-batch)"
        raise UsageError(
            f"A batch of {settings.batch} cannot be shared evenly by {count} processes{halves}. Give {batches}{counts}."
        )
    return peers.joined(choose_device(settings.device).type == "cuda", settings.peer_timeout)


def _either(numbers: Sequence[int]) -> str:
    """1, 2 or 4."""
    return " or ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))


def _rounded(value: Any) -> Any:
    """A setting without the last bits, which measured ones may have of their machine."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _check_same(trainer: Trainer, prints: Mapping[str, Any]) -> None:
    """Raises UsageError where the processes of a training, perhaps on several machines, are about to train different
    things."""
    what = {
        "images": {d: p["sha256"] for d, p in prints.items()},
        "settings": {
            s.name: _rounded(value_of(trainer.settings, s.name))
            for s in settings_of(type(trainer.settings))
            if s.name not in _OF_MACHINE
        },
        "checkpoint": trainer.step,
        "precision": str(trainer.dtype),
        "version of drit": VERSION,
    }
    for number, other in enumerate(peers.told(what)):
        differ = [name for name, value in what.items() if other[name] != value]
        if differ:
            raise UsageError(
                f"Process {peers.rank()} and process {number} of this training do not have the same {differ[0]}. Give "
                "every machine the same command, folders and version."
            )


def _check_free(out: Path) -> None:
    """Raises UsageError where a new run's folder holds something."""
    folder = RunFolder(out)
    if not out.exists() or (out.is_dir() and not any(path != folder.lock for path in out.iterdir())):
        return
    if not folder.is_run:
        raise UsageError(f"{out} exists and is not empty. Choose another --out.")
    if trained_by := _other_holder(out):
        raise UsageError(f"{out} is being trained by {trained_by}. Choose another --out.")
    if files.checkpoints(out):
        raise UsageError(f"{out} is another run. Go on with it: drit train --resume {out}. Or choose another --out.")
    raise UsageError(
        f"{out} is a run without a checkpoint: it ended before the first. Begin it again: drit train --resume "
        f"{out}. Or remove the folder and give the command again."
    )


def _other_holder(run: Path) -> str:
    """Who trains a run, in words; empty if nobody does."""
    other = holder(run)
    return str(other) if other else ""


def _write_records(trainer: Trainer, started_from: Mapping[str, Any] | None, prints: Mapping[str, Any]) -> None:
    """Write what the run is, before its first iteration. Raises DritError when the disk refuses."""
    folder = RunFolder(trainer.path)
    whole = record(trainer.settings, trainer.chosen(), trainer.method.at_chance(), started_from)
    try:
        write_json(folder.config, whole)
        write_json(folder.data, prints)
    except OSError as error:
        raise DritError(
            f"Could not write into {trainer.path}: {error.strerror or error}. {files.last_whole(trainer.path)} Make "
            "room or mend the disk, then give the command again."
        ) from error


def resume(
    run: Path,
    changes: TrainSettings | None = None,
    allow_changes: bool = False,
    stop_after: int | None = None,
    interrupt: Interrupt | None = None,
) -> Outcome:
    """Go on with a run from its newest whole checkpoint, bit-exactly on a CPU.

    A run that ended before its first checkpoint begins anew, with the settings that it recorded.

    changes: the settings to go on with (None: the recorded ones). Settings that a resume may not change by itself, and
    data that changed, need `allow_changes`; the error lists them. Nothing is written before all is checked. interrupt:
    as for `train`. Raises CheckpointError for a run that cannot be read, UsageError for one that another process
    trains.
    """
    check_resumable(run)  # before a lock is laid into a folder that is no run
    recorded = recorded_settings(run)
    settings = changes or recorded
    with _joined(settings), ExitStack() as stack:
        with peers.together():
            if peers.is_first():
                stack.enter_context(locked(run))
            if not allow_changes:
                _check_unchanged(run, recorded, settings)
            before_first = _is_before_first_checkpoint(run)
            take_up = _begin_anew if before_first else _take_up
            ready = take_up(run, recorded, settings, allow_changes)
            trainer = stack.enter_context(ready.trainer)
        with peers.together():
            _check_same(trainer, ready.prints)
            if peers.is_first():
                if ready.checkpoint is not None:
                    _put_aside(run, ready.damaged, ready.checkpoint)
                else:
                    print(f"{run} ended before its first checkpoint: it begins anew.", file=sys.stderr, flush=True)
                _write_records(trainer, run_record(run).get("started_from"), ready.prints)
        return trainer.fit(stop_after, interrupt)


def check_resumable(run: Path) -> None:
    """Raises CheckpointError, which says what is there instead, for a folder that holds nothing to go on with."""
    if not _is_before_first_checkpoint(run):
        files.find(run)


def _is_before_first_checkpoint(run: Path) -> bool:
    """Whether a run ended before its first checkpoint. False where checkpoints were removed: its metrics go further."""
    folder = RunFolder(run)
    if not folder.is_run or (
        folder.checkpoints.is_dir() and any(step_of(p) >= 0 for p in folder.checkpoints.iterdir())
    ):
        return False
    every = recorded_settings(run).log.checkpoint_every
    return all(line["step"] <= every for line in read_lines(folder.metrics))


class _Ready(NamedTuple):
    """A run that can go on; nothing of it was written yet."""

    trainer: Trainer
    prints: dict[str, Any]  # what identifies the images, by domain
    checkpoint: files.Loaded | None  # that it goes on from; None: from the start
    damaged: Mapping[Path, str]  # newer checkpoints, and why they cannot be used


def _begin_anew(run: Path, recorded: TrainSettings, settings: TrainSettings, allow_changes: bool) -> _Ready:
    """A run from its first iteration on, which ended before it had saved one."""
    if run_record(run).get("started_from"):
        raise CheckpointError(
            f"The run {run} has no whole checkpoint yet, and began with the weights of another run. Remove the folder "
            "and give the first command again."
        )
    method = method_for(settings)
    sets = _open_again(run, recorded, settings)
    trainer = Trainer(method, settled(settings, sets), sets, run)
    return _Ready(trainer, {d: s.fingerprint() for d, s in sets.items()}, None, {})


def _take_up(run: Path, recorded: TrainSettings, settings: TrainSettings, allow_changes: bool) -> _Ready:
    """A run from its newest whole checkpoint on."""
    folder = RunFolder(run)
    before = _recorded_images(run, allow_changes)
    for path in (folder.metrics, folder.warnings):
        check_lines(path)
    checkpoint, damaged = files.load_newest(run)
    method = method_for(settings)
    if checkpoint.meta["method"] != settings.method:
        raise CheckpointError(
            f"{checkpoint.folder} is of the method '{checkpoint.meta['method']}', not '{settings.method}'. Resume with "
            "its own method."
        )
    sets = _open_again(run, recorded, settings)
    settings = settled(settings, sets)
    prints = {d: s.fingerprint() for d, s in sets.items()}
    # of the kind of hash that it recorded
    moved = image_changes(before, {d: s.fingerprint(before.get(d)) for d, s in sets.items()})
    if moved and not allow_changes:
        raise UsageError(
            f"The images differ from those that {run} was trained on ({moved}). If those lie elsewhere now, name the "
            f"place: {_new_places(settings)}. To go on with the changed ones, add --allow-changes."
        )
    channels = {d: s.channels for d, s in sets.items()}
    files.check_fit(skeleton(method, settings, channels).state_dict(), checkpoint.weights, checkpoint.folder)
    trainer = Trainer(method, settings, sets, run)
    trainer.take_up(checkpoint)
    trainer.check_unfinished()
    return _Ready(trainer, prints, checkpoint, damaged)


def _recorded_images(run: Path, allow_changes: bool) -> dict[str, dict[str, Any]]:
    """What data.json says of the images; nothing where it cannot be read and changes are allowed."""
    try:
        return data_record(run)
    except CheckpointError:
        if allow_changes:
            return {}
        raise


def _open_again(run: Path, recorded: TrainSettings, settings: TrainSettings) -> dict[str, ImageSet]:
    """The domains of a run that goes on. Raises DataError or UsageError, with the way to name another place."""
    try:
        return open_sets(method_for(settings), settings)
    except DataError as error:
        files_or_folders = [path.partition(".npz:")[0] for path in settings.data.sources().values()]
        missing = not all(map(os.path.exists, files_or_folders))  # also where this user may not look
        if not missing or settings.data != recorded.data:
            raise
        places = _new_places(settings)
        raise DataError(f"{error} If the images moved, name their place: drit train --resume {run} {places}") from error


def _new_places(settings: TrainSettings) -> str:
    """The flags that name where the images lie."""
    if settings.data.domains:
        return "--data.domains NEW NEW ..."
    return "--data.pairs NEW" if settings.data.pairs else " ".join(f"--data.{d} NEW" for d in settings.data.sources())


def _put_aside(run: Path, damaged: Mapping[Path, str], checkpoint: files.Loaded) -> None:
    """Rename damaged checkpoints and tell where training goes on instead."""
    for path, why in damaged.items():
        try:
            aside = files.put_aside(path)
        except OSError as error:
            raise DritError(f"{path} is damaged and cannot be renamed: {error.strerror}. Remove it.") from error
        print(f"{why}\nIt was put aside as {aside.name}.", file=sys.stderr)
    if damaged:
        print(f"{run} goes on from iteration {step_of(checkpoint.folder)}, the last that is whole.", file=sys.stderr)


def _check_unchanged(run: Path, recorded: TrainSettings, settings: TrainSettings) -> None:
    """Raises UsageError that lists the settings that differ, but for those that a resume may change.

    Where the images lie is one of these: what they are is compared by itself.
    """
    if settings.method != recorded.method:
        raise UsageError(f"{run} is of the method '{recorded.method}', not '{settings.method}': leave --method out.")
    free = {s.name for s in settings_of(type(settings)) if s.resumable} | set(_PLACES)
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
    return max(50, int(seconds / seconds_each(settled(settings, sets), sets, clock)))


def seconds_each(
    settings: TrainSettings, sets: dict[str, ImageSet], clock: Callable[[], float] = time.monotonic
) -> float:
    """Seconds of an iteration on this machine, from a few timed ones. Those at the start and at the end of a run are
    timed, since a method may train in stages."""
    method = method_for(settings)
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
        return (clock() - began) / (2 * TIMED)
