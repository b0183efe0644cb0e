"""MUNIT: published sizes, styles that reach the output, AdaIN as the MLP asks for it, the terms of the equations."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drit import losses
from drit.errors import UsageError
from drit.methods.base import Batch
from drit.methods.munit.networks import AdaINDecoder, kaiming, modulate
from drit.methods.munit.objective import MUNIT
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.networks.fast import EPS
from drit.networks.layers import instance_norm
from tests.conftest import tiny

CHANNELS = {"a": 1, "b": 3}


def build(**loss: float) -> MUNIT:
    config = tiny("a", "b", "munit")
    torch.manual_seed(0)
    return MUNIT(dataclasses.replace(config, loss=dataclasses.replace(config.loss, **loss)), CHANNELS)


def batch(count: int = 2, dtype: torch.dtype = torch.float32) -> Batch:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, c, 16, 16, generator=g, dtype=dtype) * 2 - 1 for d, c in CHANNELS.items()}


def test_published_parameter_counts() -> None:
    """Worked out from the paper's table (appendix B.2); 30.1 M for both domains, as MUNIT is often quoted."""
    with torch.device("meta"):
        model = MUNIT(preset("paper", "munit"), {"a": 3, "b": 3})
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()}
    blocks = 8 * (9 * 256 * 256 + 256)
    front = (49 * 3 * 64 + 64) + (16 * 64 * 128 + 128) + (16 * 128 * 256 + 256)
    style = front + 2 * (16 * 256 * 256 + 256) + (256 * 8 + 8)
    ups = (25 * 256 * 128 + 128 + 2 * 128) + (25 * 128 * 64 + 64 + 2 * 64) + (49 * 64 * 3 + 3)
    mlp = (8 * 256 + 256) + (256 * 256 + 256) + (256 * 4096 + 4096)
    assert counts == {
        "content_encoder": 2 * (front + blocks),
        "attribute_encoder": 2 * style,
        "generator": 2 * (blocks + ups + mlp),
        "discriminator": 16_542_342,  # the discriminators that DRIT took over
    }
    assert sum(counts[name] for name in model.inference) == 30_052_374


def test_settings_of_the_paper() -> None:
    paper = preset("paper", "munit")
    w, optim = paper.loss, paper.optim
    assert (w.domain_adversarial, w.self_reconstruction, w.latent_regression, w.content_regression) == (1, 10, 1, 1)
    assert (w.cross_cycle, w.gan) == (0, "least_squares")
    assert (optim.lr, optim.beta1, optim.weight_decay, optim.halve_every, optim.decay_from) == (1e-4, 0.5, 1e-4, 1e5, 1)
    assert (paper.batch, paper.data.crop, paper.network.style_dim) == (1, 256, 8)
    assert all(settings.loss == w for settings in MUNIT.Settings.presets().values())


@torch.no_grad()
def test_styles_reach_the_output() -> None:
    """Of the same content: another style gives another image, as does every single number of the style."""
    model = build()
    prepared = model.prepare(model.content(batch(1)["a"], "a"), "b")
    styles = torch.cat([torch.zeros(1, 3), torch.eye(3)])
    made = model.render(prepared, styles, "b")
    assert all(float((made[i] - made[j]).abs().mean()) > 0.02 for i in range(4) for j in range(i))
    assert torch.equal(made, model.render(prepared, styles, "b"))


@torch.no_grad()
def test_adain_gives_the_statistics_that_the_mlp_asks_for() -> None:
    """Mean and deviation of every channel after each AdaIN are bias and gain: in the decoder's own maps."""
    torch.manual_seed(0)
    decoder = AdaINDecoder(3, 8, 4, blocks=2, upsamplings=1).double()
    kaiming(decoder)
    content, style = torch.randn(1, 8, 6, 7, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    codes = decoder.gains_and_biases(style)
    assert codes.shape == (3, 2, 2, 2, 8) and float(codes.std()) > 0.1
    inputs: list[Tensor] = []  # of every second convolution: what the block's first AdaIN gives, before its ReLU
    sums: list[Tensor] = [content.expand(3, -1, -1, -1)]  # what the blocks give: the input and the second AdaIN
    for block in decoder.blocks:
        block.conv2.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    decoder.up[0].register_forward_pre_hook(lambda _, args: sums.append(args[0]))
    decoder.blocks[1].conv1.register_forward_pre_hook(lambda _, args: sums.append(args[0]))
    decoder.render(decoder.prepare(content), style)
    for i, block in enumerate(decoder.blocks):
        raw = block.conv1(sums[i])
        for image in range(3):
            (gain, bias), (gain2, bias2) = codes[image, i]
            plain = F.instance_norm(raw[image : image + 1], eps=EPS)[0] * gain[:, None, None] + bias[:, None, None]
            assert torch.allclose(inputs[i][image], plain, atol=1e-12)
            change = sums[i + 1][image] - sums[i][image]
            assert torch.allclose(change.mean(dim=(1, 2)), bias2, atol=1e-12)
            assert torch.allclose(change.std(dim=(1, 2), correction=0), gain2.abs(), rtol=1e-3)  # EPS


def test_modulate_by_hand() -> None:
    x = torch.tensor([[[[1.0, 3.0]]]])  # mean 2, deviation 1
    made = modulate(instance_norm(x), torch.tensor([[5.0]]), torch.tensor([[-2.0]]))
    assert made.flatten().tolist() == pytest.approx([-7, 3], abs=1e-3)


def test_prepare_holds_all_that_no_style_changes() -> None:
    """Rendering goes through every layer but the first convolution; that one, through prepare alone."""
    model = build()
    decoder, calls = model.generator["b"], []
    for name, layer in decoder.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    prepared = model.prepare(model.content(batch()["a"], "a"), "b")
    assert calls == ["blocks.0.conv1"]
    model.render(prepared, torch.randn(2, 3), "b")
    assert calls.count("blocks.0.conv1") == 1 and "last" in calls and "blocks.0.conv2" in calls


def test_the_objective_is_the_plain_one() -> None:
    """What is batched in an iteration gives the terms of the equations, each worked out alone."""
    model, x, noise = build(cross_cycle=1.0).double(), batch(dtype=torch.float64), Noise(0, 3)
    first, update = model.updates(iter([x]), 3, Noise(0, 3))
    random = {d: noise.normal(2, 3, like=x[d]) for d in "ab"}

    def decode(content: Tensor, style: Tensor, d: str) -> Tensor:
        return model.render(model.prepare(content, d), style, d)

    content = {d: model.content(x[d], d) for d in "ab"}
    style = {d: model.style(x[d], d) for d in "ab"}
    fake = {d: decode(content[o], random[d], d) for d, o in ("ab", "ba")}
    for d, o in ("ab", "ba"):
        judged = model.discriminator[d](fake[d])
        expected = {
            "domain_adversarial": losses.least_squares(judged, 1.0),
            "self_reconstruction": (decode(content[d], style[d], d) - x[d]).abs().mean(),
            "latent_regression": (model.style(fake[d], d) - random[d]).abs().mean(),
            "content_regression": (model.content(fake[o], o) - content[d]).abs().mean(),
            "cross_cycle": (decode(model.content(fake[o], o), style[d], d) - x[d]).abs().mean(),
        }
        for name, value in expected.items():
            assert float(update.losses[f"{name}_{d}"].detach()) == pytest.approx(float(value.detach()), rel=1e-12)
        real = losses.least_squares(model.discriminator[d](x[d]), 1.0) + losses.least_squares(judged, 0.0)
        found = first.losses[f"domain_adversarial_{d}"]
        assert float(found.detach()) == pytest.approx(float(real.detach()), rel=1e-12)
    assert {name[:-2] for name in update.losses} == set(expected)
    assert model.at_chance().keys() == {f"discriminators/{name}" for name in first.losses}
    assert "cross_cycle_a" not in list(build().updates(iter([batch()]), 0, Noise(0, 0)))[1].losses


def test_no_block_for_the_style() -> None:
    config = tiny("a", "b", "munit")
    network = dataclasses.replace(config.network, generator_blocks=0, shared_blocks=0)
    with pytest.raises(UsageError, match="generator-blocks"):
        dataclasses.replace(config, network=network).check()


def test_content_regression_by_hand() -> None:
    code = torch.tensor([[[[1.0, -1.0]]]])
    assert float(losses.content_regression(torch.zeros(1, 1, 1, 2), code)) == 1.0
