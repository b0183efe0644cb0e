"""Settings of network parts that several methods have; a method's own class of settings is made of these and its own.

Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from drit.errors import UsageError
from drit.settings.schema import NonNegative, Positive, ShareBelowOne, Weight, setting


@dataclass(frozen=True)
class Width:
    """Width of the generator's first layer."""

    width: Positive = setting(64, "channels after the first layer; the content code has width x 2^downsamplings")


@dataclass(frozen=True)
class Downsampled(Width):
    """A generator between downsamplings and upsamplings."""

    downsamplings: Annotated[int, Interval(ge=1, le=5)] = setting(
        2, "downsamplings of the image on the way to the content code"
    )


@dataclass(frozen=True)
class Content(Downsampled):
    """A content encoder and a generator of residual blocks."""

    content_blocks: NonNegative = setting(3, "residual blocks of each domain's own part of the content encoder")
    shared_blocks: NonNegative = setting(
        1, "residual blocks at the end of the content encoder and the start of the generator, shared by the domains"
    )
    generator_blocks: NonNegative = setting(3, "residual blocks of each domain's own part of the generator")


@dataclass(frozen=True)
class ContentCode:
    """What becomes of a content code on its way to the generators."""

    content_noise: Weight = setting(1.0, "std of the Gaussian noise added to content codes in training")
    content_filter: bool = setting(
        False,
        "a binomial filter on content codes: what alternates from one of their pixels to the next, and shows as dots "
        "on fur or trees, does not reach the generators",
    )


@dataclass(frozen=True)
class Style:
    """An attribute encoder and its code."""

    style_dim: Positive = setting(8, "numbers in an attribute code")
    attribute_width: Positive = setting(64, "channels after the first layer of the attribute encoder")
    attribute_blocks: Annotated[int, Interval(ge=1, le=6)] = setting(
        3, "downsampling blocks of the attribute encoder after its first layer"
    )


Form = Literal["concat", "feature", "film"]  # of a generator: how the style enters
Upsample = Literal["transposed", "resize", "smooth"]


@dataclass(frozen=True)
class StyledGenerator:
    """A generator of DRIT's forms, and the posterior of its styles."""

    generator: Form = setting(
        "concat",
        "how the style enters: 'concat' (style changes: season, paint), 'feature' (shape changes: cat, dog), both "
        "published; or 'film': scale and shift after the normalisations of the upsampling path",
    )
    upsample: Upsample = setting(
        "transposed",
        "upsampling in the generator: 'transposed' convolutions (published); 'resize': nearest neighbour, then a 3 x 3 "
        "convolution, which draws no grid of its own; or 'smooth': the same, then a binomial filter, for photographs "
        "with a mesh of 2 pixels",
    )
    bounded_variance: bool = setting(
        False,
        "the posterior variance of attribute codes stays below e, so that the KL divergence cannot overflow (the "
        "feature-wise form has no variance)",
    )


# The form of `StyledGenerator` in every preset but those that repeat a published program: no grid, and styles that
# change more than the cast (docs/results.md, Levers).
SHARP = {"network.generator": "film", "network.upsample": "resize"}


@dataclass(frozen=True)
class Discriminator:
    """A domain discriminator."""

    discriminator_width: Positive = setting(64, "channels after the first layer of a domain discriminator")
    discriminator_layers: Positive = setting(4, "downsampling layers of a domain discriminator")


@dataclass(frozen=True)
class MultiScale(Discriminator):
    """A domain discriminator at several scales."""

    discriminator_scales: Positive = setting(3, "image scales that a domain discriminator looks at")


@dataclass(frozen=True)
class Spectral:
    """Spectral normalisation."""

    spectral_norm: bool = setting(False, "spectral normalisation of the domain discriminators")


@dataclass(frozen=True)
class PatchNorm:
    """Normalisation of patch discriminators."""

    discriminator_norm: Literal["none", "instance", "batch"] = setting(
        "none",
        "normalisation of patch discriminators; 'batch': of each image, with gain and bias, as in a batch of one",
    )


@dataclass(frozen=True)
class Init:
    """Initial weights."""

    init: Literal["published", "scaled"] = setting(
        "published",
        "initial weights: 'published' (the official implementation's) or 'scaled' (He's std in attribute encoders and "
        "domain discriminators without normalisation; generators that start as bilinear upsampling)",
    )


@dataclass(frozen=True)
class UNet:
    """A U-Net."""

    dropout: ShareBelowOne = setting(0.0, "dropout rate in the U-Net, in training only")
    unet_levels: NonNegative = setting(
        0, "downsamplings of a U-Net, 6 for U-Net-64 to 9 for U-Net-512; 0: as many as the crop allows"
    )


@dataclass(frozen=True)
class UNetCodes(UNet):
    """A U-Net with an attribute code."""

    code_everywhere: bool = setting(
        True, "the code goes into every layer on the way down of a U-Net; no: into the first alone"
    )


MAX_UNET_LEVELS = 9  # U-Net-512


def check_downsamplings(crop: int, downsamplings: int) -> None:
    """Raises UsageError for crops that cannot be downsampled so often and come back to their size."""
    stride = 1 << downsamplings
    if crop % stride:
        below, above = crop // stride * stride, -(-crop // stride) * stride
        raise UsageError(
            f"--data.crop {crop} cannot be halved --network.downsamplings {downsamplings} times and doubled again: "
            f"take {f'{below} or ' if below else ''}{above}."
        )


def check_spectral(recompute: bool, spectral_norm: bool) -> None:
    """Raises UsageError for spectral normalisation with recomputation."""
    if recompute and spectral_norm:
        raise UsageError(
            "--recompute runs layers twice, and spectral normalisation goes a step further each time: leave out one of "
            "them. --accumulate saves memory too."
        )


def fitting_unet_levels(crop: int) -> int:
    """The most downsamplings that leave a pixel of a crop's side: 8 for 256, 5 for 32, 4 for 28."""
    return min(MAX_UNET_LEVELS, crop.bit_length() - 1)


def check_unet_levels(crop: int, levels: int) -> None:
    """Raises UsageError for a U-Net that downsamples more often than a crop allows; 0 levels always fit."""
    if levels and not 2 <= levels <= fitting_unet_levels(crop):
        raise UsageError(
            f"--network.unet-levels {levels} does not fit crops of {crop} pixels: 2 to {fitting_unet_levels(crop)} do "
            f"(at most {MAX_UNET_LEVELS}). Leave it out to let the crop choose, or set a larger --data.crop."
        )
