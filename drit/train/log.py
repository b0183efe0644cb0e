"""What a run tells while it trains: metrics.jsonl, TensorBoard, sample sheets, and the progress on the console."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from drit.atomic import write_atomically
from drit.config import LogConfig
from drit.data.decode import from_tensor
from drit.methods.base import Method
from drit.sheets import save_sheet, sheet

QUIET_SECONDS = 15.0  # between lines where the console is a file
GRID_ROWS = 5  # of each grid over codes


class Metrics:
    """metrics.jsonl (one object a line) and TensorBoard events, continued without duplicates after a resume."""

    def __init__(self, run: Path, config: LogConfig, start: int) -> None:
        self._path = run / "metrics.jsonl"
        truncate(self._path, start)
        self._file = open(self._path, "a", encoding="utf-8")
        self._board: Any = None
        if config.tensorboard:
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


class Bar:
    """Progress of a run: iterations, rate, time left and the main losses. On a terminal a bar, else lines."""

    def __init__(self, steps: int, start: int) -> None:
        self._console = Console(stderr=True)
        self._steps, self._start = steps, start
        self._began = self._said = time.monotonic()
        self._progress: Progress | None = None
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("training"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} left {task.fields[left]} after"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[losses]}"),
                console=self._console,
                refresh_per_second=4,
            )
            self._task = self._progress.add_task("", total=steps, completed=start, rate="", left="?", losses="")
            self._progress.start()

    def update(self, step: int, totals: dict[str, float]) -> None:
        """step: iterations done. totals: the total of each update."""
        now = time.monotonic()
        rate = (step - self._start) / max(1e-9, now - self._began)
        speed = f"{rate:.2f} it/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.2f} s/it"
        left = duration((self._steps - step) / max(rate, 1e-9))
        losses = "  ".join(f"{name} {value:.3g}" for name, value in totals.items())
        if self._progress is not None:
            self._progress.update(self._task, completed=step, rate=speed, left=left, losses=losses)
        elif now - self._said >= QUIET_SECONDS or step == self._steps:
            self._said = now
            print(f"{step}/{self._steps}  {speed}  left {left}  {losses}", file=sys.stderr, flush=True)

    def say(self, words: str) -> None:
        if self._progress is not None:
            self._progress.console.print(words, highlight=False)
        else:
            print(words, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 7 min, 3 h 05 min, 2 d 4 h."""
    seconds = int(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


@torch.no_grad()
def sample_sheet(method: Method, pictures: dict[str, torch.Tensor], path: Path, seed: int, randoms: int = 4) -> None:
    """Write a sheet of what the model does now, in every direction.

    pictures: (N, C, H, W) of each domain in [-1, 1]. Columns: input, its true translation where domains are paired, its
    reconstruction, its translation with the style of each of the first pictures of the other domain, and with
    `randoms` random styles (the same ones for every row); one translation where there are no styles. Of a method that
    translates nothing: grids over its codes, one below the other.
    """
    generator = torch.Generator().manual_seed(seed)
    if not method.capabilities.directions:
        grids = method.grids(GRID_ROWS, generator)
        tables = [[[from_tensor(p) for p in row] for row in grid.pictures] for grid in grids]
        names = [grid.name if i == 0 else "" for grid in grids for i in range(GRID_ROWS)]
        save_sheet(sheet([row for table in tables for row in table], row_titles=names), path)
        return
    rows: list[list[np.ndarray | None]] = []
    titles: list[str] = []
    capabilities = method.capabilities
    columns = ["input"] + (["true"] if method.paired else []) + (["self"] if method.reconstructs else [])
    exemplars = min(2, *(len(x) for x in pictures.values())) if capabilities.exemplar else 0
    randoms = randoms if capabilities.multimodal else 1
    columns += [f"exemplar {i + 1}" for i in range(exemplars)]
    columns += [f"random {i + 1}" for i in range(randoms)] if capabilities.multimodal else ["translation"]
    if exemplars:
        for d in capabilities.directions:
            shown = [from_tensor(p) for p in pictures[d][:exemplars]]
            rows.append([None] * (len(columns) - exemplars - randoms) + shown + [None] * randoms)
            titles.append(f"exemplars {d}")
    domains = list(pictures)
    for target in reversed(capabilities.directions):  # first the way from a to b
        source = domains[domains.index(target) - 1]
        x = pictures[source]
        n = len(x)
        content = method.content(x, source)
        prepared = method.prepare(content, target)
        made: list[torch.Tensor] = []
        if method.paired:
            made.append(pictures[target])
        if method.reconstructs:
            made.append(method.render(method.prepare(content, source), method.own_style(x, source), source))
        if exemplars:
            exemplar_styles = method.style(pictures[target][:exemplars], target)
            made += list(method.render(prepared, exemplar_styles.repeat_interleave(n, 0), target).split(n))
        styles = method.sample_style(randoms, target, generator).to(x.device)
        made += list(method.render(prepared, styles.repeat_interleave(n, 0), target).split(n))
        for i in range(n):
            rows.append([from_tensor(x[i]), *(from_tensor(m[i]) for m in made)])
            titles.append(f"{source} to {target}")
    save_sheet(sheet(rows, column_titles=columns, row_titles=titles), path)
