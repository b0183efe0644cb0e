"""The same numbers in float32, and losses within 2 % in bfloat16, against the reference computation."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from drit.methods.base import Batch
from drit.methods.drit.objective import DRIT
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.runtime import autocast, choose
from reference import formulation as reference


def case(form: str) -> tuple[DRIT, Batch]:
    """A model of a quarter of the published width, freshly initialised, and two images of each domain."""
    config = preset("paper")
    network = dataclasses.replace(
        config.network, generator=form, init="scaled", width=16, attribute_width=16, discriminator_width=16
    )
    optim = dataclasses.replace(config.optim, content_discriminator_steps=1)
    config = dataclasses.replace(
        config, network=network, optim=optim, data=dataclasses.replace(config.data, resize=0, crop=64)
    )
    torch.manual_seed(0)
    model = DRIT(config, {"a": 1, "b": 3})
    g = torch.Generator().manual_seed(1)
    return model, {d: torch.rand(2, c, 64, 64, generator=g) * 2 - 1 for d, c in (("a", 1), ("b", 3))}


def losses(model: DRIT, batch: Batch, dtype: torch.dtype) -> dict[str, Tensor]:
    """Totals and terms as training computes them, without moving anything."""
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = {d: x.contiguous(memory_format=torch.channels_last) for d, x in batch.items()}
    found = {}
    with autocast(dtype, torch.device("cpu")):
        for update in model.updates(iter([batch]), 3, Noise(0, 3)):
            found |= {f"{update.name}/{name}": term.detach() for name, term in update.losses.items()}
            found[update.name] = update.total().detach()
    return found


@pytest.mark.parametrize("form", ["concat", "feature", "film"])
def test_float32_agrees_with_the_reference_computation(form: str) -> None:
    model, batch = case(form)
    with torch.no_grad():
        plain = {
            "discriminators": reference.discriminator_totals(model, batch, Noise(0, 3)),
            "generators": reference.generator_total(model, batch, Noise(0, 3)),
        }
        style = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))
        code = reference.content(model, batch["a"], "a")
        expected = reference.generate(model, code.repeat(3, 1, 1, 1), style, "b")
    fast = losses(model, batch, torch.float32)
    for name, value in plain.items():
        assert float((fast[name] - value).abs() / value.abs()) < 1e-5, name
    with torch.no_grad():
        made = model.render(model.prepare(model.content(batch["a"], "a"), "b"), style, "b")
    assert float((made - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("form", ["concat", "feature", "film"])
def test_bfloat16_keeps_the_losses_within_two_percent(form: str) -> None:
    model, batch = case(form)
    exact, narrow = losses(model, batch, torch.float32), losses(model, batch, torch.bfloat16)
    assert exact.keys() == narrow.keys() and len(exact) > 15
    for name, value in exact.items():
        assert float((narrow[name] - value).abs() / value.abs()) < 0.02, name


def test_float32_that_is_asked_for_is_exact() -> None:
    """No TF32 in what a GPU computes; what is left to the program does not touch the library's choice."""
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [b.allow_tf32 for b in backends]
    try:
        for precision, expected in (("bfloat16", True), ("auto", True), ("float32", False)):
            for backend in backends:
                backend.allow_tf32 = True
            choose(precision, torch.device("cpu"))
            assert [b.allow_tf32 for b in backends] == [expected] * 2
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
