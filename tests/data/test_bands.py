"""Bands: which are taken, which are left out, and that none of them becomes transparency."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drit.data.folders import open_domain
from drit.data.images import decode, encode, fit_channels, read_header
from drit.data.labelled import open_labelled
from drit.data.ranges import chosen_bands
from drit.errors import DataError, UsageError
from drit.settings.common import DataSettings
from tests.data.layouts import chunky, separate
from tests.data.samples import pixels

CONFIG = DataSettings(resize=0, crop=16)


def write_bands(folder: Path, count: int, bands: int, dtype: Any = np.uint16, **options: Any) -> np.ndarray:
    """Files of random bands; the first one's are returned."""
    folder.mkdir(exist_ok=True)
    array = pixels(bands, dtype)
    extra = bands - (3 if options.get("photometric") == "rgb" else 1)
    options = {"photometric": "minisblack"} | ({"extrasamples": ["unspecified"] * extra} if extra else {}) | options
    write = separate if options.pop("planes", False) else chunky
    for i in range(count):
        (folder / f"{i}.tif").write_bytes(write(np.roll(array, i, 0), **options))
    return array


@pytest.mark.parametrize("bands", [2, 4, 5, 8, 13])
@pytest.mark.parametrize("options", [{}, {"planes": True}, {"photometric": "rgb"}, {"photometric": "miniswhite"}])
def test_any_number_of_bands(bands: int, options: dict[str, Any], tmp_path: Path) -> None:
    if options.get("photometric") == "rgb" and bands < 4:
        pytest.skip("RGB has three")
    array = write_bands(tmp_path / "x", 3, bands, **options)
    if options.get("photometric") == "miniswhite":
        with pytest.raises(DataError, match="0 is white in it, which means nothing for its samples"):
            decode(tmp_path / "x" / "0.tif")
        return
    images = open_domain(str(tmp_path / "x"), CONFIG, "a")
    assert images.channels == bands
    np.testing.assert_array_equal(images.get(0), array)
    assert any("bands that the file gives no meaning" in note and "--data.bands" in note for note in images.notes)


@pytest.mark.parametrize("kind", ["tif", "npz"])
def test_bands_are_chosen_and_ordered(kind: str, tmp_path: Path) -> None:
    array = write_bands(tmp_path / "x", 3, 13)
    path = str(tmp_path / "x")
    if kind == "npz":
        path = str(tmp_path / "x.npz")
        np.savez(path, images=np.stack([array] * 3))
    images = open_domain(path, replace(CONFIG, bands="4,3,2"), "a")
    np.testing.assert_array_equal(images.get(0), array[:, :, [3, 2, 1]])
    assert images.channels == 3 and not images.notes
    with pytest.raises(DataError, match=r"13 bands, and --data.bands names band 14"):
        open_domain(path, replace(CONFIG, bands="14", max_unreadable=0), "a")
    for text in ("0,1", "x", "1,,2", "-1"):
        with pytest.raises(UsageError, match="counted from 1, with commas"):
            open_domain(path, replace(CONFIG, bands=text), "a")


def test_the_bands_of_b_may_differ() -> None:
    config = DataSettings(bands="4,3,2", bands_b="all")
    assert (chosen_bands(config, "a"), chosen_bands(config, "b")) == ((4, 3, 2), ())
    assert chosen_bands(DataSettings(bands="4,3,2"), "b") == (4, 3, 2)


def test_infrared_is_no_transparency(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16):
        array = write_bands(tmp_path / "x", 3, 4, dtype, photometric="rgb")
        for alpha in ("flatten", "keep"):
            read, kind = decode(tmp_path / "x" / "0.tif", alpha)  # type: ignore[arg-type]
            np.testing.assert_array_equal(read, array)
            assert (kind.alpha, kind.extra, kind.suffix) == (False, 1, ".tif")
        three = open_domain(str(tmp_path / "x"), replace(CONFIG, channels_a=3), "a")
        np.testing.assert_array_equal(three.get(0), array[:, :, :3])
        assert "they are left out" in three.notes[0]
        np.testing.assert_array_equal(fit_channels(read, 3, 1), array[:, :, :3])
        labelled = open_labelled(str(tmp_path / "x"), wanted=False)
        np.testing.assert_array_equal(labelled.get(0), array[:, :, :3])
        with pytest.raises(DataError, match="Choose 5 of its bands with --data.bands"):
            fit_channels(read, 5, 1)


def test_grey_among_bands_is_never_guessed(tmp_path: Path) -> None:
    write_bands(tmp_path / "x", 3, 5)
    with pytest.raises(
        DataError, match=r"3 images have 5 channels \(0.tif, 1.tif, 2.tif\), .* takes 3. Choose bands with"
    ):
        open_domain(str(tmp_path / "x"), replace(CONFIG, channels_a=3), "a")
    with pytest.raises(DataError, match=r"5 channels, of which 4 have no meaning .* Choose 1 of its bands"):
        fit_channels(pixels(5), 1, 4)
    (tmp_path / "y").mkdir()
    write_bands(tmp_path / "y", 2, 4, photometric="rgb")
    encode(pixels(3, np.uint16), tmp_path / "y" / "rgb.tif")
    with pytest.raises(DataError, match=r"1 images have 3 channels .*, domain a takes 4 \(as .*\). Choose bands"):
        open_domain(str(tmp_path / "y"), CONFIG, "a")
    assert open_domain(str(tmp_path / "y"), replace(CONFIG, bands="1,2,3"), "a").channels == 3


def test_alpha_is_kept_beside_bands_if_asked_for(tmp_path: Path) -> None:
    array = pixels(5, np.uint16)
    path = tmp_path / "x.tif"
    path.write_bytes(chunky(array, photometric="rgb", extrasamples=["unspecified", "unassalpha"]))
    kept, kind = decode(path, "keep")
    np.testing.assert_array_equal(kept, array)
    assert (kind.alpha, kind.extra) == (True, 1)
    np.testing.assert_array_equal(fit_channels(kept, 4, 1, True), array[:, :, [0, 1, 2, 4]])
    assert decode(path)[0].shape[2] == read_header(path).channels == 4
    np.testing.assert_array_equal(decode(path, bands=(5, 1))[0], array[:, :, [4, 0]])


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_are_written_as_bands(bands: int, dtype: Any, tmp_path: Path) -> None:
    array = pixels(bands, dtype)
    encode(array, tmp_path / "x.tif", alpha=False)
    read, kind = decode(tmp_path / "x.tif", "keep")
    np.testing.assert_array_equal(read, array)
    assert not kind.alpha
    if bands in (2, 4, 5):
        with pytest.raises(UsageError, match="cannot hold"):
            encode(array, tmp_path / "x.png", alpha=False)
