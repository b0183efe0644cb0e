"""NIfTI: every slice of a volume is an image, upright whatever way the volume was stored."""

from __future__ import annotations

import gzip
import io
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drit.data import volumes
from drit.data.folders import list_images, open_domain
from drit.data.images import decode, encode, read_header, read_values
from drit.data.labelled import mask_file, open_labelled
from drit.data.names import file_of, slice_of, suffix_of, without_ending
from drit.data.ranges import reading_of
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests.data.test_containers import mutant

nibabel: Any = pytest.importorskip("nibabel", reason="nibabel is not installed: pip install 'drit[medical]'")

CONFIG = DataSettings(resize=0, crop=16, range=("-100", "100"))
SHAPE = (18, 20, 5)  # to the right, to the front, to the top


def values(shape: tuple[int, ...] = SHAPE, dtype: Any = np.int16) -> np.ndarray:
    return np.random.default_rng(0).integers(-90, 90, shape).astype(dtype)


def write(path: Path, array: np.ndarray, affine: np.ndarray | None = None, kind: str = "Nifti1Image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(getattr(nibabel, kind)(array, np.eye(4) if affine is None else affine), path)
    return path


def at(path: Path, place: int) -> Path:
    return path.with_name(f"{path.name}[{place}]")


def upright(canonical: np.ndarray) -> np.ndarray:
    """A slice (right, front) as an image: its top is the front, its left the body's right."""
    return canonical.T[::-1, ::-1]


def test_names() -> None:
    path = Path("d/scan.nii.gz[37]")
    assert slice_of(path) == (Path("d/scan.nii.gz"), 37) and file_of(path) == Path("d/scan.nii.gz")
    assert suffix_of(path) == ".nii.gz" and without_ending(path) == Path("d/scan_0037")
    assert without_ending(Path("d/scan.nii.gz")) == Path("d/scan") and without_ending(Path("x.PNG")) == Path("x")
    assert slice_of(Path("x[3].png")) is None and file_of(Path("x[3].png")) == Path("x[3].png")
    assert without_ending(Path("1.2.840.5")) == Path("1.2.840.5")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
def test_every_slice_is_an_image(suffix: str, kind: str, tmp_path: Path) -> None:
    array = values()
    path = write(tmp_path / f"scan{suffix}", array, kind=kind)
    write(tmp_path / f"deep/er{suffix}", array[:, :, :2])
    found = list_images(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        f"deep/er{suffix}[0]", f"deep/er{suffix}[1]", *(f"scan{suffix}[{i}]" for i in range(5)),
    ]  # fmt: skip
    for i in range(5):
        image = read_values(at(path, i))
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image[:, :, 0], upright(array[:, :, i]))
    header = read_header(at(path, 3), value_range=(-100, 100))
    assert (header.height, header.width, header.channels, header.dtype) == (20, 18, 1, "float32")
    assert header.content == "NIfTI" and not header.further
    pixels, image_format = decode(at(path, 3), value_range=(-100, 100))
    assert image_format.suffix == ".tif"
    np.testing.assert_array_equal(pixels, np.rint((read_values(at(path, 3)) + 100) / 200 * 65535))
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert len(images) == 7 and images.name(6) == str(at(path, 4)) and images.key(6) == "scan_0004"
    assert not images.notes and images.fingerprint()["count"] == 7


def test_every_orientation_is_the_canonical_one(tmp_path: Path) -> None:
    """All 48 ways to store the axes of a body, against nibabel's own turning of the whole volume."""
    array = values()
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = np.diag([1, 2, 3])[:, order] * signs
            path = write(tmp_path / "x.nii", array, affine)
            whole = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
            slices = list_images(tmp_path)
            assert len(slices) == whole.shape[2]
            for i in (0, len(slices) - 1):
                np.testing.assert_array_equal(read_values(slices[i])[:, :, 0], upright(whole[:, :, i]))
                header = read_header(slices[i], value_range=(0, 1))
                assert (header.height, header.width) == (whole.shape[1], whole.shape[0])


def test_slope_and_intercept(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(values(), np.eye(4))
    image.header.set_slope_inter(2.5, -7)
    nibabel.save(image, tmp_path / "x.nii")  # nibabel divides, and rounds, as it saves
    right = np.asarray(nibabel.load(tmp_path / "x.nii").dataobj)[:, :, 2]
    np.testing.assert_allclose(read_values(tmp_path / "x.nii[2]")[:, :, 0], upright(right), rtol=1e-6)
    assert (right % 1 != 0).any()


def test_a_series_gives_its_first_volume(tmp_path: Path) -> None:
    array = values((*SHAPE, 3))
    write(tmp_path / "x.nii.gz", array)
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert len(images) == 5
    assert images.notes == [
        f"{tmp_path}: 1 file with further pages or frames: the first of each is read (x.nii.gz)."
    ]  # fmt: skip
    np.testing.assert_array_equal(read_values(tmp_path / "x.nii.gz[4]")[:, :, 0], upright(array[:, :, 4, 0]))
    write(tmp_path / "x.nii.gz", array[:, :, 0, 0])
    assert [p.name for p in list_images(tmp_path)] == ["x.nii.gz[0]"]
    np.testing.assert_array_equal(read_values(tmp_path / "x.nii.gz")[:, :, 0], upright(array[:, :, 0, 0]))


def test_slices_of_air_are_kept_and_told(tmp_path: Path) -> None:
    array = values()
    array[:, :, 0] = array[:, :, 4] = -90
    write(tmp_path / "x.nii", array)
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert len(images) == 5
    assert images.notes == [
        f"{tmp_path}: 2 of 5 slices looked at hold one value alone, such as air: they are kept; remove the ends of the "
        "volumes where they teach nothing."
    ]


def test_a_slice_is_read_without_its_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large .nii is never read whole; of an unpacked .nii.gz one is kept in memory, up to a limit."""
    array = values((64, 64, 64))
    plain, packed = write(tmp_path / "x.nii", array), write(tmp_path / "x.nii.gz", array)
    reads: list[int] = []
    whole = volumes._data

    class Counted:
        def __init__(self, file: Any) -> None:
            self.file = file

        def read(self, count: int = -1) -> bytes:
            reads.append(count)
            return bytes(self.file.read(count))

        def write(self, content: bytes) -> int:  # nibabel takes for a file what reads and writes
            raise io.UnsupportedOperation

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    monkeypatch.setattr(volumes, "_data", lambda file, volume: Counted(whole(file, volume)))
    read_values(at(plain, 40))
    assert 0 < sum(reads) <= 64 * 64 * 2 and min(reads) > 0
    right = [read_values(at(packed, i)) for i in range(64)]
    monkeypatch.setattr(volumes, "CACHED", 1000)
    volumes._unpacked = None
    for i in (63, 0, 30):
        np.testing.assert_array_equal(read_values(at(packed, i)), right[i])
    assert volumes._unpacked is None


def test_a_changed_volume_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "x.nii.gz", values())
    read_values(at(path, 0))
    path.unlink()
    write(path, values() + 1)
    np.testing.assert_array_equal(read_values(at(path, 0))[:, :, 0], upright(values()[:, :, 0] + 1))


@pytest.mark.parametrize("read", [read_header, lambda path: decode(path, value_range=(0, 1))])
def test_what_is_refused(read: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.nii", values())
    with pytest.raises(DataError, match=r"volume of 5 slices: name one, x.nii\[0\] to x.nii\[4\], or give its folder"):
        read(path)
    with pytest.raises(DataError, match="has 5 slices, counted from 0, and no slice 5"):
        read(at(path, 5))
    write(path, values().astype(np.complex64))
    with pytest.raises(DataError, match="colours or complex numbers"):
        read(at(path, 0))
    write(tmp_path / "y.img", values(), kind="Nifti1Pair")
    (tmp_path / "y.hdr").rename(tmp_path / "y.nii")
    with pytest.raises(DataError, match=r"holds NIfTI in two files, which is not read. Convert it to one .nii file"):
        read(tmp_path / "y.nii")
    (tmp_path / "z.nii.gz").write_bytes(gzip.compress(b"words" * 100))
    with pytest.raises(DataError, match="z.nii.gz holds gzip, which is not read"):
        read(tmp_path / "z.nii.gz")


def test_damage_is_named_and_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.nii", values())
    broken = write(tmp_path / "b.nii.gz", values())
    broken.write_bytes(broken.read_bytes()[:-900])
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert len(images) == 10
    with pytest.raises(DataError, match=r"b.nii.gz\[4\] cannot be read as an image: it is damaged \(EOFError"):
        read_values(at(broken, 4))
    broken.write_bytes(broken.read_bytes()[:60])
    assert [Path(name).name for name in open_domain(str(tmp_path), CONFIG, "a").skipped] == ["b.nii.gz"]
    monkeypatch.setitem(sys.modules, "nibabel", None)
    monkeypatch.setattr(volumes, "_header", None)
    with pytest.raises(DataError, match=r"a.nii .*needs the package nibabel: pip install 'drit\[medical\]'"):
        open_domain(str(tmp_path), CONFIG, "a")


def test_much_damage_is_a_data_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    contents = {s: write(tmp_path / f"good{s}", values()).read_bytes() for s in (".nii", ".nii.gz")}
    for i in range(300):
        suffix = (".nii", ".nii.gz")[i % 2]
        path = tmp_path / f"x{suffix}"
        path.write_bytes(mutant(contents[suffix], rng))
        for read in (lambda p: list_images(p.parent), read_header, lambda p: decode(at(p, 3), value_range=(0, 9))):
            try:
                read(path)
            except DataError as error:
                assert path.name in str(error)


def test_a_labelled_set_reads_what_a_domain_does(tmp_path: Path) -> None:
    """The same decoder and the same reading, for images and masks."""
    write(tmp_path / "set/sick/x.nii.gz", values())
    encode(np.full((20, 18, 1), 300, np.uint16), tmp_path / "set/sick/y.tif")
    mask = (values() > 0).astype(np.uint8) * 7
    write(tmp_path / "set/masks/sick/x.nii", mask)
    (tmp_path / "set/sick/x_0002.txt").write_text("0 0.5 0.5 1 1")
    reading = reading_of(CONFIG, "a")
    labelled = open_labelled(str(tmp_path / "set"), reading=reading)
    domain = open_domain(str(tmp_path / "set/sick"), CONFIG, "a")
    assert [labelled.name(i) for i in range(6)] == [*(f"sick/x.nii.gz[{i}]" for i in range(5)), "sick/y.tif"]
    for i in range(6):
        np.testing.assert_array_equal(labelled.get(i), domain.get(i))
    assert [p.name for p in labelled.notes(2)] == ["x_0002.txt"] and not labelled.notes(1)
    path = labelled.mask(2)
    assert path == tmp_path / "set/masks/sick/x.nii[2]" and labelled.mask(5) is None
    content, suffix = mask_file(path)
    (tmp_path / f"copy{suffix}").write_bytes(content)
    np.testing.assert_array_equal(decode(tmp_path / f"copy{suffix}")[0][:, :, 0], upright(mask[:, :, 2]))
    encode(np.full((20, 18, 1), 1, np.uint8), tmp_path / "set/masks/sick/y.png")
    found = labelled.mask(5)
    assert found is not None and mask_file(found) == ((tmp_path / "set/masks/sick/y.png").read_bytes(), ".png")


def test_channels_of_a_labelled_set_are_those_of_a_domain(tmp_path: Path) -> None:
    """A model of four bands gets the fourth band, as in training, not full alpha in its place."""
    from tests.data.samples import pixels, tiff

    (tmp_path / "x").mkdir()
    for i in range(2):
        content = tiff(pixels(4, np.uint16), photometric="rgb", extrasamples=["unspecified"])
        (tmp_path / f"x/{i}.tif").write_bytes(content)
    config = replace(CONFIG, range=())
    domain, labelled = open_domain(str(tmp_path / "x"), config, "a"), open_labelled(str(tmp_path))
    assert domain.channels == labelled.channels == 4
    np.testing.assert_array_equal(labelled.get(0, 4), domain.get(0))
    rgb = open_domain(str(tmp_path / "x"), replace(config, channels_a=3), "a")
    np.testing.assert_array_equal(labelled.get(0, 3), rgb.get(0))
