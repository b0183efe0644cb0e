"""In which format and depth an output is written: the input's, where that holds the output, else PNG."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drit.data.images import encode
from drit.errors import DritError, UsageError

FORMATS = ("png", "jpg", "webp", "tif")  # that can be asked for
FALLBACK = ".png"


class OutputFormat(NamedTuple):
    """How one output is written. note: why it is not as its input, or empty."""

    suffix: str
    depth: int  # 8 or 16
    note: str = ""


@dataclass(frozen=True)
class FormatChoice:
    """The format and depth that were asked for."""

    format: str = ""  # one of FORMATS; empty: as the input
    depth: int = 0  # 8 or 16; 0: as the input

    def check(self, channels: int) -> None:
        """Raises UsageError where what was asked for cannot hold outputs of so many channels."""
        if self.format not in ("", *FORMATS) or self.depth not in (0, 8, 16):
            raise UsageError(f"--format is {', '.join(FORMATS)}; --depth is 8 or 16.")
        if self.format and not holds(f".{self.format}", channels, 8):
            able = [f for f in FORMATS if holds(f".{f}", channels, self.depth or 8)]
            raise UsageError(f"--format {self.format} cannot hold {channels} channels{_instead(able)}.")
        if self.format and self.depth and not holds(f".{self.format}", channels, self.depth):
            able = [f for f in FORMATS if holds(f".{f}", channels, self.depth)]
            raise UsageError(f"--format {self.format} cannot hold {self.depth} bits{_instead(able)}.")
        if not self.format and not holds(FALLBACK, channels, self.depth or 8):
            raise UsageError(f"Outputs of {channels} channels cannot be written as images.")

    def of(self, suffix: str, channels: int, depth: int) -> OutputFormat:
        """The format of an output of so many channels whose input has this suffix and depth.

        The choice is one that `check` accepts.
        """
        depth = self.depth or depth
        if self.format:
            wanted = f".{self.format}"
            if holds(wanted, channels, depth):
                return OutputFormat(wanted, depth)
            return OutputFormat(wanted, 8, f"{self.format} holds 8 bits: outputs of 16-bit images have 8.")
        wanted = suffix.lower()
        if holds(wanted, channels, depth):
            return OutputFormat(wanted, depth)
        if not holds(wanted, channels, 8) and not holds(wanted, 3, 8):
            return OutputFormat(
                FALLBACK, depth, f"Images are not written as {wanted or 'files without suffix'}: as .png."
            )
        if not holds(wanted, channels, 8):
            return OutputFormat(FALLBACK, depth, f"{wanted} cannot hold {channels} channels: written as .png.")
        return OutputFormat(FALLBACK, depth, f"{wanted} holds 8 bits: 16-bit outputs are written as .png.")


def _instead(able: list[str]) -> str:
    return f"; {', '.join(able)} can" if able else ""


@functools.cache
def holds(suffix: str, channels: int, depth: int) -> bool:
    """Whether `encode` writes images of so many channels and bits with this suffix; it is asked, with one pixel."""
    pixel = np.zeros((1, 1, channels), np.uint8 if depth == 8 else np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        try:
            encode(pixel, Path(folder, f"pixel{suffix}"))
        except (DritError, ValueError, KeyError) as error:
            if isinstance(error, DritError) and not isinstance(error, UsageError):
                return True  # the disk refused, not the format
            return False
    return True


def to_depth(array: np.ndarray, depth: int) -> np.ndarray:
    """(H, W, C) of uint8 or uint16 in so many bits, 8 or 16: 255 and 65535 are the same white."""
    if 8 * array.dtype.itemsize == depth:
        return array
    if depth == 16:
        return array.astype(np.uint16) * 257
    return np.rint(array / 257).astype(np.uint8)
