"""Errors that are written for the person: what was wrong, where, and the next thing to do.

The command line prints the message without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class DritError(Exception):
    """Work that failed (exit code 1): a broken file, a full disk, a diverged run."""

    exit_code = 1


class UsageError(DritError):
    """Something that was asked for wrongly (exit code 2): a flag, a folder, a preset, a size."""

    exit_code = 2


class DataError(UsageError):
    """Images that cannot be used: a missing or empty folder, unreadable files, wrong channels or sizes."""


class CheckpointError(DritError):
    """A checkpoint or run folder that is truncated, foreign, of another method or settings."""


class DivergedError(DritError):
    """Training produced a loss that is not a finite number."""


class ToldError(DritError):
    """Another process of the same work failed, and tells why: this one only ends, with the same exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("Another process of this training stopped; it says why.")
        self.exit_code = exit_code


LISTED = 5  # names that an error lists


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are: `a, b, c, d, e and 7 more`."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known name closest to `name`, or an empty string when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""
