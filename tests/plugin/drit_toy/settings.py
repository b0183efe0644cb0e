"""Settings of the toy method. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from drit.settings.common import LossSettings, TrainSettings
from drit.settings.schema import Weight, setting
from drit.settings.sizes import SIZES, sized


@dataclass(frozen=True)
class ToyLoss(LossSettings):
    """Weight of the only term."""

    cross_cycle: Weight = setting(1.0, "cycle consistency, L1")


@dataclass(frozen=True)
class ToySettings(TrainSettings):
    """A training run of the toy method."""

    method: str = setting("toy", "the method to train; `drit methods` lists them")
    loss: ToyLoss = setting(ToyLoss(), "loss weights")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        return {name: sized(cls(), name) for name in SIZES}
