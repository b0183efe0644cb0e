"""Hostile and odd files, made here: images, arrays, settings, styles, labels, indexes of shards, files of a run.

Each has a name that is a file's, a content, and what must happen to it. READ: its own values are given. CONVERTED: it
is read as something else than it holds, such as RGB for CMYK. REFUSED: an error names it. `images()` alone are more
than 200.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.data.samples import FILES, by_pillow, pixels, tiff

READ, CONVERTED, REFUSED = "read", "converted", "refused"


class Hostile(NamedTuple):
    """A file and what must happen to it."""

    name: str  # a file's, with its ending
    content: bytes
    outcome: str  # READ, CONVERTED or REFUSED
    words: str = ""  # a pattern that the refusal holds


# Images

ENDINGS = {"png": "png", "jpeg": "jpg", "webp": "webp", "bmp": "bmp", "gif": "gif", "avif": "avif", "tiff": "tif"}
CUTS = (0, 1, 3, 4, 8, 12, 16, 24, 33, 40)  # bytes that are left
BOMB = (60_000, 60_000)  # pixels that a header claims: 3.6 thousand million


def images() -> list[Hostile]:
    """All hostile images, by name: each name is there once."""
    makers = (_cut, _flipped, _misnamed, _foreign, _bombs, _png, _jpeg, _gif_webp_bmp, _tiffs, _shapes, _modes)
    return [one for maker in makers for one in maker()]


def ending(kind: str) -> str:
    return ENDINGS[kind.split()[0]]


def _cut() -> Iterator[Hostile]:
    """Every format cut at its beginning and in its middle."""
    for kind in FILES:
        content, name = FILES[kind](), kind.replace(" ", "_")
        if kind in ("png", "png 16", "jpeg", "webp", "bmp", "gif", "avif", "tiff", "tiff 16"):
            for left in CUTS:
                yield Hostile(f"cut_{name}_{left}.{ending(kind)}", content[:left], REFUSED)
        yield Hostile(f"cut_{name}_half.{ending(kind)}", content[: len(content) // 2], REFUSED)


def _flipped() -> Iterator[Hostile]:
    """One bit of what tells the format, and of a PNG's header, which has a checksum."""
    for kind in ("png", "jpeg", "webp", "bmp", "gif", "avif", "tiff"):
        content = bytearray(FILES[kind]())
        content[4 if kind == "avif" else 0] ^= 1
        yield Hostile(f"flip_{kind}_magic.{ending(kind)}", bytes(content), REFUSED)
    for place in (16, 19, 20, 23, 24, 25, 26, 27, 28, 29):
        content = bytearray(FILES["png"]())
        content[place] ^= 4
        yield Hostile(f"flip_png_header_{place}.png", bytes(content), REFUSED)


def _misnamed() -> Iterator[Hostile]:
    """The content decides, whatever the ending says."""
    for kind in ("png", "jpeg", "webp", "bmp", "gif", "tiff"):
        for other in ("jpg", "png", "tif", "gif"):
            if other != ending(kind):
                yield Hostile(f"{kind}_named.{other}", FILES[kind](), CONVERTED if kind == "gif" else READ)


FOREIGN = {
    "text.png": (b"This is no image.\n" * 40, "not in an image format"),
    "zeros.png": (bytes(4096), "not in an image format"),
    "ones.jpg": (b"\xff" * 4096, "cannot be read"),
    "postscript.png": (b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n", "PostScript"),
    "document.jpg": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "SVG"),
    "entities.tif": (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>", "SVG"),
    "metafile.bmp": (b"\xd7\xcd\xc6\x9a" + bytes(60), "WMF"),
    "layers.tif": (b"8BPS\0\1" + bytes(40), "PSD"),
    "archive.png": (b"PK\x03\x04" + bytes(60), "zip"),
    "packed.tif": (b"\x1f\x8b\x08" + bytes(60), "gzip"),
    "array.png": (b"\x93NUMPY\1\0" + bytes(60), "NumPy"),
    "float.tif": (b"v/1\x01" + bytes(60), "OpenEXR"),
    "sky.fits.png": (b"SIMPLE  =                    T" + b" " * 60, "FITS"),
    "table.tif": (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
    "portable.png": (b"P6 60000 60000 255\n", "Netpbm"),
    "film.png": (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", "video"),
    "icon.bmp": (b"\0\0\1\0\1\0" + bytes(40), "ICO"),
    "program.png": (b"\x7fELF\2\1\1" + bytes(200), "not in an image format"),
    "script.gif": (b"#!/bin/sh\nrm -rf /\n", "not in an image format"),
    "pickle.png": (b"\x80\4\x95\x15\0\0\0\0\0\0\0\x8c\5posix\x94\x8c\6system\x94\x93\x94.", "not in an image format"),
}


def _foreign() -> Iterator[Hostile]:
    for name, (content, words) in FOREIGN.items():
        yield Hostile(f"foreign_{name}", content, REFUSED, words)


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes = b"", *between: bytes) -> bytes:
    """A PNG whose header says what is asked for, whatever its data is."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(between) + body + chunk(b"IEND", b"")


def rows(width: int, height: int, channels: int = 3) -> bytes:
    """The bytes of a PNG's image: each row begins with its filter."""
    return (b"\0" + bytes(range(7, 7 + channels)) * width) * height


def ifd(*entries: tuple[int, int, int, int], following: int = 0, offset: int = 8, more: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory: entries of tag, type, count, value."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", offset) + directory + struct.pack("<I", following) + more


def grey_tiff(width: int, height: int, bits: int = 8, strip: int = 200, count: int = 9, **more: int) -> bytes:
    """A TIFF of one strip at byte 200, as its tags claim."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, more.get("compression", 1)),
        (262, 3, 1, more.get("photometric", 1)), (273, 4, 1, strip), (277, 3, 1, more.get("samples", 1)),
        (278, 4, 1, height), (279, 4, 1, count),
    ]  # fmt: skip
    head = ifd(*entries, following=more.get("following", 0))
    return head.ljust(200, b"\0") + bytes(range(40, 49)) + bytes(more.get("padding", 0))


def _bombs() -> Iterator[Hostile]:
    """Headers that claim what no memory holds, in files of a few hundred bytes."""
    w, h = BOMB
    larger = r"larger than \d+ pixels"
    jpeg = bytearray(by_pillow(pixels(3), "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", h, w)
    bmp = bytearray(by_pillow(pixels(3), "BMP"))
    bmp[18:26] = struct.pack("<ii", w, h)
    gif = bytearray(by_pillow(pixels(1), "GIF"))
    gif[6:10] = struct.pack("<HH", w, h)
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + (16_000_000).to_bytes(3, "little") * 2
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBP" + vp8x
    yield Hostile("bomb_rgb.png", png(w, h), REFUSED, larger)
    yield Hostile("bomb_grey16.png", png(w, h, 16, 0), REFUSED, larger)
    yield Hostile("bomb_bilevel.png", png(400_000, 400_000, 1, 0), REFUSED, larger)
    yield Hostile("bomb_largest.png", png(2**31 - 1, 2**31 - 1), REFUSED)
    yield Hostile("bomb_row.png", png(2**31 - 1, 1), REFUSED)
    yield Hostile("bomb_deflated.png", png(60_000, 60_000, 8, 0, bytes(1 << 22)), REFUSED, larger)
    yield Hostile("bomb.jpg", bytes(jpeg), REFUSED, larger)
    yield Hostile("bomb.bmp", bytes(bmp), REFUSED, larger)
    yield Hostile("bomb.gif", bytes(gif), REFUSED, larger)
    yield Hostile("bomb.webp", webp, REFUSED)
    yield Hostile("bomb_grey.tif", grey_tiff(w, h), REFUSED)
    yield Hostile("bomb_deflate.tif", grey_tiff(w, h, compression=8), REFUSED)
    yield Hostile("bomb_lzw.tif", grey_tiff(w, h, compression=5), REFUSED)
    yield Hostile("bomb_16.tif", grey_tiff(w, h, 16), REFUSED)
    yield Hostile("bomb_32.tif", grey_tiff(2**32 - 1, 2**32 - 1, 32), REFUSED)
    yield Hostile("bomb_samples.tif", grey_tiff(9000, 9000, 16, samples=65535), REFUSED)
    text = zlib.compress(bytes(1 << 27))  # 128 MiB of zeros in 128 KiB
    itxt = chunk(b"iTXt", b"drit.state\0\1\0\0\0" + text)
    yield Hostile("bomb_text.png", png(4, 3, 8, 2, rows(4, 3), itxt), REFUSED)
    yield Hostile("bomb_ztxt.png", png(4, 3, 8, 2, rows(4, 3), chunk(b"zTXt", b"Comment\0\0" + text)), REFUSED)
    yield Hostile("bomb_profile.png", png(4, 3, 8, 2, rows(4, 3), chunk(b"iCCP", b"icc\0\0" + text)), REFUSED)


def _png() -> Iterator[Hostile]:
    """Well-formed chunks that lie."""
    body = rows(4, 3)
    yield Hostile("png_no_width.png", png(0, 3, data=body), REFUSED)
    yield Hostile("png_no_height.png", png(4, 0, data=body), REFUSED)
    yield Hostile("png_no_pixels.png", png(0, 0), REFUSED)
    yield Hostile("png_depth_3.png", png(4, 3, 3, data=body), REFUSED)
    yield Hostile("png_colour_5.png", png(4, 3, 8, 5, body), REFUSED)
    yield Hostile("png_no_data.png", png(4, 3), REFUSED)
    yield Hostile("png_half_the_rows.png", png(4, 4, data=rows(4, 2)), CONVERTED)
    yield Hostile("png_rows_too_many.png", png(4, 3, data=rows(4, 900)), READ)
    yield Hostile("png_filter_77.png", png(4, 3, data=body.replace(b"\0", b"\x4d")), REFUSED)
    yield Hostile("png_palette_missing.png", png(4, 3, 8, 3, rows(4, 3, 1)), CONVERTED)
    palette = chunk(b"PLTE", b"\1\2\3")
    yield Hostile("png_palette_too_short.png", png(4, 3, 8, 3, rows(4, 3, 1), palette), CONVERTED)
    length = bytearray(png(4, 3, data=body))
    length[33:37] = b"\x7f\xff\xff\xff"
    yield Hostile("png_chunk_of_2_gib.png", bytes(length), READ)
    yield Hostile("png_twice_in_one.png", png(4, 3, data=body) * 2, READ)
    yield Hostile("png_with_a_zip_behind.png", png(4, 3, data=body) + b"PK\x03\x04" + bytes(30), READ)
    yield Hostile("png_two_headers.png", png(4, 3, 8, 2, body, chunk(b"IHDR", bytes(13))), REFUSED)
    exif = b"Exif\0\0" + ifd((0x8769, 4, 1, 8), following=8)
    yield Hostile("png_exif_in_a_loop.png", png(4, 3, 8, 2, body, chunk(b"eXIf", exif[6:])), READ)
    turned = ifd((0x0112, 3, 1, 6))
    yield Hostile("png_turned.png", png(4, 3, 8, 2, body, chunk(b"eXIf", turned)), READ)
    yield Hostile("png_turned_by_77.png", png(4, 3, 8, 2, body, chunk(b"eXIf", ifd((0x0112, 3, 1, 77)))), READ)
    many = b"".join(chunk(b"tEXt", b"k%d\0v" % i) for i in range(5000))
    yield Hostile("png_5000_texts.png", png(4, 3, 8, 2, body, many), READ)
    frames = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield Hostile("png_animated_without_end.png", png(4, 3, 8, 2, body, frames), READ)
    note = b"drit.state\0\0\0\0\0"
    yield Hostile("png_state_nested.png", png(4, 3, 8, 2, body, chunk(b"iTXt", note + b"[" * 60_000)), READ)
    lies = json.dumps({"format": 1, "version": "9", "run": "0" * 64, "from": "a", "to": "../b", "name": "../../x",
                       "style": [1e400], "seed": -1})  # fmt: skip
    yield Hostile("png_state_lies.png", png(4, 3, 8, 2, body, chunk(b"iTXt", note + lies.encode())), READ)


def _jpeg() -> Iterator[Hostile]:
    plain = by_pillow(pixels(3), "JPEG")
    place = plain.index(b"\xff\xc0")

    def changed(at: int, value: bytes) -> bytes:
        return plain[:at] + value + plain[at + len(value) :]

    def app1(body: bytes) -> bytes:
        return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]

    yield Hostile("jpeg_no_height.jpg", changed(place + 5, b"\0\0"), REFUSED)
    yield Hostile("jpeg_no_width.jpg", changed(place + 7, b"\0\0"), REFUSED)
    yield Hostile("jpeg_12_bits.jpg", changed(place + 4, b"\x0c"), REFUSED)
    yield Hostile("jpeg_9_components.jpg", changed(place + 9, b"\x09"), REFUSED)
    yield Hostile("jpeg_lossless.jpg", changed(place + 1, b"\xc3"), REFUSED)
    yield Hostile("jpeg_arithmetic.jpg", changed(place + 1, b"\xc9"), READ)
    yield Hostile("jpeg_marker_of_length_0.jpg", changed(4, b"\0\0"), READ)
    yield Hostile("jpeg_nothing_but_ends.jpg", b"\xff\xd8" + b"\xff\xd9" * 99, REFUSED)
    yield Hostile("jpeg_exif_in_a_loop.jpg", app1(b"Exif\0\0" + ifd((0x8769, 4, 1, 8), following=8)), READ)
    yield Hostile("jpeg_exif_of_4_gib.jpg", app1(b"Exif\0\0" + ifd((0x9286, 7, 2**32 - 1, 8))), READ)
    yield Hostile("jpeg_exif_beyond_its_end.jpg", app1(b"Exif\0\0II*\0\xff\xff\xff\x7f"), READ)
    yield Hostile("jpeg_exif_cut.jpg", app1(b"Exif\0\0II*\0\x08\0\0\0\xff\xff"), READ)
    yield Hostile("jpeg_turned_twice.jpg", app1(b"Exif\0\0" + ifd((0x0112, 3, 1, 6), (0x0112, 3, 1, 3))), READ)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a>" * 9000
    yield Hostile("jpeg_xmp_nested.jpg", app1(xmp), READ)
    profile = b"\xff\xe2" + struct.pack(">H", 18) + b"ICC_PROFILE\0\xff\x01xx"
    yield Hostile("jpeg_profile_missing_parts.jpg", plain[:2] + profile + plain[2:], READ)
    yield Hostile("jpeg_progressive.jpg", by_pillow(pixels(3), "JPEG", progressive=True), READ)
    cmyk = io.BytesIO()
    Image.new("CMYK", (9, 6), (0, 255, 255, 0)).save(cmyk, "JPEG")
    yield Hostile("jpeg_cmyk.jpg", cmyk.getvalue(), CONVERTED)


def _animation(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (9, 6), (40 * i, 9, 200 - 40 * i)) for i in range(4)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=10, loop=0)
    return buffer.getvalue()


def _gif_webp_bmp() -> Iterator[Hostile]:
    yield Hostile("animated.gif", _animation("GIF"), CONVERTED)
    yield Hostile("animated.webp", _animation("WEBP"), CONVERTED)
    yield Hostile("animated.png", _animation("PNG"), CONVERTED)
    yield Hostile("pages.tif", _animation("TIFF"), CONVERTED)
    gif = _animation("GIF")
    yield Hostile("gif_second_frame_cut.gif", gif[: len(gif) * 2 // 3], CONVERTED)
    yield Hostile("gif_nothing_but_a_header.gif", b"GIF89a\x05\0\x04\0\0\0\0;", REFUSED)
    yield Hostile("gif_no_size.gif", b"GIF89a\0\0\0\0\0\0\0;", REFUSED)
    yield Hostile("gif_comments_without_end.gif", gif[:-1] + b"!\xfe" + b"\xff" + b"x" * 255, CONVERTED)
    webp = by_pillow(pixels(3), "WEBP", lossless=True)
    yield Hostile("webp_size_of_4_gib.webp", webp[:4] + b"\xff\xff\xff\xff" + webp[8:], REFUSED)
    yield Hostile("webp_empty.webp", b"RIFF\x04\0\0\0WEBP", REFUSED)
    bmp = by_pillow(pixels(3), "BMP")
    for name, at, value in (
        ("no_width", 18, bytes(4)), ("negative_width", 18, b"\xff\xff\xff\xff"), ("7_bits", 28, b"\7\0"),
        ("header_of_4_gib", 14, b"\xff\xff\xff\xff"), ("data_beyond_its_end", 10, b"\xff\xff\xff\x7f"),
        ("compression_77", 30, b"\x4d"),
    ):  # fmt: skip
        yield Hostile(f"bmp_{name}.bmp", bmp[:at] + value + bmp[at + len(value) :], REFUSED)
    yield Hostile("bmp_upside_down.bmp", bmp[:22] + struct.pack("<i", -20) + bmp[26:], READ)


def _tiffs() -> Iterator[Hostile]:
    """Directories that lie or go round."""
    yield Hostile("tiff_whole.tif", grey_tiff(3, 3), READ)
    yield Hostile("tiff_next_is_itself.tif", grey_tiff(3, 3, following=8), READ)
    yield Hostile("tiff_next_beyond_its_end.tif", grey_tiff(3, 3, following=2**31), READ)
    second = 8 + 2 + 9 * 12 + 4  # bytes: where a second directory would lie
    loop = bytearray(grey_tiff(3, 3, following=second, padding=9))
    loop[second : second + 6] = struct.pack("<HI", 0, 8)
    yield Hostile("tiff_two_in_a_ring.tif", bytes(loop), READ)
    yield Hostile("tiff_directory_at_0.tif", b"II*\0" + bytes(60), REFUSED)
    yield Hostile("tiff_directory_beyond_its_end.tif", b"II*\0" + struct.pack("<I", 2**32 - 1), REFUSED)
    yield Hostile("tiff_65535_entries.tif", b"II*\0\x08\0\0\0\xff\xff" + bytes(40), REFUSED)
    yield Hostile("tiff_no_entries.tif", ifd(), REFUSED)
    yield Hostile("tiff_no_width.tif", grey_tiff(0, 3), REFUSED)
    yield Hostile("tiff_no_height.tif", grey_tiff(3, 0), REFUSED)
    yield Hostile("tiff_strip_beyond_its_end.tif", grey_tiff(3, 3, strip=2**31), REFUSED)
    yield Hostile("tiff_strip_of_4_gib.tif", grey_tiff(3, 3, count=2**32 - 1), REFUSED)
    yield Hostile("tiff_strip_too_short.tif", grey_tiff(30, 30), REFUSED)
    yield Hostile("tiff_compression_7777.tif", grey_tiff(3, 3, compression=7777), REFUSED)
    yield Hostile("tiff_photometric_99.tif", grey_tiff(3, 3, photometric=99), REFUSED)
    yield Hostile("tiff_7_bits.tif", grey_tiff(3, 3, 7), REFUSED)
    yield Hostile("tiff_65535_samples.tif", grey_tiff(3, 3, samples=65535), REFUSED)
    yield Hostile("tiff_deflate_of_noise.tif", grey_tiff(3, 3, compression=8), REFUSED)
    yield Hostile("tiff_lzw_of_noise.tif", grey_tiff(3, 3, compression=5), REFUSED)
    exif_loop = [(256, 4, 1, 3), (257, 4, 1, 3), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200),
                 (277, 3, 1, 1), (278, 4, 1, 3), (279, 4, 1, 9), (0x8769, 4, 1, 8)]  # fmt: skip
    yield Hostile("tiff_exif_is_itself.tif", ifd(*exif_loop).ljust(200, b"\0") + bytes(9), READ)
    bottomless = [*exif_loop[:-1], (34853, 4, 1, 8), (0x014A, 4, 1, 8)]
    yield Hostile("tiff_sub_directories_in_a_loop.tif", ifd(*bottomless).ljust(200, b"\0") + bytes(9), READ)
    text = [*exif_loop[:-1], (270, 2, 2**32 - 1, 60)]
    yield Hostile("tiff_text_of_4_gib.tif", ifd(*text).ljust(200, b"\0") + bytes(9), READ)
    yield Hostile("tiff_big_cut.tif", b"II+\0\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", REFUSED)
    yield Hostile("tiff_float.tif", tiff(np.ones((5, 4), np.float32)), REFUSED, "floating-point")
    yield Hostile("tiff_nan.tif", tiff(np.full((5, 4), np.nan, np.float32)), REFUSED, "floating-point")
    yield Hostile("tiff_inf.tif", tiff(np.full((5, 4), np.inf, np.float64)), REFUSED, "floating-point")
    yield Hostile("tiff_int32.tif", tiff(np.ones((5, 4), np.int32)), REFUSED, "32-bit integers")
    yield Hostile("tiff_complex.tif", tiff(np.ones((5, 4), np.complex64)), REFUSED)
    yield Hostile(
        "tiff_9_bands.tif", tiff(np.ones((20, 18, 9), np.uint8), photometric="minisblack", planarconfig="contig"), READ
    )


def _shapes() -> Iterator[Hostile]:
    """Images as small and as long as there are."""
    for width, height in ((1, 1), (1, 2), (2, 1), (1, 60_000), (60_000, 1), (100_000, 1), (3, 9000)):
        yield Hostile(f"shape_{width}x{height}.png", png(width, height, 8, 0, rows(width, height, 1)), READ)
    yield Hostile("shape_1x60000.tif", tiff(np.ones((60_000, 1), np.uint8)), READ)
    yield Hostile("shape_1x60000.jpg", by_pillow(np.ones((60_000, 1, 1), np.uint8), "JPEG"), READ)
    yield Hostile("shape_1x16000.webp", by_pillow(np.ones((16_000, 1, 3), np.uint8), "WEBP", lossless=True), READ)


def _modes() -> Iterator[Hostile]:
    """Kinds of pixels that are no bytes of RGB."""
    for kind in ("png grey", "png 16", "tiff 16", "tiff 16 planar", "tiff 16 big", "tiff 16 lzw"):
        yield Hostile(f"mode_{kind.replace(' ', '_')}.{ending(kind)}", FILES[kind](), READ)
    yield Hostile("mode_palette.png", FILES["png palette"](), CONVERTED)
    yield Hostile("mode_bilevel.png", png(8, 2, 1, 0, b"\0\xaa\0\x55"), CONVERTED)
    yield Hostile("mode_2_bits.png", png(8, 2, 2, 0, b"\0\xe4\x1b\0\x1b\xe4"), CONVERTED)
    for mode, name in (("1", "bilevel.tif"), ("CMYK", "cmyk.tif"), ("P", "palette.tif"), ("P", "palette.gif"),
                       ("YCbCr", "ycbcr.tif"), ("LAB", "lab.tif")):  # fmt: skip
        buffer = io.BytesIO()
        Image.new(mode, (9, 6), 1 if mode in "1P" else tuple([90] * (4 if mode == "CMYK" else 3))).save(
            buffer, "GIF" if name.endswith("gif") else "TIFF"
        )
        yield Hostile(f"mode_{name}", buffer.getvalue(), CONVERTED)
    grey_alpha, colour_alpha = pixels(2), pixels(4)
    for kind, name in (("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
        yield Hostile(f"mode_rgba.{name}", by_pillow(colour_alpha, kind), CONVERTED)
        if kind != "WEBP":
            yield Hostile(f"mode_grey_alpha.{name}", by_pillow(grey_alpha, kind), CONVERTED)
    transparent = chunk(b"tRNS", b"\0\7\0\x08\0\x09")
    yield Hostile("mode_transparent_colour.png", png(4, 3, 8, 2, rows(4, 3), transparent), CONVERTED)
    yield Hostile("mode_transparent_too_short.png", png(4, 3, 8, 2, rows(4, 3), chunk(b"tRNS", b"\0")), REFUSED)


# Arrays


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


def lying_npy(shape: Any, descr: Any = "|u1", data: bytes = bytes(64)) -> bytes:
    """An array whose header claims any shape and type."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def npz(**arrays: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def arrays() -> list[Hostile]:
    """Array files; those to be read have 40 images of 24 x 24 and two labels."""
    good, labels = npy(np.arange(40 * 24 * 24, dtype=np.uint8).reshape(40, 24, 24)), npy(np.arange(40) % 2)
    whole = npz(images=good, labels=labels)
    flipped = bytearray(whole)
    flipped[len(flipped) // 3] ^= 1
    sizes = bytearray(whole)
    end = sizes.index(b"PK\x01\x02")
    sizes[end + 20 : end + 28] = b"\xff\xff\xff\x7f" * 2
    huge = (10**6, 10**4, 10**4)
    floats = np.linspace(0, 1, 40 * 24 * 24, dtype=np.float32).reshape(40, 24, 24)
    named = {
        "whole.npz": (whole, READ),
        "floats.npz": (npz(images=npy(floats), labels=labels), CONVERTED),
        "empty.npz": (b"", REFUSED),
        "no_zip.npz": (b"This is no archive.", REFUSED),
        "an_array_alone.npz": (good, REFUSED),
        "no_arrays.npz": (npz(), REFUSED),
        "cut.npz": (whole[: len(whole) // 2], REFUSED),
        "directory_cut.npz": (whole[:-30], REFUSED),
        "flipped.npz": (bytes(flipped), REFUSED),
        "sizes_that_lie.npz": (bytes(sizes), REFUSED),
        "images_beyond_memory.npz": (npz(images=lying_npy(huge), labels=labels), REFUSED),
        "labels_beyond_memory.npz": (npz(images=good, labels=lying_npy((10**13,))), REFUSED),
        "beside_beyond_memory.npz": (npz(images=good, labels=labels, boxes=lying_npy((40, 10**12))), REFUSED),
        "texts_beyond_memory.npz": (npz(images=good, labels=lying_npy((40,), "<U1000000000")), REFUSED),
        "shape_beyond_integers.npz": (npz(images=lying_npy((10**30, 4, 4))), REFUSED),
        "shape_negative.npz": (npz(images=lying_npy((-4, 4, 4))), REFUSED),
        "shape_of_words.npz": (npz(images=lying_npy(("a", "b", "c"))), REFUSED),
        "type_unknown.npz": (npz(images=lying_npy((4, 4, 4), "|z9")), REFUSED),
        "header_is_code.npz": (npz(images=lying_npy("__import__('os').getcwd()")), REFUSED),
        "header_nested.npz": (npz(images=b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"(" * 9000), REFUSED),
        "objects.npz": (npz(images=npy(np.array([{}] * 40, object), True), labels=labels), REFUSED),
        "label_objects.npz": (npz(images=good, labels=npy(np.array([{}] * 40, object), True)), REFUSED),
        "nan.npz": (npz(images=npy(np.full((40, 24, 24), np.nan, np.float32)), labels=labels), REFUSED),
        "infinite.npz": (npz(images=npy(np.full((40, 24, 24), np.inf, np.float32)), labels=labels), REFUSED),
        "beyond_one.npz": (npz(images=npy(floats * 9), labels=labels), REFUSED),
        "complex.npz": (npz(images=npy(floats.astype(np.complex64)), labels=labels), REFUSED),
        "times.npz": (npz(images=npy(np.zeros((40, 24, 24), "M8[s]")), labels=labels), REFUSED),
        "no_images.npz": (npz(images=npy(np.zeros((0, 24, 24), np.uint8)), labels=npy(np.zeros(0))), REFUSED),
        "no_pixels.npz": (npz(images=npy(np.zeros((40, 0, 24), np.uint8)), labels=labels), REFUSED),
        "no_channels.npz": (npz(images=npy(np.zeros((40, 24, 24, 0), np.uint8)), labels=labels), REFUSED),
        "flat.npz": (npz(images=npy(np.zeros(40, np.uint8)), labels=labels), REFUSED),
        "five_axes.npz": (npz(images=npy(np.zeros((2, 2, 2, 2, 2), np.uint8)), labels=labels), REFUSED),
        "labels_too_few.npz": (npz(images=good, labels=npy(np.zeros(3))), REFUSED),
        "labels_nan.npz": (npz(images=good, labels=npy(np.where(np.arange(40) % 2, np.nan, 1.0))), REFUSED),
        "labels_beyond_letters.npz": (
            npz(images=good, labels=lying_npy((40,), "<U1", b"\xff" * 160)),
            REFUSED,
        ),
        "labels_half_letters.npz": (npz(images=good, labels=lying_npy((40,), "<U1", b"\0\xd8\0\0" * 40)), REFUSED),
        "labels_of_two_axes.npz": (npz(images=good, labels=npy(np.zeros((40, 2)))), REFUSED),
    }
    slipped = io.BytesIO()
    with zipfile.ZipFile(slipped, "w") as archive:
        for name, content in (("images.npy", good), ("labels.npy", labels), ("../../out.npy", good)):
            archive.writestr(name, content)
    named["path_out.npz"] = slipped.getvalue(), READ
    return [Hostile(name, content, outcome) for name, (content, outcome) in named.items()]


# Text: JSON and CSV

DAMAGED = {
    "empty": b"",
    "zeros": bytes(200),
    "utf16": '{"steps": 4}'.encode("utf-16"),
    "no_utf8": b'{"steps": "\xff"}',
    "cut": b'{"steps": ',
    "list": b"[1, 2]",
    "number": b"7",
    "null": b"null",
    "nested": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested_lists": b'{"steps": ' + b"[" * 100_000,
    "digits": b'{"steps": ' + b"9" * 5000 + b"}",
    "long": b'{"steps": "' + b"x" * (17 << 20) + b'"}',
    "twice_an_object": b"{}{}",
    "image": b"\x89PNG\r\n\x1a\n" + bytes(40),
}


def settings() -> list[Hostile]:
    """Files for --config. None of them may be trained with."""
    wrong: dict[str, Any] = {
        "unknown_name": {"stepps": 4},
        "a_group_that_is_none": {"data": 4},
        "a_list_for_a_number": {"steps": [4]},
        "text_for_a_number": {"steps": "four"},
        "true_for_a_number": {"steps": True},
        "number_for_text": {"data": {"a": 4}},
        "negative": {"steps": -4},
        "too_many_digits_for_a_float": {"network": {"init_std": 10**400}, "optim": {"lr": 10**400}},
        "too_many_steps": {"steps": 10**400},
        "too_large_a_batch": {"batch": 10**40},
        "nan": {"optim": {"lr": float("nan")}},
        "infinite": {"optim": {"lr": float("inf")}},
        "nul_in_a_path": {"data": {"a": "x\0y", "b": "z"}},
        "half_a_letter_in_a_path": {"data": {"a": "\ud800", "b": "z"}},
        "half_a_letter_in_a_name": {"\ud800": 1},
        "method_is_a_list": {"method": ["drit"]},
        "method_is_a_path": {"method": "../../etc/passwd"},
        "method_is_code": {"method": "__import__('os')"},
        "settings_is_a_list": {"settings": [1], "versions": {}},
        "a_path_that_is_too_long": {"data": {"a": "x" * 5000, "b": "y" * 5000}},
    }
    files = {name: json.dumps(value).encode() for name, value in wrong.items()}
    return [Hostile(f"{name}.json", content, REFUSED) for name, content in (DAMAGED | files).items()]


def styles(size: int) -> list[Hostile]:
    """Files for --style, of a model whose styles have `size` numbers."""
    one = [0.5] * size
    wrong: dict[str, Any] = {
        "no_styles": {},
        "none_of_them": {"styles": {}},
        "list_of_styles": {"styles": [one]},
        "too_short": {"styles": {"x": one[:-1]}},
        "of_two_lengths": {"styles": {"x": one, "y": [*one, 1.0]}},
        "words": {"styles": {"x": ["a"] * size}},
        "nothing": {"styles": {"x": [None] * size}},
        "lists": {"styles": {"x": [[0.5]] * size}},
        "true": {"styles": {"x": [True] * size}},
        "nan_number": {"styles": {"x": [float("nan")] * size}},
        "infinite": {"styles": {"x": [float("inf")] * size}},
        "too_many_digits": {"styles": {"x": [10**400] * size}},
        "one_number": {"styles": {"x": 0.5}},
        "name_is_empty": {"styles": {"": one}},
        "name_leads_out": {"styles": {"../../x": one}},
        "name_is_the_folder_above": {"styles": {"..": one}},
        "name_is_absolute": {"styles": {"/tmp/x": one}},
        "name_has_nul": {"styles": {"x\0": one}},
        "name_is_half_a_letter": {"styles": {"\ud800": one}},
        "name_is_too_long": {"styles": {"x" * 5000: one}},
    }
    files = {name: json.dumps(value).encode() for name, value in wrong.items()}
    good = json.dumps({"styles": {"x": one}}).encode()
    return [
        *(Hostile(f"{name}.json", content, REFUSED) for name, content in (DAMAGED | files).items()),
        Hostile("good.json", good, READ),
        Hostile("with_a_mark.json", b"\xef\xbb\xbf" + good, READ),
    ]


def labels(names: list[str]) -> list[Hostile]:
    """Files for --labels of the images with these names."""
    lines = [f"{name},{'xy'[i % 2]}" for i, name in enumerate(names)]
    whole = "\n".join(["file,label", *lines])
    wrong = {
        "empty": b"",
        "zeros": bytes(99),
        "no_utf8": b"file,label\n\xff,\xfe\n",
        "utf16": whole.encode("utf-16"),
        "no_columns": b"a,b\n1,2\n",
        "cells_missing": whole.encode() + b"\nx.png",
        "cells_too_many": whole.encode() + b"\nx.png,1,2,3",
        "leads_out": whole.encode() + b"\n../../etc/passwd,x",
        "absolute": whole.encode() + b"\n/etc/passwd,x",
        "named_twice": whole.encode() + f"\n{lines[0]}".encode(),
        "a_quote_without_end": b'file,label\n"' + b"x" * 300_000,
        "a_cell_too_long": f"file,label\n{names[0]},{'x' * 300_000}".encode(),
        "image": FILES["png"](),
    }
    digits = "\n".join(["file,label", *(f"{name},{(str(1 + i % 2) * 5000)}" for i, name in enumerate(names))])
    signs = "\n".join(["file,label", *(f"{name},{'--' * (1 + i % 2)}3" for i, name in enumerate(names))])
    odd = {"whole": whole, "numbers_of_5000_digits": digits, "two_signs": signs, "with_a_mark": "\ufeff" + whole}
    return [
        *(Hostile(f"{name}.csv", content, REFUSED) for name, content in wrong.items()),
        *(Hostile(f"{name}.csv", text.encode(), READ) for name, text in odd.items()),
    ]


def indexes(good: dict[str, Any]) -> list[Hostile]:
    """Files shards.json of a packed folder; `good` is one that is whole."""
    shard, member = good["shards"][0], good["members"][0]

    def changed(**values: Any) -> dict[str, Any]:
        return good | {"members": [member | values]}

    wrong: dict[str, Any] = {
        "no_format": {},
        "format_of_tomorrow": good | {"format": 99},
        "shards_are_words": good | {"shards": "shard"},
        "shard_leads_out": good | {"shards": [shard | {"name": "../x.tar"}]},
        "shard_is_absolute": good | {"shards": [shard | {"name": "/etc/passwd"}]},
        "shard_of_less_than_nothing": good | {"shards": [shard | {"bytes": -1}]},
        "place_leads_out": changed(place="../../x.png"),
        "place_is_absolute": changed(place="/etc/passwd"),
        "place_has_nul": changed(place="x\0.png"),
        "place_of_another_system": changed(place="..\\x.png"),
        "place_is_a_number": changed(place=7),
        "offset_beyond_the_shard": changed(offset=10**15),
        "offset_of_many_digits": changed(offset=10**400),
        "offset_is_negative": changed(offset=-512),
        "bytes_beyond_the_shard": changed(bytes=10**15),
        "bytes_are_true": changed(bytes=True),
        "hash_is_short": changed(sha256="00"),
        "named_twice": good | {"members": [member, member]},
    }
    files = {name: json.dumps(value).encode() for name, value in wrong.items()}
    damaged = {name: content for name, content in DAMAGED.items() if name != "long"}
    return [Hostile(name, content, REFUSED) for name, content in (damaged | files).items()]
