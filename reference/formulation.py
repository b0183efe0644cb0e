"""DRIT's objective as the paper writes it: the reference of exactness tests and the baseline of benchmarks.

It uses the weights of a `drit.methods.drit.objective.DRIT`, and none of its shortcuts. Code planes are built and
concatenated, and every decode runs the whole generator. Real and fake images go through the discriminators apart. The
normalisation is torch's own. The module is part of tests and benchmarks, and not installed. Precision and memory format
are the caller's choice.

Images are (N, C, H, W) in [-1, 1]; content codes (N, C, h, w) and styles (N, S) have any real values. Equations are
those of DRIT (arXiv 1808.00948, section 3).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit import losses
from drit.methods.base import DOMAINS, OTHER, Batch
from drit.methods.drit.objective import DRIT
from drit.methods.noise import Noise
from drit.networks.decoder_layers import SmoothBlock
from drit.networks.fast import EPS
from drit.networks.layers import ResidualBlock


def planes(code: Tensor, x: Tensor) -> Tensor:
    """Concatenate each number of a code to maps as a constant plane.

    code: (N, S), x: (N, C, H, W). Returns (N, C + S, H, W).
    """
    return torch.cat([x, code[:, :, None, None].expand(*code.shape, *x.shape[-2:])], dim=1)


def residual(block: ResidualBlock, x: Tensor) -> Tensor:
    """x + IN(conv(ReLU(IN(conv(x))))). x: (N, C, H, W). Returns the same shape."""
    h = F.relu(F.instance_norm(_conv(block.conv1, x), eps=EPS))
    return x + F.instance_norm(_conv(block.conv2, h), eps=EPS)


def _conv(layer: Any, x: Tensor) -> Tensor:
    if layer.amount:
        x = F.pad(x, (layer.amount,) * 4, mode="reflect")
    return F.conv2d(x, layer.weight, layer.bias, layer.stride)


def _conv_1x1(layer: Any, x: Tensor) -> Tensor:
    return F.conv_transpose2d(x, layer.weight, layer.bias)


def _up(layer: Any, x: Tensor) -> Tensor:
    gain, bias = layer.norm.weight[:, None, None], layer.norm.bias[:, None, None]
    return F.relu(_upsampled(layer, x) * gain + bias)


def _upsampled(layer: Any, x: Tensor) -> Tensor:
    """A transposed convolution, or enlargement, a convolution and perhaps the binomial filter; then layer normalisation
    without gain and bias."""
    if isinstance(layer.conv, nn.ConvTranspose2d):
        x = layer.conv(x)
    else:
        x = _conv(layer.conv, x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    return F.layer_norm(_filtered(x) if isinstance(layer, SmoothBlock) else x, x.shape[1:], eps=EPS)


def _filtered(x: Tensor) -> Tensor:
    """The binomial filter of 3 x 3: means of 2 x 2, twice."""
    return F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 2, stride=1), 2, stride=1)


def content(model: DRIT, x: Tensor, domain: str) -> Tensor:
    """Content code E^c(x) of images of `domain` (section 3.1).

    x: (N, C, H, W). Returns (N, 256, H / 4, W / 4) at the published sizes. H and W are multiples of 4.
    """
    trunk: Any = model.content_encoder.own[domain]
    h = F.leaky_relu(_conv(trunk.first, x), 0.01)
    for layer in trunk.down:
        h = F.relu(F.instance_norm(_conv(layer, h), eps=EPS))
    for block in [*trunk.blocks, *model.content_encoder.shared]:
        if isinstance(block, ResidualBlock):
            h = residual(block, h)
    return _filtered(h) if model.settings.network.content_filter else h


def generate(model: DRIT, code: Tensor, style: Tensor, domain: str) -> Tensor:
    """Images G(c, z) of `domain`: the whole generator for each pair of a content code and a style.

    code: (N, C, h, w), style: (N, S). Returns (N, channels, H, W) in [-1, 1].
    """
    own: Any = model.generator.own[domain]
    if model.settings.network.generator == "concat":
        h = code
        for block in model.generator.shared:
            h = residual(block, h)
        h = planes(style, h)
        for block in own.blocks:
            h = residual(block, h)
        for up in own.up:
            h = _up(up, planes(style, h))
        return torch.tanh(_conv_1x1(own.last, planes(style, h)))
    if model.settings.network.generator == "film":
        h = code
        for block in [*model.generator.shared, *own.blocks]:
            h = residual(block, h)
        numbers = own.codes(style)[:, :, None, None]  # gains of the first layer, its shifts, gains of the second, ...
        for up in own.up:
            h = _upsampled(up, h)
            gain, shift, numbers = numbers.tensor_split([h.shape[1], 2 * h.shape[1]], dim=1)
            h = F.relu((1 + gain) * h + shift)
        return torch.tanh(_conv_1x1(own.last, h))
    h = code
    blocks = [*model.generator.shared, *own.blocks]
    for block, part in zip(blocks, own.codes(style).split(code.shape[1], dim=1), strict=True):
        o = h
        for conv, mix in ((block.conv1, block.mix1), (block.conv2, block.mix2)):
            o = planes(part, F.instance_norm(_conv(conv, o), eps=EPS))
            o = F.relu(mix[1](F.relu(mix[0](o))))
        h = o + h
    for up in own.up:
        h = _up(up, h)
    return torch.tanh(_conv_1x1(own.last, h))


def sample_style(model: DRIT, x: Tensor, domain: str, noise: Noise) -> tuple[Tensor, Tensor, Tensor | None]:
    """A style from the posterior E^a(x), with its mean and log variance (section 3.4).

    x: (N, C, H, W), of `domain`. Returns three of (N, S); the log variance is None in the feature-wise form, where the
    style is the mean.
    """
    mean, log_variance = model.attribute_encoder[domain](x)
    if log_variance is None:
        return mean, mean, None
    return mean + noise.normal(*mean.shape, like=mean) * (0.5 * log_variance).exp(), mean, log_variance


def discriminator_totals(model: DRIT, batch: Batch, noise: Noise) -> Tensor:
    """The total that the domain discriminators minimise: real to 1, each generated image to 0 (section 3.1).

    batch: for each domain (N, C, H, W). Returns a scalar. Images are generated one domain and one style at a time.
    """
    x = batch
    with torch.no_grad():
        codes = {d: _noisy(model, content(model, x[d], d), noise) for d in DOMAINS}
        style = {d: sample_style(model, x[d], d, noise)[0] for d in DOMAINS}
        count = 2 if model.settings.loss.mode_seeking else 1
        z = [noise.normal(*style["a"].shape, like=style["a"]) for _ in range(count)]
    terms = []
    for d in DOMAINS:
        with torch.no_grad():
            fake = generate(model, codes[OTHER[d]], style[d], d)
            randoms = [generate(model, codes[OTHER[d]], code, d) for code in z]
        judge, random_judge = model.discriminator[d], model.random_discriminator[d]
        terms.append(losses.discrimination(judge(x[d]), judge(fake)))
        terms += [losses.discrimination(random_judge(x[d]), random_judge(r)) for r in randoms]
    return torch.stack(terms).sum()


def generator_total(model: DRIT, batch: Batch, noise: Noise) -> Tensor:
    """The total that encoders and generators minimise: all terms with their weights, in one step (section 3.4).

    batch: for each domain (N, C, H, W). Returns a scalar. Every decode is computed on its own.
    """
    w = model.settings.loss
    x = batch
    codes = {d: _noisy(model, content(model, x[d], d), noise) for d in DOMAINS}
    posterior = {d: sample_style(model, x[d], d, noise) for d in DOMAINS}
    style = {d: p[0] for d, p in posterior.items()}
    z = [noise.normal(*style["a"].shape, like=style["a"]) for _ in range(2 if w.mode_seeking else 1)]
    fake = {d: generate(model, codes[OTHER[d]], style[d], d) for d in DOMAINS}
    recon = {d: generate(model, codes[d], style[d], d) for d in DOMAINS}
    randoms = {d: [generate(model, codes[OTHER[d]], code, d) for code in z] for d in DOMAINS}
    again = {d: _noisy(model, content(model, fake[d], d), noise) for d in DOMAINS}
    fake_style = {d: sample_style(model, fake[d], d, noise)[0] for d in DOMAINS}
    total = torch.zeros((), dtype=x["a"].dtype)
    for d in DOMAINS:
        cycle = generate(model, again[OTHER[d]], fake_style[d], d)
        _, mean, log_variance = posterior[d]
        total = total + (
            w.domain_adversarial * losses.adversarial(model.discriminator[d](fake[d]), 1.0)
            + w.content_adversarial * losses.content_adversarial(model.content_discriminator(codes[d]))
            + w.self_reconstruction * losses.reconstruction(recon[d], x[d])
            + w.cross_cycle * losses.reconstruction(cycle, x[d])
            + w.kl * (losses.mean_square(mean) if log_variance is None else losses.kl_to_normal(mean, log_variance))
            + w.content_norm * losses.mean_square(codes[d])
            + w.latent_regression * losses.latent_regression(model.style(randoms[d][0], d), z[0])
        )
        for r in randoms[d]:
            total = total + w.domain_adversarial * losses.adversarial(model.random_discriminator[d](r), 1.0)
        if w.mode_seeking:
            total = total + w.mode_seeking * losses.mode_seeking(randoms[d][0], randoms[d][1], z[0], z[1])
    return total


def official_iteration(
    model: DRIT, batches: list[Batch], noise: Noise, optimizers: dict[str, torch.optim.Optimizer]
) -> None:
    """One iteration in the official implementation's order, with the work that it does twice or in vain.

    batches: three, for each domain (2 N, C, H, W). The first two are for the content discriminator alone. Of the third,
    one half is encoded; the other half serves as real images beside the random outputs. optimizers: one for each of the
    model's networks. Weights and optimizer states are changed in place.

    Discriminators gather gradients in the generators' backward passes, which walk one graph twice. In the official
    implementation the second pass uses activations from before the first one's step, which today's PyTorch refuses.
    Here both passes are done before the steps; the work is the same.
    """
    w = model.settings.loss

    def step(*names: str) -> None:
        for name in names:
            optimizers[name].step()

    def clear(*names: str) -> None:
        for name in names:
            optimizers[name].zero_grad()

    def content_discriminator(codes: dict[str, Tensor]) -> None:
        clear("content_discriminator")
        logits = [model.content_discriminator(codes[d].detach()) for d in DOMAINS]
        losses.content_discrimination(*logits).backward()
        nn.utils.clip_grad_norm_(
            model.content_discriminator.parameters(), model.settings.optim.content_discriminator_clip
        )
        step("content_discriminator")

    for batch in batches[:-1]:
        half = len(batch["a"]) // 2
        x = {d: p[:half] for d, p in batch.items()}
        content_discriminator({d: _noisy(model, content(model, x[d], d), noise) for d in DOMAINS})

    half = len(batches[-1]["a"]) // 2
    x = {d: p[:half] for d, p in batches[-1].items()}
    real = {d: p[half:] for d, p in batches[-1].items()}
    codes = {d: _noisy(model, content(model, x[d], d), noise) for d in DOMAINS}
    posterior = {d: sample_style(model, x[d], d, noise) for d in DOMAINS}
    z = [noise.normal(*posterior["a"][0].shape, like=codes["a"]) for _ in range(2 if w.mode_seeking else 1)]
    fake, recon, randoms = {}, {}, {}
    for d in DOMAINS:
        contents = [codes[OTHER[d]], codes[d], *[codes[OTHER[d]]] * len(z)]
        style = posterior[d][0]
        outputs = generate(model, torch.cat(contents), torch.cat([style, style, *z]), d)
        fake[d], recon[d], *randoms[d] = outputs.split(half)
    again = {d: _noisy(model, content(model, fake[d], d), noise) for d in DOMAINS}
    fake_style = {d: sample_style(model, fake[d], d, noise)[0] for d in DOMAINS}
    cycle = {d: generate(model, again[OTHER[d]], fake_style[d], d) for d in DOMAINS}
    recovered = {d: model.style(randoms[d][0], d) for d in DOMAINS}

    clear("discriminator", "random_discriminator")
    for d in DOMAINS:
        judge, random_judge = model.discriminator[d], model.random_discriminator[d]
        losses.discrimination(judge(x[d]), judge(fake[d].detach())).backward()
        for r in randoms[d]:
            losses.discrimination(random_judge(real[d]), random_judge(r.detach())).backward()
    step("discriminator", "random_discriminator")
    content_discriminator(codes)

    clear(*model.inference)
    first, second = [], []
    for d in DOMAINS:
        _, mean, log_variance = posterior[d]
        first += [
            w.domain_adversarial * losses.adversarial(model.discriminator[d](fake[d]), 1.0),
            w.content_adversarial * losses.content_adversarial(model.content_discriminator(codes[d])),
            w.self_reconstruction * losses.reconstruction(recon[d], x[d]),
            w.cross_cycle * losses.reconstruction(cycle[d], x[d]),
            w.kl * (losses.mean_square(mean) if log_variance is None else losses.kl_to_normal(mean, log_variance)),
            w.content_norm * losses.mean_square(codes[d]),
        ]
        second.append(w.latent_regression * losses.latent_regression(recovered[d], z[0]))
        second += [w.domain_adversarial * losses.adversarial(model.random_discriminator[d](r), 1.0) for r in randoms[d]]
        if w.mode_seeking:
            second.append(w.mode_seeking * losses.mode_seeking(*randoms[d], *z))
    torch.stack(first).sum().backward(retain_graph=True)
    torch.stack(second).sum().backward()
    step(*model.inference)


def _noisy(model: DRIT, code: Tensor, noise: Noise) -> Tensor:
    """code: (N, C, h, w), plus Gaussian noise of std `network.content_noise`."""
    std = model.settings.network.content_noise
    return code + std * noise.normal(*code.shape, like=code) if std else code


def step(model: DRIT, batch: Batch, noise: Noise, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """One training iteration with one update of the content discriminator; gradients go to every network.

    batch: for each domain (N, C, H, W). optimizers: one for each of the model's networks. Weights and optimizer states
    are changed in place.
    """

    def take(total: Tensor, names: tuple[str, ...], clip: float = 0.0) -> None:
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        total.backward()
        for name in names:
            if clip:
                nn.utils.clip_grad_norm_(getattr(model, name).parameters(), clip)
            optimizers[name].step()

    take(discriminator_totals(model, batch, noise), ("discriminator", "random_discriminator"))
    x = batch
    with torch.no_grad():
        codes = {d: _noisy(model, content(model, x[d], d), noise) for d in DOMAINS}
    logits = [model.content_discriminator(codes[d]) for d in DOMAINS]
    clip = model.settings.optim.content_discriminator_clip
    take(losses.content_discrimination(logits[0], logits[1]), ("content_discriminator",), clip)
    take(generator_total(model, batch, noise), model.inference)
