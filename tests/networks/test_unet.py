"""The U-Net and the patch discriminators: published sizes, any size of image, what a logit sees."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from drit.methods.bicyclegan.networks import BicycleUNet, MultiScalePatchGAN
from drit.methods.pix2pix.networks import Pix2PixUNet
from drit.networks.discriminators import PatchGAN
from drit.networks.fast import EPS, one_channel_conv
from drit.networks.fast_unet import downsample, upsample
from drit.networks.init import bilinear_init
from drit.networks.layers import ImageBatchNorm, with_planes
from drit.networks.unet import UNet
from drit.settings.groups import fitting_unet_levels


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("levels", "expected"), [(8, 54_413_955), (7, 41_828_995)])
def test_published_size_of_the_u_net(levels: int, expected: int) -> None:
    """U-Net-256: 54.414 M, U-Net-128: 41.829 M."""
    with torch.device("meta"):
        net = Pix2PixUNet(3, 3, 64, levels, dropout=0.5)
    assert count(net) == expected
    assert [tuple(c.weight.shape[:2]) for c in net.down][:4] == [(64, 3), (128, 64), (256, 128), (512, 256)]
    assert net.down[-1].weight.shape == (512, 512, 4, 4) and net.last.weight.shape == (128, 3, 4, 4)
    assert list(net.dropped) == [0, 1, 2]  # CD512-CD1024-CD1024 of the paper


@pytest.mark.parametrize(
    ("channels", "norm", "expected"), [(6, "batch", 2_768_705), (3, "instance", 2_764_737), (3, "none", 2_764_737)]
)
def test_published_size_of_the_patch_discriminator(channels: int, norm: str, expected: int) -> None:
    assert count(PatchGAN(channels, 64, norm=norm)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch(layers: int, field: int) -> None:
    """The gradient of one logit of the middle covers `field` x `field` pixels."""
    torch.manual_seed(0)
    net = PatchGAN(1, 2, layers, "none").double()
    x = torch.randn(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = net(x)
    assert logits.shape[-2:] == (128 // 2**layers - 2,) * 2
    logits[0, 0, 5 * 8 >> layers, 5 * 8 >> layers].backward()
    assert x.grad is not None
    rows, columns = (x.grad[0, 0] != 0).any(1), (x.grad[0, 0] != 0).any(0)
    assert int(rows.sum()) == int(columns.sum()) == field


def test_each_scale_has_half_the_width_and_takes_small_images() -> None:
    net = MultiScalePatchGAN(3, 8, 2, 2, "instance")
    assert [s.convs[0].out_channels for s in net.scales] == [8, 4]  # type: ignore[union-attr, index]
    assert [m.shape for m in net(torch.zeros(2, 3, 16, 16))] == [(2, 1, 2, 2), (2, 1, 1, 1)]
    assert [m.shape for m in net(torch.zeros(2, 3, 3, 5))] == [(2, 1, 1, 1)] * 2


@pytest.mark.parametrize(
    ("crop", "levels"), [(16, 4), (28, 4), (32, 5), (64, 6), (216, 7), (256, 8), (512, 9), (2048, 9)]
)
def test_the_crop_chooses_the_levels(crop: int, levels: int) -> None:
    assert fitting_unet_levels(crop) == levels


@pytest.mark.parametrize("size", [(32, 32), (17, 23), (40, 33)])
@pytest.mark.parametrize("style_dim", [0, 3])
@torch.no_grad()
def test_images_of_any_size(size: tuple[int, int], style_dim: int) -> None:
    x, style = torch.randn(2, 2, *size), torch.randn(2, style_dim)
    fake = BicycleUNet(2, 3, 4, 4, style_dim, everywhere=True)(x, style) if style_dim else Pix2PixUNet(2, 3, 4, 4)(x)
    assert fake.shape == (2, 3, *size) and float(fake.abs().max()) <= 1


@pytest.mark.parametrize("name", ["pix2pix", "first layer", "every layer"])
@torch.no_grad()
def test_the_u_net_is_the_published_one(name: str) -> None:
    """Three levels written out, at a size that is a multiple of 8; gains 1 and biases 0 at the start."""
    torch.manual_seed(0)
    x, style = torch.randn(2, 2, 16, 16, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    net: UNet = Pix2PixUNet(2, 3, 4, 3) if name == "pix2pix" else BicycleUNet(2, 3, 4, 3, 5, name == "every layer")
    net.double()

    def down(i: int, h: torch.Tensor) -> torch.Tensor:
        if name == "every layer" or (name == "first layer" and i == 0):
            h = with_planes(h, F.leaky_relu(style, 0.2) if i else style)
        return F.conv2d(h, net.down[i].weight, net.down[i].bias, 2, 1)

    def up(layer: torch.nn.ConvTranspose2d, h: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose2d(F.relu(h), layer.weight, layer.bias, 2, 1)

    one = down(0, x)
    two = F.instance_norm(down(1, F.leaky_relu(one, 0.2)))
    three = down(2, F.leaky_relu(two, 0.2))
    four = F.instance_norm(up(net.up[0], three))
    five = F.instance_norm(up(net.up[1], torch.cat([four, two], 1)))
    six = torch.tanh(up(net.last, torch.cat([five, one], 1)))
    fake = net(x) if name == "pix2pix" else net(x, style)
    assert torch.allclose(fake, six, atol=1e-12)


@torch.no_grad()
def test_a_code_everywhere_is_planes_beside_each_input() -> None:
    torch.manual_seed(0)
    first, everywhere = (BicycleUNet(2, 3, 4, 3, style_dim=5, everywhere=e) for e in (False, True))
    assert [c.in_channels for c in first.down] == [7, 4, 8]  # type: ignore[union-attr]
    assert [c.in_channels for c in everywhere.down] == [7, 9, 13]  # type: ignore[union-attr]
    x, z = torch.randn(1, 2, 16, 16), torch.randn(1, 5)
    for net in (first, everywhere):
        assert not torch.allclose(net(x, z), net(x, -z), atol=1e-4)


def test_image_batch_norm_is_batch_norm_of_one() -> None:
    torch.manual_seed(0)
    ours, library = ImageBatchNorm(4).double(), torch.nn.BatchNorm2d(4, eps=EPS).double()
    with torch.no_grad():
        for own, its in zip(ours.parameters(), library.parameters(), strict=True):
            its.copy_(own.copy_(torch.rand(4)))
    x = torch.randn(3, 4, 6, 5, dtype=torch.float64)
    together = ours(x)
    for i in range(3):
        assert torch.allclose(together[i : i + 1], library(x[i : i + 1]), atol=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("size", "padding"), [(4, 1), (3, 0), (3, 1)])
def test_a_convolution_to_one_channel(size: int, padding: int, bias: bool, layout: torch.memory_format) -> None:
    """The same output, and the same gradients, as by the library's convolution; under autocast no less exact."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(6, 1, size, padding=padding, bias=bias).double()
    x = torch.randn(2, 6, 7, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    results = []
    for call in (layer, lambda x: one_channel_conv(layer, x)):
        out = call(x)
        results.append((out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])))
    for library, product in zip(*results, strict=True):
        torch.testing.assert_close(product, library)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(one_channel_conv(layer.float(), x.float()), results[0][0].float())


def test_dropout_acts_in_training_only() -> None:
    net = Pix2PixUNet(1, 1, 4, 4, dropout=0.5)
    x = torch.randn(1, 1, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(("kernel", "padding", "extra"), [(3, 1, 1), (4, 1, 0)])
@torch.no_grad()
def test_smooth_upsampling_is_bilinear(kernel: int, padding: int, extra: int) -> None:
    """Kernel 4: between pixel centres, as the library interpolates; kernel 3: corners on corners."""
    layer = torch.nn.ConvTranspose2d(1, 1, kernel, 2, padding, extra, bias=False).double()
    torch.nn.init.ones_(layer.weight)
    bilinear_init(layer)
    x = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    if kernel == 4:
        expected, out = F.interpolate(x, scale_factor=2, mode="bilinear"), layer(x)
        inner = slice(1, -1)  # the border fades to the zeros around it
        assert torch.allclose(out[..., inner, inner], expected[..., inner, inner], atol=1e-12)
    else:
        expected = F.interpolate(x, size=11, mode="bilinear", align_corners=True)
        assert torch.allclose(layer(x)[..., :11, :11], expected, atol=1e-12)


@pytest.mark.parametrize("coded", [False, True])
def test_every_layer_learns_from_the_start(coded: bool) -> None:
    """Down to one pixel, whose even upsampling a normalisation would make 0."""
    torch.manual_seed(0)
    net: UNet = (
        BicycleUNet(3, 3, 4, 4, 2, everywhere=True, smooth=True) if coded else Pix2PixUNet(3, 3, 4, 4, smooth=True)
    )
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    (net(x, torch.randn(2, 2)) if coded else net(x)).square().mean().backward()
    for layer in [*net.down, *net.up, net.last]:
        assert layer.weight.grad is not None and bool(layer.weight.grad.any())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_as_a_matrix_product(layout: torch.memory_format, bias: bool) -> None:
    """The same output, and the same gradients, as by the library's convolution."""
    torch.manual_seed(0)
    down = torch.nn.Conv2d(96, 88, 4, 2, 1, bias=bias).double()
    up = torch.nn.ConvTranspose2d(88, 96, 4, 2, 1, bias=bias).double()
    ways = (down, downsample, 96), (up, upsample, 88)
    cases = [(*ways[0], (4, 6)), (*ways[1], (4, 6)), (*ways[0], (2, 2)), (*ways[1], (1, 1))]  # the last two: one pixel
    for layer, by_product, channels, size in cases:
        layer.to(memory_format=layout)  # type: ignore[call-overload]
        assert layer.weight.numel() >= 1 << 17
        x = torch.randn(2, channels, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
        results = []
        for call in (layer, lambda x, f=by_product, m=layer: f(m, x)):
            out = call(x)
            results.append((out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])))
        for library, product in zip(*results, strict=True):
            torch.testing.assert_close(product, library)
        assert results[0][0].grad_fn.name() != results[1][0].grad_fn.name()  # it was computed another way
        large = torch.randn(44, channels, 4, 6, dtype=torch.float64)
        assert by_product(layer, large).grad_fn.name() == "ConvolutionBackward0"  # type: ignore[arg-type, operator]
