"""DRIT's objective: which terms there are, what they move, what an iteration draws."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from drit.methods.base import Batch, Method
from drit.methods.noise import Noise
from drit.methods.registry import method_class
from drit.training.schedule import rate_factor
from tests.conftest import tiny


def build(name: str, **changes: Any) -> Method:
    config = tiny("a", "b", method=name)
    for group, values in changes.items():
        config = dataclasses.replace(config, **{group: dataclasses.replace(getattr(config, group), **values)})
    torch.manual_seed(0)
    return method_class(name)(config, {"a": 1, "b": 3})


def batch(count: int = 2) -> Batch:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, c, 16, 16, generator=g) * 2 - 1 for d, c in (("a", 1), ("b", 3))}


def test_random_draws_are_a_function_of_seed_and_iteration() -> None:
    like = torch.zeros(1)
    draws = {(s, k): Noise(s, k).normal(4, like=like) for s in (0, 1) for k in (0, 1)}
    assert torch.equal(draws[0, 1], Noise(0, 1).normal(4, like=like))
    values = list(draws.values())
    assert all(not torch.equal(values[i], values[j]) for i in range(4) for j in range(i))
    assert Noise(0, 0).normal(2, 3, like=like.double()).dtype == torch.float64
    many = Noise(3, 5).normal(100_000, like=like)
    assert abs(float(many.mean())) < 0.02 and abs(float(many.std()) - 1) < 0.02


def test_terms_of_weight_zero_are_left_out() -> None:
    off = {"content_adversarial": 0.0, "cross_cycle": 0.0, "kl": 0.0, "latent_regression": 0.0, "mode_seeking": 0.0}
    updates = list(build("drit", loss=off).updates(iter([batch()] * 4), 0, Noise(0, 0)))
    assert [u.name for u in updates] == ["discriminators", "generators"]
    terms = {n.rsplit("_", 1)[0] for n in updates[-1].losses}
    assert terms == {"domain_adversarial", "domain_adversarial_random", "self_reconstruction"}


def test_latent_regression_can_leave_the_attribute_encoder_alone() -> None:
    """Its gradient still flows through the frozen encoder into the generator."""
    for moves in (True, False):
        method = build("drit", optim={"latent_moves_attribute_encoder": moves})
        *_, update = method.updates(iter([batch()] * 4), 0, Noise(0, 0))
        term = update.losses["latent_regression_b"]
        style = list(method.attribute_encoder["b"].mean.parameters())  # type: ignore[index, union-attr]
        generator = list(method.generator.parameters())  # type: ignore[union-attr]
        found = torch.autograd.grad(term, style, retain_graph=True, allow_unused=True)
        assert bool(found[0].any()) == moves
        assert any(g is not None and bool(g.any()) for g in torch.autograd.grad(term, generator, allow_unused=True))


def test_batches_drawn_match_the_steps_of_the_content_discriminator() -> None:
    for steps in (1, 3):
        method = build("drit", optim={"content_discriminator_steps": steps})
        left = iter([batch()] * 9)
        names = [u.name for u in method.updates(left, 0, Noise(0, 0))]
        assert names.count("content_discriminator") == steps
        assert len(list(left)) == 9 - steps


def test_learning_rates_over_a_run() -> None:
    factors = [rate_factor(s, 100, 4, 0.5) for s in (0, 3, 4, 49, 50, 75, 99)]
    assert factors == pytest.approx([0.2, 0.8, 1, 1, 1, 0.5, 0.02])
    assert rate_factor(99, 100, 0, 1.0) == 1
