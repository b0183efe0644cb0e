"""What a file says beside its pixels, and how an output keeps it: georeference, resolution, colour profile, EXIF.

Kept as the file has it, but for what would be wrong: the orientation, since pixels are turned upright; the preview,
since it shows the input; and a georeference where the output has another size.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import ExifTags, Image, TiffImagePlugin

from drit.data.notes import KEPT_IN, XMP, packet, png_chunk

ORIENTATION = 0x0112  # a tag; its EXIF number too
ICC_PROFILE = 34675  # a tag
NODATA = 42113  # GDAL's: the value that stands for none
GEO = {33550: "d", 33922: "d", 34264: "d", 34735: "H", 34736: "d", 34737: "s", 50844: "d", NODATA: "s"}
GEO_NAMES = "ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeys, RPC coefficients and GDAL's no-data value"
DESCRIPTIVE = (270, 271, 272, 306, 315, 33432)  # description, maker, model, date, artist, copyright
RESOLUTION = (282, 283, 296)
_POINTERS = {
    "ExifTag": ExifTags.IFD.Exif,
    "GPSTag": ExifTags.IFD.GPSInfo,
}  # tags of directories, by tifffile's names
SUB_IFDS = tuple(_POINTERS.values())
TAGS = (*GEO, *DESCRIPTIVE, *RESOLUTION, *SUB_IFDS, ICC_PROFILE)  # what is asked of a TIFF
MAX_BYTES = 1 << 20  # of a tag
MAX_PROFILE = 4 << 20
_JPEG_EXIF = 65533 - 8  # bytes of EXIF data that a JPEG holds
_LAYOUTS = ("{", "ImageJ=", "<?xml", "<OME")  # descriptions that say how samples lie, not what is seen
_INCH, _CM = 2, 3
_PREVIEW, _PREVIEW_LENGTH = 0x0201, 0x0202  # of the second directory of EXIF data
_PROFILES = {b"GRAY": (1, 2), b"RGB ": (3, 4)}  # colour spaces of a profile, and the channels that it is for


class Tag(NamedTuple):
    """A TIFF tag, as tifffile takes it."""

    code: int
    dtype: str  # "d", "H" or "s"
    length: int
    value: Any


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels."""

    size: tuple[int, int] = (0, 0)  # height and width of the image that it belongs to, upright
    profile: bytes = b""  # ICC
    exif: bytes = b""
    dpi: tuple[float, float] | None = None  # horizontal, vertical
    geo: tuple[Tag, ...] = ()  # GeoTIFF and GDAL
    note: str = ""  # of this program about an output (`notes`); never that of an input

    @property
    def nodata(self) -> float | None:
        """GDAL's value for none."""
        for tag in self.geo:
            if tag.code == NODATA:
                try:
                    return float(str(tag.value).strip("\0 "))
                except ValueError:
                    return None
        return None

    def kept(self, suffix: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """The parts that an output (H, W, C) with this ending holds, by name: geo, resolution, profile, EXIF, note."""
        tiff, jpeg = suffix in (".tif", ".tiff"), suffix in (".jpg", ".jpeg")
        parts: dict[str, Any] = {}
        if self.geo and tiff and tuple(shape[:2]) == self.size:
            parts["georeference"] = self.geo
        if self.dpi and suffix != ".webp":
            parts["resolution"] = self.dpi
        if self.profile and suffix != ".bmp" and shape[2] in _PROFILES.get(self.profile[16:20], ()):
            parts["colour profile"] = self.profile
        exif = upright_exif(self.exif) if suffix != ".bmp" else b""
        if exif and not (jpeg and len(exif) > _JPEG_EXIF) and not (tiff and _directories(exif) is None):
            parts["EXIF"] = exif  # without the mark that JPEG has before it
        if self.note and suffix in KEPT_IN:
            parts["note"] = self.note
        return parts

    def lost(self, suffix: str, shape: tuple[int, ...]) -> list[str]:
        """The names of the parts that are there and that an output (H, W, C) with this ending cannot hold."""
        present = {
            "georeference": self.geo, "resolution": self.dpi, "colour profile": self.profile, "EXIF": self.exif,
        }  # fmt: skip
        kept = self.kept(suffix, shape)
        return [name for name, part in present.items() if part and name not in kept]


def of_pillow(image: Image.Image, size: tuple[int, int]) -> Metadata:
    """What Pillow found in an image that it has read."""
    dpi = image.info.get("dpi")
    exif = image.info.get("exif")
    return Metadata(
        size,
        _bytes(image.info.get("icc_profile")),
        _bytes(exif),
        _dpi(*dpi) if isinstance(dpi, tuple) and len(dpi) == 2 else None,
    )


def of_tiff(tags: Mapping[int, Any], data: bytes, size: tuple[int, int], converted: bool = False) -> Metadata:
    """What the tags of a TIFF say, by number. data: the file, for the directories of EXIF and GPS that it may hold.
    converted: its samples are given as other numbers, so that no value stands for none."""
    geo = []
    for code, kind in GEO.items():
        value = None if converted and code == NODATA else tags.get(code)
        if isinstance(value, str) and kind == "s" and len(value) < MAX_BYTES:
            geo.append(Tag(code, kind, 0, value))
        elif kind != "s" and value is not None:
            numbers = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value,)
            if 0 < len(numbers) * 8 < MAX_BYTES and all(_fits(n, kind) for n in numbers):
                geo.append(Tag(code, kind, len(numbers), numbers))
    turned = tags.get(ORIENTATION, 1) not in (0, 1)
    return Metadata(
        size,
        _bytes(tags.get(ICC_PROFILE)),
        _tiff_exif(tags, data),
        _tiff_dpi(tags),
        () if turned else tuple(geo),
    )


def _fits(number: Any, kind: str) -> bool:
    """Whether a number of a damaged file may be one of a tag of this kind."""
    if kind == "H":
        return isinstance(number, int) and 0 <= number < 1 << 16
    return isinstance(number, (int, float)) and abs(number) < 1e300


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) and len(value) <= MAX_PROFILE else b""


def _dpi(x: Any, y: Any) -> tuple[float, float] | None:
    """A resolution, where it is one."""
    try:
        found = float(x), float(y)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return found if all(0.01 < value < 65535 for value in found) else None  # what every format can say


def _tiff_dpi(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    unit = tags.get(296, _INCH)
    try:
        x, y = (tags[code][0] / tags[code][1] for code in RESOLUTION[:2])
    except (KeyError, TypeError, IndexError, ZeroDivisionError):
        return None
    factor = {_INCH: 1.0, _CM: 2.54}.get(int(unit))  # without a unit it is a shape of pixels: square, nearly always
    return _dpi(x * factor, y * factor) if factor else None


def _tiff_exif(tags: Mapping[int, Any], data: bytes) -> bytes:
    """Descriptive tags and the directories of EXIF and GPS, as EXIF data; empty where there are none."""
    exif = Image.Exif()
    for code in DESCRIPTIVE:
        value = tags.get(code)
        if isinstance(value, str) and value.strip("\0 ") and len(value) < MAX_BYTES and not value.startswith(_LAYOUTS):
            exif[code] = value.encode()  # Pillow would write a question mark for what is not ASCII
    if any(code in tags for code in SUB_IFDS) and data[2:3] in b"*\0" and data[:2] in (b"II", b"MM"):
        whole = Image.Exif()
        try:
            whole.load(data)
            for code in SUB_IFDS:
                found = whole.get_ifd(code)
                if found:
                    exif[code] = found
        except Exception:  # a damaged directory: pixels are what counts
            pass
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""


def upright_exif(data: bytes) -> bytes:
    """EXIF data with orientation 1 and without its preview, otherwise byte for byte; empty where it is damaged."""
    start = 6 if data.startswith(b"Exif\0\0") else 0
    changed = bytearray(data[start:])
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(changed[:4]), "")
    if not order:
        return b""
    try:
        entries, preview_at = _directory(changed, struct.unpack_from(f"{order}I", changed, 4)[0], order)
        if ORIENTATION in entries:
            struct.pack_into(f"{order}H", changed, entries[ORIENTATION] + 8, 1)
        preview = struct.unpack_from(f"{order}I", changed, preview_at)[0]
        struct.pack_into(f"{order}I", changed, preview_at, 0)
        if preview:
            entries, _ = _directory(changed, preview, order)
            if {_PREVIEW, _PREVIEW_LENGTH} <= set(entries):
                begin, length = (
                    struct.unpack_from(f"{order}I", changed, entries[code] + 8)[0]
                    for code in (_PREVIEW, _PREVIEW_LENGTH)
                )
                hidden = changed[begin : begin + length]
                changed[begin : begin + len(hidden)] = bytes(len(hidden))
    except struct.error:
        return b""
    return bytes(changed)


def _directory(data: bytes | bytearray, place: int, order: str) -> tuple[dict[int, int], int]:
    """Where the entries of a directory stand, by number, and where the place of the next directory does."""
    count = struct.unpack_from(f"{order}H", data, place)[0]
    entries = {struct.unpack_from(f"{order}H", data, at)[0]: at for at in range(place + 2, place + 2 + 12 * count, 12)}
    return entries, place + 2 + 12 * count


def with_holes(samples: np.ndarray, nodata: float | None) -> np.ndarray:
    """Samples with NaN where they have the value that stands for none: floating-point, or as they are without one."""
    if nodata is None or not np.isfinite(nodata):
        return samples
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):
            holes = samples == samples.dtype.type(nodata)
    else:
        holes = samples == nodata
    if not holes.any():
        return samples
    values = samples.astype(np.promote_types(samples.dtype, np.float32))
    values[holes] = np.nan
    return values


def png_with(content: bytes, parts: Mapping[str, Any]) -> bytes:
    """A PNG file with the parts that `Metadata.kept` gave, as chunks after its header."""
    chunks = []
    if "colour profile" in parts:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(parts["colour profile"])))
    if "resolution" in parts:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in parts["resolution"]), 1)))
    if "EXIF" in parts:
        chunks.append((b"eXIf", parts["EXIF"]))
    made = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    made += png_chunk(parts["note"]) if "note" in parts else b""
    return content[:33] + made + content[33:]  # 33: the signature and the header chunk


def pillow_options(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts as options of Pillow's `save`."""
    names = {"resolution": "dpi", "colour profile": "icc_profile", "EXIF": "exif"}
    options = {names[name]: part for name, part in parts.items() if name in names}
    if "note" in parts:
        options["xmp"] = packet(parts["note"])
    return options | ({"exif": b"Exif\0\0" + options["exif"]} if "exif" in options else {})


def tiff_options(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts as options of `tifffile.imwrite`; the directories of EXIF and GPS come with `tiff_with`."""
    options: dict[str, Any] = {"extratags": [_written(tag) for tag in parts.get("georeference", ())]}
    if "resolution" in parts:
        options |= {"resolution": parts["resolution"], "resolutionunit": tifffile.RESUNIT.INCH}
    if "colour profile" in parts:
        options["iccprofile"] = parts["colour profile"]
    if "EXIF" in parts:
        texts, directories = _directories(parts["EXIF"]) or ({}, {})
        options["extratags"] += [(code, "s", len(text) + 1, text + b"\0", True) for code, text in texts.items()]
        options["extratags"] += [(name, "I", 1, 0, True) for name, code in _POINTERS.items() if code in directories]
    if "note" in parts:
        content = packet(parts["note"])
        options["extratags"].append((XMP, "B", len(content), content, True))
    return options


def _written(tag: Tag) -> tuple[Any, ...]:
    """A tag as `extratags` takes it: text as bytes, since tifffile refuses other letters than ASCII."""
    if tag.dtype != "s":
        return (*tag, True)
    text = str(tag.value).encode(errors="replace").rstrip(b"\0") + b"\0"
    return tag.code, "s", len(text), text, True


def _directories(data: bytes) -> tuple[dict[int, bytes], dict[int, TiffImagePlugin.ImageFileDirectory_v2]] | None:
    """Descriptive texts of EXIF data, and its directories as a TIFF has them, by number; None where it is damaged."""
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "corrupt EXIF data": what matters raises
            exif.load(data)
            texts = {code: exif[code].encode("latin-1") for code in DESCRIPTIVE if isinstance(exif.get(code), str)}
            directories = {}
            for code in SUB_IFDS:
                if values := exif.get_ifd(code):
                    directories[int(code)] = TiffImagePlugin.ImageFileDirectory_v2(group=code)
                    for number, value in values.items():
                        directories[int(code)][number] = value
                    directories[int(code)].tobytes()  # raises for what cannot be written
    except Exception:  # decoders of damaged data raise nearly everything
        return None
    return texts, directories


def tiff_with(content: bytes, parts: Mapping[str, Any]) -> bytes:
    """A TIFF of 32 bits, little-endian, that was written with `tiff_options`, with the directories of EXIF and GPS at
    its end."""
    _, directories = _directories(parts.get("EXIF", b"")) or ({}, {})
    if not directories:
        return content
    changed = bytearray(content)
    entries, _ = _directory(changed, struct.unpack_from("<I", changed, 4)[0], "<")
    for code, directory in directories.items():
        changed += bytes(len(changed) % 2)  # directories begin at even places
        struct.pack_into("<I", changed, entries[code] + 8, len(changed))
        changed += directory.tobytes(len(changed))
    return bytes(changed)
