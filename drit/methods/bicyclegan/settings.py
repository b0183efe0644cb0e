"""Settings of BicycleGAN and its presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from drit.settings.common import Gan, LossSettings, NetworkSettings, TrainSettings
from drit.settings.groups import Init, MultiScale, PatchNorm, Style, UNetCodes, Width, check_unet_levels
from drit.settings.schema import Weight, changed, setting
from drit.settings.sizes import SIZES, sized

LR = 2e-4  # Adam's learning rate (section 4), the minimum here


@dataclass(frozen=True)
class BicycleGANNetwork(Init, PatchNorm, MultiScale, UNetCodes, Style, Width, NetworkSettings):
    """Sizes of the networks (arXiv 1711.11586, section 4)."""


@dataclass(frozen=True)
class BicycleGANLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1711.11586, section 3.4)."""

    domain_adversarial: Weight = setting(1.0, "adversarial loss of encoded and of random outputs")
    paired: Weight = setting(10.0, "L1 to the true image, of the output with its code")
    kl: Weight = setting(0.01, "KL divergence of the code's posterior from N(0, I)")
    latent_regression: Weight = setting(0.5, "L1 between a random code and the one recovered from its output")
    gan: Gan = setting("least_squares", "kind of the adversarial loss")


@dataclass(frozen=True)
class BicycleGANSettings(TrainSettings):
    """A training run of BicycleGAN."""

    method: str = setting("bicyclegan", "the method to train; `drit methods` lists them")
    network: BicycleGANNetwork = setting(BicycleGANNetwork(), "networks")
    loss: BicycleGANLoss = setting(BicycleGANLoss(), "loss weights")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        base = changed(cls(), BASE)
        presets = {"paper": changed(base, PAPER)}
        for name, size in SIZES.items():
            networks = {
                "network.init": "scaled",
                "network.discriminator_layers": size.patch_layers,
                "network.discriminator_scales": 2,
            }
            presets[name] = changed(sized(base, name), networks | {"optim.lr": max(LR, size.lr)})
        return presets

    def check(self) -> None:
        super().check()
        check_unet_levels(self.data.crop, self.network.unet_levels)


BASE = {"network.discriminator_norm": "instance", "optim.weight_decay": 0.0}
# 400 facades, with the schedule and the dropout of its program's scripts: 400 epochs of 200 iterations, rates that fall
# over the second half (section 4).
PAPER = {
    "preset": "paper",
    "steps": 80_000,
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
