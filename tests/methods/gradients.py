"""Gradients of one iteration of any method, for tests that compare ways of computing it."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace

from torch import Tensor

from drit.methods.base import Batch, Method
from drit.training.updates import gradients, turns_of, weights_of


def with_settings(method: Method, **values: object) -> Method:
    """The same weights under other settings of training."""
    other = type(method)(replace(method.settings, **values), method.channels)  # type: ignore[arg-type]
    other.to(next(method.parameters()).dtype).load_state_dict(method.state_dict())
    return other.train(method.training)


def all_gradients(method: Method, batch: Batch, parts: int, step: int = 7) -> dict[str, Tensor]:
    """Gradients of every update with respect to the networks it moves, the batch worked through in `parts`."""
    method = with_settings(method, accumulate=parts)
    turns = turns_of(method, itertools.repeat(batch), step, seed=0)
    seen: dict[str, Tensor] = {}
    for update in itertools.count():
        done = gradients(method, turns, {}, contextlib.nullcontext)
        if done is None:
            return seen
        named = {f"{n}.{k}": p.grad for n in done[0] for k, p in getattr(method, n).named_parameters()}
        assert len(named) == len(weights_of(method, done[0]))
        seen |= {f"{update}/{k}": grad.clone() for k, grad in named.items() if grad is not None}
    raise AssertionError


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], limit: float = 1e-12) -> None:
    """All of one within `limit` of the other, of the largest number of all."""
    scale = max(float(e.abs().max()) for e in expected.values())
    assert found.keys() == expected.keys()
    assert max(float((found[k] - e).abs().max()) for k, e in expected.items()) / scale < limit
