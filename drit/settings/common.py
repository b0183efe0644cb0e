"""Settings that every method has: data, optimizers, what is written, the training itself. Imports no torch."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from annotated_types import Ge, Interval

from drit.errors import UsageError, nearest
from drit.settings.schema import (
    MAX_SEED,
    MAX_THREADS,
    NonNegative,
    Positive,
    Share,
    ShareBelowOne,
    Weight,
    check_ranges,
    setting,
)

Gan = Literal["logistic", "least_squares"]  # kinds of domain adversarial losses
MIN_CROP = 16  # pixels: what encoders and discriminators of the usual depth can still downsample


@dataclass(frozen=True)
class DataSettings:
    """Where the images are and how they become crops."""

    a: str = setting("", "domain a: a folder of images (searched recursively) or an .npz file of arrays")
    b: str = setting("", "domain b: likewise; the two need not be paired nor equally many")
    domains: tuple[str, ...] = setting((), "in place of a and b, for methods of several domains: all of them, in order")
    pairs: str = setting(
        "",
        "in place of a and b, for methods that need pairs: a folder of images with a on the left, b on the right",
    )
    resize: NonNegative = setting(
        256, "images are resized so that the short side has this many pixels; 0 keeps their size"
    )
    resize_mode: Literal["short_side", "square"] = setting(
        "short_side", "'short_side' keeps the aspect ratio; 'square' ignores it (the official implementation)"
    )
    crop: Annotated[int, Ge(MIN_CROP)] = setting(216, "side of the random square crop that training sees, in pixels")
    flip: bool = setting(True, "mirror half of the crops left to right (switch off for text and digits)")
    channels_a: NonNegative = setting(
        0, "channels of domain a, or of all of data.domains (1 grey, 3 colour, ...); 0: as the files are"
    )
    channels_b: NonNegative = setting(0, "channels of domain b; 0: as the files are")
    bands: str = setting(
        "",
        "bands to take of images that have several, in this order, counted from 1 as remote sensing does: 4,3,2; "
        "empty or all: all of them",
    )
    bands_b: str = setting("", "bands of domain b where they differ: 3,2,1, or all")
    range: tuple[str, ...] = setting(
        (),
        "values that become black and white: LOW HIGH in the files' own units; auto: the 0.5 and 99.5 percentiles of "
        "the set; full: the whole range of their type. Floating-point and int16 images need LOW HIGH or auto",
    )
    range_b: tuple[str, ...] = setting((), "range of domain b where it differs: LOW HIGH, auto or full")
    alpha: Literal["flatten", "keep"] = setting(
        "flatten", "transparent images: laid on white, or alpha kept as a channel"
    )
    full_hash: bool = setting(
        False,
        "record a hash of every byte of the images; without it, of sampled blocks of files above 192 KiB, which takes "
        "seconds and sees nearly every change",
        resumable=True,
    )
    cache: bool = setting(True, "keep decoded images in memory when all of them fit in a quarter of it", resumable=True)
    workers: Annotated[int, Interval(ge=-1, le=64)] = setting(
        -1,
        "loader processes; -1 chooses: 0 when the images are cached, else one for each spare core",
        resumable=True,
    )
    max_unreadable: NonNegative = setting(
        10, "how many unreadable files (or images without a partner) are named and skipped before the run stops"
    )

    max_lost_shards: NonNegative = setting(
        0, "how many missing or cut shards of a packed folder are named and left out before the run stops"
    )

    def sources(self) -> dict[str, str]:
        """The folder or file of each domain that is given, by the domain's letter."""
        if self.domains:
            return dict(zip(string.ascii_lowercase, self.domains, strict=False))
        if self.pairs:
            return dict.fromkeys(("a", "b"), self.pairs)
        return {d: path for d, path in (("a", self.a), ("b", self.b)) if path}

    def channels(self, domain: str) -> int:
        """Channels that are set for a domain; 0: as the files are. Several domains share those of a."""
        return self.channels_b if domain == "b" and not self.domains else self.channels_a


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the networks."""


@dataclass(frozen=True)
class LossSettings:
    """Weight of each term of the objective."""


@dataclass(frozen=True)
class OptimSettings:
    """Optimizers and how the updates of one iteration are laid out."""

    lr: Weight = setting(1e-4, "Adam learning rate")
    beta1: ShareBelowOne = setting(0.5, "Adam's first beta")
    beta2: ShareBelowOne = setting(0.999, "Adam's second beta")
    weight_decay: Weight = setting(1e-4, "L2 penalty, added to the gradient")
    warmup: NonNegative = setting(0, "iterations over which the learning rates rise from 0")
    decay_from: Share = setting(
        0.5, "share of the iterations after which the learning rates fall linearly to 0; 1: never"
    )
    halve_every: NonNegative = setting(
        0, "iterations after which the learning rates are halved, again and again; 0: never"
    )
    clip: Weight = setting(0.0, "maximum gradient norm of the encoders and generators together; 0: no limit")
    ema: ShareBelowOne = setting(0.0, "decay of the moving average of weights that translation uses; 0: none")


@dataclass(frozen=True)
class LogSettings:
    """What a run writes, and how often (counted in iterations)."""

    metrics_every: Positive = setting(10, "iterations between lines of metrics.jsonl and TensorBoard")
    sample_every: NonNegative = setting(1000, "iterations between sample sheets; 0: none")
    watch_every: NonNegative = setting(
        200, "iterations between looks at a few fixed images: diversity, domain probe, warnings; 0: none"
    )
    checkpoint_every: Positive = setting(1000, "iterations between checkpoints")
    keep: Positive = setting(3, "newest checkpoints kept")
    keep_every: NonNegative = setting(0, "checkpoints at multiples of this many iterations are kept for good; 0: none")
    tensorboard: bool = setting(True, "write TensorBoard events beside metrics.jsonl")


@dataclass(frozen=True)
class TrainSettings:
    """A whole training run. Each method has a class of its own, with its own groups `network`, `loss` and `optim`."""

    method: str = setting("", "the method to train; `drit methods` lists them")
    preset: str = setting("default", "settings to start from", resumable=True)
    steps: Positive = setting(
        100_000, "iterations: one update of everything (with its content discriminator updates)", resumable=True
    )
    batch: Positive = setting(4, "images of each domain in a batch")
    seed: Annotated[int, Interval(ge=0, le=MAX_SEED)] = setting(0, "seed of weights, data order, crops and noise")
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "arithmetic of the convolutions; auto: bfloat16 where the processor has units for it"
    )
    device: str = setting("auto", "cpu, cuda, cuda:1, ...; auto: cuda when there is one")
    threads: Annotated[int, Interval(ge=0, le=MAX_THREADS)] = setting(0, "CPU threads; 0: all cores", resumable=True)
    peer_timeout: Annotated[int, Interval(ge=1, le=86400)] = setting(
        600,
        "under torchrun: seconds after which a process that does not answer counts as lost; more than a checkpoint "
        "and a sample sheet take",
        resumable=True,
    )
    deterministic: bool = setting(
        False,
        "the same bits from the same seed on a GPU too, with slower algorithms; on a CPU they are the same anyway",
        resumable=True,
    )
    accumulate: Positive = setting(
        1,
        "parts that a batch is worked through in, one after another: less memory, slower; the same gradients, but for "
        "what a part has of its own (ratios or statistics over the batch, steps of spectral normalisation)",
    )
    recompute: bool = setting(
        False,
        "keep only what goes into each network and compute its layers again for the gradients: a third slower",
        resumable=True,
    )
    data: DataSettings = setting(DataSettings(), "images")
    network: NetworkSettings = setting(NetworkSettings(), "networks")
    loss: LossSettings = setting(LossSettings(), "loss weights")
    optim: OptimSettings = setting(OptimSettings(), "optimizers")
    log: LogSettings = setting(LogSettings(), "what is written", resumable=True)

    @classmethod
    def presets(cls) -> Mapping[str, Self]:
        """Whole configurations by name, `default` among them."""
        return {"default": cls()}

    def check(self) -> None:
        """Raises UsageError for settings that the method cannot be trained with. Methods add their own checks."""
        check_ranges(self)
        if self.batch % self.accumulate:
            raise UsageError(
                f"--accumulate {self.accumulate} must divide the batch of {self.batch}: parts are of equal size."
            )
        weights = [getattr(self.loss, f.name) for f in dataclasses.fields(self.loss) if isinstance(f.default, float)]
        if weights and not any(weight > 0 for weight in weights):
            raise UsageError(
                f"All weights of {self.method}'s losses are 0: there is nothing to learn. Set --loss.NAME."
            )

    @property
    def divisions(self) -> int:
        """What the images of a batch are divided by before processes share them: parts, and groups of a part."""
        return self.accumulate

    @property
    def learns_labels(self) -> bool:
        """Whether training looks at the labels of domain a."""
        return False

    @property
    def learns_masks(self) -> bool:
        """Whether these labels are masks: a class for each pixel."""
        return False

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0: not known yet."""
        return 0

    def with_classes(self, count: int) -> Self:
        """The settings for so many classes of labels, where they are learnt."""
        return self

    @property
    def needs_variation(self) -> tuple[str, ...]:
        """The domains of which the training has to know how far two real images differ."""
        return ()

    def with_variation(self, variation: Mapping[str, float]) -> Self:
        """The settings for domains whose real images differ so far: `checks.variation` of each."""
        return self

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """The settings of a preset. Raises UsageError, with the nearest name, for an unknown one."""
        presets = cls.presets()
        if name not in presets:
            method = cls().method
            raise UsageError(f"{method} has no preset '{name}'.{nearest(name, presets)} Presets: {', '.join(presets)}.")
        return presets[name]
