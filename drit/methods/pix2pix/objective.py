"""Pix2Pix: image-to-image translation with conditional adversarial networks (arXiv 1611.07004).

Read beside section 3 of the paper. Learns from pairs, from a to b: a U-Net, a discriminator of pairs (input, output)
that judges patches of 70 x 70 pixels, and the L1 distance to the true image. One iteration: discriminator, generator.

The paper's noise is dropout, which it leaves on in use; its outputs hardly vary by that ("minor stochasticity", section
3.1). Here dropout acts in training only, so that an image has one translation, the same each time and in any batch.
Trained on digits for a few minutes, either way came as close to the true images (L1 0.470 without, 0.469 with).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from drit import losses
from drit.errors import UsageError
from drit.methods.base import Batch, Capabilities, Method, Prepared, Update
from drit.methods.noise import Noise
from drit.methods.pix2pix.networks import Pix2PixUNet
from drit.networks.discriminators import PatchGAN
from drit.networks.init import zero_biases
from drit.networks.layers import k_major
from drit.networks.resnet import ResNetGenerator
from drit.networks.unet import MAX_LEVELS, fitting_levels
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings


class Pix2Pix(Method):
    """Networks and objective of Pix2Pix; `config.network.backbone` chooses the U-Net or a residual network."""

    paired = True
    inference = ("generator",)

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int], crop: int
    ) -> None:
        super().__init__()
        self.loss, self.optim = loss, optim
        self.channels = channels
        self.capabilities = Capabilities(multimodal=False, exemplar=False, directions=("b",), style_dim=0)
        n, scaled = network, network.init == "scaled"
        sizes = channels["a"], channels["b"], n.width
        self.generator: Pix2PixUNet | ResNetGenerator
        if n.backbone == "unet":
            levels = n.unet_levels or fitting_levels(crop)
            self.stride, self.min_side = 1, 1 << levels
            self.generator = Pix2PixUNet(*sizes, levels, dropout=n.dropout, smooth=scaled)
        else:
            self.stride = 1 << n.downsamplings
            self.min_side = max(16, self.stride)
            self.generator = ResNetGenerator(*sizes, n.downsamplings, n.generator_blocks, smooth=scaled)
        self.discriminator = PatchGAN(
            channels["a"] + channels["b"],
            n.discriminator_width,
            n.discriminator_layers,
            n.discriminator_norm,
            scaled,
        )
        if not scaled:
            zero_biases(self)

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> Pix2Pix:
        return cls(config.network, config.loss, config.optim, channels, config.data.crop)

    @classmethod
    def check(cls, config: TrainSettings) -> None:
        check_levels(config)

    def at_chance(self) -> dict[str, float]:
        return {"discriminator/domain_adversarial": losses.at_chance(self.loss.gan)}

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x  # skip connections leave nothing that a code would stand for

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (self.generator(content),)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        (made,) = prepared
        return k_major(made, len(style))

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        w, x = self.loss, next(batches)
        fake = None
        if w.domain_adversarial:
            with torch.set_grad_enabled(not frugal):
                fake = self.checkpointed(self.generator, x["a"])
            yield self._discriminator_update(x, fake.detach())
        if fake is None or frugal:  # again, with a graph (and other dropout, which is random in either)
            fake = self.checkpointed(self.generator, x["a"])
        yield self._generator_update(x, fake)

    def _discriminator_update(self, x: Batch, fake: Tensor) -> Update:
        """L_cGAN = E_{x,y}[log D(x, y)] + E_x[log(1 - D(x, G(x)))], equation 1; both halves as one batch."""
        pairs = torch.cat([torch.cat([x["a"], x["a"]]), torch.cat([x["b"], fake])], dim=1)
        real, made = self.checkpointed(self.discriminator, pairs).chunk(2)
        terms = {"domain_adversarial": losses.discrimination(real, made, self.loss.gan)}
        # half: "we divide the objective by 2 while optimizing D" (section 3.3)
        return Update("discriminator", ("discriminator",), terms, {"domain_adversarial": 0.5})

    def _generator_update(self, x: Batch, fake: Tensor) -> Update:
        """G* = arg min_G max_D L_cGAN(G, D) + lambda L_L1(G), equation 4 (in the form -log D(x, G(x)), section 3.3)."""
        w, terms = self.loss, {}
        if w.domain_adversarial:
            logits = self.frozen_forward(self.discriminator, torch.cat([x["a"], fake], dim=1))
            terms["domain_adversarial"] = losses.gan(w.gan)(logits, 1.0)
        if w.paired:
            terms["paired"] = losses.reconstruction(fake, x["b"])
        weights = {term: w.of(term) for term in terms}
        return Update("generator", ("generator",), terms, weights, self.optim.clip or None)


def check_levels(config: TrainSettings) -> None:
    """Raises UsageError for a U-Net that halves more often than a crop allows."""
    levels, crop = config.network.unet_levels, config.data.crop
    if levels and not 2 <= levels <= fitting_levels(crop):
        raise UsageError(
            f"--network.unet-levels {levels} does not fit crops of {crop} pixels: 2 to {fitting_levels(crop)} do "
            f"(at most {MAX_LEVELS}). Leave it out to let the crop choose, or set a larger --data.crop."
        )
