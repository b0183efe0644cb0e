"""The format, depth and numbers of an output: the input's where that holds the output, else PNG or TIFF."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from drit.data.images import Header, Metadata, encode, from_tensor, from_units, to_units
from drit.data.ranges import Range, reading_of
from drit.errors import DritError, UsageError
from drit.methods.base import Method

FORMATS = ("png", "jpg", "webp", "tif")  # that can be asked for
_SAME = {".jfif": ".jpg", ".jpe": ".jpg"}  # endings of one format
_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Samples:
    """What the samples of a domain's outputs are."""

    channels: int
    alpha: bool = False  # the last of 2 or 4 channels is transparency, unless the input has bands
    value_range: Range | None = None  # in a file's own units, the values that black and white stand for
    same_units: bool = True  # inputs have a range too: outputs are of an input's type

    def dtype(self, of_input: str) -> str:
        """The type of outputs in units, from that of the input's numbers; empty where they are grey levels."""
        if self.value_range is None:
            return ""
        return of_input if self.same_units else "float32"


def samples_of(method: Method, source: str, target: str) -> Samples:
    """What a model's outputs of domain `target` are, from inputs of domain `source`."""
    data = method.settings.data
    same = reading_of(data, source).value_range is not None
    return Samples(method.channels[target], data.alpha == "keep", reading_of(data, target).value_range, same)


class OutputFormat(NamedTuple):
    """How one output is written. note: why it is not as its input, or empty."""

    suffix: str
    depth: int  # 8 or 16: of grey levels
    note: str = ""
    dtype: str = ""  # of numbers in units; empty: grey levels
    value_range: Range | None = None  # of numbers in units
    alpha: bool = True  # the last of 2 or 4 channels is transparency

    def array(self, output: Tensor) -> np.ndarray:
        """An output (..., C, H, W) in [-1, 1] as it is written: (..., H, W, C) of grey levels, or in units."""
        if self.dtype and self.value_range is not None:
            return to_units(output, self.value_range, self.dtype)
        return from_tensor(output, self.depth)

    def levels(self, array: np.ndarray) -> np.ndarray:
        """What `array` made, (..., H, W, C), as grey levels: uint8 or uint16."""
        return from_units(array, self.value_range) if self.dtype and self.value_range is not None else array


@dataclass(frozen=True)
class FormatChoice:
    """The format and depth that were asked for."""

    format: str = ""  # one of FORMATS; empty: as the input
    depth: int = 0  # 8 or 16; 0: as the input

    def check(self, samples: Samples) -> None:
        """Raises UsageError where what was asked for cannot hold outputs of these samples."""
        channels, alpha = samples.channels, samples.alpha
        if self.format not in ("", *FORMATS) or self.depth not in (0, 8, 16):
            raise UsageError(f"--format is {', '.join(FORMATS)}; --depth is 8 or 16.")
        if self.format and not holds(f".{self.format}", channels, 8, alpha):
            able = [f for f in FORMATS if holds(f".{f}", channels, self.depth or 8, alpha)]
            raise UsageError(f"--format {self.format} cannot hold {channels} channels{_instead(able)}.")
        if self.format and self.depth and not holds(f".{self.format}", channels, self.depth, alpha):
            able = [f for f in FORMATS if holds(f".{f}", channels, self.depth, alpha)]
            raise UsageError(f"--format {self.format} cannot hold {self.depth} bits{_instead(able)}.")

    def of(self, suffix: str, header: Header, samples: Samples) -> OutputFormat:
        """The format of an output of these samples whose input has this suffix and header.

        The choice is one that `check` accepts.
        """
        dtype = "" if self.depth else samples.dtype(header.dtype)
        wanted = f".{self.format}" if self.format else _SAME.get(suffix.lower(), suffix.lower())
        alpha = samples.alpha and not header.extra
        if dtype in ("", "uint8", "uint16"):
            depth = self.depth or (8 * np.dtype(dtype).itemsize if dtype else header.depth)
            form = self._levels(wanted, samples.channels, depth, alpha)
            in_units = dtype and form.depth == depth
            return form._replace(dtype=dtype, value_range=samples.value_range) if in_units else form
        if self.format and wanted not in _TIFF:
            form = self._levels(wanted, samples.channels, 16, alpha)
            low, high = samples.value_range or (0.0, 1.0)
            told = f"{self.format} holds no {dtype}: {low:g} to {high:g} are written as 0 to {(1 << form.depth) - 1}."
            return form._replace(note=told)
        note = "" if wanted in _TIFF else f"Numbers of type {dtype} are written as .tif."
        suffix = wanted if wanted in _TIFF else ".tif"
        return OutputFormat(suffix, 16, note, dtype, samples.value_range, alpha)

    def _levels(self, wanted: str, channels: int, depth: int, alpha: bool) -> OutputFormat:
        """The format of grey levels: of the ending that is wanted where that holds them."""
        if holds(wanted, channels, depth, alpha):
            return OutputFormat(wanted, depth, alpha=alpha)
        if self.format:
            told = f"{self.format} holds 8 bits: outputs of 16-bit images have 8."
            return OutputFormat(wanted, 8, told, alpha=alpha)
        fallback = ".png" if holds(".png", channels, depth, alpha) else ".tif"
        if not holds(wanted, channels, 8, alpha) and not holds(wanted, 3, 8, alpha):
            told = f"Images are not written as {wanted or 'files without suffix'}: as {fallback}."
        elif not holds(wanted, channels, 8, alpha):
            told = f"{wanted} cannot hold {channels} channels: written as {fallback}."
        else:
            told = f"{wanted} holds 8 bits: 16-bit outputs are written as {fallback}."
        return OutputFormat(fallback, depth, told, alpha=alpha)


def _instead(able: list[str]) -> str:
    return f"; {', '.join(able)} can" if able else ""


@functools.cache
def holds(suffix: str, channels: int, depth: int, alpha: bool = True) -> bool:
    """Whether `encode` writes images of so many channels and bits with this suffix; it is asked, with one pixel.

    alpha: the last of 2 or 4 channels is transparency.
    """
    pixel = np.zeros((1, 1, channels), np.uint8 if depth == 8 else np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        try:
            encode(pixel, Path(folder, f"pixel{suffix}"), alpha)
        except (DritError, ValueError, KeyError) as error:
            if isinstance(error, DritError) and not isinstance(error, UsageError):
                return True  # the disk refused, not the format
            return False
    return True


def lost_parts(metadata: Metadata, suffix: str, shape: tuple[int, ...]) -> list[str]:
    """What an output (H, W, C) with this ending does not keep of its input, each in words."""
    return [f"{part} of the input is not kept in {suffix}" for part in metadata.lost(suffix, shape)]


def lost_notes(lost: Mapping[str, int]) -> list[str]:
    """What outputs do not keep of their inputs, each once, with the number of outputs."""
    return [f"{part} ({count} output{'s' if count > 1 else ''})" for part, count in lost.items()]


def to_depth(array: np.ndarray, depth: int) -> np.ndarray:
    """(H, W, C) of uint8 or uint16 in so many bits, 8 or 16: 255 and 65535 are the same white."""
    if 8 * array.dtype.itemsize == depth:
        return array
    if depth == 16:
        return array.astype(np.uint16) * 257
    return np.rint(array / 257).astype(np.uint8)
