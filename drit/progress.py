"""Progress of long work on the terminal: a bar with the time left. Nothing where standard error is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def quiet() -> bool:
    """Whether nobody watches standard error."""
    return not sys.stderr.isatty()


def tracked(items: Iterable[T], title: str, total: int, hidden: bool) -> Iterator[T]:
    """The items, with a bar that moves on with each. hidden: without the bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as progress:
        yield from progress.track(items, total=total, description=title)


@contextmanager
def bar(title: str, hidden: bool) -> Iterator[Callable[[float], None]]:
    """A bar for one piece of work; gives what is called with each share of it that is done. hidden: without the bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=hidden) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda share: progress.advance(task, share)
