"""BicycleGAN: toward multimodal image-to-image translation (arXiv 1711.11586).

Read beside section 3 of the paper. Learns from pairs, from a to b, with a code for what a leaves open. cVAE-GAN: the
code is encoded from the true image, and the image comes back from it. cLR-GAN: the code is random, and comes back
from the image. One U-Net, one encoder, and a discriminator for each of the two, which see b alone (section 4).

Where the paper is silent, from its program: initial weights, and dropout as its scripts for training use it
(`network.dropout`, 0.5 in the preset `paper`).

The code enters every layer on the way down (figure 3), so translations of one image in several styles have nothing
in common to compute once: `prepare` hands the image on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.base import Batch, Capabilities, Method, Prepared, Update
from drit.methods.bicyclegan.networks import BicycleUNet, MultiScalePatchGAN
from drit.methods.noise import Noise
from drit.methods.pix2pix.objective import check_levels
from drit.networks.discriminators import by_batch
from drit.networks.encoders import VariationalAttributeEncoder
from drit.networks.init import INITIAL_STD, draw_weights
from drit.networks.layers import k_major
from drit.networks.unet import fitting_levels
from drit.runtime import full
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings


class Outputs(NamedTuple):
    """What one batch of pairs gives."""

    mean: Tensor  # (N, S) of the posterior E(b)
    log_variance: Tensor
    encoded: Tensor  # G(a, z), z drawn from E(b): cVAE-GAN
    random: Tensor  # G(a, z), z drawn from N(0, I): cLR-GAN


class BicycleGAN(Method):
    """Networks and objective of BicycleGAN."""

    paired = True
    inference = ("encoder", "generator")

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int], crop: int
    ) -> None:
        super().__init__()
        self.loss, self.optim = loss, optim
        self.channels = channels
        self.capabilities = Capabilities(multimodal=True, exemplar=True, directions=("b",), style_dim=network.style_dim)
        n, scaled, b = network, network.init == "scaled", channels["b"]
        levels = n.unet_levels or fitting_levels(crop)
        self.stride, self.min_side = 1, 1 << levels
        code = {"style_dim": n.style_dim, "everywhere": n.code_everywhere}
        self.generator = BicycleUNet(channels["a"], b, n.width, levels, dropout=n.dropout, smooth=scaled, **code)
        self.encoder = VariationalAttributeEncoder(
            b, n.style_dim, n.attribute_width, n.attribute_blocks, scaled, norm=True
        )
        width, layers, scales = n.discriminator_width, n.discriminator_layers, n.discriminator_scales
        self.discriminator = MultiScalePatchGAN(b, width, layers, scales, n.discriminator_norm, scaled)
        self.random_discriminator = MultiScalePatchGAN(b, width, layers, scales, n.discriminator_norm, scaled)
        if not scaled:
            # Glorot's deviation (Glorot and Bengio, 2010) times 0.02, as in its program
            draw_weights(self, partial(nn.init.xavier_normal_, gain=INITIAL_STD))

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> BicycleGAN:
        return cls(config.network, config.loss, config.optim, channels, config.data.crop)

    @classmethod
    def check(cls, config: TrainSettings) -> None:
        check_levels(config)

    def at_chance(self) -> dict[str, float]:
        """A pair of real and fake at each scale."""
        pairs = len(self.discriminator.scales) * losses.at_chance(self.loss.gan)
        return dict.fromkeys(("discriminators/domain_adversarial", "discriminators/domain_adversarial_random"), pairs)

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self.encoder(x)[0]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (content,)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        (x,) = prepared
        return self.generator(k_major(x, len(style)), style)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        x = next(batches)
        deviations, styles = (noise.normal(len(x["b"]), self.capabilities.style_dim, like=x["b"]) for _ in range(2))
        out = None
        if self.loss.domain_adversarial:
            with torch.set_grad_enabled(not frugal):
                out = self._outputs(x, deviations, styles)
            yield self._discriminators_update(x["b"], out)
        if out is None or frugal:  # again, with a graph (and other dropout, which is random in either)
            out = self._outputs(x, deviations, styles)
        yield self._generators_update(x["b"], styles, out)

    def _outputs(self, x: Batch, deviations: Tensor, styles: Tensor) -> Outputs:
        """Encoded and random codes go through the generator as one batch. deviations: of z from the posterior's mean,
        in units of its own; styles: random codes; each (N, S)."""
        mean, log_variance = self.checkpointed(self.encoder, x["b"])
        encoded = full(mean) + deviations * (0.5 * full(log_variance)).exp()
        made = self.checkpointed(self.generator, torch.cat([x["a"], x["a"]]), torch.cat([encoded, styles]))
        return Outputs(mean, log_variance, *made.chunk(2))

    def _discriminators_update(self, real: Tensor, out: Outputs) -> Update:
        """L_GAN^VAE (section 3.2) and L_GAN (section 3.3), as the discriminators see them."""
        terms = {}
        for network, term, fake in (
            (self.discriminator, "domain_adversarial", out.encoded),
            (self.random_discriminator, "domain_adversarial_random", out.random),
        ):
            maps = self.checkpointed(network, torch.cat([real, fake.detach()]))
            judged, made = by_batch(maps, [len(real), len(fake)])
            terms[term] = losses.discrimination(judged, made, self.loss.gan)
        weights = dict.fromkeys(terms, 1.0)  # alone in their step: a weight would only rescale the gradient
        return Update("discriminators", ("discriminator", "random_discriminator"), terms, weights)

    def _generators_update(self, real: Tensor, styles: Tensor, out: Outputs) -> Update:
        """L_GAN^VAE + lambda L_1^VAE + L_GAN + lambda_latent L_1^latent + lambda_KL L_KL (section 3.4)."""
        w, terms = self.loss, {}
        if w.domain_adversarial:
            real_to = losses.gan(w.gan)
            terms["domain_adversarial"] = real_to(self.frozen_forward(self.discriminator, out.encoded), 1.0)
            terms["domain_adversarial_random"] = real_to(
                self.frozen_forward(self.random_discriminator, out.random), 1.0
            )
        if w.paired:
            terms["paired"] = losses.reconstruction(out.encoded, real)
        if w.kl:
            terms["kl"] = losses.kl_to_normal(out.mean, out.log_variance)
        if w.latent_regression:
            terms["latent_regression"] = losses.latent_regression(self._recovered(out.random), styles)
        weights = {term: w.of(term) for term in terms}
        return Update("generators", ("encoder", "generator"), terms, weights, self.optim.clip or None)

    def _recovered(self, made: Tensor) -> Tensor:
        """The code that E finds in an image, with E fixed: moved by this, E and G would hide the code in the image
        (section 4). Only the mean is used."""
        return self.frozen_forward(self.encoder, made)[0]
