"""Settings of Cycle/Bicycle and its presets: those of its two objectives. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Interval

from drit.settings.common import Gan, LossSettings, NetworkSettings, OptimSettings, TrainSettings
from drit.settings.groups import (
    Downsampled,
    Init,
    MultiScale,
    PatchNorm,
    Style,
    UNetCodes,
    check_downsamplings,
    check_unet_levels,
)
from drit.settings.schema import NonNegative, Weight, changed, setting
from drit.settings.sizes import SIZES, sized

LR = 2e-4  # Adam's learning rate in the papers of both, the minimum here


@dataclass(frozen=True)
class CycleBicycleNetwork(Init, PatchNorm, MultiScale, UNetCodes, Style, Downsampled, NetworkSettings):
    """Sizes of the networks of both objectives."""

    generator_blocks: NonNegative = setting(9, "residual blocks of a generator of the CycleGAN")


@dataclass(frozen=True)
class CycleBicycleLoss(LossSettings):
    """Weight of each term of both objectives; they have that of the adversarial terms in common."""

    domain_adversarial: Weight = setting(1.0, "domain adversarial loss")
    cross_cycle: Weight = setting(10.0, "cycle consistency of the CycleGAN, L1")
    identity: Weight = setting(
        5.0, "L1 between an image and what the CycleGAN's generator of its own domain makes of it"
    )
    paired: Weight = setting(10.0, "L1 of the BicycleGANs to the other image of a pair")
    kl: Weight = setting(0.01, "KL divergence of the BicycleGANs' codes from N(0, I)")
    latent_regression: Weight = setting(0.5, "L1 between a random code and the one recovered from its output")
    gan: Gan = setting("least_squares", "kind of the domain adversarial loss")


@dataclass(frozen=True)
class CycleBicycleOptim(OptimSettings):
    """Optimizers, and the share of the two stages."""

    pool: NonNegative = setting(50, "older outputs that the CycleGAN's discriminators also see; 0: none")
    pairing_share: Annotated[float, Interval(gt=0, lt=1)] = setting(
        0.5, "share of the iterations in which the CycleGAN learns that makes the pairs"
    )


@dataclass(frozen=True)
class CycleBicycleSettings(TrainSettings):
    """A training run of Cycle/Bicycle."""

    method: str = setting("cycle-bicycle", "the method to train; `drit methods` lists them")
    network: CycleBicycleNetwork = setting(CycleBicycleNetwork(), "networks")
    loss: CycleBicycleLoss = setting(CycleBicycleLoss(), "loss weights")
    optim: CycleBicycleOptim = setting(CycleBicycleOptim(), "optimizers")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        base = changed(cls(), {"network.discriminator_norm": "instance", "optim.weight_decay": 0.0})
        # Both for as many iterations as CycleGAN's paper takes; DRIT's paper, whose baseline it is, does not tell.
        paper = {
            "preset": "paper",
            "steps": 2 * 266_800,
            "batch": 1,
            "data.resize": 286,
            "data.resize_mode": "square",
            "data.crop": 256,
            "network.attribute_blocks": 4,
            "network.dropout": 0.5,
            "network.discriminator_layers": 3,
            "network.discriminator_scales": 2,
            "optim.lr": LR,
        }
        presets = {"paper": changed(base, paper)}
        for name, size in SIZES.items():
            networks = {
                "network.init": "scaled",
                "network.generator_blocks": size.residual_blocks,
                "network.discriminator_layers": size.patch_layers,
                "network.discriminator_scales": 2,
            }
            presets[name] = changed(sized(base, name), networks | {"optim.lr": max(LR, size.lr)})
        return presets

    def check(self) -> None:
        super().check()
        check_downsamplings(self.data.crop, self.network.downsamplings)
        check_unet_levels(self.data.crop, self.network.unet_levels)
