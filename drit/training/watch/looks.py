"""Looks: what training makes of a few fixed images, told in numbers.

At every look the same images and the same random styles go through the model, without gradients. Nothing of training is
touched: no global random state is drawn from, layers are in their evaluation mode for the look and back in their own
after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from drit.methods.base import Method, Prepared
from drit.methods.noise import Noise
from drit.probes.linear import pooled, probe_accuracy
from drit.probes.style import visible_features, visible_style
from drit.runtime import full

PROBED = 32  # images of each domain whose content codes the probe reads
RENDERED = 4  # of which so many are translated
STYLES = 4  # random styles of each, the same at every look
SEEN, SEEN_STYLES = 2, 32  # images and styles of each that visible style is read from
BALANCE = "watch/balance_"
MIN_PROBED = 8  # images of each domain, below which a held-out half says nothing


@torch.no_grad()
def measure(method: Method, images: Mapping[str, Tensor], seed: int, part: int = 8) -> dict[str, float]:
    """What the method makes of images (N, C, H, W) of each domain, by the names of the metrics.

    part: images encoded at once.

    For each target d: `watch/diversity_d`, difference of two random styles of one input, of 255;
    `watch/diversity_share_d`, the same relative to that of two real images of d; `watch/style_share_d`, share of the
    outputs' variance that styles make; `watch/style_error_d`, mean |E(G(c, z)) - z| relative to that of always
    answering 0; `watch/visible_style_d`, R^2 of styles read from outputs without details below 4 pixels
    (`drit.probes.style`). And `watch/content_probe`, share of held-out images whose domain a linear probe reads in
    their content codes, with the noise of training, as the generators see them.
    A method without styles has none of these; one that takes no style from an image has no style error and no probe,
    nor has the probe one that has no content code for all domains.
    """
    numbers: dict[str, float] = {}
    able = method.capabilities
    generator = torch.Generator().manual_seed(seed)
    with _undisturbed(method, seed):
        for target in able.directions if able.style_dim else ():
            source = next((d for d in images if d != target), target)
            x = images[source][:RENDERED]
            styles = method.sample_style(STYLES, target, generator).to(x.device)
            prepared = method.prepare(method.content(x, source), target)
            fakes = [method.render(prepared, z.expand(len(x), -1), target) for z in styles]
            outputs = torch.stack([full(m).clamp(-1, 1) for m in fakes])  # (K, N, C, H, W)
            between = 127.5 * _difference(outputs)
            real = 127.5 * _difference(full(images[target]))
            numbers[f"watch/diversity_{target}"] = between
            numbers[f"watch/diversity_share_{target}"] = between / max(real, 1e-6)
            numbers[f"watch/style_share_{target}"] = style_share(outputs)
            numbers[f"watch/visible_style_{target}"] = _visible(method, prepared, len(x), target, seed)
            if able.exemplar:
                again = torch.stack([full(method.style(m, target)) for m in fakes])  # (K, N, S)
                error = (again - styles[:, None]).abs().mean() / styles.abs().mean()
                numbers[f"watch/style_error_{target}"] = float(error)
        count = min(len(x) for x in images.values())
        if method.reconstructs and set(able.directions) >= set(images) and count >= MIN_PROBED:
            noise = Noise(seed, 0)
            codes = [_noisy_codes(method, x[:count], d, noise, part) for d, x in images.items()]
            numbers["watch/content_probe"] = probe_accuracy(codes)
    return numbers


def _visible(method: Method, prepared: Prepared, count: int, target: str, seed: int) -> float:
    """Visible style of outputs of `target` for the first of `count` prepared images (N, ...), each in own styles."""
    some = tuple(p[:SEEN] for p in prepared)
    n = min(SEEN, count)
    styles = method.sample_style(n * SEEN_STYLES, target, torch.Generator().manual_seed(seed + 1)).to(some[0].device)
    seen = [visible_features(method.render(some, z, target)) for z in styles.split(n)]
    return float(visible_style(torch.stack(seen, dim=1), torch.stack(styles.split(n), dim=1)).mean())


def _noisy_codes(method: Method, x: Tensor, domain: str, noise: Noise, part: int) -> Tensor:
    """What the probe reads of images x (N, C, H, W): content codes with noise, pooled, (N, 2F)."""
    codes = []
    for some in x.split(part):
        code = full(method.content(some, domain))
        codes.append(pooled(code + method.content_noise * noise.normal(*code.shape, like=code)))
    return torch.cat(codes)


def balance(losses: Mapping[str, float], chance: Mapping[str, float]) -> dict[str, float]:
    """Discriminators' losses relative to those of guessing: `watch/balance_TERM`, 1 guessing, towards 0 they win."""
    return {
        f"{BALANCE}{name.partition('/')[2]}": losses[name] / guess for name, guess in chance.items() if name in losses
    }


@contextmanager
def _undisturbed(method: Method, seed: int) -> Iterator[None]:
    """Evaluation mode (no running statistics moved); every layer, and the random state, as before afterwards."""
    modes = [(module, module.training) for module in method.modules()]
    devices = {p.device for p in method.parameters() if p.device.type == "cuda"}
    method.eval()
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)  # for layers that draw by themselves
            yield
    finally:
        for module, training in modes:
            module.training = training


def _difference(x: Tensor) -> float:
    """Mean absolute difference between two of the K entries of x (K, ...), over all pairs and numbers."""
    k = len(x)
    pairs = [(x[i] - x[:i]).abs().mean() * i for i in range(1, k)]
    return float(torch.stack(pairs).sum()) / (k * (k - 1) / 2) if pairs else 0.0


def style_share(outputs: Tensor) -> float:
    """Share of the variance of outputs (K, N, C, H, W), K styles of N inputs, that styles make.

    1 - variance between inputs / variance of all.

    Variances are sums over pixels of squared differences: of an input's mean over its styles from the mean of all, and
    of each output from the mean of all. 0: styles change nothing. 1: inputs change nothing.
    """
    mean = outputs.mean((0, 1))
    total = (outputs - mean).square().mean()
    between = (outputs.mean(0) - mean).square().mean()
    return float(1 - between / total) if total > 0 else 0.0
