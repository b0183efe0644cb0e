"""Settings of DRIT++ and its presets: DRIT's, and what several domains add. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from drit.errors import UsageError
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings
from drit.settings.groups import (
    SHARP,
    Content,
    ContentCode,
    Init,
    MultiScale,
    Spectral,
    Style,
    StyledGenerator,
    check_downsamplings,
    check_spectral,
)
from drit.settings.schema import Positive, Weight, changed, setting
from drit.settings.sizes import sized


@dataclass(frozen=True)
class DRITPPNetwork(Init, Spectral, MultiScale, Style, StyledGenerator, ContentCode, Content, NetworkSettings):
    """Sizes of the networks (those of DRIT)."""

    share_feature_layer: bool = setting(
        True, "the blocks of the feature-wise generator count as one layer of all domains"
    )


@dataclass(frozen=True)
class DRITPPLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1905.01270).

    Domain classification weighs 5 for generators and 1 for discriminators, as in the program: at 1, random outputs for
    one domain look like those of another (their cross-entropy rose above log D on three domains of digits; at 5 it fell
    to 0.2).
    """

    content_adversarial: Weight = setting(1.0, "content adversarial loss: hides the domain in the content code")
    domain_adversarial: Weight = setting(1.0, "domain adversarial loss of exemplar and random outputs")
    cross_cycle: Weight = setting(10.0, "cross-cycle consistency, L1")
    self_reconstruction: Weight = setting(10.0, "self-reconstruction, L1")
    kl: Weight = setting(0.01, "KL divergence of the attribute posterior from N(0, I)")
    latent_regression: Weight = setting(10.0, "L1 between a random attribute and the one recovered from its output")
    content_norm: Weight = setting(0.0, "mean square of the content code (the official implementation: 0.01)")
    mode_seeking: Weight = setting(1.0, "mode seeking: 1 / (image distance / style distance); 0 switches it off")
    mode_seeking_end: Weight = setting(
        0.0,
        "mode seeking ends where two styles of an image differ by so many times what the mean colours of two real "
        "images of its domain do, so that a domain that hardly varies is not forced to; 0: it has no end",
    )
    variations: tuple[str, ...] = setting(
        (),
        "mean absolute difference between the mean colours of two images, in [-1, 1], of each domain; empty: found out",
    )
    domain_classification: Weight = setting(
        5.0, "domain classification: outputs are classified as the domain that they are made for"
    )


@dataclass(frozen=True)
class DRITPPOptim(OptimSettings):
    """Optimizers, those of the content discriminator apart."""

    content_discriminator_lr: Weight = setting(4e-5, "Adam learning rate of the content discriminator")
    content_discriminator_steps: Positive = setting(
        3, "updates of the content discriminator for one of everything else (each on a batch of its own)"
    )
    content_discriminator_clip: Weight = setting(5.0, "maximum gradient norm of the content discriminator; 0: no limit")


@dataclass(frozen=True)
class DRITPPSettings(TrainSettings):
    """A training run of DRIT++."""

    method: str = setting("drit++", "the method to train; `drit methods` lists them")
    network: DRITPPNetwork = setting(DRITPPNetwork(), "networks")
    loss: DRITPPLoss = setting(DRITPPLoss(), "loss weights")
    optim: DRITPPOptim = setting(DRITPPOptim(), "optimizers")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        paper = cls(preset="paper")
        base = changed(
            paper,
            # a domain that hardly varies is not forced to: its styles become illegible
            SHARP | {"network.init": "scaled", "optim.content_discriminator_steps": 1, "loss.mode_seeking_end": 1.0},
        )
        return {
            "default": sized(base, "default"),
            "paper": paper,
            "digits": sized(base, "digits"),
            "demo": sized(changed(base, {"loss.domain_adversarial": 2.0}), "demo"),
            # narrow, so that it learns for more iterations
            "quick": changed(sized(base, "quick"), {"network.width": 16}),
        }

    @property
    def needs_variation(self) -> tuple[str, ...]:
        found_out = self.loss.mode_seeking and self.loss.mode_seeking_end and not self.loss.variations
        return tuple(self.data.sources()) if found_out else ()

    def with_variation(self, variation: Mapping[str, float]) -> Self:
        return replace(self, loss=replace(self.loss, variations=tuple(f"{value:.4f}" for value in variation.values())))

    def check(self) -> None:
        super().check()
        numbers = self.loss.variations
        if numbers and len(numbers) != len(self.data.sources()):
            raise UsageError(f"--loss.variations names {len(numbers)} numbers for {len(self.data.sources())} domains.")
        for text in numbers:
            if not re.fullmatch(r"\d+(\.\d+)?", text):
                raise UsageError(f"--loss.variations has '{text}': numbers such as 0.25, from 0 on, or leave it out.")
        check_downsamplings(self.data.crop, self.network.downsamplings)
        check_spectral(self.recompute, self.network.spectral_norm)
