"""CycleGAN: the published sizes, the image pool, and a code that can reach the output."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from drit.methods.image_pool import ImagePool
from drit.methods.noise import Noise
from drit.methods.registry import method_class, preset
from drit.networks.resnet import ResNetGenerator
from tests.conftest import tiny


def test_published_sizes() -> None:
    """ResNet of 9 and of 6 blocks: 11.378 and 7.838 million; 70 x 70 PatchGAN: 2.765 million."""
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNetGenerator(3, 3, 64, 2, 9).parameters()) == 11_378_179
        assert sum(p.numel() for p in ResNetGenerator(3, 3, 64, 2, 6).parameters()) == 7_837_699
        method = method_class("cyclegan")(preset("paper", "cyclegan"), {"a": 3, "b": 3})
        assert [len(g.blocks) for g in method.generator.values()] == [9, 9]  # type: ignore[union-attr, operator]
        judge = method.discriminator["a"]  # type: ignore[index]
        assert sum(p.numel() for p in judge.parameters()) == 2_764_737
    optim = preset("paper", "cyclegan").optim
    assert (optim.lr, optim.beta1, optim.pool, optim.decay_from) == (2e-4, 0.5, 50, 0.5)


def test_a_code_reaches_the_output_only_where_no_normalisation_removes_it() -> None:
    """What the module says of concatenated planes: constants added to the image vanish, the code does not."""
    torch.manual_seed(0)
    network = ResNetGenerator(3, 3, 8, 2, 1, style_dim=4).double()
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    codes = torch.randn(2, 4, dtype=torch.float64)
    with torch.no_grad():
        shifted = network.encode(x + torch.tensor([0.3, -0.2, 0.5])[:, None, None])
        assert torch.allclose(shifted, network.encode(x), atol=1e-9)
        one, other = network(x, codes)
    assert float((one - other).abs().mean()) > 1e-4


def test_the_pool_keeps_so_many_and_gives_old_ones_half_of_the_time() -> None:
    pool = ImagePool(4)
    given = []
    for i in range(400):
        made = torch.full((1, 1, 2, 2), float(i))
        given.append(float(pool.query(made, Noise(0, i)).mean()))
        assert len(pool.state()) == min(i + 1, 4)
    assert given[:4] == [0, 1, 2, 3]  # while it fills
    old = [i for i in range(4, 400) if given[i] != i]
    assert all(given[i] < i for i in old) and 0.4 < len(old) / 396 < 0.6
    assert len({given[i] for i in old}) == len(old)  # what was given is replaced
    again = ImagePool(4)
    again.load(pool.state())
    draws = [p.query(torch.full((3, 1, 2, 2), 500.0), Noise(1, 0)) for p in (pool, again)]
    assert torch.equal(draws[0], draws[1])
    smaller = ImagePool(2)
    smaller.load(pool.state())
    assert len(smaller.state()) == 2
    made = torch.zeros(1, 1, 2, 2)
    assert ImagePool(0).query(made, Noise(0, 0)) is made


def test_the_objective_is_the_papers() -> None:
    """Both updates against equations 1 to 3 and section 5.2 written out: least squares, cycle 10, identity 5, half of
    the discriminators' loss."""
    config = tiny("", "", "cyclegan")
    config = dataclasses.replace(config, loss=preset("paper", "cyclegan").loss)
    torch.manual_seed(0)
    method = method_class("cyclegan")(config, {"a": 3, "b": 3}).double()
    g = torch.Generator().manual_seed(1)
    x = {d: torch.rand(2, 3, 16, 16, generator=g, dtype=torch.float64) * 2 - 1 for d in "ab"}
    generators, discriminators = method.updates(iter([x]), 0, Noise(0, 0))
    to_a, to_b = method.generator["a"], method.generator["b"]  # type: ignore[index]
    judge_a, judge_b = method.discriminator["a"], method.discriminator["b"]  # type: ignore[index]
    with torch.no_grad():
        fake_a, fake_b = to_a(x["b"]), to_b(x["a"])
        fooled = (judge_a(fake_a) - 1).square().mean() + (judge_b(fake_b) - 1).square().mean()
        cycle = (to_a(fake_b) - x["a"]).abs().mean() + (to_b(fake_a) - x["b"]).abs().mean()
        same = (to_a(x["a"]) - x["a"]).abs().mean() + (to_b(x["b"]) - x["b"]).abs().mean()
        judged = (judge_a(x["a"]) - 1).square().mean() + judge_a(fake_a).square().mean()
        judged = judged + (judge_b(x["b"]) - 1).square().mean() + judge_b(fake_b).square().mean()
    assert float(generators.total().detach()) == pytest.approx(float(fooled + 10 * cycle + 5 * same), rel=1e-10)
    assert float(discriminators.total().detach()) == pytest.approx(float(judged) / 2, rel=1e-10)


@pytest.mark.parametrize("off", ["domain_adversarial", "cross_cycle", "identity"])
def test_a_weight_of_0_leaves_its_term_out(off: str) -> None:
    config = tiny("", "", "cyclegan")
    config = dataclasses.replace(config, loss=dataclasses.replace(config.loss, **{off: 0.0}))
    method = method_class("cyclegan")(config, {"a": 3, "b": 3})
    batch = {d: torch.rand(1, 3, 16, 16) for d in "ab"}
    updates = list(method.updates(iter([batch]), 0, Noise(0, 0)))
    assert [u.name for u in updates] == ["generators", *["discriminators"] * (off != "domain_adversarial")]
    assert not any(term.startswith(off) for u in updates for term in u.losses)


def test_identity_needs_equal_channels() -> None:
    for channels, expected in (({"a": 3, "b": 3}, True), ({"a": 1, "b": 3}, False)):
        method = method_class("cyclegan")(preset("demo", "cyclegan"), channels)
        batch = {d: torch.rand(1, c, 28, 28) * 2 - 1 for d, c in channels.items()}
        update = next(method.updates(iter([batch]), 0, Noise(0, 0)))
        assert ("identity_a" in update.losses) == expected
        assert {"cross_cycle_a", "cross_cycle_b", "domain_adversarial_a", "domain_adversarial_b"} <= set(update.losses)
