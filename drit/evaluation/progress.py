"""How long work tells what it does: in words, and in bars."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]  # takes a message
Advance = Callable[[int], None]  # takes how many more are done
StartBar = Callable[[str, int], Advance]  # takes a title and the total


def say_nothing(message: str) -> None:
    """A `Say` for callers who want no messages."""


def no_bar(title: str, total: int) -> Advance:
    """A `StartBar` for callers who want no bars."""
    return lambda done: None
