"""TIFF: what a file says of its samples, and the samples themselves, whatever their layout.

tifffile reads the tags. The samples are put together here: chunky or in planes, strips or tiles, of 8 to 64 bits.
Pillow cuts 16-bit colour to 8 bits and OpenCV leaves planes of it unread, so neither decides. Pillow decodes what has 8
bits and needs its tables (palettes, CMYK, YCbCr, JPEG, bilevel), and its LZW and PackBits serve all depths.
"""

from __future__ import annotations

import io
import itertools
import logging
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import numpy as np
import tifffile
from PIL import TiffImagePlugin

from drit.data.containers import check_size
from drit.data.metadata import ICC_PROFILE, ORIENTATION, TAGS

RUN = 32 << 20  # bytes of strips that are unpacked together
MAX_SEGMENTS = 1 << 20  # strips or tiles; more are an attack, or tiles of a few pixels
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # photometric interpretations
_BY_PILLOW = {3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIELab"}
_RAW, _LZW, _PACKBITS = 1, 5, 32773  # compressions
_DEFLATE = (8, 32946)
_LZMA = 34925
_STRAIGHT, _PREMULTIPLIED = (2, 999), 1  # extra samples that are alpha; 999: Corel's
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # sample formats
_DTYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it complains of is judged here


@dataclass(frozen=True)
class TiffHeader:
    """What the first image of a TIFF file is."""

    height: int  # as stored: before it is turned
    width: int
    orientation: int  # 1 to 8
    samples: int  # of a pixel
    dtype: np.dtype[Any]  # of a sample
    colours: int  # leading samples that the file names: 1 grey, 3 colour
    alpha: int  # place of the alpha sample; -1: none
    premultiplied: bool  # colours are multiplied by it
    white_is_zero: bool
    by_pillow: bool  # the pixels are Pillow's to decode: 8 bits that need its tables
    compression: int
    predictor: int
    planar: bool
    segment: tuple[int, int]  # height and width of a strip or tile
    tiled: bool
    fill_order: int
    further_pages: bool
    profile: bytes  # ICC
    orientation_at: int  # where its value stands in the file; 0: nowhere
    byteorder: Literal["<", ">"]  # "<" or ">"
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    tags: Mapping[int, Any] = field(default_factory=dict)  # by number: what `metadata` takes

    @property
    def extra(self) -> int:
        """Samples that the file gives no meaning."""
        return self.samples - self.colours - (self.alpha >= 0)


def read_tiff_header(file: BinaryIO, raw: bool = False) -> TiffHeader:
    """The header of the first image of a file. raw: its samples are wanted as bands, whatever they mean.

    Raises ValueError for what is not read, saying what to convert, and anything for a damaged file.
    """
    with tifffile.TiffFile(file) as opened:
        page = opened.pages.first
        if not isinstance(page, tifffile.TiffPage):
            raise ValueError("it has no image")
        further = _has_more(opened)
        tags = {tag.code: tag.value for tag in page.tags if tag.code in _WANTED}
        orientation_tag = page.tags.get(ORIENTATION)
        orientation_at = orientation_tag.valueoffset if orientation_tag is not None else 0
        offsets, counts = tuple(page.dataoffsets), tuple(page.databytecounts)
        byteorder: Literal["<", ">"] = "<" if opened.byteorder == "<" else ">"

    def number(code: int, default: int) -> int:
        return int(_tuple(tags.get(code, default))[0])

    height, width, samples = number(257, 0), number(256, 0), number(277, 1)
    bits, kinds = set(_tuple(tags.get(258, 1))), set(_tuple(tags.get(339, 1)))
    if len(bits) != 1 or len(kinds) != 1:
        raise ValueError(f"its samples have different types ({sorted(bits)} bits): convert them to 8 or 16 bits each")
    if 262 not in tags:
        raise ValueError("it does not say whether 0 is black or white (no PhotometricInterpretation)")
    photometric, compression, planar = number(262, 1), number(259, 1), number(284, 1) == 2 and samples > 1
    dtype, by_pillow = _dtype(bits.pop(), int(kinds.pop())), False
    decodable = compression in (_RAW, _LZW, _PACKBITS, _LZMA, *_DEFLATE)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and not (
        raw and decodable and photometric not in (3, 6)
    ):
        by_pillow = photometric in _BY_PILLOW
        if not by_pillow:
            raise ValueError(f"its colours are of kind {_name('PHOTOMETRIC', photometric)}: convert it to RGB or grey")
    by_pillow = by_pillow or dtype is None or not decodable
    if by_pillow and dtype not in (None, np.dtype(np.uint8)):
        what = _name("COMPRESSION", compression) if not decodable else _BY_PILLOW.get(photometric, "these colours")
        raise ValueError(
            f"it holds {what} of {dtype}, which is not read: "
            + ("save it with deflate or LZW compression" if not decodable else "convert it to 16-bit RGB")
        )
    if number(32997, 1) > 1:
        raise ValueError("it holds a volume: save its slices as files of their own")
    colours = samples if raw or photometric not in (0, 1, 2) else (3 if photometric == _RGB else 1)
    if samples < colours or samples < 1:
        raise ValueError(f"it has {samples} samples in a pixel where its colours need {colours}")
    extras = (*_tuple(tags.get(338, ())), *[0] * samples)[: samples - colours]
    alphas = [i for i, kind in enumerate(extras) if kind in (*_STRAIGHT, _PREMULTIPLIED)]
    white_is_zero = photometric == _WHITE_IS_ZERO and not by_pillow
    if white_is_zero and (dtype is None or dtype.kind != "u" or samples - bool(alphas) > 1):
        raise ValueError("0 is white in it, which means nothing for its samples: save it with 0 as black")
    tiled = 322 in tags or 323 in tags
    segment = (number(323, 0), number(322, 0)) if tiled else (min(number(278, height), height), width)
    check_size(height, width, samples * (dtype.itemsize if dtype else 1))
    return TiffHeader(
        height,
        width,
        number(ORIENTATION, 1),
        samples,
        dtype or np.dtype(np.uint8),
        colours,
        colours + alphas[0] if alphas else -1,
        bool(alphas) and extras[alphas[0]] == _PREMULTIPLIED,
        white_is_zero,
        by_pillow,
        compression,
        number(317, 1),
        planar,
        segment,
        tiled,
        number(266, 1),
        further,
        _profile(tags.get(ICC_PROFILE)),
        orientation_at,
        byteorder,
        offsets,
        counts,
        tags,
    )


_WANTED = (256, 257, 258, 259, 262, 266, ORIENTATION, 277, 278, 284, 317, 322, 323, 338, 339, 32997, *TAGS)


def _has_more(opened: tifffile.TiffFile) -> bool:
    """Whether a second image follows. Small versions of the first, as pyramids have, are none."""
    try:
        second = opened.pages[1]
    except Exception:  # none, or a damaged one: the first is what counts
        return False
    return not (isinstance(second, tifffile.TiffPage) and second.is_reduced)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _profile(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def _name(enumeration: str, number: int) -> str:
    """The name of a photometric interpretation or compression, with its number."""
    try:
        return f"{getattr(tifffile, enumeration)(number).name} ({number})"
    except ValueError:
        return str(number)


def _dtype(bits: int, kind: int) -> np.dtype[Any] | None:
    """The type of a sample; None for the few bits that Pillow unpacks. Raises ValueError for others."""
    if bits in (1, 2, 4) and kind in (1, 4):
        return None
    name = f"{_KINDS.get(kind, 'c')}{bits // 8}"
    if bits % 8 or name not in _DTYPES:
        words = {"u": "whole numbers", "i": "whole numbers", "f": "floating-point numbers"}.get(
            name[0], "complex numbers"
        )
        raise ValueError(f"it holds {words} of {bits} bits: convert it to 8 or 16 bits")
    return np.dtype(name)


def read_tiff_samples(data: bytes, header: TiffHeader) -> np.ndarray:
    """All samples of an image (H, W, S) as stored, in its own type: not turned, not inverted.

    Raises ValueError where parts are missing or damaged, in time and memory that the header's size bounds.
    """
    (high, wide), planes = header.segment, header.samples if header.planar else 1
    if high < 1 or wide < 1:
        raise ValueError("its strips or tiles have no size")
    rows, columns = -(-header.height // high), -(-header.width // wide)
    total = planes * rows * columns
    if total > MAX_SEGMENTS:
        raise ValueError(f"it is cut into {total} strips or tiles")
    if len(header.offsets) < total or len(header.counts) < total:
        raise ValueError("parts of its pixels are missing")
    depth = 1 if header.planar else header.samples
    check_size(high, wide, depth * header.dtype.itemsize)
    array = np.empty((header.height, header.width, header.samples), header.dtype)

    def height_of(i: int) -> int:
        return high if header.tiled else min(high, header.height - i % rows * high)

    for height, alike in itertools.groupby(range(total), height_of):
        shape = (height, wide, depth)
        size = height * wide * depth * header.dtype.itemsize
        for run in _batched(alike, size):
            for i, unpacked in zip(run, _unpacked(_packed(data, header, run), size, header, height), strict=True):
                plane, place = divmod(i, rows * columns)
                top, left = place // columns * high, place % columns * wide
                part = array[top : top + high, left : left + wide, plane : plane + depth]
                part[...] = _samples(unpacked, shape, header)[: part.shape[0], : part.shape[1]]
    return array


def _batched(places: Iterable[int], size: int) -> Iterator[list[int]]:
    """Places of segments that are unpacked together, of `size` bytes each."""
    remaining = iter(places)
    while run := list(itertools.islice(remaining, max(1, RUN // size))):
        yield run


def _packed(data: bytes, header: TiffHeader, places: Iterable[int]) -> list[bytes]:
    """The bytes of strips or tiles as the file has them."""
    parts = []
    for i in places:
        offset, count = header.offsets[i], header.counts[i]
        if offset <= 0 or count <= 0 or offset + count > len(data):
            raise ValueError("parts of its pixels are missing")
        part = data[offset : offset + count]
        if header.fill_order == 2:  # the lowest bit of a byte comes first
            part = np.packbits(np.unpackbits(np.frombuffer(part, np.uint8), bitorder="little")).tobytes()
        parts.append(part)
    return parts


def _unpacked(parts: list[bytes], size: int, header: TiffHeader, rows: int) -> Iterator[bytes]:
    """Decompressed bytes of strips or tiles of `rows` rows and `size` bytes each: hardly more, whatever they hold."""
    if header.compression in (_LZW, _PACKBITS):
        whole = _by_libtiff(parts, size // rows, rows, header.compression)
        yield from (whole[i * size : (i + 1) * size] for i in range(len(parts)))
        return
    for part in parts:
        if header.compression == _RAW:
            yield part
        elif header.compression in _DEFLATE:
            yield zlib.decompressobj().decompress(part, size + 1)  # one more: the checksum at the end is looked at
        else:
            yield lzma.LZMADecompressor().decompress(part, size)


def _samples(unpacked: bytes, shape: tuple[int, int, int], header: TiffHeader) -> np.ndarray:
    """The samples (h, w, s) of one strip or tile, in the native byte order."""
    count = shape[0] * shape[1] * shape[2]
    if len(unpacked) < count * header.dtype.itemsize:
        raise ValueError("its pixels are truncated")
    if header.predictor == 3:
        differences = np.frombuffer(unpacked, np.uint8, count * header.dtype.itemsize)
        return _from_float_differences(differences, shape, header.dtype)
    samples = np.frombuffer(unpacked, header.dtype.newbyteorder(header.byteorder), count)
    samples = samples.astype(header.dtype).reshape(shape)
    if header.predictor == 2:
        bits = samples.view(f"u{header.dtype.itemsize}")  # differences are of the bits, whatever they mean
        return np.cumsum(bits, axis=1, dtype=bits.dtype).view(header.dtype)
    if header.predictor != 1:
        raise ValueError(f"its pixels are packed with predictor {header.predictor}, which is not read")
    return samples


def _by_libtiff(strips: list[bytes], row: int, rows: int, compression: int) -> bytes:
    """LZW and PackBits by the library within Pillow, which gets the strips as those of an image of bytes, `row` wide.

    PackBits packs each row apart, so that rows must be what they were.
    """
    count, length = len(strips), sum(map(len, strips))
    starts = [8 + start for start in itertools.accumulate(map(len, strips), initial=0)][:-1]
    tables = 8 + length  # of places and lengths; a single one of them stands in the directory itself
    entries = [
        (256, 1, row),
        (257, 1, rows * count),
        (258, 1, 8),
        (259, 1, compression),
        (262, 1, _BLACK_IS_ZERO),
        (273, count, starts[0] if count == 1 else tables),
        (277, 1, 1),
        (278, 1, rows),
        (279, count, length if count == 1 else tables + 4 * count),
    ]
    file = io.BytesIO()
    file.write(b"II*\0" + struct.pack("<I", tables + 8 * count))
    file.writelines(strips)
    file.write(struct.pack(f"<{2 * count}I", *starts, *map(len, strips)))
    file.write(struct.pack("<H", len(entries)))
    file.writelines(struct.pack("<HHII", tag, 4, number, value) for tag, number, value in entries)
    file.write(bytes(4))
    file.seek(0)
    with TiffImagePlugin.TiffImageFile(file) as image:
        return image.tobytes()


def _from_float_differences(data: np.ndarray, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> np.ndarray:
    """Predictor 3 (TIFF Technical Note 3): each row holds the first bytes of all samples, then the second ones ...,
    as differences of bytes a pixel apart."""
    if dtype.kind != "f":
        raise ValueError("its pixels are packed as floating-point numbers, which they are not")
    rows, wide, depth = shape
    total = np.cumsum(data.reshape(rows, -1, depth), axis=1, dtype=np.uint8)
    planes = total.reshape(rows, dtype.itemsize, wide * depth)
    return np.ascontiguousarray(planes.swapaxes(1, 2)).view(dtype.newbyteorder(">")).reshape(shape).astype(dtype)


def without_orientation(data: bytes, header: TiffHeader) -> bytes:
    """The file with its orientation set to upright: Pillow turns some images by itself, and some wrongly."""
    if header.orientation == 1 or not header.orientation_at:
        return data
    changed = bytearray(data)
    struct.pack_into(f"{header.byteorder}H", changed, header.orientation_at, 1)
    return bytes(changed)
