"""Numbers of a run: metrics.jsonl and TensorBoard events; other files of JSON lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from drit.atomic import write_atomically
from drit.settings.common import LogSettings


class Metrics:
    """metrics.jsonl (one object a line) and TensorBoard events, continued without duplicates after a resume."""

    def __init__(self, run: Path, settings: LogSettings, start: int) -> None:
        self._path = run / "metrics.jsonl"
        truncate(self._path, start)
        self._file = open(self._path, "a", encoding="utf-8")
        self._board: Any = None
        if settings.tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # here: its import takes a second

            self._board = SummaryWriter(str(run), purge_step=start + 1 if start else None)

    def write(self, step: int, values: dict[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **{k: round_significant(v) for k, v in values.items()}}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def truncate(path: Path, start: int) -> None:
    """Drop the lines of a file of JSON lines after iteration `start`, and half-written ones; no file is no error."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_atomically(path, "".join(kept).encode())


def read_metrics(run: Path) -> list[dict[str, float]]:
    """All whole lines of a run's metrics.jsonl. Raises OSError where there is none."""
    return _whole((run / "metrics.jsonl").read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole objects of a file of JSON lines (metrics.jsonl, warnings.jsonl); of a file that is not there, none."""
    return _whole(path.read_text(encoding="utf-8")) if path.exists() else []


def _whole(text: str) -> list[dict[str, Any]]:
    lines = []
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "step" in found:
            lines.append(found)
    return lines


def round_significant(value: float, digits: int = 6) -> float:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value
