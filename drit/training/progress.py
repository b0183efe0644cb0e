"""Progress of a training on the console: iterations, rate, time left, main losses."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

QUIET_SECONDS = 15.0  # between lines where the console is a file


class Bar:
    """Progress of a run: iterations, rate, time left and the main losses. On a terminal a bar, else lines."""

    def __init__(self, steps: int, start: int, shown: bool = True) -> None:
        """start: iterations done. shown: False says nothing, in the other ones of several processes."""
        self._shown = shown
        self._console = Console(stderr=True)
        self._steps, self._start = steps, start
        self._began = self._said = time.monotonic()
        self._progress: Progress | None = None
        if shown and self._console.is_terminal:
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
        if not self._shown:
            return
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

    def say(self, message: str) -> None:
        """A line of text, above the bar if there is one."""
        if self._progress is not None:
            self._progress.console.print(message, highlight=False, markup=False)
        elif self._shown:
            print(message, file=sys.stderr, flush=True)

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
