"""Files in and out: formats, depths, orientation, transparency, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from drit import atomic
from drit.data import decode as module
from drit.data.decode import SUFFIXES, convert_channels, decode, encode, from_tensor, probe, to_tensor
from drit.errors import DataError, DritError, UsageError


def picture(channels: int, depth: int = 8, size: tuple[int, int] = (6, 9)) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, 1 << depth, (*size, channels)).astype(np.uint8 if depth == 8 else np.uint16)


LOSSLESS = [(s, c, 8) for s in (".png", ".webp", ".tif", ".tiff") for c in (3, 4)]
LOSSLESS += [(s, 1, 8) for s in (".png", ".tif", ".bmp")] + [(".bmp", 3, 8), (".png", 2, 8)]
LOSSLESS += [(s, c, 16) for s in (".png", ".tif") for c in (1, 3, 4)]


@pytest.mark.parametrize(("suffix", "channels", "depth"), LOSSLESS)
def test_round_trip(suffix: str, channels: int, depth: int, tmp_path: Path) -> None:
    array, path = picture(channels, depth), tmp_path / f"x{suffix}"
    encode(array, path, depth)
    found, kind = decode(path, alpha="keep")
    np.testing.assert_array_equal(found, array)
    assert (kind.channels, kind.depth, kind.suffix) == (channels, depth, suffix)
    assert probe(path, "keep") == (6, 9, channels, depth)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close(suffix: str, channels: int, tmp_path: Path) -> None:
    array = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 48, 0).repeat(channels, 2)
    encode(array, tmp_path / f"x{suffix}")
    found, _ = decode(tmp_path / f"x{suffix}")
    assert found.shape == array.shape
    assert np.abs(found.astype(int) - array).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_exif_orientation(orientation: int, depth: int, tmp_path: Path) -> None:
    """The same turn whichever library read the pixels: Pillow's own for 8 bits is the reference for ours of 16."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = picture(1)[:, :, 0]
    Image.fromarray(small).save(tmp_path / "small.png", exif=exif)
    upright = decode(tmp_path / "small.png")[0]
    if depth == 16:
        np.testing.assert_array_equal(module._turned(small[:, :, None], orientation), upright)
    else:
        # stored top-left pixel, by the EXIF table: where the 0th row and column lie on the upright picture
        corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
        assert upright[corner[orientation]][0] == small[0, 0]
        assert upright.shape[:2] == ((6, 9) if orientation < 5 else (9, 6))
        assert probe(tmp_path / "small.png")[:2] == upright.shape[:2]


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    array = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    encode(array, tmp_path / "x.png")
    found, kind = decode(tmp_path / "x.png")
    # 51 / 255 = one fifth of the colour, four fifths white
    assert found.tolist() == [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]
    assert kind.channels == 3
    wide = array.astype(np.uint16) * 257
    encode(wide, tmp_path / "y.png", 16)
    assert decode(tmp_path / "y.png")[0].tolist()[0][2] == [244 * 257, 224 * 257, 204 * 257]


def test_palette_bilevel_and_cmyk(tmp_path: Path) -> None:
    colours = picture(3)
    Image.fromarray(colours).quantize(54).save(tmp_path / "p.png")
    assert decode(tmp_path / "p.png")[0].shape == (6, 9, 3)
    Image.fromarray(picture(1)[:, :, 0] > 127).save(tmp_path / "b.png")
    assert set(np.unique(decode(tmp_path / "b.png")[0])) <= {0, 255}
    Image.new("CMYK", (9, 6), (0, 255, 255, 0)).save(tmp_path / "c.jpg")
    red = decode(tmp_path / "c.jpg")[0].reshape(-1, 3).mean(0)
    assert red[0] > 200 and red[1] < 40 and red[2] < 40
    assert probe(tmp_path / "p.png")[2] == 3 and probe(tmp_path / "b.png")[2] == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_damaged_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    encode(picture(3, size=(60, 60)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"broken{suffix} cannot be read"):
        decode(path)
    path.write_bytes(b"this is no picture")
    for read in (decode, probe):
        with pytest.raises(DataError, match=f"broken{suffix} cannot be read"):
            read(path)


def test_damaged_16_bit_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    encode(picture(3, 16, (80, 80)), path, 16)
    path.write_bytes(path.read_bytes()[:2000] + b"\0" * 200)
    try:
        found, _ = decode(path)
    except DataError as error:
        assert "x.png" in str(error)
    else:  # OpenCV may give the rows that it could read
        assert found.shape == (80, 80, 3)


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
        encode(picture(channels, depth), tmp_path / name, depth)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    encode(picture(1), path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(DritError, match=r"x.png: No space left"):
        encode(picture(3), path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert decode(path)[0].shape == (6, 9, 1)


def test_conversion_of_channels() -> None:
    colour = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    # ITU-R BT.601: 0.299, 0.587, 0.114 of 255; 2.99 + 11.74 + 3.42 = 18.15
    assert convert_channels(colour, 1).ravel().tolist() == [76, 150, 29, 18]
    assert convert_channels(colour[:, :, :1], 3).tolist() == [[[v] * 3 for v in (255, 0, 0, 10)]]
    assert convert_channels(colour, 4)[0, 0].tolist() == [255, 0, 0, 255]
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


def test_16_bit_colour_keeps_all_bits(tmp_path: Path) -> None:
    """Written by another program: what Pillow alone would cut to 8 bits."""
    array = np.array([[[1, 258, 65534]]], np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), array[:, :, ::-1])
    assert decode(tmp_path / "x.png")[0].tolist() == array.tolist()
    assert ".png" in SUFFIXES
