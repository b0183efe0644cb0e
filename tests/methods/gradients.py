"""Gradients of one iteration of any method, for tests that compare ways of computing it."""

from __future__ import annotations

from torch import Tensor
from torch.autograd import backward

from drit.methods.base import Batch, Method, Noise


def all_gradients(method: Method, batch: Batch, parts: int) -> dict[str, Tensor]:
    """Gradients of every update with respect to the networks it moves, the batch worked through in `parts`."""
    cut = [{d: x.chunk(parts)[k] for d, x in batch.items()} for k in range(parts)]
    turns = [method.updates(iter([cut[k]]), 7, Noise(0, 7, k, parts), frugal=parts > 1) for k in range(parts)]
    found = {}
    for updates in zip(*turns, strict=True):
        named = {f"{n}.{k}": p for n in updates[0].networks for k, p in getattr(method, n).named_parameters()}
        for p in named.values():
            p.grad = None
        for update in updates:
            backward(update.total() / parts, inputs=list(named.values()))
        found |= {f"{updates[0].name}/{k}": p.grad for k, p in named.items() if p.grad is not None}
    return found


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], limit: float = 1e-12) -> None:
    """All of one within `limit` of the other, of the largest number of all."""
    scale = max(float(e.abs().max()) for e in expected.values())
    assert found.keys() == expected.keys()
    assert max(float((found[k] - e).abs().max()) for k, e in expected.items()) / scale < limit
