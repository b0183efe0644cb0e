"""Properties of the networks: published sizes, any size of image, sharing, what a style can and cannot change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from drit.methods.drit.objective import DRIT
from drit.methods.registry import method_class, preset
from drit.networks.decoders import ConcatGenerator, FeatureGenerator
from drit.networks.discriminators import ContentDiscriminator, MultiScaleDiscriminator
from drit.networks.fast import _gradient_of_repeated, pad
from drit.networks.layers import ResidualBlock, instance_norm
from drit.networks.upsample import binomial
from drit.settings.schema import changed


def build(form: str = "concat", channels: dict[str, int] | None = None, crop: int = 216, **network: Any) -> DRIT:
    config = preset("paper")
    network = {"width": 4, "attribute_width": 4, "discriminator_width": 4} | network
    config = dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, generator=form, **network),
        data=dataclasses.replace(config.data, crop=crop),
    )
    torch.manual_seed(0)
    return DRIT(config, channels or {"a": 1, "b": 3})


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("concat", {"content_encoder": 9018112, "attribute_encoder": 2688160, "generator": 9564710}),
        ("feature", {"content_encoder": 9018112, "attribute_encoder": 5529872, "generator": 17146374}),
    ],
)
def test_published_parameter_counts(form: str, expected: dict[str, int]) -> None:
    """Sums of the shapes in the published checkpoints' layout."""
    config = preset("official")
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, generator=form))
    with torch.device("meta"):
        model = DRIT(config, {"a": 3, "b": 3})
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()}
    assert counts == expected | {
        "discriminator": 16542342,
        "random_discriminator": 16542342,
        "content_discriminator": 10683649,
    }


@pytest.mark.parametrize("name", ["drit", "drit++"])
@torch.no_grad()
def test_a_content_filter_comes_last_and_has_no_weights(name: str) -> None:
    plain = changed(preset("paper", name), {"data.crop": 32, "network.width": 4, "network.attribute_width": 4})
    with_filter = changed(plain, {"network.content_filter": True})
    one, other = (method_class(name)(config, {"a": 3, "b": 3}).double() for config in (plain, with_filter))
    other.load_state_dict(one.state_dict())
    images = {d: torch.rand(2, 3, 32, 40, dtype=torch.float64) for d in "ab"}
    for d, x in images.items():
        assert torch.equal(other.content(x, d), binomial(one.content(x, d)))
        assert not torch.allclose(other.content(x, d), one.content(x, d), rtol=0.1)
    if isinstance(other, DRIT):
        for d, code in other.content_encoder.both(images).items():
            assert torch.allclose(code, other.content(images[d], d), atol=1e-12)


@pytest.mark.parametrize("form", ["concat", "feature", "film"])
@pytest.mark.parametrize("channels", [{"a": 1, "b": 3}, {"a": 5, "b": 2}])
@pytest.mark.parametrize(("style_dim", "downsamplings", "blocks"), [(1, 1, 0), (8, 2, 3), (20, 3, 1)])
@torch.no_grad()
def test_sizes_are_free(form: str, channels: dict[str, int], style_dim: int, downsamplings: int, blocks: int) -> None:
    model = build(form, channels, 32, style_dim=style_dim, downsamplings=downsamplings, content_blocks=blocks)
    x = torch.randn(2, channels["a"], 32, 40)
    content, style = model.content(x, "a"), model.style(torch.randn(2, channels["b"], 24, 24), "b")
    assert content.shape == (2, 4 << downsamplings, 32 >> downsamplings, 40 >> downsamplings)
    assert style.shape == (2, style_dim)
    fake = model.render(model.prepare(content, "b"), style, "b")
    assert fake.shape == (2, channels["b"], 32, 40)
    assert float(fake.abs().max()) <= 1


@pytest.mark.parametrize("size", [16, 17, 23, 40])
@torch.no_grad()
def test_discriminators_take_small_and_odd_images(size: int) -> None:
    """Down to maps of one pixel, where reflection is impossible."""
    maps = MultiScaleDiscriminator(3, 4, 4, 3)(torch.randn(2, 3, size, size + 3))
    assert len(maps) == 3 and all(m.shape[:2] == (2, 1) and torch.isfinite(m).all() for m in maps)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 10, 11, 16, 27, 32, 54, 64, 128])
@torch.no_grad()
def test_content_discriminator_of_any_size(size: int) -> None:
    judge = ContentDiscriminator(6, size)
    assert judge(torch.randn(2, 6, size, size)).shape[:2] == (2, 1)
    assert judge(torch.randn(2, 6, 2 * size, max(1, size // 2))).shape[:2] == (2, 1)  # other than it was made for
    if size <= 64:
        assert judge(torch.randn(2, 6, size, size)).shape[-1] <= 4


def test_content_discriminator_at_the_published_size() -> None:
    kernels = [layer.kernel_size for layer in ContentDiscriminator(8, 54).down]
    assert kernels == [(7, 7)] * 3 and ContentDiscriminator(8, 54).last.kernel_size == (4, 4)
    assert ContentDiscriminator(8, 54)(torch.randn(1, 8, 54, 54)).shape == (1, 1, 1, 1)


def test_what_is_shared() -> None:
    concat, feature = build(), build("feature")
    assert isinstance(concat.generator, ConcatGenerator) and isinstance(feature.generator, FeatureGenerator)
    assert len(concat.generator.shared) == len(feature.generator.shared) == 1
    assert len(build("feature", share_feature_layer=False).generator.shared) == 0
    # a shared block's weight gets gradients from both domains, an own one's from its own alone
    for domain, expected in (("a", True), ("b", False)):
        concat.zero_grad()
        concat.content(torch.randn(1, concat.channels[domain], 32, 32), domain).square().sum().backward()
        assert concat.content_encoder.shared[0].conv1.weight.grad.abs().sum() > 0
        assert (concat.content_encoder.own["a"].first.weight.grad is not None) == expected


@pytest.mark.parametrize("form", ["concat", "feature", "film"])
@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other(form: str) -> None:
    model = build(form).eval().double()
    x = torch.randn(3, 1, 32, 32, dtype=torch.float64)
    together, alone = model.content(x, "a"), model.content(x[1:2], "a")
    assert float((together[1:2] - alone).abs().max()) < 1e-12
    z = torch.randn(3, 8, dtype=torch.float64)
    fakes = model.render(model.prepare(together, "b"), z, "b")
    fake = model.render(model.prepare(alone, "b"), z[1:2], "b")
    assert float((fakes[1:2] - fake).abs().max()) < 1e-12


@torch.no_grad()
def test_both_domains_are_encoded_as_each_alone() -> None:
    model = build()
    x = {"a": torch.randn(2, 1, 32, 32), "b": torch.randn(2, 3, 32, 32)}
    both = model.content_encoder.both(x)
    assert all(float((both[d] - model.content(x[d], d)).abs().max()) < 1e-5 for d in "ab")
    x["b"] = torch.randn(1, 3, 24, 32)  # another size: cannot share a batch
    both = model.content_encoder.both(x)
    assert float((both["b"] - model.content(x["b"], "b")).abs().max()) < 1e-5


def test_instance_norm_of_known_numbers() -> None:
    x = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    # mean 2, variance 1; a constant channel becomes 0
    assert instance_norm(x).flatten().tolist() == pytest.approx([-1, 1, 0, 0], abs=1e-4)
    assert instance_norm(torch.ones(1, 2, 1, 1)).abs().max() == 0


def test_padding() -> None:
    x = torch.arange(3.0).reshape(1, 1, 1, 3)
    assert pad(x, 1)[0, 0].tolist() == [[0, 0, 1, 2, 2]] * 3  # one row cannot be reflected: its border is repeated
    square = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert pad(square, 1)[0, 0].tolist() == [[3, 2, 3, 2], [1, 0, 1, 0], [3, 2, 3, 2], [1, 0, 1, 0]]
    assert pad(square, 0, min_side=3)[0, 0].tolist() == [[0, 1, 1], [2, 3, 3], [2, 3, 3]]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 1, 3), (1, 1, 1, 1)])
@pytest.mark.parametrize("amount", [1, 3])
def test_the_deterministic_gradient_of_a_repeated_border(shape: tuple[int, ...], amount: int) -> None:
    """A GPU computes it so when the same bits are asked for."""
    n, c, h, w = shape
    grad = torch.randn(n, c, h + 2 * amount, w + 2 * amount, dtype=torch.float64)
    expected = torch.ops.aten.replication_pad2d_backward(grad, torch.empty(shape, dtype=grad.dtype), [amount] * 4)
    for layout in (torch.contiguous_format, torch.channels_last):
        given = grad.contiguous(memory_format=layout)
        found = _gradient_of_repeated(given, amount)
        assert torch.allclose(found, expected) and found.is_contiguous(memory_format=layout)
        assert torch.equal(given, grad)  # it is not the function's to change


def test_residual_block_keeps_its_input() -> None:
    block = ResidualBlock(3)
    torch.nn.init.zeros_(block.conv2.weight)  # constant maps are normalised to 0
    x = torch.randn(1, 3, 5, 5)
    assert float((block(x) - x).detach().abs().max()) < 1e-5


@pytest.mark.parametrize("form", ["concat", "feature"])
@torch.no_grad()
def test_scaled_initial_weights_upsample_bilinearly(form: str) -> None:
    """Even pixels are the small map's, odd ones the means of their neighbours; the published weights draw a grid."""
    up = build(form, init="scaled").generator.own["b"].up[-1]
    torch.nn.init.zeros_(up.conv.bias)
    x = torch.randn(1, up.features, 3, 4)
    large = up.upsample(x)
    mixed = torch.einsum("nihw,io->nohw", x, up.conv.weight[: up.features, :, 1, 1])
    assert float((large[:, :, ::2, ::2] - mixed).abs().max()) < 1e-5
    assert float((large[:, :, 1:-1:2, ::2] - (mixed[:, :, 1:] + mixed[:, :, :-1]) / 2).abs().max()) < 1e-5
    assert float((large[:, :, ::2, 1:-1:2] - (mixed[:, :, :, 1:] + mixed[:, :, :, :-1]) / 2).abs().max()) < 1e-5


@torch.no_grad()
def test_film_scales_and_shifts_what_is_normalised() -> None:
    """A style costs no convolution of the content: the first normalised map is prepared. By the equation, on one."""
    model = build("film", generator_blocks=1, downsamplings=1)
    own = model.generator.own["b"]
    (normed,) = model.prepare(model.content(torch.randn(2, 1, 32, 32), "a"), "b")
    assert normed.shape == (2, 4, 32, 32)
    assert torch.allclose(normed.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(normed.var(dim=(1, 2, 3), correction=0), torch.ones(2), atol=1e-3)
    style = torch.randn(4, 8)
    gain, shift = own.codes(style).view(4, 2, 4, 1, 1).unbind(1)
    h = torch.relu((1 + gain) * normed.repeat(2, 1, 1, 1) + shift)
    expected = torch.tanh(torch.einsum("nihw,io->nohw", h, own.last.weight[:, :, 0, 0]) + own.last.bias[:, None, None])
    assert torch.allclose(model.render((normed,), style, "b"), expected, atol=1e-6)
