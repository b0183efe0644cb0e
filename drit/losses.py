"""Each loss of the papers: a pure function with equation, shapes, reduction and source.

All return scalars, unweighted. Images are in [-1, 1]; logits, codes, means and log variances have any real values.
E^c, E^a: content and attribute encoders; G: generators; D: discriminators (DRIT, arXiv 1808.00948, section 3; DRIT++,
1905.01270; MSGAN, 1903.05628). Inputs in half or bfloat16 are taken to float32 first; float64 stays. The shapes of two
inputs must agree: where they cannot be broadcast, torch raises RuntimeError or ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from drit import peers
from drit.runtime import full
from drit.settings.common import Gan


def adversarial(logits: Tensor | Sequence[Tensor], target: float) -> Tensor:
    """Binary cross-entropy of discriminator logits against one target, summed over scales (GAN, 1406.2661).

    L = sum_scales mean[ -t log D - (1 - t) log(1 - D) ],  D = sigmoid(logits)

    logits: one map (N, 1, h, w), or a sequence with one for each scale. target: in [0, 1], 1 real and 0 fake; the
    generators ask for 1. Returns a scalar, at least 0: a mean over each map.
    """
    maps = [logits] if isinstance(logits, Tensor) else list(logits)
    terms = []
    for m in maps:
        m = full(m)
        terms.append(F.binary_cross_entropy_with_logits(m, torch.full_like(m, target)))
    return torch.stack(terms).sum()


def least_squares(logits: Tensor | Sequence[Tensor], target: float) -> Tensor:
    """Mean square of discriminator logits less one target, summed over scales (LSGAN, 1611.04076, equation 9).

    L = sum_scales mean[ (D - t)^2 ], without the half of that equation, as CycleGAN and BicycleGAN write it.

    logits: one map (N, 1, h, w), or a sequence with one for each scale. target: 1 real, 0 fake; the generators ask for
    1. Returns a scalar, at least 0: a mean over each map.
    """
    maps = [logits] if isinstance(logits, Tensor) else list(logits)
    return torch.stack([(full(m) - target).square().mean() for m in maps]).sum()


def gan(kind: Gan) -> Callable[[Tensor | Sequence[Tensor], float], Tensor]:
    """The loss that the setting `loss.gan` names: `adversarial` or `least_squares`.

    It takes logits (N, 1, h, w), or a sequence of them, and a target.
    """
    return least_squares if kind == "least_squares" else adversarial


def discrimination(
    real: Tensor | Sequence[Tensor],
    fake: Tensor | Sequence[Tensor],
    kind: Gan = "logistic",
) -> Tensor:
    """Domain adversarial loss as a domain discriminator sees it: real to 1, fake to 0 (Goodfellow et al., 1406.2661).

    L = -E_x[log D(x)] - E[log(1 - D(G(E^c(y), z)))], summed over scales; each term a mean over its own logits.

    real, fake: one map of logits (N, 1, h, w), or a sequence with one for each scale; N of each its own. kind: this
    equation (logistic), or `least_squares` in place of the logarithms. Returns a scalar, at least 0.
    """
    return gan(kind)(real, 1.0) + gan(kind)(fake, 0.0)


def at_chance(kind: Gan = "logistic") -> float:
    """`discrimination` at one scale when D = 1/2 everywhere. The generators' loss is half of it.

    logistic: 2 log 2 = 1.386. least squares: 2 (1/2)^2 = 0.5.
    """
    return 0.5 if kind == "least_squares" else 2 * math.log(2)


def relativistic(winner: Tensor | Sequence[Tensor], loser: Tensor | Sequence[Tensor]) -> Tensor:
    """Relativistic paired loss: the logit of one image shall be above that of another, patch by patch.

    L = sum_scales mean[ softplus(-(D(w) - D(l))) ]   (Jolicoeur-Martineau, arXiv 1807.00734, section 4.1; R3GAN,
    2501.05441, equation 2). Discriminators take real images as winners, generators their own.

    winner, loser: one map of logits (N, 1, h, w), or a sequence with one for each scale; image n of one is compared
    with image n of the other. Returns a scalar, at least 0: a mean over each map; log 2 at each scale at chance.
    """
    above, below = ([x] if isinstance(x, Tensor) else list(x) for x in (winner, loser))
    return torch.stack([F.softplus(full(b) - full(a)).mean() for a, b in zip(above, below, strict=True)]).sum()


def gradient_penalty(at: Sequence[Tensor], beside: Sequence[Tensor], std: float) -> Tensor:
    """Zero-centred penalty of the slope of a discriminator at images x (R1, R2: Mescheder et al., arXiv 1801.04406).

    L = 1/2 sum_scales mean[ |grad D(x)|^2 ],  by finite differences with random directions e of N(0, I):
    |grad D(x)|^2 = E_e[ (D(x + s e) - D(x))^2 ] / s^2  for small s. (No gradient of a gradient is needed.)

    at, beside: logits (N, 1, h, w) of x and of x + s e, one for each scale; std: s, above 0. Returns a scalar, at least
    0: a mean over each map.
    """
    slopes = [(full(b) - full(a)).square().mean() for a, b in zip(at, beside, strict=True)]
    return torch.stack(slopes).sum() / (2 * std**2)


def lecam(real: Sequence[Tensor], fake: Sequence[Tensor], average_real: Tensor, average_fake: Tensor) -> Tensor:
    """LeCam regularisation: logits stay near the moving average of those of the other kind (arXiv 2104.03310, eq. 3).

    L = sum_scales mean[ (D(x) - a_fake)^2 ] + mean[ (D(G) - a_real)^2 ]

    real, fake: logits (N, 1, h, w), one for each scale; average_real, average_fake: (scales,), constants. Returns a
    scalar, at least 0: means over each map.
    """
    terms = [
        (full(x) - f).square().mean() + (full(g) - r).square().mean()
        for x, g, r, f in zip(real, fake, average_real, average_fake, strict=True)
    ]
    return torch.stack(terms).sum()


def content_discrimination(logits_a: Tensor, logits_b: Tensor) -> Tensor:
    """What the content discriminator minimises: tell the content codes of domain a (0) from those of b (1).

    L = -E_x[log(1 - D^c(E^c_a(x)))] - E_y[log D^c(E^c_b(y))]   (DRIT, section 3.1)

    logits_a, logits_b: (N, 1, h, w), N of each its own. Returns a scalar, at least 0: a sum of two means. It is near
    2 log 2 = 1.386 when the encoders hide the domain.
    """
    return adversarial(logits_a, 0.0) + adversarial(logits_b, 1.0)


def content_adversarial(logits: Tensor) -> Tensor:
    """Content adversarial loss of one domain: the encoder drives D^c to one half (DRIT, section 3.1).

    L = -E[1/2 log D^c(E^c(x)) + 1/2 log(1 - D^c(E^c(x)))]

    logits: (N, 1, h, w). Returns a scalar, at least log 2 = 0.693: a mean over all.
    """
    return adversarial(logits, 0.5)


def reconstruction(fake: Tensor, image: Tensor) -> Tensor:
    """Mean absolute difference of images: self-reconstruction and cross-cycle consistency (DRIT, section 3.2, 3.4).

    L_self = E||G_a(E^c_a(x), E^a_a(x)) - x||_1;   L_cc = E||G_a(E^c_b(v), E^a_a(u)) - x||_1,
    u = G_a(E^c_b(y), E^a_a(x)), v = G_b(E^c_a(x), E^a_b(y)).

    fake, image: (N, C, H, W) in [-1, 1]. Returns a scalar in [0, 2]: a mean over all.
    """
    return (full(fake) - full(image)).abs().mean()


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of the attribute posterior from N(0, I) (DRIT, section 3.4; Kingma and Welling, 1312.6114).

    L = -1/2 sum_s (1 + log s^2 - m^2 - s^2)

    mean, log_variance: (N, S). Returns a scalar, at least 0: a sum over S, a mean over N.
    """
    mean, log_variance = full(mean), full(log_variance)
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()


def mean_square(code: Tensor) -> Tensor:
    """Mean square of a code: keeps a deterministic attribute (feature-wise form) or a content code small.

    L = E[c^2], as in the official implementation of DRIT.

    code: any shape, (N, S) or (N, C, h, w). Returns a scalar, at least 0: a mean over all.
    """
    return full(code).square().mean()


def latent_regression(recovered: Tensor, sampled: Tensor) -> Tensor:
    """Mean absolute error between a sampled attribute and the one recovered from its image.

    L = E_z||E^a(G(E^c(x), z)) - z||_1   (DRIT, section 3.4)

    recovered, sampled: (N, S). Returns a scalar, at least 0: a mean over N and S.
    """
    return (full(recovered) - full(sampled)).abs().mean()


def content_regression(recovered: Tensor, code: Tensor) -> Tensor:
    """Mean absolute error between a content code and the one recovered from an image generated with it.

    L = E||E^c(G(E^c(x), z)) - E^c(x)||_1   (MUNIT, 1804.04732, equation 2)

    recovered, code: (N, C, h, w). Returns a scalar, at least 0: a mean over all. Both are differentiated.
    """
    return (full(recovered) - full(code)).abs().mean()


def mode_seeking(
    one: Tensor, other: Tensor, style_one: Tensor, style_other: Tensor, end: float | Tensor = math.inf
) -> Tensor:
    """Punishes styles that make no difference (MSGAN, 1903.05628, equation 3, as DRIT++ minimises it).

    L = 1 / (min(d(G(c, z1), G(c, z2)), end) / d(z1, z2) + 1e-5),  d: mean absolute difference over the whole batch,
    also where several processes share it.

    The published loss has no end: it asks for more from a domain that hardly varies as well. (DSGAN, Yang et al.,
    arXiv 1901.09024, equation 3, bounds its loss likewise.)

    one, other: (N, C, H, W) in [-1, 1], of the same content; style_one, style_other: (N, S), their styles; end: the
    difference of images from which on the loss has no gradient: of their mean, or (N,) of each image, since images of
    several domains end differently. Returns a scalar above 0; 1e5 for equal images.
    """
    images, styles = (full(one) - full(other)).abs(), (full(style_one) - full(style_other)).abs().mean()
    if isinstance(end, Tensor):
        images, end = images.mean((1, 2, 3)).minimum(end), math.inf
    images, styles = peers.mean(torch.stack([images.mean(), styles])).unbind()
    return 1 / (images.clamp(max=end) / styles + 1e-5)


def classification(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the right domain (DRIT++, 1905.01270, multi-domain translation).

    For domain classification, and what a content discriminator of several domains minimises.

    L = -E[log P(d | x)]

    logits: (N, K) or (N, K, h, w); target: (N,), or (N, h, w) with a class for each pixel: whole numbers 0 .. K - 1,
    and for pixels -100 where there is none, which count as 0. Returns a scalar, at least 0: a mean over N and pixels.
    Raises IndexError for a target outside its range.
    """
    if target.dim() == 1:
        target = target.view(-1, *[1] * (logits.dim() - 2)).expand(-1, *logits.shape[2:])
    # As a list of pixels: for maps a GPU has no deterministic algorithm. Over all of them, so that parts of a batch
    # with few known ones weigh as they do in the whole.
    pixels = full(logits).movedim(1, -1).reshape(-1, logits.shape[1])
    return F.cross_entropy(pixels, target.reshape(-1), reduction="sum") / target.numel()


def confusion(logits: Tensor) -> Tensor:
    """Content adversarial loss of several domains: the encoder drives D^c to the same probability for each.

    L = -E[1/K sum_k log P(k | E^c(x))]   (DRIT++, 1905.01270, multi-domain translation)

    For two domains it is `content_adversarial` of the difference of their logits.

    logits: (N, K) or (N, K, h, w). Returns a scalar, at least log K: a mean over N and pixels.
    """
    return -F.log_softmax(full(logits), dim=1).mean()


def category_information(logits: Tensor, category: Tensor) -> Tensor:
    """Cross-entropy of a categorical code under Q: the entropy H(c) less the bound L_I on mutual information.

    L = -E[log Q(c|x)] = H(c) - L_I,   I(c; G(z, c)) >= L_I(G, Q) = E[log Q(c|x)] + H(c)
    (InfoGAN, 1606.03657, equation 5)

    logits: (N, K); category: (N,), whole numbers 0 .. K - 1. Returns a scalar, at least 0: a mean over N. It is log K
    for equal logits, 0 for a certain and correct Q. Raises IndexError for a category outside its range.
    """
    return F.cross_entropy(full(logits), category)


def continuous_information(mean: Tensor, code: Tensor) -> Tensor:
    """The same of continuous codes, Q a Gaussian of std 1 around each mean (InfoGAN, 1606.03657, section 6).

    L = -E[log Q(c|x)] = E[ sum_c 1/2 (c - m)^2 + 1/2 log 2 pi ]

    mean, code: (N, C). Returns a scalar, at least C/2 log 2 pi: a sum over C, a mean over N.
    """
    square = (full(code) - full(mean)).square()
    return 0.5 * (square + math.log(2 * math.pi)).sum(dim=1).mean()
