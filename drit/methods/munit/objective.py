"""MUNIT: multimodal unsupervised image-to-image translation (arXiv 1804.04732).

Read beside sections 3 to 5 of the paper. Each domain has a content encoder, a style encoder and a decoder that styles
enter through adaptive instance normalisation; nothing is shared between domains. A translation is the content of an
image with a random style of the other domain, or with that of an exemplar. One iteration: discriminators, then
encoders and decoders.

The perceptual loss that the paper adds above 512 pixels needs a trained VGG network and is left out. `loss.cross_cycle`
is the paper's style-augmented cycle consistency, 0 as there; the program's settings for summer and winter and for
streets have 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.advice import Finding, doubled, general_advice, smaller_discriminator
from drit.methods.base import DOMAINS, OTHER, Batch, ByDomain, Capabilities, Method, Prepared, Terms, Update
from drit.methods.munit.networks import AdaINDecoder, NormalisedEncoder, kaiming
from drit.methods.munit.settings import MUNITSettings
from drit.methods.noise import Noise
from drit.methods.steps import discriminators_update
from drit.networks.discriminators import MultiScaleDiscriminator
from drit.networks.encoders import DeterministicAttributeEncoder
from drit.networks.init import zero_biases
from drit.networks.layers import LayerNorm
from drit.runtime import full
from drit.settings.common import TrainSettings

SLOPE = 0.2  # of the discriminators' leaky ReLUs


class Outputs(NamedTuple):
    """What one batch becomes; every image is of the domain that names it."""

    content: ByDomain  # c_d of each domain's images: (N, F, h, w)
    style: ByDomain  # s_d of each domain's images: (N, S)
    random: ByDomain  # random styles of each domain: (N, S)
    recon: ByDomain  # G_d(c_d, s_d): (N, C, H, W)
    fake: ByDomain  # G_a(c_b, s), G_b(c_a, s): content of the other domain, random style


class MUNIT(Method):
    """Networks and objective of MUNIT. `content_blocks` and `shared_blocks` add up, as do `generator_blocks` and these:
    there are as many residual blocks as DRIT has, none of them shared."""

    Settings = MUNITSettings
    inference = ("content_encoder", "attribute_encoder", "generator")
    settings: MUNITSettings

    def __init__(self, settings: MUNITSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        n = settings.network
        self.stride = 1 << n.downsamplings
        self.min_side = max(16, self.stride)
        features, blocks = n.width << n.downsamplings, n.generator_blocks + n.shared_blocks
        self.content_encoder = nn.ModuleDict(
            {
                d: NormalisedEncoder(c, n.width, n.downsamplings, n.content_blocks + n.shared_blocks)
                for d, c in channels.items()
            }
        )
        self.attribute_encoder = nn.ModuleDict(
            {
                d: DeterministicAttributeEncoder(c, n.style_dim, n.attribute_width, n.attribute_blocks)
                for d, c in channels.items()
            }
        )
        self.generator = nn.ModuleDict(
            {d: AdaINDecoder(c, features, n.style_dim, blocks, n.downsamplings) for d, c in channels.items()}
        )
        for name in self.inference:
            kaiming(getattr(self, name))
        shape = (n.discriminator_width, n.discriminator_layers, n.discriminator_scales, n.spectral_norm)
        self.discriminator = nn.ModuleDict(
            {d: MultiScaleDiscriminator(c, *shape, n.init == "scaled", slope=SLOPE) for d, c in channels.items()}
        )
        if n.init == "published":
            zero_biases(self.discriminator)
            for layer in self.generator.modules():
                if isinstance(layer, LayerNorm):
                    nn.init.uniform_(layer.weight)

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        assert isinstance(settings, MUNITSettings)
        return Capabilities(multimodal=True, exemplar=True, directions=DOMAINS, style_dim=settings.network.style_dim)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        w, x = self.settings.loss, next(batches)
        out: Outputs = self.shared_forward(self._forward, x, noise)
        if w.domain_adversarial:
            yield discriminators_update(self, self.discriminator, x, out.fake, w.gan)
        yield self._generators_update(x, out)

    def _forward(self, x: ByDomain, noise: Noise) -> Outputs:
        """Codes of both domains, random styles, and what the decoders make of them, one pass through each."""
        content = {d: self.checkpointed(self.content, images, d) for d, images in x.items()}
        style = {d: full(self.checkpointed(self.style, images, d)) for d, images in x.items()}
        random = {d: noise.normal(*s.shape, like=s) for d, s in style.items()}
        recon, fake = {}, {}
        for d in DOMAINS:
            both = torch.cat([content[d], content[OTHER[d]]])
            recon[d], fake[d] = self._decode(both, torch.cat([style[d], random[d]]), d).chunk(2)
        return Outputs(content, style, random, recon, fake)

    def _decode(self, content: Tensor, style: Tensor, domain: str) -> Tensor:
        """G_d of content (M, F, h, w) and styles (M, S): (M, C, H, W)."""
        images: Tensor = self.checkpointed(lambda c, s: self.render(self.prepare(c, domain), s, domain), content, style)
        return images

    def _generators_update(self, x: ByDomain, out: Outputs) -> Update:
        """What encoders and decoders minimise (equation 5), for both domains."""
        w, adversarial, terms = self.settings.loss, losses.gan(self.settings.loss.gan), Terms()
        again: ByDomain = {}  # content of the translations, by the domain that it came from
        for d in DOMAINS:
            if w.domain_adversarial:  # equation 4
                loss = adversarial(self.frozen_forward(self.discriminator[d], out.fake[d]), 1.0)
                terms.add(f"domain_adversarial_{d}", w.domain_adversarial, loss)
            if w.self_reconstruction:  # equation 1: E|G_d(c_d, s_d) - x_d|_1
                loss = losses.reconstruction(out.recon[d], x[d])
                terms.add(f"self_reconstruction_{d}", w.self_reconstruction, loss)
            if w.content_regression or w.cross_cycle:
                again[OTHER[d]] = self.checkpointed(self.content, out.fake[d], d)
            if w.latent_regression:  # equation 3: E|E^s_d(fake_d) - s|_1, the style that was drawn
                recovered = self.checkpointed(self.style, out.fake[d], d)
                loss = losses.latent_regression(recovered, out.random[d])
                terms.add(f"latent_regression_{d}", w.latent_regression, loss)
        for d, content in again.items():
            if w.content_regression:  # equation 2: E|E^c(fake) - c_d|_1, the content that went in
                loss = losses.content_regression(content, out.content[d])
                terms.add(f"content_regression_{d}", w.content_regression, loss)
            if w.cross_cycle:  # section 5.1: E|G_d(E^c(fake), s_d) - x_d|_1
                cycle = self._decode(content, out.style[d], d)
                terms.add(f"cross_cycle_{d}", w.cross_cycle, losses.reconstruction(cycle, x[d]))
        return terms.update("generators", self.inference, self.settings.optim.clip)

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.content_encoder[domain](x)

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self.attribute_encoder[domain](x)[0]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self.generator[domain].prepare(content)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self.generator[domain].render(prepared, style)

    # What training asks

    def at_chance(self) -> dict[str, float]:
        chance = self.settings.network.discriminator_scales * losses.at_chance(self.settings.loss.gan)
        return {f"discriminators/domain_adversarial_{d}": chance for d in DOMAINS}

    def advice(self, finding: Finding) -> str | None:
        optim = self.settings.optim
        match finding.cause:
            case "styles_ignored":
                flag = doubled("--loss.latent-regression", self.settings.loss.latent_regression, 10)
                return f"a larger weight of what ties outputs to styles: {flag}"
            case "discriminators_win":
                return smaller_discriminator(optim, "--network.spectral-norm")
            case _:
                return general_advice(optim, finding)
