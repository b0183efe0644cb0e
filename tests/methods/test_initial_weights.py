"""Initial weights of the rivals in the preset `paper`: those of their own programs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from drit.methods.base import Method
from drit.methods.registry import method_class, preset
from drit.networks.layers import LayerNorm
from drit.settings.schema import changed

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def build(name: str, init: str = "published") -> Method:
    sizes = {"init": init, "width": 16, "discriminator_width": 16, "attribute_width": 16, "generator_blocks": 1}
    values = {f"network.{size}": value for size, value in sizes.items()}
    config = changed(preset("paper", name), values, ignore_unknown=True)
    torch.manual_seed(0)
    return method_class(name)(config, {"a": 3, "b": 3})


def biases(module: nn.Module) -> list[torch.Tensor]:
    return [m.bias for m in module.modules() if isinstance(m, CONVOLUTIONS) and m.bias is not None]


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_normal_weights_and_no_biases(name: str) -> None:
    model = build(name)
    found = biases(model)
    assert found and not any(bool(b.any()) for b in found)
    for layer in model.modules():
        if isinstance(layer, CONVOLUTIONS) and layer.weight.numel() > 4096:
            assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert any(bool(b.any()) for b in biases(build(name, "scaled")))


def test_bicyclegan_has_glorots_weights_times_a_fiftieth() -> None:
    model = build("bicyclegan")
    assert not any(bool(b.any()) for b in biases(model))
    places = 0
    for layer in model.modules():
        if isinstance(layer, CONVOLUTIONS) and layer.weight.numel() > 4096:
            ins, outs = (n * layer.weight[0, 0].numel() for n in layer.weight.shape[:2])
            assert float(layer.weight.detach().std()) == pytest.approx(0.02 * math.sqrt(2 / (ins + outs)), rel=0.1)
            places += 1
    assert places > 10
    heads = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(heads) == 2 and not any(bool(m.bias.any()) for m in heads)


def test_bicyclegan_drops_out_after_the_innermost_layer() -> None:
    """Of eight layers up the second to the fourth, as its program; Pix2Pix (appendix 6.1) the first three."""
    assert list(build("bicyclegan").generator.dropped) == [1, 2, 3]  # type: ignore[union-attr, arg-type]
    assert list(build("pix2pix").generator.dropped) == [0, 1, 2]  # type: ignore[union-attr, arg-type]
    assert preset("paper", "bicyclegan").network.dropout == preset("paper", "cycle-bicycle").network.dropout == 0.5
    assert preset("quick", "bicyclegan").network.dropout == 0


def test_munit_gains_between_0_and_1() -> None:
    model = build("munit")
    assert not any(bool(b.any()) for b in biases(model))
    gains = [m.weight for m in model.modules() if isinstance(m, LayerNorm)]
    assert len(gains) == 4
    for gain in gains:
        assert 0 <= float(gain.detach().min()) < 0.3 and 0.7 < float(gain.detach().max()) <= 1
    assert all(bool(m.weight.eq(1).all()) for m in build("munit", "scaled").modules() if isinstance(m, LayerNorm))
