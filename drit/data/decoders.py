"""Image files to arrays: one decoder for everything that reads an image.

It decides layout, polarity, transparency, channels, depth and orientation of each format, from the file's content:
TIFF by `tiff.py`, DICOM by `dicom.py`, NIfTI by `volumes.py`, 16-bit PNG by OpenCV (Pillow cuts its colours to 8 bits),
everything else by Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from drit.data.containers import MEDICAL, by_pillow, opened
from drit.data.dicom import DicomHeader, read_dicom, read_dicom_header
from drit.data.metadata import ORIENTATION, Metadata, of_pillow, of_tiff, with_holes
from drit.data.names import suffix_of
from drit.data.pixels import from_units, on_white, straight, upright
from drit.data.tiff import TiffHeader, read_tiff_header, read_tiff_samples, without_orientation
from drit.data.volumes import Volume, place_in, read_slice, read_volume
from drit.errors import UsageError

Alpha = Literal["flatten", "keep"]
Range = tuple[float, float]  # the values that become black and white
WRITTEN = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")  # endings that `encode` writes
DEPTH_16 = (".png", ".tif", ".tiff")  # of formats that hold 16 bits
_SWAPPED = (5, 6, 7, 8)  # orientations that swap height and width


@dataclass(frozen=True)
class ImageFormat:
    """How a file keeps its image: what an output needs to be like it."""

    channels: int  # of the array that decode gives
    depth: int  # bits of a channel, 8 or 16
    suffix: str  # of an output like it: lower case, with the dot
    alpha: bool = False  # the last channel is transparency
    extra: int = 0  # channels that the file gives no meaning, at the end: bands beside grey or colour
    dtype: str = "uint8"  # of the file's numbers
    metadata: Metadata = Metadata()  # what it says beside its pixels: `encode` keeps it in an output


@dataclass(frozen=True)
class Header:
    """What a file's header says of the image that decode gives."""

    height: int  # upright
    width: int
    channels: int
    depth: int  # bits of a channel, 8 or 16
    alpha: bool = False
    extra: int = 0
    dtype: str = "uint8"
    further: bool = False  # pages or frames follow the one that is read
    deeper: bool = False  # it has more bits than are read
    profile: bool = False  # it has a colour profile other than sRGB
    content: str = ""  # the format: TIFF, PNG ...
    transparent: bool = False  # it has transparency, kept or not
    nodata: float | None = None  # the value that stands for none (GDAL)
    converted: str = ""  # from what its colours or greys are converted, where a person should know


class _Layout(NamedTuple):
    """What the samples of an opened image are, before anything is chosen from them."""

    height: int  # upright
    width: int
    colours: int  # leading samples that the file names: 1 grey, 3 colour
    extra: int  # then: samples without a meaning
    alpha: bool  # there is a transparency sample
    dtype: np.dtype[Any]
    further: bool = False
    profile: bool = False
    deeper: bool = False  # it has more bits than are read
    metadata: Metadata = Metadata()
    converted: str = ""  # from what, where a person should know


def decode(
    path: Path, alpha: Alpha = "flatten", bands: Sequence[int] = (), value_range: Range | None = None
) -> tuple[np.ndarray, ImageFormat]:
    """Read an image. Returns (H, W, C) of uint8 or uint16, upright, and its format.

    C is 1 or 3, more where the file has bands without a meaning, and with alpha="keep" one more for transparent images;
    "flatten" lays them on white. Palettes and CMYK become RGB. bands: the samples to take, counted from 1, in place of
    all. value_range: the file's values that become 0 and 65535 (uint16); values between are mapped linearly, others
    clipped, NaN and the file's value for none become 0. path: a file, or a slice of a volume (`scan.nii.gz[37]`).
    Raises DataError that names the file when it is unreadable, truncated or not an image, holds int16, floating-point
    or 32-bit numbers without a range, or lacks a band.
    """
    with opened(path, whole=True) as (file, content):
        samples, transparency, layout = _read(file, content, path, bool(bands))
        if bands:
            samples, transparency = _select(samples, transparency, bands), None
        _check_numbers(layout.dtype, value_range)
        if value_range is not None:
            samples = from_units(with_holes(samples, layout.metadata.nodata), value_range)
            if transparency is not None and transparency.dtype == np.uint8:
                transparency = transparency.astype(np.uint16) * 257
        if transparency is not None:
            samples = np.concatenate([samples, transparency], axis=2)
            if alpha == "flatten":
                samples = on_white(samples)
    return np.ascontiguousarray(samples), ImageFormat(
        samples.shape[2],
        8 * samples.dtype.itemsize,
        _suffix(path, content, samples, bool(layout.extra) if not bands else len(bands) not in (1, 3)),
        transparency is not None and alpha == "keep",
        0 if bands else layout.extra,
        layout.dtype.name,
        layout.metadata,
    )


def read_values(path: Path, bands: Sequence[int] = ()) -> np.ndarray:
    """The numbers of an image as its file holds them, of any type: (H, W, C), upright, without transparency; NaN where
    they have the file's value for none.

    Raises DataError as `decode` does.
    """
    with opened(path, whole=True) as (file, content):
        samples, _, layout = _read(file, content, path, bool(bands))
        return with_holes(_select(samples, None, bands) if bands else samples, layout.metadata.nodata)


def read_header(
    path: Path, alpha: Alpha = "flatten", bands: Sequence[int] = (), value_range: Range | None = None
) -> Header:
    """What decode would give, from the header: pixels are not read. Raises DataError as decode does, for what a header
    shows."""
    with opened(path) as (file, content):
        layout = _layout(file, content, path, bool(bands))
        keep = layout.alpha and alpha == "keep" and not bands
        present = layout.colours + layout.extra + layout.alpha
        if bands and max(bands) > present:
            raise ValueError(_lacks(present, bands))
        _check_numbers(layout.dtype, value_range)
        return Header(
            layout.height,
            layout.width,
            len(bands) or layout.colours + layout.extra + keep,
            8 if layout.dtype == np.uint8 and value_range is None else 16,
            keep,
            0 if bands else layout.extra,
            layout.dtype.name,
            layout.further,
            layout.deeper,
            layout.profile,
            content,
            layout.alpha and not bands,
            layout.metadata.nodata,
            layout.converted,
        )


def _select(samples: np.ndarray, transparency: np.ndarray | None, bands: Sequence[int]) -> np.ndarray:
    every = samples if transparency is None else np.concatenate([samples, transparency], axis=2)
    if max(bands) > every.shape[2]:
        raise ValueError(_lacks(every.shape[2], bands))
    return every[:, :, [band - 1 for band in bands]]


def _lacks(present: int, bands: Sequence[int]) -> str:
    return f"it has {present} band{'s' if present > 1 else ''}, and --data.bands names band {max(bands)}"


def _check_numbers(dtype: np.dtype[Any], value_range: Range | None) -> None:
    """Raises ValueError for numbers whose black and white are not known."""
    if value_range is None and dtype not in (np.uint8, np.uint16):
        kind = "floating-point numbers" if dtype.kind == "f" else f"{8 * dtype.itemsize}-bit integers"
        raise ValueError(
            f"it holds {kind} ({dtype}). Say which values become black and white: --data.range LOW HIGH, or auto"
        )


def _suffix(path: Path, content: str, samples: np.ndarray, bands: bool) -> str:
    """The ending of an output like the file: its own where it can be written so, else .jpg for JPEG, .tif for bands and
    for numbers in medical units, .png for others."""
    suffix = suffix_of(path)
    deep = samples.dtype == np.uint16
    if bands or (deep and content in MEDICAL):
        return suffix if suffix in (".tif", ".tiff") else ".tif"
    if deep:
        return suffix if suffix in DEPTH_16 else ".png"
    if suffix in (".jfif", ".jpe"):
        return ".jpg"
    return suffix if suffix in WRITTEN else ".png"


def _layout(file: BinaryIO, content: str, path: Path, raw: bool) -> _Layout:
    """The layout of an opened file, from its header."""
    if content == "DICOM":
        return _dicom_layout(read_dicom_header(file))
    if content == "NIfTI":
        volume = read_volume(file)
        place_in(volume, path)
        return _slice_layout(volume)
    if content == "TIFF":
        tiff = read_tiff_header(file, raw)
        if not tiff.by_pillow:
            return _tiff_layout(tiff, b"")
        file.seek(0)
        with by_pillow(file, content) as image:
            kind, mode = _kind(image), image.mode
        height, width = _turned(tiff.height, tiff.width, tiff.orientation)
        layout = _kind_layout(kind, height, width, tiff.further_pages, _foreign_profile(tiff.profile))
        metadata = of_tiff(tiff.tags, b"", (height, width), converted=True)
        return layout._replace(metadata=metadata, converted=_ink(mode))
    with by_pillow(file, content) as image:
        height, width = _turned(image.height, image.width, _orientation(image, content))
        profile = _foreign_profile(image.info.get("icc_profile"))
        layout = _kind_layout(_kind(image), height, width, _further(image), profile)
        layout = layout._replace(converted=_ink(image.mode))
    return layout._replace(deeper=content in ("AVIF", "HEIF") and _isobmff_bits(file) > 8)


def _ink(mode: str) -> str:
    """`CMYK` for images of inks, whose conversion to RGB is rough; else empty."""
    return mode if mode == "CMYK" else ""


def _dicom_layout(header: DicomHeader) -> _Layout:
    colours = 1 if header.grey else 3
    converted = "MONOCHROME1" if header.inverted else ""
    return _Layout(header.height, header.width, colours, 0, False, header.dtype, header.frames > 1, converted=converted)


def _slice_layout(volume: Volume) -> _Layout:
    return _Layout(volume.height, volume.width, 1, 0, False, np.dtype(np.float32), volume.further)


def _tiff_layout(tiff: TiffHeader, data: bytes) -> _Layout:
    """data: the file, for its directories of EXIF; empty where they are not wanted."""
    height, width = _turned(tiff.height, tiff.width, tiff.orientation)
    return _Layout(
        height,
        width,
        tiff.colours,
        tiff.extra,
        tiff.alpha >= 0,
        tiff.dtype,
        tiff.further_pages,
        _foreign_profile(tiff.profile),
        metadata=of_tiff(tiff.tags, data, (height, width), tiff.white_is_zero),
    )


def _kind_layout(kind: _Kind, height: int, width: int, further: bool = False, profile: bool = False) -> _Layout:
    dtype = np.dtype(np.uint16 if kind.depth == 16 else np.uint8)
    return _Layout(height, width, 1 if kind.grey else 3, 0, kind.transparent, dtype, further, profile)


def _turned(height: int, width: int, orientation: int) -> tuple[int, int]:
    return (width, height) if orientation in _SWAPPED else (height, width)


def _orientation(image: Image.Image, content: str) -> int:
    if content == "PNG" and "exif" not in image.info:
        return 1  # asked for EXIF data, Pillow would read all pixels of a PNG that has none ahead of them
    return int(image.getexif().get(ORIENTATION, 1))


def _further(image: Image.Image) -> bool:
    """Whether frames follow the first."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame: the first is what counts
        return True


def _isobmff_bits(file: Any) -> int:
    """Bits of a channel that an AVIF or HEIC file has, by its box `pixi`; Pillow reads 8 of them. 8 without the box."""
    file.seek(0)
    head = file.read(1 << 14)
    place = head.find(b"pixi")
    return head[place + 9] if 0 < place < len(head) - 9 else 8


def _foreign_profile(profile: bytes | None) -> bool:
    """Whether a colour profile is another than sRGB, by the name it gives itself."""
    return bool(profile) and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile  # type: ignore[operator]


def _read(file: BinaryIO, content: str, path: Path, raw: bool) -> tuple[np.ndarray, np.ndarray | None, _Layout]:
    """The samples of a file (H, W, C) upright, in their own type; its transparency (H, W, 1), straight, or None."""
    if content == "DICOM":
        array, header = read_dicom(file)
        return array, None, _dicom_layout(header)
    if content == "NIfTI":
        array, volume = read_slice(file, path)
        return array, None, _slice_layout(volume)
    data, tiff = file.read(), None
    if content == "TIFF":
        tiff = read_tiff_header(io.BytesIO(data), raw)
        if not tiff.by_pillow:
            return *_tiff_samples(data, tiff, raw), _tiff_layout(tiff, data)
        data, orientation = without_orientation(data, tiff), tiff.orientation
    with by_pillow(io.BytesIO(data), content) as image:
        kind = _kind(image)  # before the pixels are read: Pillow then forgets their depth
        image.load()  # raises for damaged pixels, which OpenCV would leave black
        if not tiff:
            orientation = int(image.getexif().get(ORIENTATION, 1))
        array = _read_16(data, kind, image.info.get("transparency")) if kind.depth == 16 else _read_8(image, kind)
        array = upright(array, orientation)
        size = array.shape[0], array.shape[1]
        metadata = of_tiff(tiff.tags, data, size, converted=True) if tiff else of_pillow(image, size)
    layout = _kind_layout(kind, *size)._replace(metadata=metadata)
    return (array[:, :, :-1], array[:, :, -1:], layout) if kind.transparent else (array, None, layout)


def _tiff_samples(data: bytes, tiff: TiffHeader, raw: bool) -> tuple[np.ndarray, np.ndarray | None]:
    array = upright(read_tiff_samples(data, tiff), tiff.orientation)
    if raw:
        return array, None
    if tiff.white_is_zero:
        array[:, :, 0] = np.iinfo(tiff.dtype).max - array[:, :, 0]
    if tiff.alpha < 0:
        return array, None
    transparency = array[:, :, tiff.alpha : tiff.alpha + 1]
    array = np.delete(array, tiff.alpha, axis=2)
    if tiff.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"its transparency is of {tiff.dtype}: choose the bands without it with --data.bands")
    return straight(array, transparency) if tiff.premultiplied else array, transparency


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


class _Kind(NamedTuple):
    """What Pillow says of an image."""

    grey: bool
    transparent: bool
    depth: int  # 8 or 16


def _kind(image: Image.Image) -> _Kind:
    """What an opened image holds. Raises ValueError for floating-point numbers and 32-bit integers."""
    if image.mode in ("F", "I"):
        raise ValueError(f"it holds {'floating-point numbers' if image.mode == 'F' else '32-bit integers'}")
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    # Pillow opens 16-bit colour as 8-bit RGB, and 16-bit grey with alpha as RGBA, from raw data of this layout
    tiles = getattr(image, "tile", []) if image.format == "PNG" else []
    raw = str(tiles[0][3]) if tiles else ""
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16") or raw.startswith("LA")
    return _Kind(grey, transparent, 16 if image.mode.startswith("I;16") or "16" in raw else 8)


def _read_8(image: Image.Image, kind: _Kind) -> np.ndarray:
    mode = ("L" if kind.grey else "RGB") + ("A" if kind.transparent else "")
    array = np.array(image.convert(mode))
    return array[:, :, None] if array.ndim == 2 else array


def _read_16(data: bytes, kind: _Kind, transparent_level: Any) -> np.ndarray:
    """By OpenCV, which keeps all bits of colour, where Pillow keeps 8, but does not know a transparent grey level."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if array is None:
        raise ValueError("its 16-bit pixels are damaged")
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
