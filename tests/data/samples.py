"""Image files of every format and layout that is read, for the tests: made here, not stored."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image


def pixels(channels: int, dtype: Any = np.uint8, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Random pixels (H, W, channels), smooth enough that compression has work to do."""
    rng = np.random.default_rng(channels)
    coarse = rng.integers(0, np.iinfo(dtype).max + 1, (size[0] // 4 + 1, size[1] // 4 + 1, channels))
    return np.kron(coarse, np.ones((4, 4, 1), int))[: size[0], : size[1]].astype(dtype)


def tiff(array: np.ndarray, **options: Any) -> bytes:
    """A TIFF file as tifffile writes it, without metadata of its own."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, metadata=None, **options)
    return buffer.getvalue()


def by_pillow(array: np.ndarray, kind: str, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, kind, **options)
    return buffer.getvalue()


def by_opencv(array: np.ndarray, suffix: str) -> bytes:
    """A file as OpenCV writes it; array in RGB(A) order."""
    order = [2, 1, 0, 3][: array.shape[2]] if array.shape[2] > 1 else [0]
    return cv2.imencode(suffix, np.ascontiguousarray(array[:, :, order]))[1].tobytes()


def palette() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(3)).quantize(16).save(buffer, "PNG")
    return buffer.getvalue()


GREY, COLOUR, DEEP = pixels(1), pixels(3), pixels(3, np.uint16)
RGB = {"photometric": "rgb"}
FILES: dict[str, Callable[[], bytes]] = {
    "png": lambda: by_pillow(COLOUR, "PNG"),
    "png grey": lambda: by_pillow(GREY, "PNG"),
    "png 16": lambda: by_opencv(DEEP, ".png"),
    "png palette": palette,
    "jpeg": lambda: by_pillow(COLOUR, "JPEG"),
    "webp": lambda: by_pillow(COLOUR, "WEBP"),
    "bmp": lambda: by_pillow(COLOUR, "BMP"),
    "gif": lambda: by_pillow(COLOUR, "GIF"),
    "avif": lambda: by_pillow(COLOUR, "AVIF"),
    "tiff": lambda: tiff(COLOUR, photometric="rgb"),
    "tiff lzw": lambda: by_pillow(COLOUR, "TIFF", compression="tiff_lzw"),
    "tiff packbits": lambda: by_pillow(COLOUR, "TIFF", compression="packbits"),
    "tiff jpeg": lambda: by_pillow(COLOUR, "TIFF", compression="jpeg"),
    "tiff 16": lambda: tiff(DEEP, photometric="rgb", compression="deflate", predictor=True),
    "tiff 16 tiled": lambda: tiff(DEEP, photometric="rgb", tile=(16, 16)),
    "tiff 16 lzw planar": lambda: packed(np.moveaxis(DEEP, 2, 0), "tiff_lzw", planarconfig="separate", **RGB),
    "tiff 16 packbits": lambda: packed(DEEP, "packbits", predictor=True, **RGB),
    "tiff 16 planar": lambda: tiff(np.moveaxis(DEEP, 2, 0), photometric="rgb", planarconfig="separate"),
    "tiff 16 big": lambda: tiff(DEEP, photometric="rgb", bigtiff=True, byteorder=">"),
    "tiff 16 lzw": lambda: by_opencv(DEEP, ".tif"),
}


def packed(array: np.ndarray, compression: str, **options: Any) -> bytes:
    """A TIFF of one strip (for each plane, with planarconfig="separate") that Pillow's LZW or PackBits packs.

    tifffile packs neither by itself, but writes what is packed.
    """
    planes = array if options.get("planarconfig") == "separate" else array[None]
    if options.get("predictor"):
        planes = np.diff(planes, axis=2, prepend=planes[:, :, :1] * 0)
    order = options.get("byteorder", "<")
    strips = []
    for plane in planes:
        stored = plane.astype(plane.dtype.newbyteorder(order))
        rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(len(plane), -1)
        content = by_pillow(rows[:, :, None], "TIFF", compression=compression, tiffinfo={278: len(rows)})
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            offsets, counts = file.pages.first.dataoffsets, file.pages.first.databytecounts
        assert len(offsets) == 1
        strips.append(content[offsets[0] : offsets[0] + counts[0]])
    buffer = io.BytesIO()
    rows = planes.shape[1]
    tifffile.imwrite(
        buffer,
        iter(strips),
        shape=array.shape,
        dtype=array.dtype,
        compression="deflate",  # the tag is changed below
        rowsperstrip=rows,
        metadata=None,
        **options,
    )
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        place = file.pages.first.tags[259].valueoffset
    content = bytearray(buffer.getvalue())
    struct.pack_into(f"{order}H", content, place, {"tiff_lzw": 5, "packbits": 32773}[compression])
    return bytes(content)
