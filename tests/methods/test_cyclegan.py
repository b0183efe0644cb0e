"""CycleGAN: the published sizes, the image pool, and a code that can reach the output."""

from __future__ import annotations

import torch

from drit.methods import method_class
from drit.methods.base import Noise
from drit.methods.pool import ImagePool
from drit.networks.resnet import ResNetGenerator
from drit.presets import preset


def test_published_sizes() -> None:
    """ResNet of 9 and of 6 blocks: 11.378 and 7.838 million; 70 x 70 PatchGAN: 2.765 million."""
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNetGenerator(3, 3, 64, 2, 9).parameters()) == 11_378_179
        assert sum(p.numel() for p in ResNetGenerator(3, 3, 64, 2, 6).parameters()) == 7_837_699
        method = method_class("cyclegan").build(preset("paper", "cyclegan"), {"a": 3, "b": 3})
        assert [len(g.blocks) for g in method.generator.values()] == [9, 9]  # type: ignore[union-attr, operator]
        judge = method.discriminator["a"]  # type: ignore[index]
        assert sum(p.numel() for p in judge.parameters()) == 2_764_737
    optim = preset("paper", "cyclegan").optim
    assert (optim.lr, optim.beta1, optim.pool, optim.decay_from) == (2e-4, 0.5, 50, 0.5)


def test_a_code_reaches_the_output_only_where_no_normalisation_removes_it() -> None:
    """What the module says of concatenated planes: constants added to the picture vanish, the code does not."""
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


def test_identity_needs_equal_channels() -> None:
    for channels, expected in (({"a": 3, "b": 3}, True), ({"a": 1, "b": 3}, False)):
        method = method_class("cyclegan").build(preset("demo", "cyclegan"), channels)
        batch = {d: torch.rand(1, c, 28, 28) * 2 - 1 for d, c in channels.items()}
        update = next(method.updates(iter([batch]), 0, Noise(0, 0)))
        assert ("identity_a" in update.losses) == expected
        assert {"cross_cycle_a", "cross_cycle_b", "domain_adversarial_a", "domain_adversarial_b"} <= set(update.losses)
