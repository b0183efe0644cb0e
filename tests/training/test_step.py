"""The optimizers: Adam on weights as they lie in memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from drit.training import optimizers
from drit.training.optimizers import DenseAdam


def test_the_same_bits_as_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and state after three steps, for weights in either layout, gradients that differ in layout, and none."""
    torch.manual_seed(0)
    ours = torch.nn.Sequential(
        torch.nn.Conv2d(24, 40, 3), torch.nn.Conv2d(3, 8, 1), torch.nn.ConvTranspose2d(8, 16, 4), torch.nn.Linear(5, 7)
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours[2].weight.data = ours[2].weight.data.contiguous()
    theirs = copy.deepcopy(ours)
    flags: dict[str, Any] = {"lr": 1e-2, "betas": (0.5, 0.999), "weight_decay": 1e-4, "fused": True}
    mine, plain = DenseAdam(ours.parameters(), **flags), torch.optim.Adam(theirs.parameters(), **flags)
    given: list[list[bool]] = []
    library = optimizers.adam

    def noted(parameters: list[torch.Tensor], *rest: Any, **settings: Any) -> None:
        given.append([p.is_contiguous() for p in parameters])
        library(parameters, *rest, **settings)

    monkeypatch.setattr(optimizers, "adam", noted)
    for _ in range(3):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours[1].weight.grad, theirs[1].weight.grad = (torch.ones(8, 3, 1, 1) for _ in range(2))
        ours[3].bias.grad = theirs[3].bias.grad = None
        mine.step()
        plain.step()
    assert given[0][0] and not ours[0].weight.is_contiguous()  # given as they lie in memory
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(p, q)
        state, other = mine.state.get(p, {}), plain.state.get(q, {})
        assert state.keys() == other.keys()
        for key, value in state.items():
            assert torch.equal(value, other[key]) and value.stride() == other[key].stride()
