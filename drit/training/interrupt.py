"""What stops a training before its end: Ctrl-C, the signals of a cluster, a time limit. Imports no torch.

A training that was asked to stop finishes the iteration and saves. SIGTERM, SIGUSR1 and SIGUSR2 are what clusters send
some time before they end a process: then nothing else is written, and asking again changes nothing. A second Ctrl-C
stops at once. Times are of a clock that nobody sets (time.monotonic).
"""

from __future__ import annotations

import math
import re
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Literal

from drit.errors import DritError, UsageError

Cause = Literal["", "interrupt", "signal", "time limit"]
URGENCY: tuple[Cause, ...] = ("", "time limit", "interrupt", "signal")  # from the least to the most urgent
HURRIED = ("signal", "time limit")  # the process may be ended soon: the checkpoint is written and nothing else
RESUME_ME = 75  # exit code: stopped from outside, to be resumed; sysexits.h calls it EX_TEMPFAIL
CLUSTER = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))
SHARE_KEPT, MAX_KEPT = 1 / 20, 60.0  # of a time limit, for what has not been timed: a share, at most so many seconds
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class StoppedError(DritError):
    """A training that a cluster stopped before its first iteration."""

    exit_code = RESUME_ME


def seconds_of(text: str) -> float:
    """The seconds of a time such as 90m, 2h, 1h30m, 45s, 1d. Raises UsageError for another text, and for no time."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < seconds < math.inf:
        raise UsageError(f"'{text}' is no time. Give hours, minutes or seconds: 2h, 90m, 1h30m, 45s.")
    return seconds


class Interrupt:
    """While open, notes that the training was asked to stop, and why. Only the main thread gets signals.

    Before `begin`, a signal ends the work at once: there is nothing to save yet.
    """

    def __init__(self, limit: float = math.inf) -> None:
        """limit: seconds from now after which the process should have ended."""
        self.cause: Cause = ""
        self._limit = limit
        self._start = time.monotonic()
        self._begun = False
        self._longest = 0.0  # seconds of an iteration, with what was due after it
        self._save = 0.0  # seconds of the longest save
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if not self._before and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *CLUSTER):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @property
    def asked(self) -> bool:
        """Whether the training is to stop."""
        return bool(self.cause)

    def begin(self) -> None:
        """From now on there is something to save."""
        self._begun = True

    def iterated(self, seconds: float) -> None:
        """Note how long an iteration took with what was due after it, and look at the time limit."""
        self._longest = max(self._longest, seconds)
        kept = self._longest + self._save + min(MAX_KEPT, SHARE_KEPT * self._limit)
        if not self.asked and time.monotonic() - self._start + kept >= self._limit:
            self.cause = "time limit"
            self._say("The time limit is near: saving.")

    def saved(self, seconds: float) -> None:
        """Note how long a checkpoint took."""
        self._save = max(self._save, seconds)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._begun:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise StoppedError(
                f"Stopped by {signal.Signals(number).name} before the first iteration. Give the command again, or go "
                "on with --resume where the run folder is there."
            )
        if number == signal.SIGINT:
            if self.asked:
                raise KeyboardInterrupt
            self._say("Stopping after this iteration (again: at once, without saving).")
            self.cause = "interrupt"
            return
        if self.cause != "signal":
            took = f" The longest iteration took {self._longest:.1f} s, the longest save {self._save:.1f} s."
            self._say(f"{signal.Signals(number).name}: saving after this iteration.{took if self._longest else ''}")
            self.cause = "signal"

    def _say(self, message: str) -> None:
        print(f"\n{message}", file=sys.stderr, flush=True)
