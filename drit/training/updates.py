"""One optimizer step of any method: gradients of an update, parts of a batch, the optimizers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from drit.methods.base import Batch, Method, Update


class Parts:
    """Batches cut into parts of equal size; each part is read by an iterator of its own, at its own pace."""

    def __init__(self, batches: Iterator[Batch], parts: int) -> None:
        self._batches, self._parts = batches, parts
        self._drawn: list[list[Batch]] = []

    def of(self, part: int) -> Iterator[Batch]:
        for i in itertools.count():
            if i == len(self._drawn):
                cut = {d: x.chunk(self._parts) for d, x in next(self._batches).items()}
                self._drawn.append([{d: x[k] for d, x in cut.items()} for k in range(self._parts)])
            yield self._drawn[i][part]


def gradients(
    method: Method,
    turns: list[Iterator[Update]],
    seen: dict[str, Tensor],
    arithmetic: Callable[[], AbstractContextManager[Any]],
) -> tuple[tuple[str, ...], float | None] | None:
    """Gradients of the next update of an iteration, every part of the batch in its turn.

    arithmetic: makes the context that losses are computed in. Adds terms and total to `seen`. Returns the networks that
    move and the limit of their norm, or None when the iteration is over.
    """
    done = None
    for k, turn in enumerate(turns):
        with arithmetic():
            update = next(turn, None)
        if update is None:
            return None
        done = update.networks, update.max_grad_norm
        parameters = [p for n in update.networks for p in getattr(method, n).parameters()]
        if k == 0:
            for p in parameters:
                p.grad = None
        total = update.total() / len(turns)
        torch.autograd.backward(total, inputs=parameters)
        values = {f"{update.name}/{name}": term.detach() / len(turns) for name, term in update.losses.items()}
        values[f"total/{update.name}"] = total.detach()
        for name, value in values.items():
            seen[name] = value if k == 0 else seen[name] + value
    return done
