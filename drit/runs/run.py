"""What a run folder holds beside its weights, read for people: settings, numbers, warnings, sheets, evaluations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drit.errors import CheckpointError, DritError, UsageError
from drit.runs import checkpoint as files
from drit.runs.metrics import read_lines


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
        return dict(self.record.get("settings", {}))

    @property
    def step(self) -> int:
        return int(self.lines[-1]["step"])

    @property
    def steps(self) -> int:
        return int(self.settings.get("steps", self.step))

    @property
    def domains(self) -> list[str]:
        return list(self.data) or ["a", "b"]


def read_run(path: Path) -> Run:
    """Read a run folder. Raises CheckpointError for what is none, DritError for one without metrics."""
    if not path.exists():
        raise CheckpointError(f"There is no run at {path}. Give the folder that `drit train --out` wrote.")
    if not (path / "config.json").is_file():
        raise CheckpointError(
            f"{path} is not a run: it has no config.json. Give the folder that `drit train --out` wrote."
        )
    record = files.read_json(path / "config.json")
    if not isinstance(record.get("settings"), dict):
        raise CheckpointError(f"{path}/config.json is not one of a drit run: it holds no settings.")
    lines = read_lines(path / "metrics.jsonl")
    if not lines:
        raise DritError(
            f"{path} has no metrics: metrics.jsonl is missing, or without a whole line. There is nothing to report "
            f"before the first iterations are logged. Train it: drit train --resume {path}"
        )
    unread = []
    broken = len((path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) - len(lines)
    if broken:
        unread.append(f"metrics.jsonl: {broken} half-written line{'s' if broken > 1 else ''} left out")
    found: dict[str, dict[str, Any]] = {}
    data: dict[str, Any] = {}
    for file in (path / "data.json", *sorted(path.glob("evaluation_*/result.json"))):
        try:
            value = files.read_json(file)
        except CheckpointError as error:
            unread.append(str(error))
            continue
        if file.name == "data.json":
            data = value
        else:
            found[file.parent.name.removeprefix("evaluation_")] = value
    sheets = {
        int(m[1]): p for p in (path / "samples").glob("step_*.png") if (m := re.match(r"step_(\d+)\.png", p.name))
    }
    return Run(
        path,
        record,
        data,
        lines,
        read_lines(path / "warnings.jsonl"),
        files.checkpoints(path),
        dict(sorted(sheets.items())),
        found,
        unread,
    )


def refuse_run_folder(out: Path) -> None:
    """Raises UsageError where a command would write its output into a run."""
    if (out / "config.json").exists():
        raise UsageError(f"--out {out} is a run folder. Choose another.")
