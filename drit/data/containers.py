"""What a file is, judged by its content, and the one way to open one that holds an image.

Pillow knows formats that run programs (PostScript) or were never meant for strangers' files. Only the formats of `READ`
are handed to it, each to its own reader, whatever the file's name ends in. Those of `MEDICAL` have their own readers.
"""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from drit import bounded
from drit.data.names import file_of
from drit.data.shards import Window, member_of, read_member
from drit.errors import DataError

READ = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")  # Pillow's names of what is read
MEDICAL = ("DICOM", "NIfTI")  # read by pydicom and nibabel, where they are installed
SNIFFED = 1024  # bytes at the start that tell a format, of a packed file too
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAGIC: tuple[tuple[int, bytes, str], ...] = (  # place, bytes, format
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    *((0, magic, "TIFF") for magic in _TIFF),
    (0, b"BM", "BMP"),
    # not read: named in the refusal
    (0, b"%!PS", "EPS (PostScript)"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS (PostScript)"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "PSD (Photoshop)"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "FPX or another OLE document"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"DDS ", "DDS"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"gimp xcf", "XCF (GIMP)"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?R", "Radiance HDR"),
    (0, b"\0\0\x01\0", "ICO"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (344, b"n+1\0", "NIfTI"),
    (4, b"n+2\0\r\n\x1a\n", "NIfTI"),
    (344, b"ni1\0", "NIfTI in two files"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML or SVG"),
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def content_of(head: bytes) -> str:
    """The format that a file's first bytes tell: one of `READ` or `MEDICAL`, another's name, or an empty string."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":  # ISO media: the main brand, then the compatible ones
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, length - 3, 4))]
        if any(brand in _AVIF_BRANDS for brand in brands):
            return "AVIF"
        return "HEIF" if any(brand in _HEIF_BRANDS for brand in brands) else "a video (ISO media)"
    if head[:1] == b"P" and head[1:2] in b"1234567Ff" and head[2:3].isspace():
        return "Netpbm"
    found = next((name for place, magic, name in MAGIC if head[place : place + len(magic)] == magic), "")
    return "NIfTI" if found == "gzip" and content_of(_inner(head)) == "NIfTI" else found


def _inner(head: bytes) -> bytes:
    """What the first bytes of a gzip file unpack to: enough to tell NIfTI."""
    try:
        return zlib.decompressobj(31).decompress(head, 352)
    except zlib.error:
        return b""


def holds_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does. False for what cannot be read."""
    try:
        with regular(path) as file:
            return content_of(file.read(SNIFFED)) == "DICOM"
    except (OSError, ValueError):
        return False


def is_file_or_member(path: Path) -> bool:
    """Whether a path is a file, or an image in a shard."""
    return path.is_file() or (not path.exists() and member_of(path) is not None)


@contextmanager
def regular(path: Path, whole: bool = False) -> Iterator[BinaryIO]:
    """A file, or an image in a shard (`shards.py`), opened for reading. Raises ValueError for what is no regular file,
    which may never end.

    whole: all of it is going to be read; an image in a shard is then checked by its hash, and ValueError raised.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        member = member_of(path)
        if member is None:
            raise
        if not member.shard.is_file():
            raise ValueError(f"its shard {member.shard} is missing") from None
        with regular(member.shard) as shard:
            yield io.BytesIO(read_member(shard, member)) if whole else io.BufferedReader(Window(shard, member))
        return
    with bounded.regular(path) as file:
        yield file


@contextmanager
def opened(path: Path, whole: bool = False) -> Iterator[tuple[BinaryIO, str]]:
    """An image file, or the volume of a slice, opened for reading, and its format (one of `READ` or `MEDICAL`).

    Whatever goes wrong with it in the block becomes a DataError that names it; so do files that are no regular files,
    which may never end, and formats that are not read. whole: as for `regular`.
    """
    with _named(path), regular(file_of(path), whole) as file:
        content = content_of(file.read(SNIFFED))
        file.seek(0)
        if content and content not in (*READ, *MEDICAL):
            instead = _INSTEAD.get(content, "PNG, JPEG or TIFF")
            raise _ForeignError(f"{path} holds {content}, which is not read. Convert it to {instead}.")
        if not content:
            raise UnidentifiedImageError
        if content == "HEIF":
            _register_heif()
        yield file, content


_INSTEAD = {"NIfTI in two files": "one .nii file"}


class _ForeignError(ValueError):
    """A file in a format that is not read; the message is whole."""


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever is raised within becomes a DataError that names the file.

    Decoders of damaged files raise nearly everything: SyntaxError, KeyError, OverflowError, struct.error, zlib.error,
    MemoryError, AssertionError ... A list of them was never complete.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "corrupt EXIF data": what matters raises
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (DataError, _ForeignError) as error:
        raise DataError(str(error)) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is larger than {Image.MAX_IMAGE_PIXELS} pixels; cut it into parts first.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read as an image: it is not in an image format, or damaged.") from error
    except MemoryError as error:
        raise DataError(f"{path} cannot be read as an image: there is not enough memory for it.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {_reason(error)}.") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {_reason(error)}"
        raise DataError(f"{path} cannot be read as an image: it is damaged ({reason}).") from error


def _reason(error: Exception) -> str:
    """An error in one short line, without a full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = text.strip().splitlines()
    return (lines[0][:300].rstrip(". ") if lines else "") or "it is damaged"


def needs(package: str, content: str) -> ValueError:
    """What to raise where the package that reads a medical format is not installed."""
    return ValueError(f"it holds {content}, which needs the package {package}: pip install 'drit[medical]'")


def check_size(height: int, width: int, bytes_per_pixel: int = 4) -> None:
    """Raises Pillow's error for an image too large to decode: in pixels, or in bytes where it has many bands."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and (height * width > limit or height * width * bytes_per_pixel > 8 * limit):
        raise Image.DecompressionBombError
    if height < 1 or width < 1:
        raise ValueError("it has no pixels")


def by_pillow(file: BinaryIO, content: str) -> Image.Image:
    """An image opened by the reader of its format alone; use it as a context manager."""
    image = Image.open(file, formats=[content])
    check_size(image.height, image.width)
    return image


def _register_heif() -> None:
    """Pillow reads HEIC through a plug-in. Raises ValueError where it is not installed."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ValueError("it holds HEIF (.heic), which needs a plug-in: pip install pillow-heif") from error
    pillow_heif.register_heif_opener()
