"""Image files to arrays, in 8 and 16 bit, with orientation and transparency taken care of.

Arrays are (H, W, C) of uint8 or uint16.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from drit.data.containers import by_pillow, opened
from drit.data.pixels import on_white, upright
from drit.errors import UsageError

_ORIENTATION = 0x0112  # EXIF and TIFF tag
_SWAPPED = (5, 6, 7, 8)  # orientations that swap height and width
Alpha = Literal["flatten", "keep"]


@dataclass(frozen=True)
class ImageFormat:
    """How a file keeps its image: what an output needs to be like it."""

    channels: int  # of the array that decode gives
    depth: int  # bits of a channel, 8 or 16
    suffix: str  # lower case, with the dot


def decode(path: Path, alpha: Alpha = "flatten") -> tuple[np.ndarray, ImageFormat]:
    """Read an image. Returns (H, W, C) of uint8 or uint16, upright, and its format.

    C is 1 or 3, and with alpha="keep" 2 or 4 for transparent images; "flatten" lays them on white. Palettes and CMYK
    become RGB. Raises DataError that names the file when it is unreadable, truncated or not an image.
    """
    with opened(path) as (file, content):
        data = file.read()
        orientation = 1
        if content == "TIFF":  # libraries turn some of these by themselves, and some wrongly: none may
            data, orientation = _without_orientation(data)
        with by_pillow(io.BytesIO(data), content) as whole:
            kind = _kind(whole)  # before the pixels are read: Pillow then forgets their depth
            whole.load()  # raises for damaged pixels, which OpenCV would leave black
            orientation = max(orientation, whole.getexif().get(_ORIENTATION, 1))
            array = _read_16(data, kind, whole.info.get("transparency")) if kind.depth == 16 else _read_8(whole, kind)
        array = upright(array, orientation)
    if kind.transparent and alpha == "flatten":
        array = on_white(array)
    return array, ImageFormat(array.shape[2], kind.depth, Path(path).suffix.lower())


def from_image(image: Image.Image) -> np.ndarray:
    """A PIL image as (H, W, C): uint16 where it is 16-bit grey, else uint8. C is 1 or 3, and 2 or 4 with transparency.

    Raises UsageError for floating-point numbers and 32-bit integers, whose range is not known.
    """
    if image.mode.startswith("I;16"):
        return np.array(image, dtype=np.uint16)[:, :, None]
    try:
        return _read_8(image, _kind(image))
    except ValueError as error:
        raise UsageError(f"The PIL image of mode {image.mode} cannot be used: {error}. Give an array.") from error


def read_header(path: Path, alpha: Alpha = "flatten") -> tuple[int, int, int, int]:
    """Height, width (upright), channels and depth of an image from its header, pixels not read.

    Raises DataError as decode does, for what a header shows.
    """
    with opened(path) as (file, content), by_pillow(file, content) as image:
        width, height = image.size
        if content == "TIFF":  # Pillow has swapped the sides of turned ones already
            orientation = 1
        elif content == "PNG" and "exif" not in image.info:
            orientation = 1  # asked for EXIF data, Pillow would read all pixels of a PNG that has none ahead of them
        else:
            orientation = image.getexif().get(_ORIENTATION, 1)
        if orientation in _SWAPPED:
            width, height = height, width
        kind = _kind(image)
    return height, width, (1 if kind.grey else 3) + (kind.transparent and alpha == "keep"), kind.depth


class _Kind(NamedTuple):
    grey: bool
    transparent: bool
    depth: int  # 8 or 16


def _kind(image: Image.Image) -> _Kind:
    """What an opened image holds. Raises ValueError for floating-point numbers and 32-bit integers."""
    if image.mode in ("F", "I"):
        raise ValueError(f"it holds {'floating-point numbers' if image.mode == 'F' else '32-bit integers'}")
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    return _Kind(image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16"), transparent, _depth(image))


def _depth(image: Image.Image) -> int:
    """Bits of a channel. Pillow opens 16-bit grey as I;16 and 16-bit colour as 8-bit RGB, from 16-bit raw data."""
    if image.mode.startswith("I;16"):
        return 16
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        return 16 if max(bits if isinstance(bits, tuple) else (bits,)) == 16 else 8
    if image.format == "PNG":
        tiles = getattr(image, "tile", [])  # of what is still to be read: its last part names the layout, say "RGB;16B"
        return 16 if tiles and "16" in str(tiles[0][3]) else 8
    return 8


def _read_8(image: Image.Image, kind: _Kind) -> np.ndarray:
    mode = ("L" if kind.grey else "RGB") + ("A" if kind.transparent else "")
    array = np.array(image.convert(mode))
    return array[:, :, None] if array.ndim == 2 else array


def _read_16(data: bytes, kind: _Kind, transparent_level: Any) -> np.ndarray:
    """By OpenCV, which keeps all bits of colour, where Pillow keeps 8, but does not know a transparent grey level."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if array is None:
        raise ValueError("its 16-bit pixels are damaged, or compressed in a way that is not supported")
    if array.dtype != np.uint16:
        raise ValueError(f"its pixels are {array.dtype}; 8 and 16 bits are supported")
    if array.ndim == 2:
        array = array[:, :, None]
    have = array.shape[2]
    blue_to_red = [0] if kind.grey or have == 1 else [2, 1, 0]  # OpenCV keeps BGR(A)
    if kind.transparent and have == 1:
        return np.concatenate([array, np.where(array == transparent_level, 0, 65535).astype(np.uint16)], axis=2)
    alpha = [have - 1] if kind.transparent else []
    return np.ascontiguousarray(array[:, :, blue_to_red + alpha])


def _without_orientation(data: bytes) -> tuple[bytes, int]:
    """A TIFF file with its orientation tag set to upright, and what the tag said. Only the first directory counts.

    Layout (TIFF 6.0, and BigTIFF with 64-bit places): byte order, magic number, place of the directory; the directory
    is a count and entries of tag, type, count, value.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    (place,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, place)
    first, length, value = (place + 8, 20, 12) if big else (place + 2, 12, 8)
    for entry in range(first, first + length * min(count, 4096), length):
        if struct.unpack_from(f"{order}H", data, entry)[0] == _ORIENTATION:
            (orientation,) = struct.unpack_from(f"{order}H", data, entry + value)
            changed = bytearray(data)
            struct.pack_into(f"{order}H", changed, entry + value, 1)
            return bytes(changed), orientation
    return data, 1
