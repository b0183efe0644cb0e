"""Settings of Pix2Pix and its presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from drit.settings.common import Gan, LossSettings, NetworkSettings, TrainSettings
from drit.settings.groups import (
    Discriminator,
    Downsampled,
    Init,
    PatchNorm,
    UNet,
    check_downsamplings,
    check_unet_levels,
)
from drit.settings.schema import NonNegative, Weight, changed, setting
from drit.settings.sizes import SIZES, sized

LR = 2e-4  # Adam's learning rate (section 3.3), the minimum here


@dataclass(frozen=True)
class Pix2PixNetwork(Init, PatchNorm, Discriminator, UNet, Downsampled, NetworkSettings):
    """Sizes of the networks (arXiv 1611.07004, appendix 6.1)."""

    backbone: Literal["unet", "resnet"] = setting("unet", "generator: a U-Net, or the residual network of CycleGAN")
    generator_blocks: NonNegative = setting(8, "residual blocks of the residual network")


@dataclass(frozen=True)
class Pix2PixLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1611.07004, equation 4)."""

    domain_adversarial: Weight = setting(1.0, "conditional adversarial loss")
    paired: Weight = setting(100.0, "L1 to the true image")
    gan: Gan = setting("logistic", "kind of the adversarial loss")


@dataclass(frozen=True)
class Pix2PixSettings(TrainSettings):
    """A training run of Pix2Pix."""

    method: str = setting("pix2pix", "the method to train; `drit methods` lists them")
    network: Pix2PixNetwork = setting(Pix2PixNetwork(dropout=0.5, discriminator_norm="batch"), "networks")
    loss: Pix2PixLoss = setting(Pix2PixLoss(), "loss weights")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        base = changed(cls(), {"optim.weight_decay": 0.0})
        # 400 facades, 200 epochs (appendix 6.2)
        paper = {
            "preset": "paper",
            "steps": 80_000,
            "batch": 1,
            "data.resize": 286,
            "data.resize_mode": "square",
            "data.crop": 256,
            "network.discriminator_layers": 3,
            "optim.lr": LR,
            "optim.decay_from": 1.0,
        }
        presets = {"paper": changed(base, paper)}
        for name, size in SIZES.items():
            networks = {
                "network.init": "scaled",
                "network.generator_blocks": size.residual_blocks,
                "network.discriminator_layers": size.patch_layers,
            }
            presets[name] = changed(sized(base, name), networks | {"optim.lr": max(LR, size.lr)})
        return presets

    def check(self) -> None:
        super().check()
        check_downsamplings(self.data.crop, self.network.downsamplings)
        check_unet_levels(self.data.crop, self.network.unet_levels)
