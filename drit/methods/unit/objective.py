"""UNIT: unsupervised image-to-image translation networks (arXiv 1703.00848).

Read beside sections 3 and 4 of the paper. An image of either domain has one latent code z; E_a, E_b give the mean of
its posterior N(E(x), I), G_a, G_b the images. The last layer of the encoders and the first of the generators are
shared. One iteration: discriminators, then encoders and generators. One output for each input, from the mean.

What was chosen where the paper and the two programs of its authors differ:
- encoders and generators are layer for layer those of the first program with leaky ReLUs: 7 x 7, two downsamplings, 3
  residual blocks + 1 shared; 1 shared + 3, two transposed convolutions, 1 x 1; normalisation in residual blocks alone
  (its other networks normalise the downsamplings too). Discriminators have 3 x 3 downsamplings whose channels double
  from 64 to 1024, logistic, as recalled from the paper's table; the program has one downsampling more for some data,
  three scales for other;
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
from drit.methods.advice import Finding, general_advice, smaller_discriminator
from drit.methods.base import DOMAINS, OTHER, Batch, ByDomain, Capabilities, Method, Prepared, Terms, Update
from drit.methods.noise import Noise
from drit.methods.steps import discriminators_update
from drit.methods.unit.networks import LatentGenerator
from drit.methods.unit.settings import UNITSettings
from drit.networks.discriminators import MultiScaleDiscriminator
from drit.networks.encoders import ContentEncoder
from drit.networks.layers import k_major
from drit.settings.common import TrainSettings


class Outputs(NamedTuple):
    """What one batch becomes; every image (N, C, H, W) is of the domain that names it."""

    mean: ByDomain  # of the posterior of each domain's images: (N, F, h, w)
    recon: ByDomain  # from the own image's code
    fake: ByDomain  # from the code of the other domain's image


class UNIT(Method):
    """Networks and objective of UNIT."""

    Settings = UNITSettings
    inference = ("encoder", "generator")
    settings: UNITSettings

    def __init__(self, settings: UNITSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        n, scaled = settings.network, settings.network.init == "scaled"
        self.stride = 1 << n.downsamplings
        self.min_side = max(16, self.stride)
        self.encoder = ContentEncoder(channels, n.width, n.downsamplings, n.content_blocks, n.shared_blocks, norm=False)
        self.generator = LatentGenerator(
            channels, n.width << n.downsamplings, n.shared_blocks, n.generator_blocks, n.downsamplings, smooth=scaled
        )
        shape = (n.discriminator_width, n.discriminator_layers, n.discriminator_scales, n.spectral_norm, scaled)
        self.discriminator = nn.ModuleDict(
            {d: MultiScaleDiscriminator(c, *shape, kernel=3, widest=16) for d, c in channels.items()}
        )

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        return Capabilities(multimodal=False, exemplar=False, directions=DOMAINS, style_dim=0)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        w, x = self.settings.loss, next(batches)
        out: Outputs = self.shared_forward(self._forward, x, noise)
        if w.domain_adversarial:
            yield discriminators_update(self, self.discriminator, x, out.fake, w.gan)
        yield self._generators_update(x, out, noise)

    def _forward(self, x: ByDomain, noise: Noise) -> Outputs:
        """Codes of both domains and all that both generators make of them; what is shared runs once on all codes."""
        mean, code = self._codes(x, noise)
        n = len(mean["a"])
        shared = self.checkpointed(self.generator.shared, torch.cat([code["a"], code["b"]]))
        images = {d: self.checkpointed(self.generator.own[d], shared).split(n) for d in DOMAINS}
        (recon_a, fake_a), (fake_b, recon_b) = images["a"], images["b"]
        return Outputs(mean, {"a": recon_a, "b": recon_b}, {"a": fake_a, "b": fake_b})

    def _codes(self, x: ByDomain, noise: Noise) -> tuple[ByDomain, ByDomain]:
        """Means and samples of the posteriors: z = E(x) + eps, eps of N(0, I), (N, F, h, w) each."""
        mean: ByDomain = self.checkpointed(self.encoder.both, x)
        std = self.settings.network.content_noise
        code = {d: m + std * noise.normal(*m.shape, like=m).to(m.dtype) for d, m in mean.items()}
        return mean, code

    def _generators_update(self, x: ByDomain, out: Outputs, noise: Noise) -> Update:
        """What encoders and generators minimise (equations 3 to 8), for both domains."""
        w, adversarial, terms = self.settings.loss, losses.gan(self.settings.loss.gan), Terms()
        for d in DOMAINS:
            if w.domain_adversarial:
                loss = adversarial(self.frozen_forward(self.discriminator[d], out.fake[d]), 1.0)
                terms.add(f"domain_adversarial_{d}", w.domain_adversarial, loss)
            if w.self_reconstruction:  # a Laplacian likelihood: the mean absolute error
                loss = losses.reconstruction(out.recon[d], x[d])
                terms.add(f"self_reconstruction_{d}", w.self_reconstruction, loss)
            if w.kl:
                terms.add(f"kl_{d}", w.kl, losses.mean_square(out.mean[d]))
        if w.cross_cycle:
            mean, code = self._codes(out.fake, noise)  # the fake of one domain has the other's image's code
            shared = self.checkpointed(self.generator.shared, torch.cat([code["b"], code["a"]])).split(len(code["b"]))
            for d, h in zip(DOMAINS, shared, strict=True):
                cycle = self.checkpointed(self.generator.own[d], h)
                terms.add(f"cross_cycle_{d}", w.cross_cycle, losses.reconstruction(cycle, x[d]))
                if w.kl:
                    terms.add(f"kl_fake_{d}", w.kl, losses.mean_square(mean[OTHER[d]]))
        return terms.update("generators", self.inference, self.settings.optim.clip)

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.encoder(x, domain)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (self.generator(content, domain),)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        (images,) = prepared
        return k_major(images, len(style))

    # What training asks

    @property
    def content_noise(self) -> float:
        return self.settings.network.content_noise

    def at_chance(self) -> dict[str, float]:
        chance = self.settings.network.discriminator_scales * losses.at_chance(self.settings.loss.gan)
        return {f"discriminators/domain_adversarial_{d}": chance for d in DOMAINS}

    def advice(self, finding: Finding) -> str | None:
        if finding.cause == "discriminators_win":
            return smaller_discriminator(self.settings.optim, "--network.spectral-norm")
        return general_advice(self.settings.optim, finding)
