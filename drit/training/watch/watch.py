"""The watch of one run: looks now and then, and remembers what it saw and said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from drit.methods.base import Method
from drit.runs.folder import RunFolder
from drit.runs.metrics import Appended, read_lines, round_significant, truncate
from drit.runs.warnings import active
from drit.training.watch.findings import is_look, warnings
from drit.training.watch.looks import PROBED, balance, measure


class Watch:
    """Looks at a training: `look` gives numbers that are written as `watch/...` beside the losses, `judge` warns."""

    def __init__(self, run: Path, method: Method, images: Callable[[int], dict[str, Tensor]], start: int) -> None:
        """images: gives the first n fixed images of each domain, (n, C, H, W) in [-1, 1] on the device; called once.
        start: iteration the run goes on from."""
        folder = RunFolder(run)
        self._path = folder.warnings
        self._method, self._open = method, images
        self._images: dict[str, Tensor] = {}  # opened at the first look
        truncate(self._path, start)
        self._seen = [line for line in read_lines(folder.metrics) if is_look(line) and line["step"] <= start]
        self._active = active(read_lines(self._path))

    def look(self, losses: Mapping[str, float]) -> dict[str, float]:
        """The numbers of `measure` and `balance` for the method as it is now, by their names in the metrics."""
        self._images = self._images or self._open(PROBED)
        settings = self._method.settings
        part = max(1, settings.batch // settings.accumulate)  # no more memory than an iteration takes
        numbers = measure(self._method, self._images, settings.seed, part)
        return numbers | balance(losses, self._method.at_chance())

    def judge(self, step: int, values: Mapping[str, float]) -> list[str]:
        """What to tell the person after the look at iteration `step`: new warnings, and causes that are gone.

        values: the losses and the look's numbers. What is told is kept in the run's warnings as well. Raises OSError
        when the disk refuses.
        """
        self._seen.append({"step": step, **{k: round_significant(v) for k, v in values.items()}})  # as in the file
        present = {w.finding.name: w.message for w in warnings(self._seen, self._method)}
        told: list[str] = []
        events: list[dict[str, Any]] = []
        for cause, message in present.items():
            if cause not in self._active:
                told.append(f"warning: {message}")
                events.append({"step": step, "cause": cause, "message": message})
        for cause, message in self._active.items():
            if cause not in present:
                told.append(f"recovered at iteration {step}: {message.partition(':')[0]}")
                events.append({"step": step, "cause": cause, "message": message, "recovered": True})
        if events:
            file = Appended(self._path)
            try:
                file.write_lines(events)
            finally:
                file.close()
        self._active = active(events, self._active)
        return told
