"""Settings of CycleGAN and of CycleGAN with noise, and their presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from drit.settings.common import Gan, LossSettings, NetworkSettings, OptimSettings, TrainSettings
from drit.settings.groups import Discriminator, Downsampled, Init, PatchNorm, check_downsamplings
from drit.settings.schema import NonNegative, Positive, Weight, changed, setting
from drit.settings.sizes import SIZES, sized

S = TypeVar("S", bound=TrainSettings)
LR = 2e-4  # Adam's learning rate (section 4), the minimum here


@dataclass(frozen=True)
class CycleGANNetwork(Init, PatchNorm, Discriminator, Downsampled, NetworkSettings):
    """Sizes of the networks (arXiv 1703.10593, appendix 7.2)."""

    generator_blocks: NonNegative = setting(9, "residual blocks of a generator")


@dataclass(frozen=True)
class NoiseNetwork(CycleGANNetwork):
    """Sizes of the networks, with a random code."""

    style_dim: Positive = setting(8, "numbers in the random code")


@dataclass(frozen=True)
class CycleGANLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1703.10593, equation 3 and section 5.2)."""

    domain_adversarial: Weight = setting(1.0, "domain adversarial loss of translations")
    cross_cycle: Weight = setting(10.0, "cycle consistency, L1")
    identity: Weight = setting(
        5.0, "L1 between an image and what the generator of its own domain makes of it (on by default in its programs)"
    )
    gan: Gan = setting("least_squares", "kind of the domain adversarial loss")


@dataclass(frozen=True)
class CycleGANOptim(OptimSettings):
    """Optimizers, and the pool of older outputs."""

    pool: NonNegative = setting(50, "older outputs that discriminators also see; 0: none")


@dataclass(frozen=True)
class CycleGANSettings(TrainSettings):
    """A training run of CycleGAN."""

    method: str = setting("cyclegan", "the method to train; `drit methods` lists them")
    network: CycleGANNetwork = setting(CycleGANNetwork(), "networks")
    loss: CycleGANLoss = setting(CycleGANLoss(), "loss weights")
    optim: CycleGANOptim = setting(CycleGANOptim(), "optimizers")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        base = changed(cls(), {"optim.weight_decay": 0.0, "network.discriminator_norm": "instance"})
        return {name: cycle_sized(base, name) for name in SIZES} | {"paper": changed(base, PAPER)}

    def check(self) -> None:
        super().check()
        check_downsamplings(self.data.crop, self.network.downsamplings)


@dataclass(frozen=True)
class NoiseSettings(CycleGANSettings):
    """A training run of CycleGAN with noise, the ablation of DRIT's paper."""

    method: str = setting("cyclegan-noise", "the method to train; `drit methods` lists them")
    network: NoiseNetwork = setting(NoiseNetwork(), "networks")


# Horses and zebras (appendix 7), 200 epochs of the 1334 images that its authors offer, at 256 pixels.
PAPER = {
    "preset": "paper",
    "steps": 266_800,
    "batch": 1,
    "data.resize": 286,
    "data.resize_mode": "square",
    "data.crop": 256,
    "network.discriminator_layers": 3,
    "optim.lr": LR,
}


def cycle_sized(settings: S, name: str) -> S:
    """Settings in a size, with generators and discriminators as CycleGAN has them at that size."""
    size = SIZES[name]
    networks = {
        "network.init": "scaled",
        "network.generator_blocks": size.residual_blocks,
        "network.discriminator_layers": size.patch_layers,
    }
    return changed(sized(settings, name), networks | {"optim.lr": max(LR, size.lr)})
