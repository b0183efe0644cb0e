"""Settings of UNIT and its presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from drit.settings.common import Gan, LossSettings, NetworkSettings, TrainSettings
from drit.settings.groups import Content, Init, MultiScale, Spectral, check_downsamplings, check_spectral
from drit.settings.schema import Weight, changed, setting
from drit.settings.sizes import sized


@dataclass(frozen=True)
class UNITNetwork(Init, Spectral, MultiScale, Content, NetworkSettings):
    """Sizes of the networks (arXiv 1703.00848, appendix A)."""

    content_noise: Weight = setting(1.0, "std of the posterior of the latent code, whose noise training adds")


@dataclass(frozen=True)
class UNITLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1703.00848, section 4)."""

    domain_adversarial: Weight = setting(10.0, "domain adversarial loss of translations")
    self_reconstruction: Weight = setting(100.0, "self-reconstruction, L1")
    cross_cycle: Weight = setting(100.0, "cycle consistency, L1")
    kl: Weight = setting(0.1, "KL divergence of the latent code's posterior from N(0, I), of inputs and translations")
    gan: Gan = setting("least_squares", "kind of the domain adversarial loss")


@dataclass(frozen=True)
class UNITSettings(TrainSettings):
    """A training run of UNIT."""

    method: str = setting("unit", "the method to train; `drit methods` lists them")
    network: UNITNetwork = setting(UNITNetwork(), "networks")
    loss: UNITLoss = setting(UNITLoss(), "loss weights")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        scaled = cls(network=UNITNetwork(init="scaled"))
        # at 256 pixels, iterations as in the first program
        paper = {
            "preset": "paper",
            "steps": 500_000,
            "batch": 1,
            "data.crop": 256,
            "network.discriminator_layers": 5,
            "network.discriminator_scales": 1,
            "loss.gan": "logistic",
            "optim.decay_from": 1.0,
        }
        return {name: sized(scaled, name) for name in ("default", "digits", "demo", "quick")} | {
            "paper": changed(cls(), paper)
        }

    def check(self) -> None:
        super().check()
        check_downsamplings(self.data.crop, self.network.downsamplings)
        check_spectral(self.recompute, self.network.spectral_norm)
