"""Settings of MUNIT and its presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from drit.errors import UsageError
from drit.settings.common import Gan, LossSettings, NetworkSettings, TrainSettings
from drit.settings.groups import (
    Content,
    Init,
    MultiScale,
    Spectral,
    Style,
    check_downsamplings,
    check_spectral,
)
from drit.settings.schema import Weight, changed, setting
from drit.settings.sizes import sized


@dataclass(frozen=True)
class MUNITNetwork(Init, Spectral, MultiScale, Style, Content, NetworkSettings):
    """Sizes of the networks (arXiv 1804.04732, appendix B.2)."""


@dataclass(frozen=True)
class MUNITLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1804.04732, equation 5 and appendix B.1)."""

    domain_adversarial: Weight = setting(1.0, "domain adversarial loss of random outputs")
    self_reconstruction: Weight = setting(10.0, "self-reconstruction, L1")
    latent_regression: Weight = setting(1.0, "L1 between a random style and the one recovered from its output")
    content_regression: Weight = setting(1.0, "L1 between a content code and the one recovered from its output")
    cross_cycle: Weight = setting(0.0, "style-augmented cycle consistency, L1")
    gan: Gan = setting("least_squares", "kind of the domain adversarial loss")


@dataclass(frozen=True)
class MUNITSettings(TrainSettings):
    """A training run of MUNIT."""

    method: str = setting("munit", "the method to train; `drit methods` lists them")
    network: MUNITNetwork = setting(MUNITNetwork(), "networks")
    loss: MUNITLoss = setting(MUNITLoss(), "loss weights")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        scaled = cls(network=MUNITNetwork(init="scaled"))
        # at 256 pixels (appendix B.1)
        paper = {
            "preset": "paper",
            "steps": 1_000_000,
            "batch": 1,
            "data.crop": 256,
            "optim.decay_from": 1.0,
            "optim.halve_every": 100_000,
        }
        return {name: sized(scaled, name) for name in ("default", "digits", "demo", "quick")} | {
            "paper": changed(cls(), paper)
        }

    def check(self) -> None:
        super().check()
        check_downsamplings(self.data.crop, self.network.downsamplings)
        check_spectral(self.recompute, self.network.spectral_norm)
        if not self.network.generator_blocks + self.network.shared_blocks:
            raise UsageError("MUNIT's styles enter in residual blocks: set --network.generator-blocks to 1 or more.")
