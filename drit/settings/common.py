"""Every setting of the program: one frozen dataclass field is default, flag, help text and record.

`TrainSettings` is the root. A nested field is a dotted flag: `network.style_dim` is `--network.style-dim`.
`presets.py` gives whole configurations by name; what the command line sets replaces single fields of them.
This module imports no torch, so that `--help` and wrong flags answer at once.
"""

from __future__ import annotations

import dataclasses
import string
from dataclasses import dataclass
from typing import Literal

from drit.settings.schema import MAX_SEED, MAX_THREADS, concerns, setting

Gan = Literal["logistic", "least_squares"]  # kinds of domain adversarial losses
MIN_CROP = 16  # pixels: what encoders and discriminators of the usual depth can still halve

# Methods that settings below mean something to.
_DRIT = "drit drit++"
_CYCLES = "cyclegan cyclegan-noise cycle-bicycle"
_BICYCLES = "bicyclegan cycle-bicycle"
_UNETS = f"pix2pix {_BICYCLES}"
_STYLES = f"{_DRIT} munit {_BICYCLES}"  # with an encoder for them
_CONTENTS = f"{_DRIT} unit munit"  # with an encoder of its own for content


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
    resize: int = setting(256, "images are resized so that the short side has this many pixels; 0 keeps their size")
    resize_mode: Literal["short_side", "square"] = setting(
        "short_side", "'short_side' keeps the aspect ratio; 'square' ignores it (the official implementation)"
    )
    crop: int = setting(
        216, "side of the random square crop that training sees, in pixels", within=f"[{MIN_CROP}, inf)"
    )
    flip: bool = setting(True, "mirror half of the crops left to right (switch off for text and digits)")
    channels_a: int = setting(
        0, "channels of domain a, or of all of data.domains (1 grey, 3 colour, ...); 0: as the files are"
    )
    channels_b: int = setting(0, "channels of domain b; 0: as the files are")
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
    cache: bool = setting(True, "keep decoded images in memory when all of them fit in a quarter of it")
    workers: int = setting(
        -1,
        "loader processes; -1 chooses: 0 when the images are cached, else one for each spare core",
        within="[-1, 64]",
    )
    max_unreadable: int = setting(
        10, "how many unreadable files (or images without a partner) are named and skipped before the run stops"
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
    """Sizes of the networks; the defaults are the published ones."""

    generator: Literal["concat", "feature"] = setting(
        "concat",
        "how the style enters: 'concat' (style changes: season, paint) or 'feature' (shape changes: cat, dog)",
        only=_DRIT,
    )
    style_dim: int = setting(8, "numbers in an attribute code", only=f"{_STYLES} cyclegan-noise")
    width: int = setting(
        64,
        "channels after the first layer of the content encoder; the content code has width x 2^downsamplings",
        within="[1, inf)",
    )
    downsamplings: int = setting(
        2,
        "halvings of the image on the way to the content code",
        only=f"{_CONTENTS} {_CYCLES} pix2pix",
        within="[1, 5]",
    )
    content_blocks: int = setting(3, "residual blocks of each domain's own part of the content encoder", only=_CONTENTS)
    shared_blocks: int = setting(
        1,
        "residual blocks shared by the two domains at the end of the content encoder (and start of the generator)",
        only=_CONTENTS,
    )
    generator_blocks: int = setting(
        3,
        "residual blocks of the concatenating generator (the feature-wise one has one more)",
        only=f"{_CONTENTS} {_CYCLES} pix2pix",
    )
    share_feature_layer: bool = setting(
        True,
        "the feature-wise generators share their first layer, as in the paper (the official one shares none)",
        only=_DRIT,
    )
    attribute_width: int = setting(
        64, "channels after the first layer of the attribute encoder", only=_STYLES, within="[1, inf)"
    )
    attribute_blocks: int = setting(
        3, "halving blocks of the attribute encoder after its first layer", only=_STYLES, within="[1, 6]"
    )
    discriminator_width: int = setting(
        64, "channels after the first layer of a domain discriminator", within="[1, inf)"
    )
    discriminator_layers: int = setting(
        4,
        "halving layers of a domain discriminator",
        only=f"{_CONTENTS} {_CYCLES} pix2pix bicyclegan",
        within="[1, inf)",
    )
    discriminator_scales: int = setting(
        3, "image scales that a domain discriminator looks at", only=f"{_CONTENTS} {_BICYCLES}", within="[1, inf)"
    )
    spectral_norm: bool = setting(
        False, "spectral normalisation of the domain discriminators", only=f"{_DRIT} unit munit"
    )
    content_noise: float = setting(
        1.0, "deviation of the Gaussian noise added to content codes in training", only=f"{_DRIT} unit"
    )
    init: Literal["published", "scaled"] = setting(
        "published",
        "initial weights: 'published' (as in the method's own program) or 'scaled' (He's deviation in attribute "
        "encoders and domain discriminators, which have no normalisation; generators that start by enlarging smoothly)",
        only=f"{_CONTENTS} {_CYCLES} pix2pix bicyclegan",
    )
    discriminator_norm: Literal["none", "instance", "batch"] = setting(
        "none",
        "normalisation of patch discriminators; 'batch': of each image, with gain and bias, as in a batch of one",
        only=f"{_CYCLES} pix2pix bicyclegan",
    )
    backbone: Literal["unet", "resnet"] = setting(
        "unet", "generator: a U-Net, or the residual network of CycleGAN", only="pix2pix"
    )
    dropout: float = setting(0.0, "dropout rate in the U-Net, in training only", only=_UNETS, within="[0, 1)")
    unet_levels: int = setting(
        0,
        "halvings of a U-Net, 6 for U-Net-64 to 9 for U-Net-512; 0: as many as the crop allows",
        only=_UNETS,
    )
    code_everywhere: bool = setting(
        True,
        "the code goes into every layer on the way down of a U-Net; no: into the first alone",
        only="bicyclegan cycle-bicycle",
    )
    categories: int = setting(10, "values of the categorical code", only="infogan", within="[2, inf)")
    continuous: int = setting(2, "continuous codes, each uniform in [-1, 1]", only="infogan")
    noise_dim: int = setting(62, "numbers of noise beside the codes", only="infogan")


@dataclass(frozen=True)
class LossSettings:
    """Weight of each term of the objective (DRIT, section 3; published values)."""

    content_adversarial: float = setting(
        1.0, "content adversarial loss: hides the domain in the content code", only=_DRIT
    )
    domain_adversarial: float = setting(1.0, "domain adversarial loss of exemplar and random outputs")
    cross_cycle: float = setting(10.0, "cross-cycle consistency, L1", only=f"{_CONTENTS} {_CYCLES}")
    self_reconstruction: float = setting(10.0, "self-reconstruction, L1", only=_CONTENTS)
    kl: float = setting(0.01, "KL divergence of the attribute posterior from N(0, I)", only=f"{_DRIT} unit {_BICYCLES}")
    latent_regression: float = setting(
        10.0, "L1 between a random attribute and the one recovered from its output", only=_STYLES
    )
    gan: Gan = setting(
        "logistic", "kind of the domain adversarial loss", only=f"{_CYCLES} unit munit pix2pix bicyclegan"
    )
    identity: float = setting(
        0.0,
        "L1 between an image and what the generator of its own domain makes of it",
        only=_CYCLES,
    )
    paired: float = setting(0.0, "L1 to the true image, of methods that learn from pairs", only=_UNETS)
    content_regression: float = setting(
        0.0, "L1 between a content code and the one recovered from its output", only="munit"
    )
    content_norm: float = setting(
        0.0, "mean square of the content code (the official implementation: 0.01)", only=_DRIT
    )
    mode_seeking: float = setting(
        0.0, "mode seeking (MSGAN, DRIT++): 1 / (image distance / style distance); 0 switches it off", only=_DRIT
    )
    domain_classification: float = setting(
        0.0, "domain classification: made images are told to be of the domain that they are made for", only="drit++"
    )
    mutual_information: float = setting(
        0.0, "bound on the mutual information of images and the categorical code", only="infogan"
    )
    mutual_information_continuous: float = setting(0.0, "the same of the continuous codes", only="infogan")

    def of(self, term: str) -> float:
        """The weight of a term of an objective: of the setting that its name begins with, before the domain or which
        images it is of (`kl_fake_a`, `domain_adversarial_random`)."""
        names = [f.name for f in dataclasses.fields(self) if f"{term}_".startswith(f"{f.name}_")]
        return float(getattr(self, max(names, key=len)))

    def all_off(self, method: str) -> bool:
        """Whether no term of the method has a weight."""
        numbers = [f.name for f in dataclasses.fields(self) if isinstance(f.default, float)]
        return not any(getattr(self, name) for name in numbers if concerns(LossSettings, name, method))


@dataclass(frozen=True)
class OptimSettings:
    """Optimizers and how the updates of one iteration are laid out."""

    lr: float = setting(1e-4, "Adam learning rate")
    content_discriminator_lr: float = setting(4e-5, "Adam learning rate of the content discriminator", only=_DRIT)
    beta1: float = setting(0.5, "Adam's first beta", within="[0, 1)")
    beta2: float = setting(0.999, "Adam's second beta", within="[0, 1)")
    weight_decay: float = setting(1e-4, "L2 penalty, added to the gradient")
    warmup: int = setting(0, "iterations over which the learning rates rise from 0")
    decay_from: float = setting(
        0.5, "share of the iterations after which the learning rates fall linearly to 0; 1: never", within="[0, 1]"
    )
    halve_every: int = setting(0, "iterations after which the learning rates are halved, again and again; 0: never")
    content_discriminator_steps: int = setting(
        3,
        "updates of the content discriminator for one of everything else (each on a batch of its own)",
        only=_DRIT,
        within="[1, inf)",
    )
    content_discriminator_clip: float = setting(
        5.0, "largest gradient norm of the content discriminator; 0: no limit", only=_DRIT
    )
    clip: float = setting(0.0, "largest gradient norm of the encoders and generators together; 0: no limit")
    split_batch: bool = setting(
        False,
        "the published batch: one half is encoded, the other half only serves as real images for random outputs",
        only="drit",
    )
    separate_random_step: bool = setting(
        False,
        "the published order: random outputs (latent regression, mode seeking) in a second step of their own",
        only="drit",
    )
    latent_moves_attribute_encoder: bool = setting(
        True,
        "latent regression also trains the attribute encoder (the paper's formula; the official implementation: no)",
        only="drit",
    )
    pool: int = setting(0, "older outputs that discriminators also see; 0: none", only=_CYCLES)
    pairing_share: float = setting(
        0.5,
        "share of the iterations in which the CycleGAN learns that makes the pairs",
        only="cycle-bicycle",
        within="(0, 1)",
    )
    ema: float = setting(0.0, "decay of the moving average of weights that translation uses; 0: none", within="[0, 1)")


@dataclass(frozen=True)
class LogSettings:
    """What a run writes, and how often (counted in iterations)."""

    metrics_every: int = setting(10, "iterations between lines of metrics.jsonl and TensorBoard", within="[1, inf)")
    sample_every: int = setting(1000, "iterations between sample sheets; 0: none")
    watch_every: int = setting(
        200, "iterations between looks at a few fixed images: diversity, content probe, warnings; 0: none"
    )
    checkpoint_every: int = setting(1000, "iterations between checkpoints", within="[1, inf)")
    keep: int = setting(3, "newest checkpoints kept", within="[1, inf)")
    keep_every: int = setting(0, "checkpoints at multiples of this many iterations are kept for good; 0: none")
    tensorboard: bool = setting(True, "write TensorBoard events beside metrics.jsonl")


@dataclass(frozen=True)
class TrainSettings:
    """A whole training run."""

    method: str = setting("drit", "the method to train; `drit methods` lists them")
    preset: str = setting("default", "settings to start from: default, paper, official, quick, digits or demo")
    steps: int = setting(
        100_000, "iterations: one update of everything (with its content discriminator updates)", within="[1, inf)"
    )
    batch: int = setting(4, "images of each domain in a batch", within="[1, inf)")
    seed: int = setting(0, "seed of weights, data order, crops and noise", within=f"[0, {MAX_SEED}]")
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "arithmetic of the convolutions; auto: bfloat16 where the processor has units for it"
    )
    device: str = setting("auto", "cpu, cuda, cuda:1, ...; auto: cuda when there is one")
    threads: int = setting(0, "CPU threads; 0: all cores", within=f"[0, {MAX_THREADS}]")
    accumulate: int = setting(
        1,
        "parts that a batch is worked through in, one after another: less memory, slower; the same gradients, but for "
        "what a part has of its own (mode seeking's ratio, infogan's statistics, steps of spectral normalisation)",
        within="[1, inf)",
    )
    recompute: bool = setting(
        False, "keep only what goes into each network and compute its layers again for the gradients: a third slower"
    )
    data: DataSettings = setting(DataSettings(), "images")
    network: NetworkSettings = setting(NetworkSettings(), "networks")
    loss: LossSettings = setting(LossSettings(), "loss weights")
    optim: OptimSettings = setting(OptimSettings(), "optimizers")
    log: LogSettings = setting(LogSettings(), "what is written")
