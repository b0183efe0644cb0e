"""Settings of DRIT and its presets. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from annotated_types import Ge

from drit.errors import UsageError
from drit.settings.common import MIN_CROP, LossSettings, NetworkSettings, OptimSettings, TrainSettings
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
from drit.settings.schema import NonNegative, Positive, Weight, changed, setting
from drit.settings.sizes import sized


@dataclass(frozen=True)
class DRITNetwork(Init, Spectral, MultiScale, Style, StyledGenerator, ContentCode, Content, NetworkSettings):
    """Sizes of the networks (arXiv 1808.00948, section 4; the defaults are the published ones)."""

    share_feature_layer: bool = setting(
        True,
        "the feature-wise generators share their first layer, as in the paper (the official implementation: no)",
    )
    discriminator_shift: NonNegative = setting(
        0,
        "pixels by which images are shifted at random for domain discriminators, which see so many fewer, but at least "
        f"{MIN_CROP}; 0: none",
    )


@dataclass(frozen=True)
class DRITLoss(LossSettings):
    """Weight of each term of the objective (arXiv 1808.00948, section 3; the published values)."""

    content_adversarial: Weight = setting(1.0, "content adversarial loss: hides the domain in the content code")
    domain_adversarial: Weight = setting(1.0, "domain adversarial loss of exemplar and random outputs")
    cross_cycle: Weight = setting(10.0, "cross-cycle consistency, L1")
    self_reconstruction: Weight = setting(10.0, "self-reconstruction, L1")
    kl: Weight = setting(0.01, "KL divergence of the attribute posterior from N(0, I)")
    latent_regression: Weight = setting(10.0, "L1 between a random attribute and the one recovered from its output")
    content_norm: Weight = setting(0.0, "mean square of the content code (the official implementation: 0.01)")
    mode_seeking: Weight = setting(
        0.0, "mode seeking (MSGAN, DRIT++): 1 / (image distance / style distance); 0 switches it off"
    )
    mode_seeking_b: Annotated[float, Ge(-1)] = setting(
        -1.0, "mode seeking of outputs of b where it differs (a domain that hardly varies needs less); -1: as the other"
    )
    mode_seeking_end: Weight = setting(
        0.0,
        "mode seeking ends where two styles of an image differ by so many times what the mean colours of two real "
        "images of the domain do, so that a domain that hardly varies is not forced to; 0: it has no end",
    )
    variation_a: Weight = setting(
        0.0, "mean absolute difference between the mean colours of two images of a, in [-1, 1]; 0: found out"
    )
    variation_b: Weight = setting(0.0, "the same of two images of b")
    gan: Literal["logistic", "relativistic"] = setting(
        "logistic",
        "kind of the domain adversarial loss: real and generated images each against a target, or against each other",
    )
    gradient_penalty: Weight = setting(
        0.0, "penalty of the slope of domain discriminators at real and generated images (R1 and R2); 0: none"
    )
    penalty_every: Positive = setting(4, "iterations between gradient penalties, which weigh so many times more")
    lecam: Weight = setting(
        0.0, "LeCam: logits of domain discriminators stay near the moving average of the other kind's; 0: none"
    )

    task: Weight = setting(
        0.0,
        "task loss (PixelDA): a classifier, trained on images of a and their translations, shall find the label of the "
        "input in translations to b; needs labels of domain a",
    )
    task_masks: bool = setting(
        False,
        "the labels of the task are masks, DIR/masks/NAME.png for DIR/NAME.jpg of a: the class of each pixel, 255 for "
        "none; a small segmenter in place of the classifier",
    )
    task_classes: NonNegative = setting(0, "classes of the task; 0: as many as domain a has")

    @property
    def mode_seeking_weights(self) -> dict[str, float]:
        """The weight of mode seeking of outputs of each domain."""
        return {"a": self.mode_seeking, "b": self.mode_seeking if self.mode_seeking_b < 0 else self.mode_seeking_b}


@dataclass(frozen=True)
class ContentDiscriminatorOptim(OptimSettings):
    """Optimizers, those of the content discriminator apart."""

    content_discriminator_lr: Weight = setting(4e-5, "Adam learning rate of the content discriminator")
    content_discriminator_steps: Positive = setting(
        3, "updates of the content discriminator for one of everything else (each on a batch of its own)"
    )
    content_discriminator_clip: Weight = setting(5.0, "maximum gradient norm of the content discriminator; 0: no limit")


@dataclass(frozen=True)
class DRITOptim(ContentDiscriminatorOptim):
    """Optimizers and how the updates of one iteration are laid out."""

    split_batch: bool = setting(
        False, "the official batch: one half is encoded, the other half only serves as real images for random outputs"
    )
    separate_random_step: bool = setting(
        False, "the official order: random outputs (latent regression, mode seeking) in a second step of their own"
    )
    latent_moves_attribute_encoder: bool = setting(
        True, "latent regression also trains the attribute encoder (the paper's formula; the official one: no)"
    )


@dataclass(frozen=True)
class DRITSettings(TrainSettings):
    """A training run of DRIT."""

    method: str = setting("drit", "the method to train; `drit methods` lists them")
    network: DRITNetwork = setting(DRITNetwork(), "networks")
    loss: DRITLoss = setting(DRITLoss(), "loss weights")
    optim: DRITOptim = setting(DRITOptim(), "optimizers")

    @property
    def learns_labels(self) -> bool:
        return self.loss.task > 0

    @property
    def learns_masks(self) -> bool:
        return self.learns_labels and self.loss.task_masks

    @property
    def classes(self) -> int:
        return self.loss.task_classes

    @property
    def divisions(self) -> int:
        return self.accumulate * (2 if self.optim.split_batch else 1)

    def with_classes(self, count: int) -> Self:
        return replace(self, loss=replace(self.loss, task_classes=count)) if self.learns_labels else self

    @property
    def needs_variation(self) -> tuple[str, ...]:
        seeking = self.loss.mode_seeking_weights if self.loss.mode_seeking_end else {}
        known = {"a": self.loss.variation_a, "b": self.loss.variation_b}
        return tuple(d for d, weight in seeking.items() if weight and not known[d])

    def with_variation(self, variation: Mapping[str, float]) -> Self:
        named = {f"variation_{d}": round(value, 4) for d, value in variation.items()}
        return replace(self, loss=replace(self.loss, **named))

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        paper = cls(preset="paper")
        base = changed(paper, SHARP | {"network.init": "scaled", "optim.content_discriminator_steps": 1})
        # Photographs: styles that differ sooner, and nearer to real images; the weight is that of the official
        # implementation. It ends where a domain hardly varies. Digits are diverse without it.
        # Discriminators that see a set of a few hundred images again and again are held back, and their images moved.
        steadied = {"loss.lecam": 0.1, "network.discriminator_shift": 8}
        photographs = changed(base, {"loss.mode_seeking": 1.0, "loss.mode_seeking_end": 1.0} | steadied)
        return {
            "default": sized(photographs, "default"),
            "paper": paper,  # its formulas and weights, at the published sizes
            "official": changed(paper, OFFICIAL),
            "digits": sized(base, "digits"),
            # textures sooner, in place of grids; small batches, so that it learns for more iterations
            "demo": changed(
                sized(changed(base, {"loss.domain_adversarial": 2.0}), "demo"), {"batch": 8, "steps": 2400}
            ),
            # narrow, and one image at a time, so that it learns for more iterations; these are few, so steps are large
            "quick": changed(sized(photographs, "quick"), {"network.width": 16, "batch": 1, "optim.lr": 8e-4}),
        }

    def check(self) -> None:
        super().check()
        check_downsamplings(self.data.crop, self.network.downsamplings)
        check_spectral(self.recompute, self.network.spectral_norm)
        if self.loss.task_masks and not self.loss.task:
            raise UsageError("--loss.task-masks is for the task loss: give it a weight with --loss.task.")
        if self.optim.split_batch and self.batch < 2 * self.accumulate:
            raise UsageError(
                "--optim.split-batch needs a batch of at least 2, in each part with --accumulate: one half is encoded, "
                "the other judged against."
            )


# What the official implementation does (docs/official.md lists what of it is not reproduced).
OFFICIAL = {
    "preset": "official",
    "steps": 500_000,
    "batch": 2,
    "precision": "float32",
    "data.resize_mode": "square",
    "network.share_feature_layer": False,
    "loss.content_norm": 0.01,
    "loss.mode_seeking": 1.0,
    "optim.split_batch": True,
    "optim.separate_random_step": True,
    "optim.latent_moves_attribute_encoder": False,
}
