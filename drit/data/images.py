"""Image files to arrays and back, and arrays to tensors and back: what the other rooms use of images.

Arrays are (H, W, C) of uint8 or uint16; tensors (C, H, W) float32 in [-1, 1].
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from drit.atomic import write_atomically
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
from drit.data.pixels import convert_channels, from_tensor, from_unit, from_units, to_tensor, to_units
from drit.errors import DritError, UsageError

__all__ = [
    "ALPHA",
    "DEPTH_16",
    "SUFFIXES",
    "Alpha",
    "Header",
    "ImageFormat",
    "convert_channels",
    "decode",
    "encode",
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
ALPHA = (".png", ".tif", ".tiff", ".webp")  # formats that hold transparency


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
    if suffix != ".png" and channels in (2, 4):  # OpenCV would not say that the last one is alpha
        stream = io.BytesIO()
        photometric = "rgb" if channels == 4 else "minisblack"
        options: dict[str, Any] = {"planarconfig": "contig", "extrasamples": ["unassalpha"], "compression": "deflate"}
        tifffile.imwrite(stream, array, photometric=photometric, metadata=None, software="", **options)
        return stream.getvalue()
    if channels == 2:  # OpenCV has no grey with alpha
        array = np.concatenate([np.repeat(array[:, :, :1], 3, axis=2), array[:, :, 1:]], axis=2)
    order = [2, 1, 0, 3][: array.shape[2]] if array.shape[2] > 1 else [0]
    written, buffer = cv2.imencode(suffix, np.ascontiguousarray(array[:, :, order]))
    if not written:
        raise DritError(f"A 16-bit image of {channels} channels could not be written as {suffix}.")
    return buffer.tobytes()
