"""MUNIT: multimodal unsupervised image-to-image translation (arXiv 1804.04732).

Read beside sections 3 to 5 of the paper. Each domain has a content encoder, a style encoder and a decoder that styles
enter through adaptive instance normalisation; nothing is shared between domains. A translation is the content of a
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
from drit.errors import UsageError
from drit.methods.base import DOMAINS, OTHER, Batch, ByDomain, Capabilities, Method, Prepared, Update
from drit.methods.munit.networks import AdaINDecoder, NormalisedEncoder, kaiming
from drit.methods.noise import Noise
from drit.methods.unit.objective import discriminators_update
from drit.networks.discriminators import MultiScaleDiscriminator
from drit.networks.encoders import DeterministicAttributeEncoder
from drit.networks.init import zero_biases
from drit.networks.layers import LayerNorm
from drit.runtime import full
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings

SLOPE = 0.2  # of the discriminators' leaky ReLUs


class Outputs(NamedTuple):
    """What one batch becomes; every image is of the domain that names it."""

    content: ByDomain  # of each domain's images
    style: ByDomain
    random: ByDomain  # random styles of each domain
    recon: ByDomain  # own content, own style
    fake: ByDomain  # content of the other domain, random style


class MUNIT(Method):
    """Networks and objective of MUNIT. `content_blocks` and `shared_blocks` add up, as do `generator_blocks` and these:
    there are as many residual blocks as DRIT has, none of them shared."""

    inference = ("content_encoder", "attribute_encoder", "generator")

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int]
    ) -> None:
        super().__init__()
        self.network, self.loss, self.optim = network, loss, optim
        self.channels = channels
        self.stride = 1 << network.downsamplings
        self.min_side = max(16, self.stride)
        self.capabilities = Capabilities(
            multimodal=True, exemplar=True, directions=DOMAINS, style_dim=network.style_dim
        )
        n = network
        content = n.width << n.downsamplings
        blocks = n.generator_blocks + n.shared_blocks
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
            {d: AdaINDecoder(c, content, n.style_dim, blocks, n.downsamplings) for d, c in channels.items()}
        )
        for name in self.inference:
            kaiming(getattr(self, name))
        sizes = (n.discriminator_width, n.discriminator_layers, n.discriminator_scales, n.spectral_norm)
        self.discriminator = nn.ModuleDict(
            {d: MultiScaleDiscriminator(c, *sizes, n.init == "scaled", slope=SLOPE) for d, c in channels.items()}
        )
        if n.init == "published":
            zero_biases(self.discriminator)
            for layer in self.generator.modules():
                if isinstance(layer, LayerNorm):
                    nn.init.uniform_(layer.weight)

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> MUNIT:
        return cls(config.network, config.loss, config.optim, channels)

    @classmethod
    def check(cls, config: TrainSettings) -> None:
        if not config.network.generator_blocks + config.network.shared_blocks:
            raise UsageError("MUNIT's styles enter in residual blocks: set --network.generator-blocks to 1 or more.")

    def at_chance(self) -> dict[str, float]:
        guessed = self.network.discriminator_scales * losses.at_chance(self.loss.gan)
        return {f"discriminators/domain_adversarial_{d}": guessed for d in DOMAINS}

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.content_encoder[domain](x)

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self.attribute_encoder[domain](x)[0]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self.generator[domain].prepare(content)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self.generator[domain].render(prepared, style)

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
        terms = self._terms(images, out)
        weights = {term: self.loss.of(term) for term in terms}
        yield Update("generators", self.inference, terms, weights, self.optim.clip or None)

    def _forward(self, images: ByDomain, noise: Noise) -> Outputs:
        """Codes of both domains, random styles, and what the decoders make of them, one pass through each."""
        content = {d: self.checkpointed(self.content, x, d) for d, x in images.items()}
        style = {d: full(self.checkpointed(self.style, x, d)) for d, x in images.items()}
        random = {d: noise.normal(*s.shape, like=s) for d, s in style.items()}
        recon, fake = {}, {}
        for d in DOMAINS:
            both = torch.cat([content[d], content[OTHER[d]]])
            made = self._decode(both, torch.cat([style[d], random[d]]), d)
            recon[d], fake[d] = made.chunk(2)
        return Outputs(content, style, random, recon, fake)

    def _decode(self, content: Tensor, style: Tensor, domain: str) -> Tensor:
        return self.checkpointed(lambda c, s: self.render(self.prepare(c, domain), s, domain), content, style)

    def _terms(self, images: ByDomain, out: Outputs) -> ByDomain:
        """What encoders and decoders minimise (equation 5), for both domains."""
        w, adversarial = self.loss, losses.gan(self.loss.gan)
        terms: ByDomain = {}
        again: ByDomain = {}  # content of the translations, by the domain that it came from
        for d in DOMAINS:
            if w.domain_adversarial:
                terms[f"domain_adversarial_{d}"] = adversarial(
                    self.frozen_forward(self.discriminator[d], out.fake[d]), 1.0
                )
            if w.self_reconstruction:  # equation 1
                terms[f"self_reconstruction_{d}"] = losses.reconstruction(out.recon[d], images[d])
            if w.content_regression or w.cross_cycle:
                again[OTHER[d]] = self.checkpointed(self.content, out.fake[d], d)
            if w.latent_regression:  # equation 3: the style that was drawn
                recovered = self.checkpointed(self.style, out.fake[d], d)
                terms[f"latent_regression_{d}"] = losses.latent_regression(recovered, out.random[d])
        for d, code in again.items():
            if w.content_regression:  # equation 2: the content that went in
                terms[f"content_regression_{d}"] = losses.content_regression(code, out.content[d])
            if w.cross_cycle:
                cycle = self._decode(code, out.style[d], d)
                terms[f"cross_cycle_{d}"] = losses.reconstruction(cycle, images[d])
        return terms
