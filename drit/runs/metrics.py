"""Numbers of a run: metrics.jsonl and TensorBoard events; other files of JSON lines."""

from __future__ import annotations

import itertools
import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drit.atomic import write_atomically
from drit.runs.folder import RunFolder
from drit.runs.reading import DamagedError, is_count, is_number, json_lines
from drit.settings.common import LogSettings


class Appended:
    """A file that grows. What is written is with the system when `write` returns; a disk that refuses raises OSError
    there, with the file's name, and closing raises nothing."""

    def __init__(self, path: Path, mode: str = "ab") -> None:
        self._path = path
        self._file = open(path, mode, buffering=0)

    def write(self, content: bytes) -> None:
        """Append bytes. Raises OSError when the disk refuses."""
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def write_lines(self, objects: list[dict[str, Any]]) -> None:
        """Append objects as lines of JSON. Raises OSError when the disk refuses."""
        self.write("".join(json.dumps(value) + "\n" for value in objects).encode())

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self._file.close()


class Metrics:
    """metrics.jsonl (one object a line) and TensorBoard events, continued without duplicates after a resume."""

    def __init__(self, run: Path, settings: LogSettings, start: int) -> None:
        """start: iteration that the run goes on from. Raises OSError when the disk refuses."""
        path = RunFolder(run).metrics
        truncate(path, start)
        self._file = Appended(path)
        self._board = _Board(run, start) if settings.tensorboard else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the numbers of an iteration. Raises OSError when the disk refuses."""
        self._file.write_lines([{"step": step, **{k: round_significant(v) for k, v in values.items()}}])
        if self._board is not None:
            self._board.write(step, values)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


class _Board:
    """A file of TensorBoard events. Written by the thread that trains: TensorBoard's own writer has a thread, whose
    errors nobody can catch."""

    def __init__(self, run: Path, start: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2  # here: the import takes a while
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._writer = RecordWriter(Appended(_fresh(run), "xb"))
        step = start + 1 if start else 0
        self._add(step=step, file_version="brain.Event:2")
        if start:  # points from here on, of a training that went further, are not shown
            self._add(step=step, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the numbers of an iteration. Raises OSError when the disk refuses."""
        numbers = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(step=step, summary=self._summary(value=numbers))

    def close(self) -> None:
        self._writer.close()

    def _add(self, **fields: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())


def _fresh(run: Path) -> Path:
    """A file of events that is not there yet, named as TensorBoard looks for them."""
    name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    return next(path for n in itertools.count() if not (path := run / f"{name}.{n}").exists())


def is_metrics_line(value: Mapping[str, Any]) -> bool:
    """Whether an object is a line of metrics.jsonl: an iteration and numbers."""
    return is_count(value.get("step")) and all(map(is_number, value.values()))


def is_warning(value: Mapping[str, Any]) -> bool:
    """Whether an object is a line of warnings.jsonl: an iteration, a cause and a message."""
    return is_count(value.get("step")) and all(isinstance(value.get(name), str) for name in ("cause", "message"))


def _line_test(path: Path) -> Any:
    """What a line of this file must be."""
    return is_warning if path.name == RunFolder(path.parent).warnings.name else is_metrics_line


def check_lines(path: Path) -> None:
    """Raises DamagedError for a file of JSON lines that holds a damaged line, but for a half-written last one."""
    before: int | None = None  # the number of a damaged line that a further line must not follow
    torn = False
    for number, (line, value) in enumerate(json_lines(path, path.parent, _line_test(path)), 1):
        if value is None and before is None:
            before, torn = number, not line.endswith(b"\n")
        elif before is not None:
            torn = False
    if before is not None and not torn:
        raise DamagedError(
            f"{path} is damaged: line {before} is not what training writes. Remove that line, or move the file away: "
            f"the run goes on without it, and what it held is missing from its report."
        )


def truncate(path: Path, start: int) -> None:
    """Drop the lines of a file of JSON lines after iteration `start`, and half-written ones; no file is no error.

    Raises OSError when the disk refuses.
    """
    lines = json_lines(path, path.parent, _line_test(path))
    kept = [line.rstrip(b"\r\n") + b"\n" for line, value in lines if value is not None and value["step"] <= start]
    if path.exists():
        write_atomically(path, b"".join(kept))


def read_metrics(run: Path) -> list[dict[str, float]]:
    """All whole lines of a run's metrics.jsonl. Raises CheckpointError where there is none."""
    path = RunFolder(run).metrics
    if not path.is_file():
        raise DamagedError(f"{run} has no {path.name}. Give the folder that `drit train --out` wrote.")
    return read_lines(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole objects of a file of JSON lines (metrics.jsonl, warnings.jsonl); of a file that is not there, none."""
    return read_lines_and_damage(path)[0]


def read_lines_and_damage(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All whole objects of a file of JSON lines, and how many of its lines are damaged."""
    lines, damaged = [], 0
    for _, value in json_lines(path, path.parent, _line_test(path)):
        if value is None:
            damaged += 1
        else:
            lines.append(value)
    return lines, damaged


def round_significant(value: float, digits: int = 6) -> float:
    """A number with so many significant digits."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value
