"""UNIT: published sizes, what its terms are by hand, one latent code for both domains."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor

from drit import losses
from drit.methods.base import Batch
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.methods.unit.objective import UNIT
from drit.settings.schema import changed
from tests.conftest import tiny

CHANNELS = {"a": 1, "b": 3}


def build(**loss: float) -> UNIT:
    config = tiny("a", "b", "unit")
    torch.manual_seed(0)
    return UNIT(dataclasses.replace(config, loss=dataclasses.replace(config.loss, **loss)), CHANNELS)


def batch(count: int = 2, dtype: torch.dtype = torch.float32) -> Batch:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, c, 16, 16, generator=g, dtype=dtype) * 2 - 1 for d, c in CHANNELS.items()}


def test_sizes_of_the_papers_table() -> None:
    """Worked out from the layers: a residual block of 256 channels has 2 (9 x 256 x 256 + 256) = 1 180 160 numbers."""
    with torch.device("meta"):
        model = UNIT(preset("paper", "unit"), {"a": 3, "b": 3})
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()}
    block = 2 * (9 * 256 * 256 + 256)
    front = (49 * 3 * 64 + 64) + (9 * 64 * 128 + 128) + (9 * 128 * 256 + 256)
    back = (9 * 256 * 128 + 128) + (9 * 128 * 64 + 64) + (64 * 3 + 3)
    widths = [3, 64, 128, 256, 512, 1024]
    halvings = sum(9 * i * o + o for i, o in itertools.pairwise(widths))
    assert counts == {
        "encoder": 2 * (front + 3 * block) + block,
        "generator": 2 * (back + 3 * block) + block,
        "discriminator": 2 * (halvings + 1024 + 1),
    }
    assert counts["encoder"] == 9_018_112  # that of DRIT's published content encoder, which was taken from here
    shapes = [tuple(up.conv.weight.shape) for up in model.generator.own["a"].up]
    assert shapes == [(256, 128, 3, 3), (128, 64, 3, 3)] and model.stride == 4


def test_weights_of_the_paper_and_of_every_preset() -> None:
    for name in UNIT.Settings.presets():
        w = preset(name, "unit").loss
        assert (w.domain_adversarial, w.kl, w.self_reconstruction, w.cross_cycle) == (10, 0.1, 100, 100)
        assert w.gan == ("logistic" if name == "paper" else "least_squares")
        assert preset(name, "unit").network.width == preset(name, "munit").network.width


def test_terms_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generators that give 1/2 everywhere and encoders whose mean is 3, without noise."""
    model = build()
    constant = {d: torch.full((2, c, 16, 16), 0.5) for d, c in CHANNELS.items()}
    code = torch.full((2, 16, 4, 4), 3.0, requires_grad=True)
    monkeypatch.setattr(model, "settings", changed(model.settings, {"network.content_noise": 0.0}))
    monkeypatch.setattr(model.encoder, "both", lambda images: dict.fromkeys(images, code))
    for d in CHANNELS:
        monkeypatch.setattr(
            model.generator.own[d], "forward", lambda h, d=d: constant[d][:1].expand(len(h), -1, -1, -1)
        )
        monkeypatch.setattr(model.discriminator[d], "forward", lambda x: [torch.full((len(x), 1, 2, 2), 0.25)] * 2)
    zeros = {d: torch.zeros(2, c, 16, 16) for d, c in CHANNELS.items()}
    first, second = model.updates(iter([zeros]), 0, Noise(0, 0))
    assert model.at_chance() == {f"discriminators/domain_adversarial_{d}": 2 * 0.5 for d in CHANNELS}  # all at 1/2
    # two scales of (1/4 - 1)^2 + (1/4 - 0)^2
    assert float(first.total()) == pytest.approx(2 * 2 * (0.5625 + 0.0625))
    for d in CHANNELS:
        found = {name: float(term.detach()) for name, term in second.losses.items() if name.endswith(f"_{d}")}
        assert found == pytest.approx(
            {
                f"domain_adversarial_{d}": 2 * 0.5625,
                f"self_reconstruction_{d}": 0.5,
                f"cross_cycle_{d}": 0.5,
                f"kl_{d}": 9.0,
                f"kl_fake_{d}": 9.0,
            }
        )
    assert float(second.total().detach()) == pytest.approx(2 * (10 * 1.125 + 100 * 0.5 + 100 * 0.5 + 0.1 * 9 + 0.1 * 9))


def test_the_objective_is_the_plain_one() -> None:
    """What is shared and batched in an iteration gives the terms of the equations, each worked out alone."""
    model, x, noise = build().double(), batch(dtype=torch.float64), Noise(0, 3)
    _, update = model.updates(iter([x]), 3, Noise(0, 3))

    def sampled(mean: dict[str, Tensor]) -> dict[str, Tensor]:
        return {d: m + noise.normal(*m.shape, like=m) for d, m in mean.items()}

    code = sampled({d: model.encoder(x[d], d) for d in "ab"})
    fake = {d: model.generator(code[o], d) for d, o in ("ab", "ba")}
    again = sampled({d: model.encoder(fake[d], d) for d in "ab"})
    for d, o in ("ab", "ba"):
        expected = {
            "self_reconstruction": losses.reconstruction(model.generator(code[d], d), x[d]),
            "cross_cycle": losses.reconstruction(model.generator(again[o], d), x[d]),
            "domain_adversarial": losses.least_squares(model.discriminator[d](fake[d]), 1.0),
            "kl": model.encoder(x[d], d).square().mean(),
            "kl_fake": model.encoder(fake[o], o).square().mean(),
        }
        for name, value in expected.items():
            assert float(update.losses[f"{name}_{d}"].detach()) == pytest.approx(float(value.detach()), rel=1e-12)


@torch.no_grad()
def test_one_output_from_the_mean_of_the_posterior() -> None:
    model = build().eval()
    x = batch()["a"]
    content = model.content(x, "a")
    assert torch.equal(content, model.content(x, "a"))  # no noise in use
    made = model.render(model.prepare(content, "b"), torch.zeros(6, 0), "b")
    assert made.shape == (6, 3, 16, 16)
    assert all(torch.equal(made[j], made[j % 2]) for j in range(6))


def test_what_is_shared() -> None:
    """The last block of the encoders and the first of the generators learn from both domains."""
    model = build()
    for d, o in ("ab", "ba"):
        model.zero_grad()
        z = model.encoder(torch.randn(1, CHANNELS[d], 16, 16), d)
        model.generator(z, o).square().sum().backward()
        for shared in (model.encoder.shared, model.generator.shared):
            assert all(p.grad is not None for p in shared.parameters())
        assert model.encoder.own[o].first.weight.grad is None and model.generator.own[d].last.weight.grad is None


def test_learning_rates_can_be_halved_again_and_again() -> None:
    from drit.training.schedule import rate_factor

    assert [rate_factor(s, 1000, 0, 1.0, 100) for s in (0, 99, 100, 399)] == [1, 1, 0.5, 0.125]
    assert math.isclose(rate_factor(750, 1000, 0, 0.5, 500), 0.25)
