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
from drit.methods.advice import Finding, doubled, general_advice, smaller_discriminator
from drit.methods.base import Batch, Capabilities, Method, Prepared, Terms, Update
from drit.methods.bicyclegan.networks import BicycleUNet, MultiScalePatchGAN
from drit.methods.bicyclegan.settings import BicycleGANSettings
from drit.methods.noise import Noise
from drit.networks.discriminators import by_batch
from drit.networks.encoders import VariationalAttributeEncoder
from drit.networks.init import INITIAL_STD, draw_weights
from drit.networks.layers import k_major
from drit.runtime import full
from drit.settings.common import TrainSettings
from drit.settings.groups import fitting_unet_levels


class Outputs(NamedTuple):
    """What one batch of pairs gives: codes (N, S), images (N, C, H, W) of b."""

    mean: Tensor  # of the posterior E(b)
    log_variance: Tensor
    encoded: Tensor  # G(a, z), z drawn from E(b): cVAE-GAN
    random: Tensor  # G(a, z), z drawn from N(0, I): cLR-GAN


class BicycleGAN(Method):
    """Networks and objective of BicycleGAN."""

    Settings = BicycleGANSettings
    inference = ("encoder", "generator")
    settings: BicycleGANSettings

    def __init__(self, settings: BicycleGANSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        n, scaled, b = settings.network, settings.network.init == "scaled", channels["b"]
        levels = n.unet_levels or fitting_unet_levels(settings.data.crop)
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
            # Glorot's std (Glorot and Bengio, 2010) times 0.02, as in its program
            draw_weights(self, partial(nn.init.xavier_normal_, gain=INITIAL_STD))

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        assert isinstance(settings, BicycleGANSettings)
        size = settings.network.style_dim
        return Capabilities(multimodal=True, exemplar=True, directions=("b",), style_dim=size, paired=True)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        x = next(batches)
        eps, styles = (noise.normal(len(x["b"]), self.capabilities.style_dim, like=x["b"]) for _ in range(2))
        out: Outputs = self.shared_forward(self._outputs, x, eps, styles)
        if self.settings.loss.domain_adversarial:
            yield self._discriminators_update(x["b"], out)
        yield self._generators_update(x["b"], styles, out)

    def _outputs(self, x: Batch, eps: Tensor, styles: Tensor) -> Outputs:
        """Encoded and random codes go through the generator as one batch. eps: of z = m + s eps, (m, log s^2) = E(b);
        styles: random codes; (N, S) each."""
        mean, log_variance = self.checkpointed(self.encoder, x["b"])
        encoded = full(mean) + eps * (0.5 * full(log_variance)).exp()
        images = self.checkpointed(self.generator, torch.cat([x["a"], x["a"]]), torch.cat([encoded, styles]))
        return Outputs(mean, log_variance, *images.chunk(2))

    def _discriminators_update(self, real: Tensor, out: Outputs) -> Update:
        """L_GAN^VAE (section 3.2) and L_GAN (section 3.3), as the discriminators see them."""
        terms = Terms()  # of weight 1: alone in their step, another one would only rescale the gradient
        for network, term, fake in (
            (self.discriminator, "domain_adversarial", out.encoded),
            (self.random_discriminator, "domain_adversarial_random", out.random),
        ):
            maps = self.checkpointed(network, torch.cat([real, fake.detach()]))
            of_real, of_fake = by_batch(maps, [len(real), len(fake)])
            terms.add(term, 1.0, losses.discrimination(of_real, of_fake, self.settings.loss.gan))
        return terms.update("discriminators", ("discriminator", "random_discriminator"))

    def _generators_update(self, real: Tensor, styles: Tensor, out: Outputs) -> Update:
        """L_GAN^VAE + lambda L_1^VAE + L_GAN + lambda_latent L_1^latent + lambda_KL L_KL (section 3.4)."""
        w, terms = self.settings.loss, Terms()
        if w.domain_adversarial:
            adversarial = losses.gan(w.gan)
            loss = adversarial(self.frozen_forward(self.discriminator, out.encoded), 1.0)
            terms.add("domain_adversarial", w.domain_adversarial, loss)
            loss = adversarial(self.frozen_forward(self.random_discriminator, out.random), 1.0)
            terms.add("domain_adversarial_random", w.domain_adversarial, loss)
        if w.paired:
            terms.add("paired", w.paired, losses.reconstruction(out.encoded, real))
        if w.kl:
            terms.add("kl", w.kl, losses.kl_to_normal(out.mean, out.log_variance))
        if w.latent_regression:
            loss = losses.latent_regression(self._recovered(out.random), styles)
            terms.add("latent_regression", w.latent_regression, loss)
        return terms.update("generators", ("encoder", "generator"), self.settings.optim.clip)

    def _recovered(self, images: Tensor) -> Tensor:
        """The code (N, S) that E finds in outputs (N, C, H, W), with E frozen: moved by this, E and G would hide the
        code in the image (section 4). Only the mean is used."""
        recovered: Tensor = self.frozen_forward(self.encoder, images)[0]
        return recovered

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

    # What training asks

    def at_chance(self) -> dict[str, float]:
        """A pair of real and fake at each scale."""
        chance = len(self.discriminator.scales) * losses.at_chance(self.settings.loss.gan)
        return dict.fromkeys(("discriminators/domain_adversarial", "discriminators/domain_adversarial_random"), chance)

    def advice(self, finding: Finding) -> str | None:
        match finding.cause:
            case "styles_ignored":
                flag = doubled("--loss.latent-regression", self.settings.loss.latent_regression, 5)
                return f"a larger weight of what ties outputs to styles: {flag}"
            case "discriminators_win":
                return smaller_discriminator(self.settings.optim)
            case _:
                return general_advice(self.settings.optim, finding)
