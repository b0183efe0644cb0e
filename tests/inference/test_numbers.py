"""Numbers in a file's own units and bands: outputs come back in them, by the commands and in Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import drit
from drit.cli import main as cli
from drit.data.images import encode, from_units, to_tensor, to_units
from drit.settings.schema import changed
from drit.training import launch
from tests.conftest import tiny

RANGES = {"a": (250.0, 320.0), "b": (-1000.0, 2000.0)}


def numbers(count: int, low: float, high: float, dtype: str, channels: int = 1, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(low, high, (count, 20, 24, channels))
    return values.astype(dtype)


def write(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        encode(image, folder / f"{i}.tif", alpha=False)
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A run between Kelvin in float32 and Hounsfield units in int16, and its folders."""
    folder = tmp_path_factory.mktemp("numbers")
    a = write(folder / "a", numbers(4, 250, 320, "float32"))
    b = write(folder / "b", numbers(4, -1000, 2000, "int16", seed=1))
    ranges = {"data.range": tuple(map(str, RANGES["a"])), "data.range_b": tuple(map(str, RANGES["b"]))}
    launch.train(changed(tiny(a, b, steps=1), ranges), folder / "run")
    return folder / "run", a, b


@pytest.fixture(scope="module")
def banded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of five-band images, of which bands 5, 2, 1 and 4 are taken."""
    folder = tmp_path_factory.mktemp("bands")
    a, b = (write(folder / d, numbers(4, 0, 255, "uint8", 5, i)) for i, d in enumerate("ab"))
    launch.train(changed(tiny(a, b, steps=1), {"data.bands": "5,2,1,4"}), folder / "run")
    return folder / "run", a


def command(*words: object) -> int:
    return cli.main([*map(str, words), "--threads", "1"])


def test_translate_writes_units(measured: tuple[Path, Path, Path], tmp_path: Path) -> None:
    run, a, b = measured
    for source, to, dtype in ((a, "b", np.float32), (b, "a", np.int16)):
        out = tmp_path / to
        assert command("translate", run, source, "--to", to, "--out", out, "--styles", 2) == 0
        array = tifffile.imread(out / "0_style001.tif")
        low, high = RANGES[to]
        assert array.dtype == dtype and array.shape == (20, 24) and low <= array.min() < array.max() <= high
        model = drit.load(run, threads=1)
        pixels = from_units(tifffile.imread(source / "0.tif")[:, :, None], RANGES["a" if to == "b" else "b"])
        tensor = model.translate(to_tensor(pixels), to, styles=2)[0]
        assert np.array_equal(array, to_units(tensor, RANGES[to], np.dtype(dtype).name)[:, :, 0])


def test_grey_levels_where_they_are_asked_for(
    measured: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, a, _ = measured
    assert command("translate", run, a, "--to", "b", "--out", tmp_path / "png", "--styles", 1, "--format", "png") == 0
    assert np.asarray(Image.open(tmp_path / "png" / "0_style001.png")).dtype == np.uint16
    assert "png holds no float32: -1000 to 2000 are written as 0 to 65535. (4 images)" in capsys.readouterr().err
    assert command("translate", run, a, "--to", "b", "--out", tmp_path / "8", "--styles", 1, "--depth", 8) == 0
    assert tifffile.imread(tmp_path / "8" / "0_style001.tif").dtype == np.uint8


def test_python_takes_and_gives_units(measured: tuple[Path, Path, Path]) -> None:
    run, a, b = measured
    model = drit.load(run, threads=1)
    kelvin = tifffile.imread(a / "0.tif")
    pixels = from_units(kelvin[:, :, None], RANGES["a"])
    expected = to_units(model.translate(to_tensor(pixels), "b")[0], RANGES["b"])
    assert np.array_equal(model.translate(kelvin, "b")[0], expected)
    assert np.array_equal(np.asarray(model.translate(Image.fromarray(kelvin), "b")[0]), expected[:, :, 0])
    hounsfield = tifffile.imread(b / "0.tif")
    assert model.translate(hounsfield, "a")[0].dtype == np.int16
    assert torch.equal(
        model.style(hounsfield, "b"), model.style(to_tensor(from_units(hounsfield[:, :, None], RANGES["b"])), "b")
    )


def test_exemplars_and_damaged_numbers(measured: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """An exemplar is read in its domain's range; NaN is as black."""
    run, a, b = measured
    image = tifffile.imread(a / "0.tif")
    image[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "holes.tif", image)
    out = tmp_path / "out"
    assert (
        command("translate", run, tmp_path / "holes.tif", "--to", "b", "--out", out, "--style-from", b / "0.tif") == 0
    )
    assert np.isfinite(tifffile.imread(out / "holes_as_0.tif")).all()
    style = json.loads((out / "styles.json").read_text())["styles"]["as_0"]
    assert style == pytest.approx(
        drit.load(run, threads=1).style(tifffile.imread(b / "0.tif"), "b")[0].tolist(), abs=1e-5
    )


def test_augment_keeps_units(measured: tuple[Path, Path, Path], tmp_path: Path) -> None:
    run, _, _ = measured
    (tmp_path / "set").mkdir()
    for i, label in enumerate(("x", "y")):
        write(tmp_path / "set" / label, numbers(2, 250, 320, "float32", seed=i))
    out = tmp_path / "folder"
    words = ("--to", "b", "--times", 2, "--keep-source")
    assert command("augment", run, tmp_path / "set", *words, "--out", out) == 0
    rows = list(csv.DictReader((out / "labels.csv").open()))
    assert len(rows) == 12 and {row["label"] for row in rows} == {"x", "y"}
    kept = tifffile.imread(out / "x" / "0_s000.tif")
    assert kept.dtype == np.float32 and np.allclose(kept, tifffile.imread(tmp_path / "set" / "x" / "0.tif"), atol=0.001)
    assert tifffile.imread(out / "x" / "0_s001.tif").min() >= -1000
    np.savez(tmp_path / "set.npz", images=numbers(4, 250, 320, "float32"), labels=np.arange(4) % 2)
    assert command("augment", run, tmp_path / "set.npz", *words, "--out", tmp_path / "array") == 0
    with np.load(tmp_path / "array" / "augmented.npz") as made:
        assert made["images"].dtype == np.float32 and made["images"].shape == (12, 20, 24, 1)
        assert np.allclose(made["images"][::3], numbers(4, 250, 320, "float32"), atol=0.001)


def test_bands(banded: tuple[Path, Path], tmp_path: Path) -> None:
    """Four bands are four bands: no transparency, in a TIFF, and chosen from files and arrays alike."""
    run, a = banded
    assert command("translate", run, a, "--to", "b", "--out", tmp_path / "out", "--styles", 1) == 0
    with tifffile.TiffFile(tmp_path / "out" / "0_style001.tif") as file:
        assert file.pages[0].extrasamples == (0, 0, 0) and file.asarray().shape == (20, 24, 4)  # unspecified
        array = file.asarray()
    model = drit.load(run, threads=1)
    whole = tifffile.imread(a / "0.tif")
    assert whole.shape == (20, 24, 5)
    for given in (whole, np.ascontiguousarray(whole[:, :, [4, 1, 0, 3]])):
        assert np.array_equal(model.translate(given, "b")[0], array)
    np.savez(tmp_path / "set.npz", images=whole[None])
    assert command("translate", run, tmp_path / "set.npz", "--to", "b", "--out", tmp_path / "npz", "--styles", 1) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "npz" / "set_00000_style001.tif"), array)


def test_translate_takes_array_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    launch.train(tiny(*folders, steps=1), run)
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3)).astype(np.uint8)
    np.savez(tmp_path / "set.npz", test_images=images, test_labels=np.arange(3))
    assert command("translate", run, f"{tmp_path / 'set.npz'}:test_images", "--to", "b", "--out", tmp_path / "out") == 0
    written = json.loads((tmp_path / "out" / "outputs.json").read_text())
    assert written["set_00002_style005.png"]["input"] == f"{tmp_path / 'set.npz'}:test_images[2]"
    expected = drit.load(run, threads=1).translate(images[2], "b", styles=5)[4]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "set_00002_style005.png")), expected)
    assert command("translate", run, tmp_path / "no.npz", "--to", "b", "--out", tmp_path / "no") == 2


def test_medical_folders_come_back_as_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DICOM to NIfTI: trained, translated by slice, augmented; each output is a TIFF in the other domain's units."""
    pytest.importorskip("pydicom")
    nibabel = pytest.importorskip("nibabel")
    from tests.data.dicom import dicom

    rng = np.random.default_rng(0)
    a, b = tmp_path / "set" / "ct", tmp_path / "mr"
    a.mkdir(parents=True)
    b.mkdir()
    for i in range(3):
        image = rng.integers(0, 2000, (20, 24)).astype(np.int16)
        (a / f"IM{i}.dcm").write_bytes(dicom(image, RescaleSlope=1, RescaleIntercept=-1000))
    volume = rng.integers(0, 500, (24, 20, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), b / "scan.nii.gz")
    run, out = tmp_path / "run", tmp_path / "out"
    settings = changed(tiny(a, b, steps=1), {"data.range": ("-1000", "1000"), "data.range_b": ("0", "500")})
    launch.train(settings, run)
    capsys.readouterr()
    assert command("translate", run, a, "--to", "b", "--out", out, "--styles", 1, "--style-from", b) == 0
    array = tifffile.imread(out / "IM0_as_scan_0003.tif")
    assert array.dtype == np.float32 and array.shape == (20, 24) and 0 <= array.min() < array.max() <= 500
    assert command("translate", run, b / "scan.nii.gz", "--to", "a", "--out", tmp_path / "back", "--styles", 1) == 0
    assert len(list((tmp_path / "back").glob("scan_000?_style001.tif"))) == 4
    augmented = tmp_path / "augmented"
    assert command("augment", run, tmp_path / "set", "--to", "b", "--times", 1, "--out", augmented) == 0
    assert tifffile.imread(augmented / "ct" / "IM2_s001.tif").dtype == np.float32


def test_what_a_file_says_beside_its_pixels_is_kept(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Georeference and resolution; told, once, where the output's format drops them, as are pages and other files."""
    run, folder = tmp_path / "run", tmp_path / "set" / "field"
    launch.train(tiny(*folders, steps=1), run)
    folder.mkdir(parents=True)
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0.0, 0.0, 0.0, 4e5, 5e6, 0.0), True)]
    image = np.random.default_rng(0).integers(0, 256, (20, 24)).astype(np.uint8)
    for i in range(2):
        tifffile.imwrite(folder / f"{i}.tif", image, extratags=tags, resolution=(300, 300), resolutionunit=2)
    with tifffile.TiffWriter(folder / "pages.tif") as writer:
        writer.write(image)
        writer.write(image)
    (folder / "notes.doc").write_text("x")
    for name, words in (("translate", ("--styles", 1)), ("augment", ("--times", 1))):
        out = tmp_path / name
        source = folder if name == "translate" else folder.parent
        capsys.readouterr()
        assert command(name, run, source, "--to", "b", "--out", out, *words) == 0
        assert "1 file with other endings, left out: 1 .doc" in capsys.readouterr().err
        written = out / ("0_style001.tif" if name == "translate" else "field/0_s001.tif")
        with tifffile.TiffFile(written) as file:
            page = file.pages[0]
            assert page.tags[33550].value == (0.5, 0.5, 0.0) and page.tags[33922].value[3] == 4e5
            assert page.tags[282].value == (300, 1)
        assert (
            command(name, run, source, "--to", "b", "--out", tmp_path / f"{name}_png", *words, "--format", "png") == 0
        )
        assert "georeference of the input is not kept in .png (2 outputs)" in capsys.readouterr().err
        assert command(name, run, source, "--to", "b", *words, "--out", tmp_path / f"{name}_told") == 0
        assert "further pages or frames: the first of each is read (pages.tif)" in capsys.readouterr().err
