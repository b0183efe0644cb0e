"""Numbers that are no pixels: Kelvin, reflectance, Hounsfield, with NaN; ranges there and outputs in their units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drit.data.folders import open_domain
from drit.data.images import decode, encode, from_units, read_header, to_tensor, to_units
from drit.data.ranges import chosen_range, reading_of, with_ranges
from drit.errors import DataError, UsageError
from drit.settings.common import DataSettings
from tests.conftest import write_images
from tests.data.samples import tiff

CONFIG = DataSettings(resize=0, crop=16)
RAMP = np.linspace(0, 1, 600).reshape(20, 30)


def write_ramp(folder: Path, low: float, high: float, dtype: Any, count: int = 3, holes: int = 0) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    array = (low + RAMP * (high - low)).astype(dtype)
    for i in range(count):
        own = array.copy()
        if i < holes:
            own[3, 4] = np.nan
        (folder / f"{i}.tif").write_bytes(tiff(own, photometric="minisblack"))
    return array


UNITS = [
    pytest.param(273.15, 373.15, np.float32, id="Kelvin"),
    pytest.param(0.0, 1.4, np.float64, id="reflectance"),
    pytest.param(-1000, 3000, np.int16, id="Hounsfield"),
    pytest.param(0, 70000, np.uint32, id="counts"),
    pytest.param(0.0, 1.0, np.float16, id="half"),
]


@pytest.mark.parametrize(("low", "high", "dtype"), UNITS)
def test_without_a_range_they_are_refused_with_the_flag(low: float, high: float, dtype: Any, tmp_path: Path) -> None:
    write_ramp(tmp_path / "x", low, high, dtype)
    for read in (decode, read_header):
        with pytest.raises(DataError, match=r"black and white: --data.range LOW HIGH, or auto"):
            read(tmp_path / "x" / "0.tif")
    with pytest.raises(DataError, match=r"--data.range LOW HIGH, or auto"):
        open_domain(str(tmp_path / "x"), CONFIG, "a")


@pytest.mark.parametrize("kind", ["tif", "npz"])
@pytest.mark.parametrize(("low", "high", "dtype"), UNITS)
def test_a_range_is_linear_and_goes_both_ways(low: float, high: float, dtype: Any, kind: str, tmp_path: Path) -> None:
    array = write_ramp(tmp_path / "x", low, high, dtype)
    path = str(tmp_path / "x")
    if kind == "npz":
        path = str(tmp_path / "x.npz")
        np.savez(path, images=np.stack([array] * 3))
    images = open_domain(path, replace(CONFIG, range=(str(low), str(high))), "a")
    assert (images.depth, images.channels) == (16, 1)
    tensor = to_tensor(images.get(0))
    expected = 2 * (array.astype(float) - low) / (high - low) - 1
    assert np.abs(tensor[0].numpy() - expected).max() < 2 / 65535
    back = to_units(tensor, (low, high), np.dtype(dtype).name)
    assert back.dtype == dtype and back.shape == (20, 30, 1)
    step = (high - low) / 65535 + (1 if np.dtype(dtype).kind in "iu" else float(np.spacing(dtype(high))))
    assert np.abs(back[:, :, 0].astype(float) - array.astype(float)).max() <= step
    encode(back, tmp_path / "back.tif")
    again = decode(tmp_path / "back.tif", value_range=(low, high))[0]
    assert np.abs(again.astype(int) - images.get(0)).max() <= (0 if dtype != np.float16 else 64) + 20


def test_values_beyond_the_range_and_nan() -> None:
    array = np.array([[[np.nan], [-np.inf], [np.inf], [5], [10], [15], [99]]], np.float32)
    assert from_units(array, (5, 15)).ravel().tolist() == [0, 0, 65535, 0, 32768, 65535, 65535]
    assert to_units(torch.tensor([[[-3.0, 0.0, 3.0]]]), (-10, 10), "int16").ravel().tolist() == [-10, 0, 10]
    assert to_units(torch.tensor([[[-1.0, 1.0]]]), (-100, 300), "uint8").ravel().tolist() == [0, 255]


def test_auto_finds_the_percentiles_and_records_them(tmp_path: Path) -> None:
    array = write_ramp(tmp_path / "x", 280.0, 320.0, np.float32, count=5, holes=2)
    dead = array.copy()
    dead[0, 0] = 1e6
    (tmp_path / "x" / "9.tif").write_bytes(tiff(dead, photometric="minisblack"))
    config = replace(CONFIG, range=("auto",))
    images = open_domain(str(tmp_path / "x"), config, "a")
    low, high = images.reading.value_range or (0, 0)
    assert 280 < low < 280.5 and 319.5 < high < 320  # one pixel of a million degrees changes nothing
    assert images.notes == [
        f"{tmp_path / 'x'}: 2 of 6 images looked at hold NaN or infinite numbers: NaN is taken as {low:g}."
    ]
    assert int(images.get(0)[3, 4, 0]) == 0
    recorded = with_ranges(config, {"a": (low, high), "b": None})
    assert (recorded.range, recorded.range_b) == ((repr(low), repr(high)), ("full",))
    again = open_domain(str(tmp_path / "x"), recorded, "a")
    assert again.reading == images.reading == reading_of(recorded, "a")
    np.testing.assert_array_equal(again.get(2), images.get(2))
    assert with_ranges(CONFIG, {"a": None, "b": None}) == CONFIG
    with pytest.raises(UsageError, match="auto is found when a run starts"):
        reading_of(config, "a")
    write_ramp(tmp_path / "flat", 5, 5, np.float32)
    with pytest.raises(UsageError, match="its values are all the same or none"):
        open_domain(str(tmp_path / "flat"), config, "a")


def test_ranges_of_two_domains(tmp_path: Path) -> None:
    write_images(tmp_path / "b", 3, 3)
    config = replace(CONFIG, range=("273", "373"))
    with pytest.raises(DataError, match=r"holds 8-bit images: is --data.range 273 373 meant .* --data.range-b full"):
        open_domain(str(tmp_path / "b"), config, "b")
    assert open_domain(str(tmp_path / "b"), replace(config, range_b=("full",)), "b").depth == 8
    stretched = open_domain(str(tmp_path / "b"), replace(config, range_b=("0", "255")), "b")
    assert stretched.depth == 16
    same = open_domain(str(tmp_path / "b"), CONFIG, "b")
    assert torch.equal(to_tensor(stretched.get(0)), to_tensor(same.get(0).astype(np.uint16) * 257))


@pytest.mark.parametrize(
    "words", [("5",), ("5", "5"), ("9", "1"), ("x", "y"), ("nan", "1"), ("1", "2", "3"), ("inf", "1")]
)
def test_what_is_no_range(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"--data.range .*: give two numbers"):
        chosen_range(DataSettings(range=words), "a")


def test_several_domains_share_numbers_alone() -> None:
    config = DataSettings(domains=("x", "y", "z"), range=("1", "2"))
    assert {chosen_range(config, d) for d in "abc"} == {(1.0, 2.0)}
    with pytest.raises(UsageError, match="auto is for domains a and b"):
        chosen_range(replace(config, range=("auto",)), "a")


def test_a_set_that_uses_little_of_its_type_is_told(tmp_path: Path) -> None:
    write_ramp(tmp_path / "x", 0, 4095, np.uint16)
    (note,) = open_domain(str(tmp_path / "x"), CONFIG, "b").notes
    assert "6.2% of what uint16 holds" in note and "set --data.range-b 19 4075, or auto" in note
    write_ramp(tmp_path / "x", 0, 40950, np.uint16)
    assert not open_domain(str(tmp_path / "x"), CONFIG, "a").notes
    np.savez(tmp_path / "y.npz", images=np.stack([(RAMP * 30).astype(np.uint8)] * 3))
    assert "--data.range 0 29, or auto" in open_domain(str(tmp_path / "y.npz"), CONFIG, "a").notes[0]


def test_arrays_of_other_numbers_name_the_flag(tmp_path: Path) -> None:
    for array in (np.full((3, 20, 20), 7.0), np.full((3, 20, 20, 2), -5, np.int16)):
        np.savez(tmp_path / "x.npz", images=array)
        with pytest.raises(DataError, match=r"--data.range LOW HIGH, or auto"):
            open_domain(str(tmp_path / "x.npz"), CONFIG, "a")
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 13, 64, 64), np.uint8))
    with pytest.raises(DataError, match=r"images are \(N, H, W\)"):
        open_domain(str(tmp_path / "x.npz"), CONFIG, "a")
