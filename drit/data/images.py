"""Image files to arrays and back, and arrays to tensors and back: what the other rooms use of images.

Arrays are (H, W, C) of uint8 or uint16; tensors (C, H, W) float32 in [-1, 1].
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from drit.atomic import not_written, write_atomically
from drit.data.decoders import (
    DEPTH_16,
    WRITTEN,
    Alpha,
    Header,
    ImageFormat,
    decode,
    from_image,
    read_header,
    read_values,
)
from drit.data.metadata import Metadata, pillow_options, png_with, tiff_options, tiff_with
from drit.data.pixels import convert_channels, fit_channels, from_tensor, from_unit, from_units, to_tensor, to_units
from drit.errors import DritError, UsageError

__all__ = [
    "ALPHA",
    "DEPTH_16",
    "SUFFIXES",
    "Alpha",
    "Header",
    "ImageFormat",
    "Metadata",
    "convert_channels",
    "decode",
    "encode",
    "encoded",
    "fit_channels",
    "from_image",
    "from_tensor",
    "from_unit",
    "from_units",
    "read_header",
    "read_values",
    "to_tensor",
    "to_units",
]

SUFFIXES = WRITTEN
_TIFF = (".tif", ".tiff")
ALPHA = (".png", ".tif", ".tiff", ".webp")  # formats that hold transparency


def encode(array: np.ndarray, path: Path, alpha: bool = True, metadata: Metadata | None = None) -> None:
    """Write (H, W, C) in the format of the path's suffix: whole, or not at all.

    uint8 and uint16 are written with their 8 or 16 bits; TIFF also takes other numbers (float32, int16: what `to_units`
    gives) and any number of channels. alpha: the last of 2 or 4 channels is transparency; else they are bands, which
    TIFF alone holds. metadata: of the input (`ImageFormat.metadata`): what of it the format can hold is written too;
    `metadata.lost` names the rest. JPEG is written at quality 95 without colour subsampling, WebP without loss. Raises
    UsageError where the format cannot hold the channels or numbers, DritError when the disk refuses.
    """
    content = encoded(array, path.name, alpha, metadata)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise not_written(path, error) from error


def encoded(array: np.ndarray, name: str, alpha: bool = True, metadata: Metadata | None = None) -> bytes:
    """The bytes of the file that `encode` writes, in the format of the ending of `name`. Raises as it does."""
    suffix = Path(name).suffix.lower()
    channels, pixels = array.shape[2], array.dtype in (np.uint8, np.uint16)
    if suffix not in SUFFIXES:
        raise UsageError(f"{name}: images are written as {', '.join(SUFFIXES)}.")
    parts = metadata.kept(suffix, array.shape) if metadata else {}
    if suffix in _TIFF and (parts or not (pixels and channels in ((1, 2, 3, 4) if alpha else (1, 3)))):
        return _encoded_bands(array, alpha, parts)
    _check_format(name, suffix, array, alpha)
    content = _encoded_16(array, suffix) if array.dtype == np.uint16 else _encoded_8(array, suffix, parts)
    return png_with(content, parts) if suffix == ".png" and parts else content


def _check_format(name: str, suffix: str, array: np.ndarray, alpha: bool) -> None:
    """Raises UsageError where a format cannot hold an array."""
    channels = array.shape[2]
    if array.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"{name}: {suffix} holds no {array.dtype}; write such images as {', '.join(_TIFF)}.")
    if array.dtype == np.uint16 and suffix not in DEPTH_16:
        raise UsageError(f"{name}: {suffix} holds 8 bits; write 16-bit images as {', '.join(DEPTH_16)}.")
    if channels not in (1, 2, 3, 4) or (channels in (2, 4) and not (alpha and suffix in ALPHA)):
        raise UsageError(f"{name}: {suffix} cannot hold {channels} channels.")


def _encoded_8(array: np.ndarray, suffix: str, parts: Mapping[str, Any]) -> bytes:
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    formats: dict[str, dict[str, Any]] = {
        ".jpg": {"quality": 95, "subsampling": 0},
        ".jpeg": {"quality": 95, "subsampling": 0},
        ".webp": {"lossless": True},
        ".tif": {"compression": "tiff_deflate"},
        ".tiff": {"compression": "tiff_deflate"},
    }
    options = formats.get(suffix, {}) | (pillow_options(parts) if suffix != ".png" else {})
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


def _encoded_16(array: np.ndarray, suffix: str) -> bytes:
    channels = array.shape[2]
    if suffix in _TIFF and channels in (2, 4):  # OpenCV would not say that the last one is alpha
        return _encoded_bands(array, True, {})
    if channels == 2:  # OpenCV has no grey with alpha
        array = np.concatenate([np.repeat(array[:, :, :1], 3, axis=2), array[:, :, 1:]], axis=2)
    order = [2, 1, 0, 3][: array.shape[2]] if array.shape[2] > 1 else [0]
    written, buffer = cv2.imencode(suffix, np.ascontiguousarray(array[:, :, order]))
    if not written:
        raise DritError(f"A 16-bit image of {channels} channels could not be written as {suffix}.")
    return buffer.tobytes()


def _encoded_bands(array: np.ndarray, alpha: bool, parts: Mapping[str, Any]) -> bytes:
    """A TIFF of any numbers and channels, deflated: what the last of 2 or 4 means is said in it, and the parts of
    `Metadata.kept`."""
    channels = array.shape[2]
    with_alpha = alpha and channels in (2, 4)
    colour = channels == 3 or (with_alpha and channels == 4)
    extra = channels - (3 if colour else 1)
    options: dict[str, Any] = {"extrasamples": ["unassalpha" if with_alpha else "unspecified"] * extra} if extra else {}
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array if channels > 1 else array[:, :, 0],
        photometric="rgb" if colour else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        compression="deflate",
        metadata=None,
        software="",
        byteorder="<",
        **options,
        **tiff_options(parts),
    )
    return tiff_with(buffer.getvalue(), parts) if parts else buffer.getvalue()
