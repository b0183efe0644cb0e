"""Bands and ranges: which of a file's numbers become pixels, and which of them are black and white."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from drit.data.decoders import Alpha, Range
from drit.data.pixels import from_units
from drit.errors import DataError, UsageError
from drit.settings.common import DataSettings

AUTO, FULL, ALL = "auto", "full", "all"  # words in place of numbers
PERCENTILES = (0.5, 99.5)  # what `auto` takes for black and white: a few hot or dead pixels do not count
SURVEYED = 64  # images that `auto` looks at, evenly over the set
VALUES = 1 << 16  # of each of them, at most, evenly over the image
UNUSED = 0.25  # a set that fills less of its type's range is told


class Reading(NamedTuple):
    """How the files of a domain are read: the arguments of `decode`, in its order."""

    alpha: Alpha = "flatten"
    bands: tuple[int, ...] = ()
    value_range: Range | None = None


AS_STORED = Reading()


def chosen_bands(config: DataSettings, domain: str) -> tuple[int, ...]:
    """The bands of a domain, counted from 1; empty: all. Raises UsageError for what are no bands."""
    flag = "bands-b" if domain == "b" and config.bands_b and not config.domains else "bands"
    text = config.bands_b if flag == "bands-b" else config.bands
    if text in ("", ALL):
        return ()
    try:
        bands = tuple(int(word) for word in text.split(","))
    except ValueError:
        bands = (0,)
    if min(bands) < 1:
        raise UsageError(f"--data.{flag} {text}: give the numbers of bands, counted from 1, with commas: 4,3,2.")
    return bands


def chosen_range(config: DataSettings, domain: str) -> Range | str | None:
    """The range of a domain: (LOW, HIGH), "auto", or None for the whole range of the files' type.

    Raises UsageError for what is no range.
    """
    flag = "range-b" if domain == "b" and config.range_b and not config.domains else "range"
    words = config.range_b if flag == "range-b" else config.range
    if not words or words == (FULL,):
        return None
    if words == (AUTO,):
        if config.domains:
            raise UsageError("--data.range auto is for domains a and b: give --data.range LOW HIGH for all of them.")
        return AUTO
    try:
        low, high = (float(word) for word in words)
    except ValueError:
        low, high = 0.0, 0.0
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(
            f"--data.{flag} {' '.join(words)}: give two numbers, the values that become black and white, the first "
            "smaller; or auto, or full."
        )
    return low, high


def reading_of(config: DataSettings, domain: str) -> Reading:
    """How the files of a domain are read, from settings that name the range (a finished run's do).

    Raises UsageError where the range is still `auto`.
    """
    value_range = chosen_range(config, domain)
    if isinstance(value_range, str):
        raise UsageError("--data.range auto is found when a run starts: give LOW HIGH.")
    return Reading(config.alpha, chosen_bands(config, domain), value_range)


def with_ranges(config: DataSettings, ranges: Mapping[str, Range | None]) -> DataSettings:
    """The settings with the numbers that `auto` found in place of it, for the record of a run.

    ranges: the range of each domain's set. Unchanged where no range is set.
    """
    if config.domains or not (config.range or config.range_b):
        return config
    words = {d: (FULL,) if r is None else (repr(r[0]), repr(r[1])) for d, r in ranges.items()}
    return replace(config, range=words.get("a", config.range), range_b=words.get("b", config.range_b))


def select_bands(array: np.ndarray, where: str, bands: tuple[int, ...]) -> np.ndarray:
    """The bands of images (N, H, W, C), counted from 1; empty: all. Raises DataError for one that is not there."""
    if not bands:
        return array
    if max(bands) > array.shape[3]:
        raise DataError(f"{where} has {array.shape[3]} bands, and --data.bands names band {max(bands)}.")
    return np.ascontiguousarray(array[..., [band - 1 for band in bands]])


def read_array_images(array: np.ndarray, where: str, reading: Reading) -> np.ndarray:
    """Images (N, H, W, C) of an array file as `reading` says: bands, and uint16 with a range."""
    array = select_bands(array, where, reading.bands)
    return array if reading.value_range is None else from_units(array, reading.value_range)


class Survey(NamedTuple):
    """What a look at some images of a set found."""

    low: float  # 0.5 percentile of the finite values
    high: float  # 99.5 percentile
    holes: int  # images that hold NaN or infinite numbers
    images: int  # looked at
    dtype: np.dtype
    flat: int  # images of one value alone


def survey(images: Iterable[np.ndarray]) -> Survey | None:
    """A look at images (H, W, C) of any type; None where they hold no finite value."""
    samples, holes, flat, count, dtype = [], 0, 0, 0, np.dtype(np.uint8)
    for image in images:
        values = image.reshape(-1)[:: max(1, image.size // VALUES)]
        if values.dtype.kind == "f":
            holes += not np.isfinite(image).all()
            values = values[np.isfinite(values)]
        flat += image.size > 0 and bool((image == image.flat[0]).all())
        samples.append(values.astype(np.float64))
        dtype, count = np.promote_types(dtype, image.dtype), count + 1
    every = np.concatenate(samples) if samples else np.empty(0)
    if not len(every):
        return None
    low, high = (float(v) for v in np.percentile(every, PERCENTILES))
    return Survey(low, high, holes, count, dtype, flat)


def auto_range(seen: Survey | None, source: str, flag: str) -> Range:
    """The range that `auto` means. Raises UsageError where all values are one."""
    if seen is None or not seen.low < seen.high:
        raise UsageError(f"{source}: its values are all the same or none, so that auto finds no range. Give {flag}.")
    return seen.low, seen.high


def range_notes(seen: Survey | None, value_range: Range | None, flag: str) -> list[str]:
    """What the person should know of a set's values."""
    notes = []
    if seen is not None and value_range is None and seen.dtype.kind in "ui":
        filled = (seen.high - seen.low) / np.iinfo(seen.dtype).max
        if 0 < filled < UNUSED:
            low, high = math.floor(seen.low), math.ceil(seen.high)
            notes.append(
                f"the values lie between {low} and {high} ({PERCENTILES[0]:g} to {PERCENTILES[1]:g} percentile), "
                f"{filled:.1%} of what {seen.dtype} holds. To use all shades, set {flag} {low} {high}, or auto"
            )
    if seen is not None and value_range is not None and seen.holes:
        notes.append(
            f"{seen.holes} of {seen.images} images looked at hold NaN or infinite numbers: NaN is taken as "
            f"{value_range[0]:g}"
        )
    return notes
