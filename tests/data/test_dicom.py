"""DICOM: one image a file, in its own units; with and without its ending; what is refused, by name."""

from __future__ import annotations

import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drit.data.folders import list_images, open_domain
from drit.data.images import decode, read_header, read_values
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests.conftest import write_images
from tests.data.dicom import JPEG_LS, dicom
from tests.data.test_containers import mutant

pydicom: Any = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install 'drit[medical]'")

CONFIG = DataSettings(resize=0, crop=16, range=("-1000", "1000"))
SIZE = (20, 30)
STORED = np.arange(600).reshape(SIZE)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_units_of_every_type(dtype: Any, tmp_path: Path) -> None:
    """Hounsfield = slope x stored + intercept."""
    stored = STORED.astype(dtype) - (100 if dtype == np.int16 else 0)
    (tmp_path / "x.dcm").write_bytes(dicom(stored, RescaleSlope=2, RescaleIntercept=-1024))
    right = (stored.astype(float) * 2 - 1024)[:, :, None]
    values = read_values(tmp_path / "x.dcm")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, right)
    header = read_header(tmp_path / "x.dcm", value_range=(-1024, 400))
    assert (header.height, header.width, header.channels, header.depth) == (*SIZE, 1, 16)
    assert (header.dtype, header.content, header.further) == ("float32", "DICOM", False)
    array, image_format = decode(tmp_path / "x.dcm", value_range=(-1024, 400))
    assert (image_format.suffix, image_format.dtype) == (".tif", "float32")
    np.testing.assert_array_equal(array, np.rint(np.clip((right + 1024) / 1424, 0, 1) * 65535))


def test_where_0_is_white(tmp_path: Path) -> None:
    """12 of 16 bits hold 0 to 4095, or -2048 to 2047: turned round within that, whatever the image holds."""
    (tmp_path / "x.dcm").write_bytes(dicom(STORED.astype(np.uint16), "MONOCHROME1", BitsStored=12))
    np.testing.assert_array_equal(read_values(tmp_path / "x.dcm")[:, :, 0], 4095 - STORED)
    signed = (STORED - 300).astype(np.int16)
    more = {"BitsStored": 12, "RescaleSlope": 3, "RescaleIntercept": 7}
    (tmp_path / "x.dcm").write_bytes(dicom(signed, "MONOCHROME1", **more))
    np.testing.assert_array_equal(read_values(tmp_path / "x.dcm")[:, :, 0], 3 * (-1 - signed.astype(int)) + 7)


def test_padding_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(dicom((STORED - 10).astype(np.int16), PixelPaddingValue=-3))
    values = read_values(tmp_path / "x.dcm")
    assert np.flatnonzero(np.isnan(values)).tolist() == [7]
    assert decode(tmp_path / "x.dcm", value_range=(-100, 100))[0].ravel()[7] == 0


def test_slope_and_intercept_of_an_enhanced_file(tmp_path: Path) -> None:
    part, group = pydicom.Dataset(), pydicom.Dataset()
    part.RescaleSlope, part.RescaleIntercept, part.RescaleType = 5, -1, "HU"
    group.PixelValueTransformationSequence = [part]
    content = dicom(STORED.astype(np.uint16), frames=2, SharedFunctionalGroupsSequence=[group])
    (tmp_path / "x.dcm").write_bytes(content)
    np.testing.assert_array_equal(read_values(tmp_path / "x.dcm")[:, :, 0], 5 * STORED - 1)


def test_what_pydicom_unpacks_by_itself(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(dicom(STORED.astype(np.uint16)))
    whole = pydicom.dcmread(tmp_path / "x.dcm")
    whole.compress(pydicom.uid.RLELossless)
    whole.save_as(tmp_path / "x.dcm")
    np.testing.assert_array_equal(read_values(tmp_path / "x.dcm")[:, :, 0], STORED)


def test_colour_is_8_bits(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    (tmp_path / "x.dcm").write_bytes(dicom(stored, "RGB"))
    array, image_format = decode(tmp_path / "x.dcm")
    np.testing.assert_array_equal(array, stored)
    assert (image_format.suffix, image_format.depth) == (".png", 8)


def test_frames_endings_and_notes(tmp_path: Path) -> None:
    """The first frame of each is read. Files without an ending, or named by an identifier, count by their content."""
    grey = STORED.astype(np.uint16)
    for name in ("x.dcm", "IM0001", "1.2.840.5"):
        (tmp_path / name).write_bytes(dicom(grey))
    (tmp_path / "many").write_bytes(dicom(grey, "MONOCHROME1", frames=3))
    (tmp_path / "notes").write_text("words")
    (tmp_path / "DICOMDIR").write_bytes(dicom(grey))
    assert [p.name for p in list_images(tmp_path)] == ["1.2.840.5", "IM0001", "many", "x.dcm"]
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert [note.removeprefix(f"{tmp_path}: ") for note in images.notes] == [
        "2 files with other endings, left out: 2 without suffix.",
        "1 file with further pages or frames: the first of each is read (many).",
        "1 file with 0 as white (MONOCHROME1): turned round (many).",
    ]
    assert len(images) == 4 and images.depth == 16 and images.key(0) == "1.2.840.5"
    np.testing.assert_array_equal(images.get(1), images.get(3))
    with pytest.raises(
        DataError, match=r"holds floating-point numbers \(float32\)\. Say which .*--data.range LOW HIGH"
    ):
        open_domain(str(tmp_path), replace(CONFIG, range=(), max_unreadable=0), "a")


@pytest.mark.parametrize("read", [lambda path: decode(path, value_range=(0, 1)), read_header])
def test_what_is_refused(read: Any, tmp_path: Path) -> None:
    grey, colour = STORED.astype(np.uint16), np.zeros((*SIZE, 3), np.uint8)
    refused = {
        r"it is compressed as JPEG-LS Lossless.*no decoder here: save it uncompressed": dicom(grey, syntax=JPEG_LS),
        r"compressed as a whole \(Deflated": dicom(grey, syntax="1.2.840.10008.1.2.1.99"),
        r"its compression \(1.2.840.10008.1.2.9.99\) is not known": dicom(grey, syntax=JPEG_LS).replace(
            JPEG_LS.encode(), b"1.2.840.10008.1.2.9.99"
        ),
        r"colours are of kind PALETTE COLOR": dicom(grey, "PALETTE COLOR"),
        r"holds colours of 16 bits": dicom(colour.astype(np.uint16), "RGB"),
        r"holds no image \(modality CT\)": dicom(grey, Rows=None),
        r"is larger than \d+ pixels": dicom(grey, Rows=60000, Columns=60000),
    }
    for words, content in refused.items():
        (tmp_path / "x.dcm").write_bytes(content)
        if "JPEG-LS" in words and pydicom.pixels.get_decoder(JPEG_LS).is_available:
            continue  # a plug-in is installed
        with pytest.raises(DataError, match=words):
            read(tmp_path / "x.dcm")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.dcm").write_bytes(dicom(STORED.astype(np.uint16)))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for read in (decode, read_header):
        with pytest.raises(
            DataError, match=r"x.dcm .*holds DICOM, which needs .*pydicom: pip install 'drit\[medical\]'"
        ):
            read(tmp_path / "x.dcm")


def test_an_unpacked_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """The whole of a deflated file after its first group is one stream, which could unpack to anything."""
    content = dicom(STORED.astype(np.uint16), syntax="1.2.840.10008.1.2.1.99")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    (tmp_path / "x.dcm").write_bytes(content[:400] + packer.compress(bytes(1 << 24)) + packer.flush())
    with pytest.raises(DataError):
        read_header(tmp_path / "x.dcm")


def test_damage_is_a_data_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    contents = [dicom(STORED.astype(np.uint16)), dicom(STORED.astype(np.int16), "MONOCHROME1", frames=2)]
    path = tmp_path / "x.dcm"
    for i in range(300):
        path.write_bytes(mutant(contents[i % 2], rng))
        for read in (read_header, lambda p: decode(p, value_range=(0, 100))):
            try:
                read(path)
            except DataError as error:
                assert path.name in str(error)


def test_pairs_of_dicom_and_png(tmp_path: Path) -> None:
    write_images(tmp_path / "b", 2, 1, SIZE)
    (tmp_path / "a").mkdir()
    for i in range(2):
        (tmp_path / "a" / f"{i:03d}.dcm").write_bytes(dicom(STORED.astype(np.uint16)))
    a = open_domain(str(tmp_path / "a"), CONFIG, "a")
    b = open_domain(str(tmp_path / "b"), replace(CONFIG, range_b=("full",)), "b")
    assert [a.key(i) for i in range(2)] == [b.key(i) for i in range(2)] == ["000", "001"]
