"""Where the files of a run are: the only module that spells their names. Imports no torch.

RUN/config.json  data.json  metrics.jsonl  warnings.jsonl  events.*  samples/step_*.png  report.html  lock.json
RUN/styles.json                 styles that people kept
RUN/checkpoints/step_00012000/{weights.safetensors, state.pt, meta.json}
RUN/checkpoints/latest          the name of the newest whole one
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drit.bounded import is_file, is_folder, is_there, resolved
from drit.errors import CheckpointError, UsageError
from drit.runs.reading import DamagedError, check_inside, read_bytes

WEIGHTS, STATE, META = "weights.safetensors", "state.pt", "meta.json"  # of a checkpoint
STYLES = "styles.json"  # of a run: styles that people kept
_CHECKPOINTS = "checkpoints"
_CHECKPOINT = re.compile(r"step_(\d{8,12})")
_SAMPLE = re.compile(r"step_(\d{1,12})\.png")
_LATEST_BYTES = 1 << 10  # more than any name


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run's files."""

    path: Path

    @property
    def config(self) -> Path:
        """Settings, versions, machine."""
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        """What identifies the images of each domain."""
        return self.path / "data.json"

    @property
    def metrics(self) -> Path:
        """Losses and the watch's numbers, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def warnings(self) -> Path:
        """What the watch warned of, one JSON object a line."""
        return self.path / "warnings.jsonl"

    @property
    def report(self) -> Path:
        """The page that explains the run."""
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        """Which process trains the run; there only while one does."""
        return self.path / "lock.json"

    @property
    def samples(self) -> Path:
        """The folder of sample sheets."""
        return self.path / "samples"

    def sample(self, step: int) -> Path:
        """The sample sheet of an iteration."""
        return self.samples / f"step_{step:08d}.png"

    def sheets(self) -> dict[int, Path]:
        """The sample sheets there are, by iteration."""
        names = {path: _SAMPLE.fullmatch(path.name) for path in self.samples.glob("step_*.png")}
        return dict(sorted((int(match[1]), path) for path, match in names.items() if match))

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / _CHECKPOINTS

    @property
    def latest(self) -> Path:
        """The file that names the newest whole checkpoint."""
        return self.checkpoints / "latest"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint of an iteration."""
        return self.checkpoints / checkpoint_name(step)

    def evaluations(self) -> list[Path]:
        """The results of the run's evaluations, as files."""
        return sorted(self.path.glob("evaluation_*/result.json"))

    @property
    def is_run(self) -> bool:
        """Whether a training wrote this folder."""
        return is_file(self.config)


def checkpoint_name(step: int) -> str:
    """The name of the checkpoint of an iteration: step_00012000."""
    return f"step_{step:08d}"


def step_of(checkpoint: Path) -> int:
    """The iteration of a checkpoint, by its name; -1 for another folder."""
    match = _CHECKPOINT.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def checkpoints(run: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first. Other folders, files and links beside them are left out."""
    folder = RunFolder(run).checkpoints
    if not is_folder(folder):
        return []
    named = [p for p in folder.iterdir() if step_of(p) >= 0 and not p.is_symlink() and is_file(p / META)]
    return sorted(named, key=step_of)


def run_of(checkpoint: Path) -> Path | None:
    """The run that a checkpoint lies in; None for one that was copied out of it."""
    return checkpoint.parent.parent if checkpoint.parent.name == _CHECKPOINTS else None


def root_of(checkpoint: Path) -> Path:
    """The folder that no file of a checkpoint may lead out of: its run, or itself."""
    return run_of(checkpoint) or checkpoint


def find(path: Path) -> Path:
    """The checkpoint folder that `path` means: itself, or the newest of a run folder.

    Raises CheckpointError, saying what is there instead, when there is none.
    """
    if is_file(path / META):
        return path
    if not is_there(path):
        raise CheckpointError(f"There is no run at {path}. Give the folder that `drit train --out` wrote.")
    run = RunFolder(path)
    if not is_folder(path) or not (is_folder(run.checkpoints) or run.is_run):
        raise CheckpointError(
            f"{path} is not a run: it has no folder '{run.checkpoints.name}'. Give the folder that `drit train --out` "
            "wrote, or one of its checkpoints."
        )
    check_inside(run.checkpoints, path)
    whole = checkpoints(path)
    named = _latest(run, whole)
    if not whole:
        raise CheckpointError(
            f"The run {path} has no whole checkpoint yet. If nothing is training it, remove the folder and start again."
        )
    return named or whole[-1]


def _latest(run: RunFolder, whole: list[Path]) -> Path | None:
    """The whole checkpoint that `latest` names, if that is there. Raises CheckpointError for what is no name."""
    if not is_there(run.latest) and not run.latest.is_symlink():
        return None
    remedy = f"Remove that file: then {whole[-1]} is used." if whole else "Remove that file."
    name = read_bytes(run.latest, run.path, _LATEST_BYTES, remedy).strip()
    if not name.strip(b"\0"):  # what a power failure leaves of a file
        return None
    if not _CHECKPOINT.fullmatch(text := name.decode("ascii", errors="replace")):
        raise DamagedError(f"{run.latest} names no checkpoint: {text[:40]!r}. {remedy}")
    return next((p for p in whole if p.name == text), None)


def instead(checkpoint: Path) -> str:
    """What to do when a checkpoint cannot be read."""
    run = run_of(checkpoint)
    others = [p for p in checkpoints(run) if p != checkpoint] if run else []
    if not others:
        return "There is no other checkpoint beside it: put it back from a copy."
    return (
        f"There is another: {others[-1]}. Use that, or remove {checkpoint} to go on from it: drit train --resume {run}"
    )


def refuse_inside(out: Path, sources: Iterable[str | Path], flag: str = "--out") -> None:
    """Raises UsageError where `out` is one of the folders among `sources`, which are read, or lies within one.

    flag: that `out` was given by.
    """
    for source in map(Path, sources):
        if source.is_dir() and resolved(out).is_relative_to(resolved(source)):
            same = resolved(out) == resolved(source)
            where = "is an input folder" if same else f"is within the input folder {source}"
            raise UsageError(
                f"{flag} {out} {where}: the next command would take its outputs for inputs. Choose a folder outside."
            )


def refuse_run_folder(out: Path) -> None:
    """Raises UsageError where a command would write its output into a run."""
    if RunFolder(out).config.exists():
        raise UsageError(f"--out {out} is a run folder. Choose another.")
