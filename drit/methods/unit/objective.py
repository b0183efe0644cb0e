"""UNIT: unsupervised image-to-image translation networks (arXiv 1703.00848).

Read beside sections 3 and 4 of the paper. An image of either domain has one latent code z; E_a, E_b give the mean of
its posterior N(E(x), I), G_a, G_b the images. The last layer of the encoders and the first of the generators are
shared. One iteration: discriminators, then encoders and generators. One output for each input, from the mean.

What was chosen where the paper and the two programs of its authors differ:
- encoders and generators are layer for layer those of the first program with leaky ReLUs: 7 x 7, two halvings, 3
  residual blocks + 1 shared; 1 shared + 3, two transposed convolutions, 1 x 1; normalisation in residual blocks alone
  (its other networks normalise the halvings too). Discriminators of 3 x 3 halvings whose channels double from 64 to
  1024, logistic, as recalled from the paper's table; the program has one halving more for some data, three scales for
  other;
- other presets take the least squares and the scales of the second program, whose weights are the paper's / 10 (the
  same objective to Adam), at the sizes of the preset;
- 256-pixel crops as in the second program (the first: 216 for animals, 640 x 480 for streets), weight decay 1e-4 as in
  both;
- the KL divergence of N(m, I) from N(0, I) is |m|^2 / 2; as in both programs, the term is the mean of m^2 over the
  code, on the scale of the L1 terms, which are means over pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.base import DOMAINS, OTHER, Batch, ByDomain, Capabilities, Method, Prepared, Update
from drit.methods.noise import Noise
from drit.methods.unit.networks import LatentGenerator
from drit.networks.discriminators import MultiScaleDiscriminator, by_batch
from drit.networks.encoders import ContentEncoder
from drit.networks.layers import k_major
from drit.settings.common import Gan, LossSettings, NetworkSettings, OptimSettings, TrainSettings


class Outputs(NamedTuple):
    """What one batch becomes; every image is of the domain that names it."""

    mean: ByDomain  # of the posterior of each domain's images
    recon: ByDomain  # from the own image's code
    fake: ByDomain  # from the code of the other domain's image


class UNIT(Method):
    """Networks and objective of UNIT."""

    inference = ("encoder", "generator")

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int]
    ) -> None:
        super().__init__()
        self.network, self.loss, self.optim = network, loss, optim
        self.channels = channels
        self.stride = 1 << network.downsamplings
        self.min_side = max(16, self.stride)
        self.capabilities = Capabilities(multimodal=False, exemplar=False, directions=DOMAINS, style_dim=0)
        n, scaled = network, network.init == "scaled"
        self.encoder = ContentEncoder(channels, n.width, n.downsamplings, n.content_blocks, n.shared_blocks, norm=False)
        self.generator = LatentGenerator(
            channels, n.width << n.downsamplings, n.shared_blocks, n.generator_blocks, n.downsamplings, smooth=scaled
        )
        sizes = (n.discriminator_width, n.discriminator_layers, n.discriminator_scales, n.spectral_norm, scaled)
        self.discriminator = nn.ModuleDict(
            {d: MultiScaleDiscriminator(c, *sizes, kernel=3, widest=16) for d, c in channels.items()}
        )

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> UNIT:
        return cls(config.network, config.loss, config.optim, channels)

    def at_chance(self) -> dict[str, float]:
        guessed = self.network.discriminator_scales * losses.at_chance(self.loss.gan)
        return {f"discriminators/domain_adversarial_{d}": guessed for d in DOMAINS}

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.encoder(x, domain)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (self.generator(content, domain),)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        (images,) = prepared
        return k_major(images, len(style))

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        images = next(batches)
        same_noise = noise.copy() if frugal else noise
        with torch.set_grad_enabled(not frugal):
            out = self._forward(images, noise)
        if self.loss.domain_adversarial:
            yield discriminators_update(self, self.discriminator, images, out.fake, self.loss.gan)
        if frugal:
            del out  # before it is made again
            out = self._forward(images, same_noise)
        terms = self._terms(images, out, noise)
        weights = {term: self.loss.of(term) for term in terms}
        yield Update("generators", self.inference, terms, weights, self.optim.clip or None)

    def _forward(self, images: ByDomain, noise: Noise) -> Outputs:
        """Codes of both domains and all that both generators make of them; what is shared runs once on all codes."""
        mean, code = self._codes(images, noise)
        n = len(mean["a"])
        shared = self.checkpointed(self.generator.shared, torch.cat([code["a"], code["b"]]))
        made = {d: self.checkpointed(self.generator.own[d], shared).split(n) for d in DOMAINS}
        (recon_a, fake_a), (fake_b, recon_b) = made["a"], made["b"]
        return Outputs(mean, {"a": recon_a, "b": recon_b}, {"a": fake_a, "b": fake_b})

    def _codes(self, images: ByDomain, noise: Noise) -> tuple[ByDomain, ByDomain]:
        """Means and samples of the posteriors: z = E(x) + eps, eps of N(0, I)."""
        mean = self.checkpointed(self.encoder.both, images)
        deviation = self.network.content_noise
        code = {d: m + deviation * noise.normal(*m.shape, like=m).to(m.dtype) for d, m in mean.items()}
        return mean, code

    def _terms(self, images: ByDomain, out: Outputs, noise: Noise) -> ByDomain:
        """What encoders and generators minimise (equations 3 to 8), for both domains."""
        w, adversarial = self.loss, losses.gan(self.loss.gan)
        terms: ByDomain = {}
        for d in DOMAINS:
            if w.domain_adversarial:
                terms[f"domain_adversarial_{d}"] = adversarial(
                    self.frozen_forward(self.discriminator[d], out.fake[d]), 1.0
                )
            if w.self_reconstruction:  # a Laplacian likelihood: the mean absolute error
                terms[f"self_reconstruction_{d}"] = losses.reconstruction(out.recon[d], images[d])
            if w.kl:
                terms[f"kl_{d}"] = losses.mean_square(out.mean[d])
        if w.cross_cycle:
            mean, code = self._codes(out.fake, noise)  # the fake of one domain has the other's image's code
            shared = self.checkpointed(self.generator.shared, torch.cat([code["b"], code["a"]])).split(len(code["b"]))
            for d, h in zip(DOMAINS, shared, strict=True):
                cycle = self.checkpointed(self.generator.own[d], h)
                terms[f"cross_cycle_{d}"] = losses.reconstruction(cycle, images[d])
                if w.kl:
                    terms[f"kl_fake_{d}"] = losses.mean_square(mean[OTHER[d]])
        return terms


def discriminators_update(
    method: Method, discriminators: nn.ModuleDict, images: ByDomain, fakes: ByDomain, kind: Gan
) -> Update:
    """Adversarial loss as the discriminators of UNIT and MUNIT see it (UNIT, equations 5 and 6; MUNIT, equation 4):
    images to 1, translations, from which no gradient passes on, to 0."""
    terms = {}
    for d, x in images.items():
        maps = method.checkpointed(discriminators[d], torch.cat([x, fakes[d].detach()]))
        real, fake = by_batch(maps, [len(x), len(x)])
        terms[f"domain_adversarial_{d}"] = losses.discrimination(real, fake, kind)
    # alone in their step: a weight would only rescale the gradient
    return Update("discriminators", ("discriminator",), terms, dict.fromkeys(terms, 1.0))
