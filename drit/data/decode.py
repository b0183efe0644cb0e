"""Picture files to arrays and back, in 8 and 16 bit, with orientation and transparency taken care of.

Arrays are (H, W, C) of uint8 or uint16; tensors (C, H, W) float32 in [-1, 1].
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from drit.atomic import write_atomically
from drit.errors import DataError, DritError, UsageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
DEPTH_16 = (".png", ".tif", ".tiff")  # formats that hold 16 bits
ALPHA = (".png", ".tif", ".tiff", ".webp")  # formats that hold transparency
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the picture on its side
Alpha = Literal["flatten", "keep"]


@dataclass(frozen=True)
class PictureFormat:
    """How a file keeps its picture: what an output needs to be like it."""

    channels: int  # of the array that decode gives
    depth: int  # bits of a channel, 8 or 16
    suffix: str  # lower case, with the dot


def decode(path: Path, alpha: Alpha = "flatten") -> tuple[np.ndarray, PictureFormat]:
    """Read a picture. Returns (H, W, C) of uint8 or uint16, upright, and its format.

    C is 1 or 3, and with alpha="keep" 2 or 4 for transparent pictures; "flatten" lays them on white. Palettes and CMYK
    become RGB. Raises DataError that names the file when it is unreadable, truncated or not a picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                # Pillow keeps 8 bits of 16-bit colour; OpenCV keeps all. (The depth shows before pixels are read.)
                if _depth(image) == 16:
                    array = _turned(_read_16(path), image.getexif().get(_ORIENTATION, 1))
                else:
                    array = _read_8(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {_reason(error)}") from error
    except Image.DecompressionBombWarning as error:
        raise DataError(f"{path} is larger than {Image.MAX_IMAGE_PIXELS} pixels; cut it into parts first.") from error
    if array.shape[2] in (2, 4) and alpha == "flatten":
        array = _on_white(array)
    return array, PictureFormat(array.shape[2], 8 * array.dtype.itemsize, Path(path).suffix.lower())


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not in a picture format, or damaged."
    return f"{error}."


def _depth(image: Image.Image) -> int:
    """Bits of a channel. Pillow opens 16-bit grey as I;16 and 16-bit colour as 8-bit RGB, from 16-bit raw data."""
    if image.mode.startswith("I"):
        return 16
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        return 16 if max(bits if isinstance(bits, tuple) else (bits,)) == 16 else 8
    if image.format == "PNG":
        tiles = getattr(image, "tile", [])
        return 16 if tiles and "16" in str(tiles[0][3]) else 8
    return 8


def _read_16(path: Path) -> np.ndarray:
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if array is None:
        raise ValueError("its 16-bit pixels are damaged")
    if array.dtype != np.uint16:
        array = np.clip(array, 0, 65535).astype(np.uint16)
    if array.ndim == 2:
        return array[:, :, None]
    return np.ascontiguousarray(array[:, :, [2, 1, 0, 3][: array.shape[2]]])  # OpenCV keeps BGR(A)


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to an array."""
    turns = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0)  # quarter turns against the clock
    array = np.rot90(array, turns)
    if orientation in (2, 4, 5, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _read_8(image: Image.Image) -> np.ndarray:
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    if image.mode in ("1", "L", "LA", "La"):
        wanted = "LA" if transparent else "L"
    else:
        wanted = "RGBA" if transparent else "RGB"
    array = np.asarray(image.convert(wanted))
    return array[:, :, None] if array.ndim == 2 else np.ascontiguousarray(array)


def _on_white(array: np.ndarray) -> np.ndarray:
    """(H, W, C + 1) with straight alpha last, laid on white: (H, W, C)."""
    top = np.iinfo(array.dtype).max
    share = array[:, :, -1:].astype(np.float64) / top
    mixed = array[:, :, :-1] * share + top * (1 - share)
    return np.rint(mixed).astype(array.dtype)


def probe(path: Path, alpha: Alpha = "flatten") -> tuple[int, int, int, int]:
    """Height, width (upright), channels and depth of a picture from its header, pixels not read.

    Raises DataError as decode does, for what a header shows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                depth = _depth(image)
                # Asked for EXIF data, Pillow reads all pixels of a PNG that has none ahead of them.
                if (image.format != "PNG" or "exif" in image.info) and image.getexif().get(_ORIENTATION, 1) >= 5:
                    width, height = height, width
                transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")
                grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
                if image.mode == "F":
                    raise ValueError("it holds floating-point numbers")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {_reason(error)}") from error
    channels = 1 if grey else 3
    return height, width, channels + (transparent and alpha == "keep"), depth


def convert_channels(array: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) to another number of channels: grey repeated to colour, colour weighed to grey (ITU-R BT.601), full
    alpha added, alpha laid on white. Raises DataError for what has no meaning (say, 3 to 5)."""
    have = array.shape[2]
    if have == channels:
        return array
    if have in (2, 4) and channels in (1, 3):
        return convert_channels(_on_white(array), channels)
    if have == 1 and channels == 3:
        return np.repeat(array, 3, axis=2)
    if have == 3 and channels == 1:
        return np.rint(array @ np.array([0.299, 0.587, 0.114]))[:, :, None].astype(array.dtype)
    if channels in (2, 4) and have in (1, 3):
        colour = convert_channels(array, channels - 1)
        return np.concatenate([colour, np.full_like(colour[:, :, :1], np.iinfo(array.dtype).max)], axis=2)
    raise DataError(
        f"A picture of {have} channels cannot become one of {channels}: the domains or the model expect other pictures."
    )


def encode(array: np.ndarray, path: Path, depth: int = 8) -> None:
    """Write (H, W, C) of uint8 or uint16 in the format of the path's suffix: whole, or not at all.

    JPEG is written at quality 95 without colour subsampling, WebP without loss. Raises UsageError where the format
    cannot hold the channels or depth, DritError when the disk refuses.
    """
    suffix = path.suffix.lower()
    channels = array.shape[2]
    if suffix not in SUFFIXES:
        raise UsageError(f"{path.name}: pictures are written as {', '.join(SUFFIXES)}.")
    if depth == 16 and suffix not in DEPTH_16:
        raise UsageError(f"{path.name}: {suffix} holds 8 bits; write 16-bit pictures as {', '.join(DEPTH_16)}.")
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
    done, buffer = cv2.imencode(suffix, np.ascontiguousarray(array[:, :, order]))
    if not done:
        raise DritError(f"A 16-bit picture of {channels} channels could not be written as {suffix}.")
    return buffer.tobytes()


def to_tensor(array: np.ndarray) -> Tensor:
    """(H, W, C) of uint8 or uint16 to float32 (C, H, W) in [-1, 1]."""
    top = np.iinfo(array.dtype).max
    values = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32))
    return values.mul_(2 / top).sub_(1)


def from_tensor(tensor: Tensor, depth: int = 8) -> np.ndarray:
    """(C, H, W) in [-1, 1] (more is clipped) to (H, W, C) of uint8 (depth 8) or uint16 (depth 16), rounded."""
    top = (1 << depth) - 1
    values = (tensor.detach().cpu().double() + 1) * (top / 2)
    array = values.clamp_(0, top).round_().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(array.astype(np.uint8 if depth == 8 else np.uint16))
