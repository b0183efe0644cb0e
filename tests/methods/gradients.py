"""Gradients of one iteration of any method, for tests that compare ways of computing it."""

from __future__ import annotations

import contextlib
import itertools

from torch import Tensor

from drit.methods.base import Batch, Method
from drit.methods.noise import Noise
from drit.training.updates import Parts, gradients


def all_gradients(method: Method, batch: Batch, parts: int, step: int = 7) -> dict[str, Tensor]:
    """Gradients of every update with respect to the networks it moves, the batch worked through in `parts`."""
    batches = Parts(itertools.repeat(batch), parts)
    turns = [method.updates(batches.of(k), step, Noise(0, step, k, parts), frugal=parts > 1) for k in range(parts)]
    found: dict[str, Tensor] = {}
    for update in itertools.count():
        done = gradients(method, turns, {}, contextlib.nullcontext)
        if done is None:
            return found
        named = {f"{n}.{k}": p.grad for n in done[0] for k, p in getattr(method, n).named_parameters()}
        found |= {f"{update}/{k}": grad.clone() for k, grad in named.items() if grad is not None}
    raise AssertionError


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], limit: float = 1e-12) -> None:
    """All of one within `limit` of the other, of the largest number of all."""
    scale = max(float(e.abs().max()) for e in expected.values())
    assert found.keys() == expected.keys()
    assert max(float((found[k] - e).abs().max()) for k, e in expected.items()) / scale < limit
