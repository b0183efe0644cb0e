"""What a run folder holds beside its weights, read for people: settings, numbers, warnings, sheets, evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drit.errors import CheckpointError, DritError
from drit.runs.checkpoint import read_json
from drit.runs.folder import RunFolder, checkpoints
from drit.runs.metrics import read_lines_and_damage
from drit.runs.reading import is_count
from drit.runs.record import data_record, run_record


@dataclass(frozen=True)
class Run:
    """What a run folder holds, as the report needs it."""

    path: Path
    record: dict[str, Any]  # config.json
    data: dict[str, Any]  # data.json
    lines: list[dict[str, float]]  # of metrics.jsonl
    events: list[dict[str, Any]]  # of warnings.jsonl
    checkpoints: list[Path]
    sheets: dict[int, Path]  # by iteration
    evaluations: dict[str, dict[str, Any]]  # result.json by the name of its folder
    unread: list[str]  # files of it that could not be read, and why

    @property
    def settings(self) -> dict[str, Any]:
        """The recorded settings, as nested dictionaries."""
        return dict(self.record.get("settings", {}))

    @property
    def step(self) -> int:
        """The iteration of the last metrics."""
        return int(self.lines[-1]["step"])

    @property
    def steps(self) -> int:
        """The iterations that the run is to have in the end."""
        steps = self.settings.get("steps")
        return int(steps) if is_count(steps) else self.step  # type: ignore[arg-type]

    @property
    def domains(self) -> list[str]:
        """The letters of the domains."""
        return list(self.data) or ["a", "b"]


def read_run(path: Path) -> Run:
    """Read a run folder. Raises CheckpointError for what is none, DritError for one without metrics."""
    if not path.exists():
        raise CheckpointError(f"There is no run at {path}. Give the folder that `drit train --out` wrote.")
    folder = RunFolder(path)
    if not folder.is_run:
        raise CheckpointError(
            f"{path} is not a run: it has no {folder.config.name}. Give the folder that `drit train --out` wrote."
        )
    record = run_record(path)
    lines, damaged = read_lines_and_damage(folder.metrics)
    if not lines:
        raise DritError(
            f"{path} has no metrics: {folder.metrics.name} is missing, or without a whole line. There is nothing to "
            f"report before the first iterations are logged. Train it: drit train --resume {path}"
        )
    unread = _left_out(folder.metrics, damaged)
    events: list[dict[str, Any]] = []
    try:
        events, damaged = read_lines_and_damage(folder.warnings)
        unread += _left_out(folder.warnings, damaged)
    except CheckpointError as error:
        unread.append(str(error))
    data: dict[str, Any] = {}
    try:
        data = data_record(path)
    except CheckpointError as error:
        unread.append(str(error))
    evaluations: dict[str, dict[str, Any]] = {}
    for file in folder.evaluations():
        try:
            evaluations[file.parent.name.removeprefix("evaluation_")] = read_json(file, path)
        except CheckpointError as error:
            unread.append(str(error))
    return Run(path, record, data, lines, events, checkpoints(path), folder.sheets(), evaluations, unread)


def _left_out(path: Path, damaged: int) -> list[str]:
    """What to say of the damaged lines of a file."""
    return [f"{path.name}: {damaged} half-written line{'s' if damaged > 1 else ''} left out"] if damaged else []
