"""Settings of InfoGAN and its presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Ge

from drit.errors import UsageError
from drit.settings.common import LossSettings, NetworkSettings, TrainSettings
from drit.settings.groups import Width
from drit.settings.schema import NonNegative, Positive, Share, Weight, changed, setting
from drit.settings.sizes import sized

STRIDE = 4  # both networks change an image's side twice by 2
MAX_SIDE = 64  # pixels: the fully connected layers grow with the square of the side


@dataclass(frozen=True)
class InfoGANNetwork(Width, NetworkSettings):
    """Sizes of the networks (arXiv 1606.03657, appendix C.1)."""

    discriminator_width: Positive = setting(64, "channels after the first layer of the discriminator")
    categories: Annotated[int, Ge(2)] = setting(10, "values of the categorical code")
    continuous: NonNegative = setting(2, "continuous codes, each uniform in [-1, 1]")
    noise_dim: NonNegative = setting(62, "numbers of noise beside the codes")
    category_warp: Share = setting(
        0.0,
        "Q reads the category from drawn images that are turned, sheared, scaled and shifted at random, up to this "
        "share (0.3: 17 degrees, 30 %; shifts 10 %), so that it cannot be slant or thickness; 0: as drawn",
    )


@dataclass(frozen=True)
class InfoGANLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1606.03657, equation 6)."""

    domain_adversarial: Weight = setting(1.0, "adversarial loss")
    mutual_information: Weight = setting(1.0, "bound on the mutual information of images and the categorical code")
    mutual_information_continuous: Weight = setting(1.0, "the same of the continuous codes")


@dataclass(frozen=True)
class InfoGANSettings(TrainSettings):
    """A training run of InfoGAN."""

    method: str = setting("infogan", "the method to train; `drit methods` lists them")
    network: InfoGANNetwork = setting(InfoGANNetwork(), "networks")
    loss: InfoGANLoss = setting(InfoGANLoss(), "loss weights")

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        """Of sizes above those of digits the paper's: it draws small images."""
        # MNIST (appendix C.1; batch and iterations as in its program)
        optim = {"optim.lr": 2e-4, "optim.weight_decay": 0.0, "optim.decay_from": 1.0, "optim.ema": 0.0}
        mnist = {"steps": 5_000, "batch": 128, "data.resize": 0, "data.crop": 28, "data.flip": False}
        paper = changed(cls(), optim | mnist)
        # without it two categories share two classes that look alike when slanted (docs/results.md, InfoGAN)
        warp = {"network.category_warp": 0.3}
        sharp = {name: changed(paper, warp | {"preset": name}) for name in ("default", "quick")}
        return (
            {"paper": paper} | sharp | {name: changed(sized(cls(), name), optim | warp) for name in ("digits", "demo")}
        )

    def check(self) -> None:
        super().check()
        crop = self.data.crop
        if crop % STRIDE or crop > MAX_SIDE:
            raise UsageError(
                f"--data.crop {crop} does not suit infogan: it draws images whose side is a multiple of {STRIDE}, "
                f"at most {MAX_SIDE} (28 for MNIST)."
            )
        if self.batch // self.accumulate < 2:
            raise UsageError("infogan normalises over the batch: --batch must be at least 2, in each part of it.")
