"""Layouts of image files and the right pixels of each, in 8 and 16 bits: for the tests and the table in the docs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tests.data.samples import by_opencv, by_pillow, packed, palette, pixels, tiff

Make = Callable[[np.ndarray], bytes]


@dataclass(frozen=True)
class Layout:
    """A layout: how it is written from pixels, and what the decoder is to give, with transparency kept."""

    name: str
    samples: int
    write: Make
    right: Callable[[np.ndarray], np.ndarray] = lambda stored: stored
    depths: tuple[Any, ...] = (np.uint8, np.uint16)
    verdict: str = "kept"
    tolerance: int = 0  # of lossy formats
    refused: dict[Any, str] | None = None  # depth to the words of the refusal

    def stored(self, dtype: Any) -> np.ndarray:
        return pixels(self.samples, dtype)


def negative(stored: np.ndarray) -> np.ndarray:
    """Of the first sample."""
    right = stored.copy()
    right[:, :, 0] = np.iinfo(stored.dtype).max - stored[:, :, 0]
    return right


def divided(stored: np.ndarray) -> np.ndarray:
    """Straight alpha from premultiplied, by the definition; rounded down."""
    top = int(np.iinfo(stored.dtype).max)
    right = stored.copy()
    for y, x in np.ndindex(stored.shape[:2]):
        *colours, alpha = (int(v) for v in stored[y, x])
        right[y, x, :-1] = [min(top, c * top // alpha) if alpha else (0 if len(colours) > 1 else c) for c in colours]
    return right


def planes(stored: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(stored, 2, 0))


def plain(stored: np.ndarray) -> np.ndarray:
    return stored[:, :, 0] if stored.shape[2] == 1 else stored


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(stored: np.ndarray, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """By hand, from the specification: colour types 0 (grey), 2 (colour), 4 and 6 (with alpha)."""
    height, width, samples = stored.shape
    header = struct.pack(
        ">IIBBBBB", width, height, 8 * stored.itemsize, {1: 0, 3: 2, 2: 4, 4: 6}[samples], 0, 0, int(interlaced)
    )
    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [stored[y::dy, x::dx] for y, x, dy, dx in steps] if interlaced else [stored]
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for part in parts for row in part)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def transparent_level(stored: np.ndarray) -> bytes:
    """A PNG that names the grey level or colour of its first pixel as transparent (tRNS)."""
    return png(stored, chunk(b"tRNS", stored[0, 0].astype(">u2").tobytes()))


def level_to_alpha(stored: np.ndarray) -> np.ndarray:
    alpha = np.where((stored == stored[0, 0]).all(2), 0, np.iinfo(stored.dtype).max)
    return np.concatenate([stored, alpha[:, :, None].astype(stored.dtype)], 2)


def cmyk_to_rgb(stored: np.ndarray) -> np.ndarray:
    """Without a profile: R = (1 - C)(1 - K)."""
    ink = stored.astype(float) / 255
    return np.rint(255 * (1 - ink[:, :, :3]) * (1 - ink[:, :, 3:])).astype(np.uint8)


def palette_file(_: np.ndarray) -> bytes:
    return palette()


def from_palette(_: np.ndarray) -> np.ndarray:
    with Image.open(io.BytesIO(palette())) as image:
        colours = np.array(image.getpalette()).reshape(-1, 3)
        return colours[np.array(image)].astype(np.uint8)


ALPHA, PREMULTIPLIED, UNSPECIFIED = "unassalpha", "assocalpha", "unspecified"
GREY = {"photometric": "minisblack"}
RGB = {"photometric": "rgb"}
EIGHT = (np.uint8,)
NO_CMYK_16 = {np.uint16: r"holds CMYK of uint16, .*convert it to 16-bit RGB"}


def chunky(stored: np.ndarray, **options: Any) -> bytes:
    return tiff(plain(stored), **({"planarconfig": "contig"} if stored.shape[2] > 1 else {}), **options)


def separate(stored: np.ndarray, **options: Any) -> bytes:
    return tiff(planes(stored), planarconfig="separate", **options)


def bilevel(stored: np.ndarray, photometric: str = "minisblack") -> bytes:
    return tiff(stored[:, :, 0] > 127, photometric=photometric)


LAYOUTS = [
    Layout("PNG, grey", 1, png),
    Layout("PNG, grey and alpha", 2, png),
    Layout("PNG, colour", 3, png),
    Layout("PNG, colour and alpha", 4, png),
    Layout("PNG, interlaced", 3, lambda s: png(s, interlaced=True)),
    Layout("PNG, a grey level that is transparent", 1, transparent_level, level_to_alpha, verdict="converted: alpha"),
    Layout("PNG, a colour that is transparent", 3, transparent_level, level_to_alpha, verdict="converted: alpha"),
    Layout("PNG, palette", 3, palette_file, from_palette, EIGHT, "converted: RGB"),
    Layout("JPEG, grey", 1, lambda s: by_pillow(s, "JPEG", quality=100), depths=EIGHT, tolerance=12),
    Layout("JPEG, colour", 3, lambda s: by_pillow(s, "JPEG", quality=100, subsampling=0), depths=EIGHT, tolerance=12),
    Layout("WebP, colour", 3, lambda s: by_pillow(s, "WEBP", lossless=True), depths=EIGHT),
    Layout("WebP, colour and alpha", 4, lambda s: by_pillow(s, "WEBP", lossless=True, exact=True), depths=EIGHT),
    Layout("BMP, grey", 1, lambda s: by_pillow(s, "BMP"), depths=EIGHT),
    Layout("BMP, colour", 3, lambda s: by_pillow(s, "BMP"), depths=EIGHT),
    Layout("GIF", 1, lambda s: by_pillow(s, "GIF"), lambda s: s.repeat(3, 2), EIGHT, "converted: RGB"),
    Layout(
        "AVIF, colour", 3, lambda s: by_pillow(s, "AVIF", quality=100, subsampling="4:4:4"),
        depths=EIGHT, tolerance=12,
    ),
    Layout("TIFF, grey", 1, lambda s: chunky(s, **GREY)),
    Layout(
        "TIFF, grey, 0 is white", 1, lambda s: chunky(s, photometric="miniswhite"),
        negative, verdict="converted: 0 is black",
    ),
    Layout("TIFF, grey and alpha", 2, lambda s: chunky(s, extrasamples=[ALPHA], **GREY)),
    Layout("TIFF, grey and alpha, in planes", 2, lambda s: separate(s, extrasamples=[ALPHA], **GREY)),
    Layout(
        "TIFF, grey and alpha, 0 is white", 2, lambda s: chunky(s, extrasamples=[ALPHA], photometric="miniswhite"),
        negative, verdict="converted: 0 is black",
    ),
    Layout(
        "TIFF, grey, premultiplied alpha", 2, lambda s: chunky(s, extrasamples=[PREMULTIPLIED], **GREY),
        divided, verdict="converted: straight alpha",
    ),
    Layout("TIFF, RGB", 3, lambda s: chunky(s, **RGB)),
    Layout("TIFF, RGB in planes", 3, lambda s: separate(s, **RGB)),
    Layout("TIFF, RGB and alpha", 4, lambda s: chunky(s, extrasamples=[ALPHA], **RGB)),
    Layout("TIFF, RGB and alpha, in planes", 4, lambda s: separate(s, extrasamples=[ALPHA], **RGB)),
    Layout(
        "TIFF, RGB, premultiplied alpha", 4, lambda s: chunky(s, extrasamples=[PREMULTIPLIED], **RGB),
        divided, verdict="converted: straight alpha",
    ),
    Layout(
        "TIFF, RGB, premultiplied alpha, in planes", 4, lambda s: separate(s, extrasamples=[PREMULTIPLIED], **RGB),
        divided, verdict="converted: straight alpha",
    ),
    Layout(
        "TIFF, RGB and a band without a meaning", 4, lambda s: chunky(s, extrasamples=[UNSPECIFIED], **RGB),
        verdict="kept: 4 bands",
    ),
    Layout("TIFF, RGB, a band and alpha", 5, lambda s: chunky(s, extrasamples=[UNSPECIFIED, ALPHA], **RGB)),
    Layout(
        "TIFF, RGB, alpha and a band", 5, lambda s: chunky(s, extrasamples=[ALPHA, UNSPECIFIED], **RGB),
        lambda s: s[:, :, [0, 1, 2, 4, 3]], verdict="kept: alpha last",
    ),
    *(
        Layout(f"TIFF, {n} bands{where}", n, lambda s, n=n, w=write: w(s, extrasamples=[UNSPECIFIED] * (n - 1), **GREY))
        for n in (2, 5, 8, 13)
        for where, write in (("", chunky), (" in planes", separate))
    ),
    Layout("TIFF, bilevel", 1, bilevel, lambda s: (s > 127).astype(np.uint8) * 255, EIGHT, "converted: 8 bits"),
    Layout(
        "TIFF, bilevel, 0 is white", 1, lambda s: bilevel(s, "miniswhite"),
        lambda s: (s <= 127).astype(np.uint8) * 255, EIGHT, "converted: 8 bits, 0 is black",
    ),
    Layout("TIFF, palette", 3, lambda s: _palette_tiff(), from_palette, EIGHT, "converted: RGB"),
    Layout(
        "TIFF, CMYK", 4, lambda s: chunky(s, photometric="separated"),
        cmyk_to_rgb, verdict="converted: RGB", tolerance=2, refused=NO_CMYK_16,
    ),
    Layout(
        "TIFF, CMYK in planes", 4, lambda s: separate(s, photometric="separated"),
        cmyk_to_rgb, verdict="converted: RGB", tolerance=2, refused=NO_CMYK_16,
    ),
    Layout(
        "TIFF, JPEG within", 3, lambda s: by_pillow(s, "TIFF", compression="jpeg", quality=100),
        depths=EIGHT, tolerance=40,
    ),
]  # fmt: skip


def _palette_tiff() -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(palette())) as image:
        image.save(buffer, "TIFF")
    return buffer.getvalue()


# How a TIFF stores its samples changes nothing: each of these, for each of the layouts below.
_OPTIONS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 3},
    "tiles": {"tile": (16, 16)},
    "deflate": {"compression": "deflate"},
    "deflate, predictor": {"compression": "deflate", "predictor": True},
    "deflate, predictor, tiles, big-endian": {
        "compression": "deflate", "predictor": True, "tile": (16, 32), "byteorder": ">",
    },
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "BigTIFF, big-endian": {"bigtiff": True, "byteorder": ">"},
    "LZMA": {"compression": "lzma"},
}  # fmt: skip
_STORED: dict[str, tuple[int, dict[str, Any], Callable[[np.ndarray], np.ndarray]]] = {
    "grey": (1, {"photometric": "minisblack"}, lambda s: s),
    "white is 0": (1, {"photometric": "miniswhite"}, negative),
    "grey, alpha": (2, {"photometric": "minisblack", "extrasamples": [ALPHA]}, lambda s: s),
    "RGB": (3, {"photometric": "rgb"}, lambda s: s),
    "RGBA": (4, {"photometric": "rgb", "extrasamples": [ALPHA]}, lambda s: s),
    "RGB, premultiplied": (4, {"photometric": "rgb", "extrasamples": [PREMULTIPLIED]}, divided),
    "5 bands": (5, {"photometric": "minisblack", "extrasamples": [UNSPECIFIED] * 4}, lambda s: s),
}


def stored_files() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Every layout in every way of storing it, in 8 and 16 bits: name, content, right pixels with alpha kept."""
    for dtype in (np.uint8, np.uint16):
        for layout, (samples, options, right) in _STORED.items():
            stored = pixels(samples, dtype)
            for planar in (False, True)[: 2 if samples > 1 else 1]:
                array = planes(stored) if planar else plain(stored)
                how = {"planarconfig": "separate" if planar else "contig"} if samples > 1 else {}
                name = f"{np.dtype(dtype)} {layout}{' in planes' if planar else ''}"
                for storage, extra in _OPTIONS.items():
                    yield f"{name}, {storage}", tiff(array, **options, **how, **extra), right(stored)
                for compression in ("tiff_lzw", "packbits"):
                    for extra in ({}, {"predictor": True}, {"byteorder": ">"}):
                        words = f"{name}, {compression} {extra or ''}"
                        yield words, packed(array, compression, **options, **how, **extra), right(stored)
        yield f"{np.dtype(dtype)} OpenCV's LZW", by_opencv(pixels(3, dtype), ".tif"), pixels(3, dtype)
