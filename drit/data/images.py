"""Image files to arrays and back, in 8 and 16 bit, with orientation and transparency taken care of.

Arrays are (H, W, C) of uint8 or uint16; tensors (C, H, W) float32 in [-1, 1].
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from drit.atomic import write_atomically
from drit.errors import DataError, DritError, UsageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
DEPTH_16 = (".png", ".tif", ".tiff")  # formats that hold 16 bits
ALPHA = (".png", ".tif", ".tiff", ".webp")  # formats that hold transparency
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
    with _opened(path) as image:
        data = Path(path).read_bytes()
        orientation = 1
        if image.format == "TIFF":  # libraries turn some of these by themselves, and some wrongly: none may
            data, orientation = _without_orientation(data)
        with Image.open(io.BytesIO(data)) as whole:
            kind = _kind(whole)  # before the pixels are read: Pillow then forgets their depth
            whole.load()  # raises for damaged pixels, which OpenCV would leave black
            orientation = max(orientation, whole.getexif().get(_ORIENTATION, 1))
            array = _read_16(data, kind, whole.info.get("transparency")) if kind.depth == 16 else _read_8(whole, kind)
        array = _upright(array, orientation)
    if kind.transparent and alpha == "flatten":
        array = _on_white(array)
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


def from_unit(array: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], of any precision, as uint16. Raises ValueError for others, and for NaN."""
    if not (array.min(initial=0) >= 0 and array.max(initial=0) <= 1):
        raise ValueError("floats outside [0, 1]")
    # half precision has no 65535
    return np.rint(array.astype(np.promote_types(array.dtype, np.float32)) * 65535).astype(np.uint16)


def read_header(path: Path, alpha: Alpha = "flatten") -> tuple[int, int, int, int]:
    """Height, width (upright), channels and depth of an image from its header, pixels not read.

    Raises DataError as decode does, for what a header shows.
    """
    with _opened(path) as image:
        width, height = image.size
        if image.format == "TIFF":  # Pillow has swapped the sides of turned ones already
            orientation = 1
        elif image.format == "PNG" and "exif" not in image.info:
            orientation = 1  # asked for EXIF data, Pillow would read all pixels of a PNG that has none ahead of them
        else:
            orientation = image.getexif().get(_ORIENTATION, 1)
        if orientation in _SWAPPED:
            width, height = height, width
        kind = _kind(image)
    return height, width, (1 if kind.grey else 3) + (kind.transparent and alpha == "keep"), kind.depth


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file opened by Pillow; what goes wrong with it in the block becomes a DataError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "corrupt EXIF data": what matters raises
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is larger than {Image.MAX_IMAGE_PIXELS} pixels; cut it into parts first.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read as an image: it is not in an image format, or damaged.") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, cv2.error) as error:
        raise DataError(f"{path} cannot be read as an image: {str(error).strip()}.") from error


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


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8; others mean upright) to an array."""
    quarter_turns = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0)  # counter-clockwise
    array = np.rot90(array, quarter_turns)
    if orientation in (2, 4, 5, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _on_white(array: np.ndarray) -> np.ndarray:
    """(H, W, C + 1) with straight alpha last, laid on white: (H, W, C)."""
    max_value = np.iinfo(array.dtype).max
    opacity = array[:, :, -1:].astype(np.float64) / max_value
    mixed = array[:, :, :-1] * opacity + max_value * (1 - opacity)
    return np.rint(mixed).astype(array.dtype)


def convert_channels(array: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) to another number of channels: grey repeated to colour, colour weighted to grey (ITU-R BT.601), full
    alpha added, alpha laid on white. Raises DataError for what has no meaning (say, 3 to 5)."""
    have = array.shape[2]
    if have == channels:
        return array
    if not {have, channels} <= {1, 2, 3, 4}:
        raise DataError(
            f"An image of {have} channels cannot become one of {channels}: the domains or the model expect other "
            "images."
        )
    transparent, wanted = have in (2, 4), channels in (2, 4)  # 2: grey and alpha, 4: colour and alpha
    if transparent and not wanted:
        array = _on_white(array)
    colour = array[:, :, : 1 if have < 3 else 3]
    if have < 3 <= channels:
        colour = np.repeat(colour, 3, axis=2)
    elif channels < 3 <= have:
        colour = np.rint(colour @ np.array([0.299, 0.587, 0.114]))[:, :, None].astype(array.dtype)
    if not wanted:
        return colour
    alpha = array[:, :, -1:] if transparent else np.full_like(colour[:, :, :1], np.iinfo(array.dtype).max)
    return np.concatenate([colour, alpha], axis=2)


def encode(array: np.ndarray, path: Path) -> None:
    """Write (H, W, C) of uint8 (8 bits) or uint16 (16 bits) in the format of the path's suffix: whole, or not at all.

    JPEG is written at quality 95 without colour subsampling, WebP without loss. Raises UsageError where the format
    cannot hold the channels or depth, DritError when the disk refuses.
    """
    suffix = path.suffix.lower()
    channels, depth = array.shape[2], 8 * array.dtype.itemsize
    if suffix not in SUFFIXES:
        raise UsageError(f"{path.name}: images are written as {', '.join(SUFFIXES)}.")
    if depth == 16 and suffix not in DEPTH_16:
        raise UsageError(f"{path.name}: {suffix} holds 8 bits; write 16-bit images as {', '.join(DEPTH_16)}.")
    if channels not in (1, 2, 3, 4) or (channels in (2, 4) and suffix not in ALPHA):
        raise UsageError(f"{path.name}: {suffix} cannot hold {channels} channels.")
    if depth == 16:
        content = _encoded_16(array, suffix)
    else:
        image = Image.fromarray(array[:, :, 0] if channels == 1 else array)
        formats: dict[str, dict[str, Any]] = {
            ".jpg": {"quality": 95, "subsampling": 0},
            ".jpeg": {"quality": 95, "subsampling": 0},
            ".webp": {"lossless": True},
            ".tif": {"compression": "tiff_deflate"},
            ".tiff": {"compression": "tiff_deflate"},
        }
        buffer = io.BytesIO()
        image.save(buffer, Image.registered_extensions()[suffix], **formats.get(suffix, {}))
        content = buffer.getvalue()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise DritError(f"Could not write {path}: {error.strerror}. Nothing of it was left half-written.") from error


def _encoded_16(array: np.ndarray, suffix: str) -> bytes:
    channels = array.shape[2]
    if channels == 2:  # OpenCV has no grey with alpha
        array = np.concatenate([np.repeat(array[:, :, :1], 3, axis=2), array[:, :, 1:]], axis=2)
    order = [2, 1, 0, 3][: array.shape[2]] if array.shape[2] > 1 else [0]
    written, buffer = cv2.imencode(suffix, np.ascontiguousarray(array[:, :, order]))
    if not written:
        raise DritError(f"A 16-bit image of {channels} channels could not be written as {suffix}.")
    return buffer.tobytes()


def to_tensor(array: np.ndarray) -> Tensor:
    """(..., H, W, C) of uint8 or uint16 to float32 (..., C, H, W) in [-1, 1]; a batch is in channels_last."""
    max_value = np.iinfo(array.dtype).max
    values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return values.mul_(2 / max_value).sub_(1).movedim(-1, -3)


def from_tensor(tensor: Tensor, depth: int = 8) -> np.ndarray:
    """(..., C, H, W) in [-1, 1] (more is clipped) to (..., H, W, C) of uint8 (depth 8) or uint16 (16), rounded."""
    max_value = (1 << depth) - 1
    values = (tensor.detach().cpu().double() + 1) * (max_value / 2)
    array = values.clamp_(0, max_value).round_().movedim(-3, -1).numpy()
    return np.ascontiguousarray(array.astype(np.uint8 if depth == 8 else np.uint16))
