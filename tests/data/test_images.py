"""Files in and out: formats, depths, orientation, transparency, damage."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from drit import atomic
from drit.data.images import SUFFIXES, convert_channels, decode, encode, from_tensor, read_header, to_tensor
from drit.errors import DataError, DritError, UsageError


def image(channels: int, depth: int = 8, size: tuple[int, int] = (6, 9)) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, 1 << depth, (*size, channels)).astype(np.uint8 if depth == 8 else np.uint16)


def shape_of(path: Path, *options: Any) -> tuple[int, int, int, int]:
    header = read_header(path, *options)
    return header.height, header.width, header.channels, header.depth


LOSSLESS = [(s, c, 8) for s in (".png", ".webp", ".tif", ".tiff") for c in (3, 4)]
LOSSLESS += [(s, 1, 8) for s in (".png", ".tif", ".bmp")] + [(".bmp", 3, 8), (".png", 2, 8)]
LOSSLESS += [(s, c, 16) for s in (".png", ".tif") for c in (1, 3, 4)]


@pytest.mark.parametrize(("suffix", "channels", "depth"), LOSSLESS)
def test_round_trip(suffix: str, channels: int, depth: int, tmp_path: Path) -> None:
    array, path = image(channels, depth), tmp_path / f"x{suffix}"
    encode(array, path)
    found, kind = decode(path, alpha="keep")
    np.testing.assert_array_equal(found, array)
    assert (kind.channels, kind.depth, kind.suffix) == (channels, depth, suffix)
    assert shape_of(path, "keep") == (6, 9, channels, depth)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close(suffix: str, channels: int, tmp_path: Path) -> None:
    array = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 48, 0).repeat(channels, 2)
    encode(array, tmp_path / f"x{suffix}")
    found, _ = decode(tmp_path / f"x{suffix}")
    assert found.shape == array.shape
    assert np.abs(found.astype(int) - array).max() <= 4


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """By the table of TIFF 6.0: which edge of the image the stored rows and columns begin at."""
    mirrored = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    turned = stored.swapaxes(0, 1) if orientation >= 5 else stored
    return np.flip(turned, mirrored)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["8-bit PNG", "16-bit PNG", "8-bit TIFF", "16-bit TIFF", "packed TIFF", "big TIFF"])
def test_orientation(kind: str, channels: int, orientation: int, tmp_path: Path) -> None:
    array = image(channels, 16 if "16" in kind else 8)
    if "TIFF" in kind:
        tifffile = pytest.importorskip("tifffile", reason="tifffile, of the demo's packages, is not installed")
        path = tmp_path / "x.tif"
        tags = [(0x0112, "H", 1, orientation, True)]
        options = {"compression": "deflate"} if "packed" in kind else {"bigtiff": "big" in kind}
        photometric = "rgb" if channels == 3 else "minisblack"
        pixels = array if channels == 3 else array[:, :, 0]
        tifffile.imwrite(path, pixels, photometric=photometric, extratags=tags, metadata=None, **options)
    else:
        encode(array, tmp_path / "y.png")
        path = tmp_path / "x.png"
        exif = Image.Exif()
        exif[0x0112] = orientation
        chunk = exif.tobytes().removeprefix(b"Exif\0\0")
        body = (tmp_path / "y.png").read_bytes()
        head, rest = body[:33], body[33:]  # signature and header chunk
        named = b"eXIf" + chunk
        path.write_bytes(head + struct.pack(">I", len(chunk)) + named + struct.pack(">I", zlib.crc32(named)) + rest)
    found, _ = decode(path)
    np.testing.assert_array_equal(found, upright(array, orientation))
    assert shape_of(path) == (*found.shape, 8 * array.dtype.itemsize)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    array = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    encode(array, tmp_path / "x.png")
    found, kind = decode(tmp_path / "x.png")
    # 51 / 255 = one fifth of the colour, four fifths white
    assert found.tolist() == [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]
    assert kind.channels == 3
    wide = array.astype(np.uint16) * 257
    encode(wide, tmp_path / "y.png")
    assert decode(tmp_path / "y.png")[0].tolist()[0][2] == [244 * 257, 224 * 257, 204 * 257]


def test_palette_bilevel_and_cmyk(tmp_path: Path) -> None:
    colours = image(3)
    Image.fromarray(colours).quantize(54).save(tmp_path / "p.png")
    assert decode(tmp_path / "p.png")[0].shape == (6, 9, 3)
    Image.fromarray(image(1)[:, :, 0] > 127).save(tmp_path / "b.png")
    assert set(np.unique(decode(tmp_path / "b.png")[0])) <= {0, 255}
    Image.new("CMYK", (9, 6), (0, 255, 255, 0)).save(tmp_path / "c.jpg")
    red = decode(tmp_path / "c.jpg")[0].reshape(-1, 3).mean(0)
    assert red[0] > 200 and red[1] < 40 and red[2] < 40
    assert shape_of(tmp_path / "p.png")[2] == 3 and shape_of(tmp_path / "b.png")[2] == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_damaged_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    encode(image(3, size=(60, 60)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"broken{suffix} cannot be read"):
        decode(path)
    path.write_bytes(b"this is no image")
    for read in (decode, read_header):
        with pytest.raises(DataError, match=f"broken{suffix} cannot be read"):
            read(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_damaged_16_bit_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep{suffix}"
    encode(image(3, 16, (80, 80)), path)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    with pytest.raises(DataError, match=f"deep{suffix} cannot be read"):
        decode(path)


def test_grey_16_bit_with_a_transparent_level(tmp_path: Path) -> None:
    """A PNG of grey levels may name one that is transparent (tRNS)."""
    array = np.array([[[7], [60000]]], np.uint16)
    encode(array, tmp_path / "x.png")
    body = (tmp_path / "x.png").read_bytes()
    named = b"tRNS" + struct.pack(">H", 7)
    (tmp_path / "x.png").write_bytes(
        body[:33] + struct.pack(">I", 2) + named + struct.pack(">I", zlib.crc32(named)) + body[33:]
    )
    assert decode(tmp_path / "x.png", "keep")[0].tolist() == [[[7, 0], [60000, 65535]]]
    assert decode(tmp_path / "x.png")[0].tolist() == [[[65535], [60000]]]
    assert shape_of(tmp_path / "x.png", "keep") == (1, 2, 2, 16)
    assert shape_of(tmp_path / "x.png") == (1, 2, 1, 16)


@pytest.mark.parametrize("read", [decode, read_header])
def test_numbers_that_are_no_pixels(read: Any, tmp_path: Path) -> None:
    for dtype, words in ((np.float32, "floating-point"), (np.int32, "32-bit integers")):
        Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / "x.tif")
        with pytest.raises(DataError, match=f"x.tif cannot be read as an image: it holds {words}"):
            read(tmp_path / "x.tif")


@pytest.mark.parametrize("read", [decode, read_header])
@pytest.mark.parametrize("factor", [1.5, 3])
def test_enormous_images(read: Any, factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns beyond its limit and raises beyond twice the limit; both are refused."""
    encode(image(1), tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(54 / factor))
    with pytest.raises(DataError, match=r"x.png is larger than \d+ pixels"):
        read(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("name", "channels", "depth", "words"),
    [
        ("x.jpg", 3, 16, "holds 8 bits"),
        ("x.jpg", 4, 8, "cannot hold 4 channels"),
        ("x.bmp", 2, 8, "cannot hold 2 channels"),
        ("x.png", 5, 8, "cannot hold 5 channels"),
        ("x.gif", 3, 8, "are written as"),
    ],
)
def test_what_a_format_cannot_hold(name: str, channels: int, depth: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        encode(image(channels, depth), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    encode(image(1), path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(DritError, match=r"x.png: No space left"):
        encode(image(3), path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert decode(path)[0].shape == (6, 9, 1)


def test_conversion_of_channels() -> None:
    colour = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    # ITU-R BT.601: 0.299, 0.587, 0.114 of 255; 2.99 + 11.74 + 3.42 = 18.15
    assert convert_channels(colour, 1).ravel().tolist() == [76, 150, 29, 18]
    assert convert_channels(colour[:, :, :1], 3).tolist() == [[[v] * 3 for v in (255, 0, 0, 10)]]
    assert convert_channels(colour, 4)[0, 0].tolist() == [255, 0, 0, 255]
    assert convert_channels(colour, 2)[0, 0].tolist() == [76, 255]
    translucent = np.array([[[10, 51]]], np.uint8)  # one fifth of 10, four fifths white
    assert convert_channels(translucent, 4).tolist() == [[[10, 10, 10, 51]]]
    assert convert_channels(translucent, 3).tolist() == [[[206, 206, 206]]]
    assert convert_channels(np.array([[[0, 0, 255, 9]]], np.uint8), 2).tolist() == [[[29, 9]]]
    with pytest.raises(DataError, match="3 channels cannot become one of 5"):
        convert_channels(colour, 5)


@given(st.integers(0, 65535), st.sampled_from([8, 16]))
def test_tensor_round_trip(value: int, depth: int) -> None:
    value = value >> 8 if depth == 8 else value
    array = np.full((2, 3, 1), value, np.uint8 if depth == 8 else np.uint16)
    tensor = to_tensor(array)
    assert tensor.shape == (1, 2, 3) and -1 <= float(tensor.min()) <= float(tensor.max()) <= 1
    np.testing.assert_array_equal(from_tensor(tensor, depth), array)


def test_tensor_values_and_clipping() -> None:
    assert to_tensor(np.array([[[0], [255]]], np.uint8)).flatten().tolist() == [-1, 1]
    import torch

    assert from_tensor(torch.tensor([[[-3.0, 0.0, 3.0]]])).ravel().tolist() == [0, 128, 255]
    assert from_tensor(torch.tensor([[[torch.nan, torch.inf, -torch.inf]]])).ravel().tolist() == [0, 255, 0]


def test_16_bit_colour_keeps_all_bits(tmp_path: Path) -> None:
    """Written by another program: what Pillow alone would cut to 8 bits."""
    array = np.array([[[1, 258, 65534]]], np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), array[:, :, ::-1])
    assert decode(tmp_path / "x.png")[0].tolist() == array.tolist()
    assert ".png" in SUFFIXES
