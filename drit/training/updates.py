"""The updates of one iteration of any method: gradients, with the parts of a batch taking turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from drit import peers
from drit.methods.base import Batch, Method, Update, part_of
from drit.methods.noise import Noise


class Parts:
    """Batches cut into parts of equal size; each part is read by an iterator of its own, at its own pace."""

    def __init__(self, batches: Iterator[Batch], parts: int) -> None:
        self._batches, self._parts = batches, parts
        self._drawn: list[list[Batch]] = []

    def of(self, part: int) -> Iterator[Batch]:
        """The batches of one part: (N / P, C, H, W) of each domain, in [-1, 1], where there are P parts."""
        for i in itertools.count():
            if i == len(self._drawn):
                batch = next(self._batches)
                size = len(next(iter(batch.values()))) // self._parts
                self._drawn.append([part_of(batch, k * size, (k + 1) * size) for k in range(self._parts)])
            yield self._drawn[i][part]


def turns_of(method: Method, batches: Iterator[Batch], step: int, seed: int) -> list[Iterator[Update]]:
    """The updates of iteration `step`, for each part of a batch an iterator of its own (setting `accumulate`).

    batches: (N, C, H, W) of each domain in [-1, 1]; of several processes, each one's own images.
    """
    count = method.settings.accumulate
    parts, process = Parts(batches, count), (peers.rank(), peers.count())
    return [method.updates(parts.of(k), step, Noise(seed, step, k, count, *process)) for k in range(count)]


def gradients(
    method: Method,
    turns: list[Iterator[Update]],
    seen: dict[str, Tensor],
    arithmetic: Callable[[], AbstractContextManager[Any]],
) -> tuple[tuple[str, ...], float | None, Tensor] | None:
    """Gradients of the next update of an iteration, every part of the batch in its turn; of several processes, the
    mean of theirs.

    arithmetic: makes the context that losses are computed in. Adds terms and total, detached scalars, to `seen`.
    Returns the networks that move, the limit of their norm and the total (a scalar), or None when the iteration is
    over.
    """
    for k, turn in enumerate(turns):
        with arithmetic():
            update = next(turn, None)
        if update is None:
            return None
        parameters = weights_of(method, update.networks)
        if k == 0:
            for p in parameters:
                p.grad = None
        total = update.total() / len(turns)
        torch.autograd.backward(total, inputs=parameters)
        values = {f"{update.name}/{name}": term.detach() / len(turns) for name, term in update.losses.items()}
        values[f"total/{update.name}"] = total.detach()
        for name, value in values.items():
            seen[name] = value if k == 0 else seen[name] + value
    assert update is not None  # there is a part at least
    if peers.count() > 1:
        numbers = torch.stack([seen[name] for name in values])
        peers.average_([*(p.grad for p in parameters if p.grad is not None), numbers])
        seen |= dict(zip(values, numbers.unbind(), strict=True))
    return update.networks, update.max_grad_norm, seen[f"total/{update.name}"]


def weights_of(method: Method, networks: tuple[str, ...]) -> list[nn.Parameter]:
    """All weights of these networks of a method."""
    return [p for network in networks for p in getattr(method, network).parameters()]
