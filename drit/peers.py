"""Processes that train one model together, as `torchrun` starts them: who they are, and what they say to each other.

Image n of a batch belongs to process n mod R of R. So a tensor of k N images, k batches behind each other, is cut in
the same way: every R-th image. What a step computes over a whole batch goes through `mean` or `whole`; gradients and
losses are averaged after it. R processes then compute what one computes on the whole batch. A single process takes none
of these ways: every function here gives back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from drit.errors import DritError, ToldError

BUCKET = 1 << 23  # numbers that are averaged at once: 32 MiB of float32


class LostPeerError(DritError):
    """Another process of the training ended, or did not answer in time."""


def launched() -> int:
    """Processes that a launcher started, this one among them; 1 without a launcher."""
    return _number("WORLD_SIZE", 1)


def launched_rank() -> int:
    """The number of this process among those, before and after they are joined."""
    return _number("RANK", 0)


def restarts() -> int:
    """How often the launcher had to start the processes again."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0)


def local_rank() -> int:
    """The number of this process among those of its machine: 0 for the first."""
    return _number("LOCAL_RANK", 0)


def local_count() -> int:
    """Processes of this training on this machine, which share its cores and memory."""
    return max(1, _number("LOCAL_WORLD_SIZE", 1))


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


@contextmanager
def joined(cuda: bool, seconds: float) -> Iterator[None]:
    """While open, the processes that a launcher started are joined; a single process has nobody to join.

    cuda: tensors on GPUs are exchanged too. seconds: for which a process waits for another. Raises LostPeerError where
    they do not come together, and within, from any function of this module, where one is lost.
    """
    if launched() == 1:
        yield
        return
    with _answered():
        wait = timedelta(seconds=seconds)
        store, rank, count = next(dist.rendezvous("env://", timeout=wait))
        if _number("GROUP_WORLD_SIZE", 1) == 1:
            # the launcher of one machine keeps its store, with the addresses of processes that it has started before
            store = dist.PrefixStore(f"restart {restarts()}", store)
        # what is on the CPU goes by gloo also where gradients are on GPUs
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=wait)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """Processes that are joined: 1 where this one is alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among those that are joined, from 0 on."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Whether this process writes the run and speaks for all."""
    return rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """While open, the processes prepare each by itself; an error of one ends it in all of them.

    The first that failed raises its own error, the others ToldError.
    """
    if count() == 1:
        yield
        return
    mine: Exception | None = None
    try:
        yield
    except Exception as error:
        mine = error
    codes = told(0 if mine is None else getattr(mine, "exit_code", 1))
    failed = [r for r, code in enumerate(codes) if code]
    if not failed:
        return
    if mine is not None and failed[0] == rank():
        raise mine
    raise ToldError(codes[failed[0]])


def told(value: Any) -> list[Any]:
    """What every process gives, in their order: plain values or dataclasses that can be pickled."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    with _answered():
        dist.all_gather_object(values, value)
    return values


def maximum(values: Sequence[int]) -> list[int]:
    """The largest of what each process gives, place by place."""
    if count() == 1:
        return list(values)
    numbers = torch.tensor(values, dtype=torch.int64)
    with _answered():
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return [int(n) for n in numbers]


def share(x: Tensor) -> Tensor:
    """The images of this process, of those of all: (k N R, ...) to (k N, ...)."""
    return x[rank() :: count()]


def whole(x: Tensor) -> Tensor:
    """The images of all processes in their order: (N, ...) to (N R, ...). No gradient passes."""
    if count() == 1:
        return x
    x = x.detach().contiguous()
    parts = [torch.empty_like(x) for _ in range(count())]
    with _answered():
        dist.all_gather(parts, x)
    return torch.stack(parts, dim=1).flatten(0, 1)


def mean(x: Tensor) -> Tensor:
    """The mean of x, of any shape, over all processes; the gradient is that of a loss which is averaged over them."""
    if count() == 1:
        return x
    averaged: Tensor = _Mean.apply(x)
    return averaged


class _Mean(torch.autograd.Function):
    """y = 1/R sum_r x_r. The loss 1/R sum_s L_s(y), differentiated for x_r and times R, as each process does it that
    averages gradients afterwards: 1/R sum_s dL_s/dy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _mean(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _mean(grad)


def _mean(x: Tensor) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    with _answered():
        dist.all_reduce(total)
    return total / count()


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, of any shape, by its mean over all processes."""
    if count() == 1:
        return
    for bucket in _buckets(tensors):
        flat = _mean(torch.cat([t.reshape(-1) for t in bucket]))
        for t, averaged in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
            t.copy_(averaged.view(t.shape))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in groups of one type and device, of at most BUCKET numbers unless one alone has more."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for t in tensors:
        groups.setdefault((t.dtype, t.device), []).append(t)
    for group in groups.values():
        bucket: list[Tensor] = []
        size = 0
        for t in group:
            if bucket and size + t.numel() > BUCKET:
                yield bucket
                bucket, size = [], 0
            bucket.append(t)
            size += t.numel()
        if bucket:
            yield bucket


@torch.no_grad()
def follow_first(tensors: Sequence[Tensor]) -> None:
    """Take over the first process's numbers in tensors of any shape: machines of different kinds may draw other last
    bits from one seed."""
    if count() == 1:
        return
    with _answered():
        for t in tensors:
            same = t.detach().contiguous()
            dist.broadcast(same, 0)
            t.copy_(same)


@contextmanager
def _answered() -> Iterator[None]:
    """Raises LostPeerError for what the library raises when a process has gone or does not answer."""
    try:
        yield
    except RuntimeError as error:
        raise LostPeerError(f"Another process of this training ended or does not answer: {error}") from error
