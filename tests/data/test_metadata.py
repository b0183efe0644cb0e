"""What a file says beside its pixels comes through: georeference, resolution, colour profile, EXIF."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from drit.data.folders import open_domain
from drit.data.images import Metadata, decode, encode, read_header, read_values
from drit.data.metadata import upright_exif
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests.data.samples import by_pillow, pixels, tiff
from tests.data.test_containers import mutant

SCALE, TIE = (0.5, 0.25, 0.0), (0.0, 0.0, 0.0, 440720.0, 3751320.0, 0.0)
KEYS = (1, 1, 0, 2, 1024, 0, 1, 1, 1026, 34737, 11, 0)  # projected; its name stands in the text
GEO = [
    (33550, "d", 3, SCALE, True),
    (33922, "d", 6, TIE, True),
    (34735, "H", len(KEYS), KEYS, True),
    (34736, "d", 1, (6378137.0,), True),
    (34737, "s", 0, "my ellipse|", True),
    (42113, "s", 0, "-9999", True),
]
SPACES = {"RGB ": "sRGB", "LAB ": "LAB"}


def geotiff(array: np.ndarray, **options: Any) -> bytes:
    return tiff(array, extratags=GEO, **options)


def tags(path: Path) -> dict[int, Any]:
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "deflate"}])
@pytest.mark.parametrize(
    "output",
    [
        np.ones((20, 30, 1), np.float32), np.ones((20, 30, 4), np.int16), pixels(1), pixels(3), pixels(4),
        pixels(3, np.uint16), pixels(2, np.uint16), pixels(1, np.uint16),
    ],
)  # fmt: skip
def test_a_georeference_comes_through(output: np.ndarray, options: dict[str, Any], tmp_path: Path) -> None:
    """Whatever numbers and channels the output has, it lies where the input did."""
    (tmp_path / "x.tif").write_bytes(geotiff(pixels(1)[:, :, 0], photometric="minisblack", **options))
    metadata = decode(tmp_path / "x.tif")[1].metadata
    encode(output, tmp_path / "y.tif", output.dtype != np.int16, metadata)
    found = tags(tmp_path / "y.tif")
    assert (found[33550], found[33922], found[34735]) == (SCALE, TIE, KEYS)
    assert (found[34736], found[34737], found[42113]) == ((6378137.0,), "my ellipse|", "-9999")
    assert not metadata.lost(".tif", output.shape) and metadata.lost(".png", output.shape) == ["georeference"]
    encode(output, tmp_path / "z.tif", output.dtype != np.int16)
    same, kind = decode(tmp_path / "y.tif", "keep", value_range=(0, 70000))
    plain, plain_kind = decode(tmp_path / "z.tif", "keep", value_range=(0, 70000))
    np.testing.assert_array_equal(same, plain)
    assert replace(kind, metadata=plain_kind.metadata) == plain_kind and plain_kind.metadata.geo == ()
    assert kind.metadata.geo == metadata.geo


def test_a_georeference_is_of_one_size(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(geotiff(pixels(3), photometric="rgb"))
    metadata = decode(tmp_path / "x.tif")[1].metadata
    encode(pixels(3)[:16], tmp_path / "y.tif", metadata=metadata)
    assert 33550 not in tags(tmp_path / "y.tif")
    assert metadata.lost(".tif", (16, 30, 3)) == ["georeference"]
    turned = [*GEO, (274, "H", 1, 6, True)]
    (tmp_path / "x.tif").write_bytes(tiff(pixels(3), photometric="rgb", extratags=turned))
    assert decode(tmp_path / "x.tif")[1].metadata.geo == ()


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_no_data_is_low(dtype: Any, tmp_path: Path) -> None:
    array = np.arange(600).reshape(20, 30).astype(dtype)
    array[3, 4] = array[0, 0] = -9999
    for i in range(3):
        (tmp_path / f"{i}.tif").write_bytes(geotiff(array, photometric="minisblack"))
    assert np.isnan(read_values(tmp_path / "0.tif")).sum() == 2
    assert read_header(tmp_path / "0.tif", value_range=(-20000, 600)).nodata == -9999
    found = decode(tmp_path / "0.tif", value_range=(-20000, 600))[0]
    assert found[3, 4, 0] == 0 and found[3, 5, 0] == round(20095 / 20600 * 65535)
    images = open_domain(str(tmp_path), DataSettings(resize=0, crop=16, range=("auto",)), "a")
    low, high = images.reading.value_range or (0, 0)
    assert 0 <= low < 5 and 595 < high < 600  # -9999 is no value of the set
    assert images.notes == [
        f"{tmp_path}: 3 files with a value that stands for none (GDAL's no-data value): it is taken as LOW "
        "(0.tif, 1.tif, 2.tif).",
        f"{tmp_path}: 3 of 3 images looked at hold NaN or infinite numbers: NaN is taken as {low:g}.",
    ]


def test_no_data_without_a_range_is_told(tmp_path: Path) -> None:
    """8 and 16 bits have no NaN: the numbers stay what they are."""
    array = pixels(3, np.uint16)
    for i in range(3):
        content = tiff(array, photometric="rgb", extratags=[(42113, "s", 0, str(array[0, 0, 0]), True)])
        (tmp_path / f"{i}.tif").write_bytes(content)
    images = open_domain(str(tmp_path), DataSettings(resize=0, crop=16), "a")
    np.testing.assert_array_equal(images.get(0), array)
    (note,) = images.notes
    assert "no-data value): it stays as it is; with --data.range it becomes LOW" in note


@cache
def profile(space: str) -> bytes:
    """Made once: it holds the second at which it was made, and tests compare bytes."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]


def exif(orientation: int = 1) -> bytes:
    """With a maker, a date, an exposure, a place, and a preview of the input."""
    data = Image.Exif()
    data[271], data[306], data[315] = "Canon", "2024:01:02 03:04:05", "Zoé".encode()
    data[274] = orientation
    data.get_ifd(ExifTags.IFD.Exif).update({33434: 0.5, 37500: b"maker's own"})
    data.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 30.0)})
    return data.tobytes()


def words(path: Path) -> tuple[Any, ...]:
    """What an output says: maker, date, artist, exposure, maker's own, latitude, orientation."""
    with Image.open(path, formats=["PNG", "JPEG", "WEBP", "TIFF"]) as image:
        image.load()
        found = image.getexif()
        own, gps = found.get_ifd(ExifTags.IFD.Exif), found.get_ifd(ExifTags.IFD.GPSInfo)
    artist = found[315].encode("latin-1").decode()
    place = [float(v) for v in gps[2]]
    return found[271], found[306], artist, float(own[33434]), own[37500], place, found.get(274, 1)


SAID = ("Canon", "2024:01:02 03:04:05", "Zoé", 0.5, b"maker's own", [48.0, 51.0, 30.0], 1)


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("depth", [8, 16])
def test_exif_profile_and_resolution_come_through(source: str, target: str, depth: int, tmp_path: Path) -> None:
    """From every format to every format; the image is upright, and so is what is said of it."""
    kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF"}
    content = by_pillow(
        pixels(3), kind[source], exif=exif(6 if source != ".tif" else 1), icc_profile=profile("sRGB"), dpi=(300, 150)
    )
    (tmp_path / f"x{source}").write_bytes(content)
    array, image_format = decode(tmp_path / f"x{source}")
    if depth == 16:
        if target in (".jpg", ".webp"):
            return
        array = array.astype(np.uint16) * 257
    out = tmp_path / f"y{target}"
    encode(array, out, metadata=image_format.metadata)
    said = SAID if source != ".tif" else (*SAID[:2], "Zo??", *SAID[3:])  # Pillow writes no other letters into a TIFF
    assert words(out) == said
    found, again = decode(out)
    assert again.metadata.profile == profile("sRGB") == image_format.metadata.profile
    if target != ".jpg":
        np.testing.assert_array_equal(found, array)
    if ".webp" not in (source, target):
        assert again.metadata.dpi == pytest.approx((300, 150), rel=1e-4)
    assert image_format.metadata.lost(target, array.shape) == (
        ["resolution"] if target == ".webp" and source != ".webp" else []
    )


def test_what_a_format_cannot_hold_is_named(tmp_path: Path) -> None:
    metadata = Metadata((20, 30), profile("sRGB"), exif(), (72.0, 72.0), ((42113, "s", 0, "0"),))  # type: ignore[arg-type]
    assert metadata.lost(".bmp", (20, 30, 3)) == ["georeference", "colour profile", "EXIF"]
    assert metadata.lost(".tif", (20, 30, 3)) == []
    assert metadata.lost(".tif", (20, 30, 1)) == ["colour profile"]  # a profile of colours says nothing of grey
    large = replace(metadata, exif=exif() + bytes(70000))
    assert "EXIF" in large.lost(".jpg", (20, 30, 3)) and "EXIF" not in large.lost(".png", (20, 30, 3))
    encode(pixels(3), tmp_path / "x.jpg", metadata=large)
    encode(pixels(3), tmp_path / "x.bmp", metadata=large)
    assert Metadata().lost(".bmp", (20, 30, 3)) == []


def test_the_preview_of_the_input_is_not_kept() -> None:
    buffer, small = io.BytesIO(), by_pillow(pixels(3), "JPEG")
    Image.fromarray(pixels(3)).save(buffer, "JPEG", exif=exif(8))
    data = bytearray(exif(8).removeprefix(b"Exif\0\0"))
    order = "little" if data[:2] == b"II" else "big"
    count = int.from_bytes(data[8:10], order)  # type: ignore[arg-type]
    place = 10 + 12 * count
    assert data[place : place + 4] == bytes(4)
    data[place : place + 4] = len(data).to_bytes(4, order)  # type: ignore[arg-type]
    begin = len(data) + 2 + 24 + 4
    data += (2).to_bytes(2, order)  # type: ignore[arg-type]
    for tag, value in ((0x0201, begin), (0x0202, len(small))):
        data += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order) + value.to_bytes(4, order)  # type: ignore[arg-type]
    data += bytes(4) + small
    assert small in bytes(data)
    clean = upright_exif(bytes(data))
    assert small not in clean and len(clean) == len(data)
    found = Image.Exif()
    found.load(clean)
    assert found[271] == "Canon" and found[274] == 1 and not found.get_ifd(ExifTags.IFD.IFD1)


def test_damaged_metadata_is_no_damaged_image(tmp_path: Path) -> None:
    for data in (b"", b"II", b"II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"words"):
        assert upright_exif(data) == b""
    content = by_pillow(pixels(3), "PNG", exif=b"II*\0\xff\xff\xff\xff" + bytes(9))
    (tmp_path / "x.png").write_bytes(content)
    array, image_format = decode(tmp_path / "x.png")
    encode(array, tmp_path / "y.png", metadata=image_format.metadata)
    np.testing.assert_array_equal(decode(tmp_path / "y.png")[0], pixels(3))


def test_layouts_of_other_programs_are_not_carried(tmp_path: Path) -> None:
    """tifffile and ImageJ describe how samples lie: untrue of an output."""
    tifffile.imwrite(tmp_path / "x.tif", pixels(3), photometric="rgb")
    tifffile.imwrite(tmp_path / "y.tif", pixels(3), imagej=True)
    (tmp_path / "z.tif").write_bytes(tiff(pixels(3), photometric="rgb", description="a winter in Kyoto"))
    for name, description in (("x", None), ("y", None), ("z", "a winter in Kyoto")):
        metadata = decode(tmp_path / f"{name}.tif")[1].metadata
        encode(pixels(3), tmp_path / "out.tif", metadata=metadata)
        assert tags(tmp_path / "out.tif").get(270) == description


def test_damage_never_stops_an_output(tmp_path: Path) -> None:
    """Whatever a damaged file says beside its pixels, what can be decoded can be written."""
    rng = np.random.default_rng(3)
    options: dict[str, Any] = {"exif": exif(6), "icc_profile": profile("sRGB"), "dpi": (300, 150)}
    contents = [by_pillow(pixels(3), kind, **options) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    contents.append(geotiff(pixels(3), photometric="rgb"))
    written = 0
    for i in range(500):
        (tmp_path / "x.png").write_bytes(mutant(contents[i % 5], rng))
        try:
            array, image_format = decode(tmp_path / "x.png")
        except DataError:
            continue
        for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
            encode(array[:64, :64], tmp_path / f"y{suffix}", metadata=image_format.metadata)
            written += 1
    assert written > 500
