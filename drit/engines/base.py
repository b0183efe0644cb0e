"""What an engine does, and the one that is this process alone.

Work is cut into tasks before an engine sees it, and the cut depends on the images and the model alone. A task's result
depends on the task alone: not on its worker, and not on what was done before. So all engines give the same bytes. A
worker may die in the middle of a task, which is then done again: a task writes each of its files whole, under the same
name and with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does tasks."""

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], gpu: bool = False
    ) -> Generator[Result, None, None]:
        """The result of each task, in their order, as they come. Closed before its end, it ends the work.

        work, tasks and results can be pickled; `work` goes once to each worker. gpu: each worker needs a GPU. Raises
        what `work` raises, and DritError where workers die of a task again and again.
        """
        ...


class OneProcess:
    """This process, one task after another."""

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], gpu: bool = False
    ) -> Generator[Result, None, None]:
        """As `Engine.run`."""
        for task in tasks:
            yield work(task)
