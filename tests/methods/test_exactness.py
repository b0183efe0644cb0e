"""The shortcuts are exact: float64, all pixels, borders included, outputs and gradients."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drit.methods.drit.objective import DRIT
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.networks import fast as blocks
from drit.networks import upsample
from drit.networks.fast import EPS, pad
from drit.networks.layers import Conv, ImageBatchNorm, instance_norm
from drit.settings.common import TrainSettings
from drit.training.optimizers import make_optimizers
from drit.training.updates import gradients
from reference import formulation as reference
from tests.methods.gradients import with_settings

LIMIT = 1e-12
FORMS = [
    ("concat", True),
    ("feature", True),
    ("feature", False),
    ("film", True),
    ("concat resize", True),
    ("feature resize", True),
    ("film resize", True),
    ("concat smooth", True),
    ("film smooth", True),
    ("film resize filtered", True),
]  # the form of the generator, its upsampling where it is not the published one, "filtered" content; whether the first
# block is shared
EACH = pytest.mark.parametrize(("form", "share"), FORMS)


@pytest.fixture(autouse=True)
def every_input_as_if_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is kept back for large inputs alone is proved on small ones."""
    monkeypatch.setattr(blocks, "LARGE_INPUT", 0)
    monkeypatch.setattr(upsample, "_SMALL_MAP", 0)


def images(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    sizes = {"a": (count, 1, 32, 32), "b": (count, 3, 32, 32)}
    return {d: torch.rand(*s, generator=generator, dtype=torch.float64) * 2 - 1 for d, s in sizes.items()}


def small(form: str, share: bool, style_dim: int = 5, downsamplings: int = 2, **loss: float) -> TrainSettings:
    config = preset("paper")
    form, upsampling, filtered = (*form.split(), "", "")[:3]
    network = dataclasses.replace(
        config.network,
        generator=form,
        upsample=upsampling or "transposed",
        content_filter=bool(filtered),
        share_feature_layer=share,
        style_dim=style_dim,
        width=4,
        downsamplings=downsamplings,
        content_blocks=1,
        generator_blocks=2,
        attribute_width=4,
        attribute_blocks=2,
        discriminator_width=4,
        discriminator_layers=2,
        discriminator_scales=2,
    )
    data = dataclasses.replace(config.data, crop=32)
    return dataclasses.replace(config, network=network, data=data, loss=dataclasses.replace(config.loss, **loss))


def build(config: TrainSettings, channels: dict[str, int], layout: torch.memory_format) -> DRIT:
    """A small model in float64 whose layer norms and biases are not at their special initial values."""
    torch.manual_seed(1)
    model = DRIT(config, channels).double()
    generator = torch.Generator().manual_seed(2)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype) * (
            0.3 if p.dim() < 2 else p[0].numel() ** -0.5
        )
    return model.to(memory_format=layout)


def relative(one: Tensor, other: Tensor) -> float:
    return float(((one - other).abs().max() / other.abs().max().clamp_min(1e-30)).detach())


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("downsamplings", [1, 2, 3])
@EACH
def test_many_styles_of_prepared_content(
    form: str, share: bool, downsamplings: int, layout: torch.memory_format
) -> None:
    """Three styles for each of two images, not square: outputs and gradients of weights, content and styles."""
    model = build(small(form, share, downsamplings=downsamplings), {"a": 3, "b": 2}, layout)
    g = torch.Generator().manual_seed(3)
    code = torch.randn(2, 4 << downsamplings, 6, 9, generator=g, dtype=torch.float64, requires_grad=True)
    style = torch.randn(6, 5, generator=g, dtype=torch.float64, requires_grad=True)
    parameters = [code, style, *model.generator.parameters()]
    for d in "ab":
        fast = model.render(model.prepare(code.contiguous(memory_format=layout), d), style, d)
        plain = reference.generate(model, code.repeat(3, 1, 1, 1), style, d)
        assert fast.shape == plain.shape == (6, model.channels[d], 6 << downsamplings, 9 << downsamplings)
        assert relative(fast, plain) < LIMIT
        weights = torch.randn(plain.shape, generator=g, dtype=torch.float64)
        found = torch.autograd.grad((fast * weights).sum(), parameters, allow_unused=True)
        expected = torch.autograd.grad((plain * weights).sum(), parameters, allow_unused=True)
        # Gradients that cancel (biases before a normalisation) are zero up to rounding: compare to the largest of all.
        scale = max(float(e.abs().max()) for e in expected if e is not None)
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                assert float((ours - theirs).abs().max()) / scale < LIMIT


@pytest.mark.parametrize("mode_seeking", [0.0, 1.0])
@EACH
def test_training_gradients(form: str, share: bool, mode_seeking: float) -> None:
    """The shared computation of one iteration gives the plain objective's gradients, content noise included."""
    config = small(form, share, mode_seeking=mode_seeking, content_norm=0.01)
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, content_discriminator_steps=1))
    model = build(config, {"a": 1, "b": 3}, torch.channels_last)
    g = torch.Generator().manual_seed(4)
    batch = images(2, g)
    plain = {
        "discriminators": reference.discriminator_totals(model, batch, Noise(0, 7)),
        "generators": reference.generator_total(model, batch, Noise(0, 7)),
    }
    checked = set()
    for update in model.updates(iter([batch]), 7, Noise(0, 7)):
        if update.name not in plain:
            continue
        total, expected_total = update.total(), plain[update.name]
        assert abs(float((total - expected_total).detach())) / abs(float(expected_total.detach())) < LIMIT
        parameters = [p for name in update.networks for p in getattr(model, name).parameters()]
        found = torch.autograd.grad(total, parameters, retain_graph=True)
        expected = torch.autograd.grad(expected_total, parameters)
        scale = max(float(e.abs().max()) for e in expected)
        assert max(float((o - e).abs().max()) for o, e in zip(found, expected, strict=True)) / scale < LIMIT
        checked.add(update.name)
    assert checked == set(plain)


@pytest.mark.parametrize("form", ["concat", "feature", "film", "film resize"])
def test_the_published_order_moves_the_discriminators_alike(form: str) -> None:
    """The benchmarks' baseline does the same work: what moves before the generators do ends at the same weights."""
    config = small(form, False, mode_seeking=1.0, content_norm=0.01)
    optim = dataclasses.replace(preset("official").optim, content_discriminator_steps=3)
    config = dataclasses.replace(config, optim=optim)
    g = torch.Generator().manual_seed(6)
    batches = [images(2, g) for _ in range(3)]
    ours, theirs = (build(config, {"a": 1, "b": 3}, torch.contiguous_format) for _ in range(2))
    reference.official_iteration(theirs, batches, Noise(0, 7), make_optimizers(theirs))
    optimizers = make_optimizers(ours)
    turns = [ours.updates(iter(batches), 7, Noise(0, 7))]
    while (done := gradients(ours, turns, {}, contextlib.nullcontext)) is not None:
        if done[1]:
            parameters = [p for n in done[0] for p in getattr(ours, n).parameters()]
            torch.nn.utils.clip_grad_norm_(parameters, done[1])
        for n in done[0]:
            optimizers[n].step()
    moved = {name for name, p in theirs.named_parameters() if relative(p, dict(ours.named_parameters())[name]) > 1e-9}
    assert not {name for name in moved if "discriminator" in name}
    assert moved  # generators: the published second pass sees weights from before the first one's step


@pytest.mark.parametrize(("parts", "recompute"), [(1, True), (2, False), (4, True)])
@pytest.mark.parametrize("form", ["concat", "feature", "film", "film resize"])
@pytest.mark.parametrize("separate", [False, True])
def test_less_memory_gives_the_same_gradients(form: str, separate: bool, parts: int, recompute: bool) -> None:
    """A batch in parts, and layers computed again: what --accumulate and --recompute do, noise included."""
    config = small(form, True)
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, separate_random_step=separate))
    model = build(config, {"a": 1, "b": 3}, torch.channels_last)
    g = torch.Generator().manual_seed(5)
    drawn = [images(4, g) for _ in range(3)]

    def gradients(parts: int, recompute: bool = False) -> list[Tensor]:
        method = with_settings(model, accumulate=parts, recompute=recompute)
        batches = [iter([{d: x.chunk(parts)[k] for d, x in b.items()} for b in drawn]) for k in range(parts)]
        turns = [method.updates(batches[k], 7, Noise(0, 7, k, parts)) for k in range(parts)]
        found = []
        for updates in zip(*turns, strict=True):
            parameters = [p for name in updates[0].networks for p in getattr(method, name).parameters()]
            for p in parameters:
                p.grad = None
            for update in updates:
                torch.autograd.backward(update.total() / parts, inputs=parameters)
            found += [p.grad for p in parameters if p.grad is not None]
        return found

    expected = gradients(1)
    found = gradients(parts, recompute)
    scale = max(float(e.abs().max()) for e in expected)
    assert len(found) == len(expected)
    assert max(float((o - e).abs().max()) for o, e in zip(found, expected, strict=True)) / scale < LIMIT


def normalised(x: Tensor, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Instance normalisation by its formula (the library's gradient is wrong for one image in channels_last)."""
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    y = (x - mean) / (variance + EPS).sqrt()
    return y if gain is None or bias is None else y * gain[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("large", [0, 1 << 18])
@pytest.mark.parametrize(
    "size", [(9, 5, 7, 4), (2, 5, 7, 4), (1, 5, 7, 4), (9, 2, 32, 33), (2, 3, 32, 33), (1, 3, 32, 33), (2, 3, 1, 1)]
)
def test_instance_norm_equals_its_formula(
    size: tuple[int, int, int, int],
    affine: bool,
    layout: torch.memory_format,
    large: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many small maps, which are normalised side by side; few or large ones, which take turns; without gradients."""
    monkeypatch.setattr(blocks, "LARGE_INPUT", large)
    torch.manual_seed(0)
    x = torch.randn(size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    layer = ImageBatchNorm(size[1]).double()
    inputs = [x]
    if affine:
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.randn(size[1]))
        inputs += layer.parameters()
    fast = layer(x) if affine else instance_norm(x)
    plain = normalised(*inputs)
    weights = torch.randn_like(plain)
    assert fast.is_contiguous(memory_format=layout)
    found, expected = (torch.autograd.grad((y * weights).sum(), inputs) for y in (fast, plain))
    for own, formula in zip((fast, *found), (plain, *expected), strict=True):
        assert float((own - formula).detach().abs().max()) < LIMIT * max(1.0, float(formula.detach().abs().max()))
    with torch.no_grad():
        used = layer(x) if affine else instance_norm(x)
    assert float((used - plain.detach()).abs().max()) < LIMIT and used.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("large", [0, 1 << 18])
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("size", [(9, 8, 15, 15), (2, 8, 15, 15), (2, 8, 33, 33)])
def test_instance_norm_sums_up_in_full_precision(
    size: tuple[int, int, int, int], trained: bool, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under autocast only input and output are narrow: a mean far from 0 is taken off to their rounding."""
    monkeypatch.setattr(blocks, "LARGE_INPUT", large)
    torch.manual_seed(0)
    x = (10 + torch.randn(size)).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(trained):
        fast = instance_norm(x.requires_grad_()).detach()
    exact = normalised(x.detach().double())
    assert fast.dtype == torch.bfloat16
    assert float((fast - exact).abs().max()) <= 2**-8 * float(exact.abs().max())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("slope", [None, 0.0, 0.2])
@pytest.mark.parametrize(("stride", "amount"), [(1, 1), (2, 1), (1, 3), (1, 5), (1, 0)])
@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_a_convolution_that_activates_and_pads(
    stride: int,
    amount: int,
    slope: float | None,
    layout: torch.memory_format,
    capability: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is done again for the gradients equals what the library would have kept, on processors of either kind; a
    map of 5 x 6 pixels is too small to be reflected by 5."""
    monkeypatch.setattr(blocks, "cpu_capability", lambda: capability)
    conv = Conv(3, 4, 3, stride, amount).double()
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    fast = conv(x, slope)
    active = x if slope is None else F.leaky_relu(x, slope)
    padded = F.pad(active, (amount,) * 4, mode="replicate" if amount == 5 else "reflect") if amount else active
    plain = F.conv2d(padded, conv.weight, conv.bias, stride)
    weights = torch.randn_like(plain)
    inputs = [x, *conv.parameters()]
    found, expected = (torch.autograd.grad((y * weights).sum(), inputs) for y in (fast, plain))
    assert relative(fast, plain) < LIMIT
    assert max(relative(f, e) for f, e in zip(found, expected, strict=True)) < LIMIT
    with torch.no_grad():
        assert torch.equal(conv(x, slope), fast)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("amount", "mode"), [(1, "reflect"), (3, "reflect"), (4, "replicate")])
def test_padding_equals_the_library(amount: int, mode: str, layout: torch.memory_format) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    fast, plain = pad(x, amount), F.pad(x, (amount,) * 4, mode=mode)
    assert torch.equal(fast, plain)
    weights = torch.randn_like(plain)
    (found,) = torch.autograd.grad((fast * weights).sum(), x)
    (expected,) = torch.autograd.grad((plain * weights).sum(), x)
    assert torch.equal(found, expected)


def test_padding_keeps_no_copy_of_its_input() -> None:
    kept = []
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        pad(x, 1)
    assert not kept


@pytest.mark.parametrize("large", [0, 1 << 18])
def test_instance_norm_gradient_by_differences(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE_INPUT", large)
    x = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(instance_norm, (x,))
