"""One decoder: every layout in 8 and 16 bits gives the right pixels, or a refusal that says what to convert."""

from __future__ import annotations

import lzma
import re
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from drit.data.images import decode, encode, read_header, read_values
from drit.data.pixels import on_white
from drit.errors import DataError
from tests.data.layouts import LAYOUTS, Layout, chunky, png, stored_files
from tests.data.samples import pixels, tiff

CASES = [
    pytest.param(layout, dtype, id=f"{layout.name}, {np.dtype(dtype)}") for layout in LAYOUTS for dtype in layout.depths
]


def has_alpha(layout: Layout) -> bool:
    return "alpha" in layout.name or "transparent" in layout.name


@pytest.mark.parametrize(("layout", "dtype"), CASES)
def test_right_pixels_or_a_refusal(layout: Layout, dtype: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.png"  # the ending says nothing
    stored = layout.stored(dtype)
    path.write_bytes(layout.write(stored))
    if layout.refused and dtype in layout.refused:
        for read in (decode, read_header):
            with pytest.raises(DataError, match=layout.refused[dtype]):
                read(path)
        return
    right = layout.right(stored)
    array, kind = decode(path, "keep")
    assert array.dtype == dtype and array.shape == right.shape
    assert np.abs(array.astype(int) - right).max() <= layout.tolerance
    assert kind.alpha == has_alpha(layout) and kind.channels == right.shape[2] and kind.dtype == np.dtype(dtype).name
    header = read_header(path, "keep")
    assert (header.height, header.width, header.channels) == array.shape
    assert (header.depth, header.alpha, header.extra) == (kind.depth, kind.alpha, kind.extra)
    flat = decode(path)[0]
    assert flat.shape[2] == read_header(path).channels
    np.testing.assert_array_equal(flat, on_white(array) if kind.alpha else array)


def test_storage_changes_no_pixel(tmp_path: Path) -> None:
    """Strips, tiles, planes, compressions, predictors, byte orders and BigTIFF, of each layout in both depths."""
    wrong, count = [], 0
    for name, content, right in stored_files():
        (tmp_path / "x.tif").write_bytes(content)
        count += 1
        try:
            array = decode(tmp_path / "x.tif", "keep")[0]
        except DataError as error:
            wrong.append(f"{name}: {error}")
            continue
        if array.dtype != right.dtype or not np.array_equal(array, right):
            wrong.append(name)
    assert count > 300 and not wrong


def test_the_same_file_gives_the_same_pixels(tmp_path: Path) -> None:
    """Planes of 16 bits gave another array at each reading."""
    array = pixels(3, np.uint16, (64, 64))
    tifffile.imwrite(tmp_path / "x.tif", np.moveaxis(array, 2, 0), photometric="rgb", planarconfig="separate")
    for _ in range(3):
        np.testing.assert_array_equal(decode(tmp_path / "x.tif")[0], array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({259: 34712}, r"JPEG2000.* of uint16, which is not read: save it with deflate or LZW"),
        ({259: 64999}, r"64999 of uint16, which is not read"),
        ({262: 32803}, r"its colours are of kind CFA \(32803\): convert it to RGB or grey"),
        ({262: 6}, r"holds YCbCr of uint16, which is not read: convert it to 16-bit RGB"),
        ({258: 12}, r"holds whole numbers of 12 bits: convert it"),
        ({339: 6}, r"holds complex numbers of 16 bits"),
        ({317: 9}, r"packed with predictor 9"),
    ],
)
def test_what_is_not_read_is_refused_by_name(change: dict[int, int], words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(pixels(1, np.uint16)[:, :, 0], photometric="minisblack"))
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for code, value in change.items():
            tag = file.pages.first.tags.get(code) or file.pages.first.tags[305]  # the last is of no concern
            struct.pack_into("<HHIHH", content, tag.offset, code, 3, 1, value, 0)
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        decode(path)


def test_colour_polarity_is_never_guessed(tmp_path: Path) -> None:
    content = tiff(pixels(1)[:, :, 0], photometric="minisblack")
    with tifffile.TiffFile(_written(tmp_path / "x.tif", content)) as file:
        place = file.pages.first.tags[262].offset
    changed = bytearray(content)
    changed[place : place + 2] = (261).to_bytes(2, "little")  # another tag in its place
    (tmp_path / "x.tif").write_bytes(changed)
    with pytest.raises(DataError, match="does not say whether 0 is black or white"):
        decode(tmp_path / "x.tif")


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_missing_parts_are_damage(tmp_path: Path) -> None:
    """Never zeros or old memory in their place."""
    for options in ({}, {"tile": (16, 16)}, {"compression": "deflate"}, {"rowsperstrip": 2}):
        content = chunky(pixels(3, np.uint16, (48, 48)), photometric="rgb", **options)
        (tmp_path / "x.tif").write_bytes(content[: len(content) - 20])
        with pytest.raises(DataError, match=r"x.tif cannot be read"):
            decode(tmp_path / "x.tif")


@pytest.mark.parametrize("pack", [zlib.compress, lzma.compress])
def test_a_bomb_is_not_unpacked(pack: Any, tmp_path: Path) -> None:
    """A strip of 64 MiB for an image of 600 pixels: no more than the image needs is unpacked."""
    packed = pack(bytes(1 << 26))
    content = tiff(
        pixels(1)[:, :, 0], photometric="minisblack", compression="deflate" if pack is zlib.compress else "lzma"
    )
    with tifffile.TiffFile(_written(tmp_path / "x.tif", content)) as file:
        page = file.pages.first
        places = page.tags[273].valueoffset, page.tags[279].valueoffset
    content = bytearray(content) + packed
    for place, value in zip(places, (len(content) - len(packed), len(packed)), strict=True):
        struct.pack_into("<I", content, place, value)
    (tmp_path / "x.tif").write_bytes(content)
    tracemalloc.start()
    try:
        assert not decode(tmp_path / "x.tif")[0].any()
        assert tracemalloc.get_traced_memory()[1] < 32 << 20  # LZMA has a dictionary of 8 MiB
    finally:
        tracemalloc.stop()


def test_floats_with_their_own_predictor(tmp_path: Path) -> None:
    """As libtiff writes them."""
    array = np.linspace(-5, 900, 600, dtype=np.float32).reshape(20, 30)
    options: dict[str, Any] = {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 3}}
    Image.fromarray(array).save(tmp_path / "x.tif", **options)
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert file.pages.first.predictor == 3
    np.testing.assert_array_equal(read_values(tmp_path / "x.tif")[:, :, 0], array)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_alpha_that_is_written_is_an_alpha(suffix: str, tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16):
        for channels in (2, 4):
            array = pixels(channels, dtype)
            encode(array, tmp_path / f"x{suffix}")
            read, kind = decode(tmp_path / f"x{suffix}", "keep")
            assert kind.alpha
            if dtype == np.uint8 or channels == 4 or suffix == ".tif":
                np.testing.assert_array_equal(read, array)


def test_outputs_get_an_ending_that_can_be_written(tmp_path: Path) -> None:
    eight, sixteen = png(pixels(3)), png(pixels(3, np.uint16))
    for name, content, suffix in [
        ("x.PNG", eight, ".png"),
        ("x.jfif", eight, ".jpg"),
        ("x.gif", eight, ".png"),
        ("x.webp", eight, ".webp"),
        ("x", eight, ".png"),
        ("x.jpg", sixteen, ".png"),
        ("x.tif", sixteen, ".tif"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert decode(tmp_path / name)[1].suffix == suffix
        assert re.fullmatch(r"\.\w+", suffix)
