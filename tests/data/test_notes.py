"""Silent loss: what is left out or converted is counted and told, once, in the notes of the opened set."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from drit.data import decoders
from drit.data.folders import open_domain
from drit.data.images import encode
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests.conftest import write_images
from tests.data.samples import FILES, pixels

CONFIG = DataSettings(resize=0, crop=16)


def notes(folder: Path, config: DataSettings = CONFIG) -> list[str]:
    found = open_domain(str(folder), config, "a").notes
    assert all(note.startswith(f"{folder}: ") and note.endswith(".") for note in found)
    return [note.removeprefix(f"{folder}: ") for note in found]


def test_a_plain_folder_has_nothing_to_tell(tmp_path: Path) -> None:
    assert notes(write_images(tmp_path, 3, 3)) == []


def test_files_of_other_endings_are_counted(tmp_path: Path) -> None:
    write_images(tmp_path, 3, 3)
    for name in ("a.jp2", "b.JP2", "deep/c.txt", "d", ".hidden.jp2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert notes(tmp_path) == ["4 files with other endings, left out: 2 .jp2, 1 without suffix, 1 .txt."]


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".jfif", "jpeg"), (".jpe", "jpeg"), (".JPG", "jpeg"), (".gif", "gif"), (".avif", "avif")]
)
def test_more_endings_are_read(suffix: str, kind: str, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}{suffix}").write_bytes(FILES[kind]())
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert len(images) == 3 and images.get(0).shape == (20, 30, 3) and not images.notes


def test_heic_names_the_plug_in_where_it_is_missing(tmp_path: Path) -> None:
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pytest.skip(f"pillow-heif {pillow_heif.__version__} is installed")
    write_images(tmp_path, 3, 3)
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (why,) = open_domain(str(tmp_path), CONFIG, "a").skipped.values()
    assert "it holds HEIF (.heic), which needs a plug-in: pip install pillow-heif" in why


def test_further_pages_and_frames(tmp_path: Path) -> None:
    write_images(tmp_path, 3, 3)
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([pixels(3)] * 3), photometric="rgb")
    frames = [Image.fromarray(np.roll(pixels(3), i, 0)) for i in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    note = notes(tmp_path)[0]  # Pillow gives the palette of a moving GIF a transparent colour
    assert note == (
        "3 files with further pages or frames: the first of each is read (moving.gif, moving.webp, pages.tif)."
    )
    images = open_domain(str(tmp_path), CONFIG, "a")
    place = [Path(images.name(i)).name for i in range(len(images))].index("pages.tif")
    np.testing.assert_array_equal(images.get(place), pixels(3))


def test_colour_profiles(tmp_path: Path) -> None:
    """sRGB is what everybody assumes; others are told, and no pixel is changed."""
    write_images(tmp_path, 2, 3)
    for name, space in (("srgb", "sRGB"), ("lab", "LAB")):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]
        for suffix in (".png", ".jpg", ".tif"):
            Image.fromarray(pixels(3)).save(tmp_path / f"{name}{suffix}", icc_profile=profile)
    (note,) = notes(tmp_path)
    assert note.startswith("3 files with a colour profile other than sRGB: pixels are taken as they are")
    assert "(lab.jpg, lab.png, lab.tif)" in note


def test_inks_are_told(tmp_path: Path) -> None:
    """Without a profile CMYK becomes RGB by arithmetic, which no printer follows."""
    write_images(tmp_path, 2, 3)
    for name in ("x.jpg", "y.tif"):
        Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(tmp_path / name)
    assert notes(tmp_path) == [
        "2 files with CMYK: converted to RGB without a profile; convert them yourself if colours matter (x.jpg, y.tif)."
    ]


def test_avif_of_more_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow reads 8 of 10 bits; what the file says is looked up in its box pixi."""
    write_images(tmp_path, 3, 3)
    content = FILES["avif"]()
    place = content.index(b"pixi") + 8
    assert content[place : place + 4] == bytes([3, 8, 8, 8])
    changed = content[: place + 1] + bytes([10, 10, 10]) + content[place + 4 :]
    (tmp_path / "x.avif").write_bytes(content)
    assert not notes(tmp_path)
    bits = decoders._isobmff_bits
    assert (bits(io.BytesIO(content)), bits(io.BytesIO(changed)), bits(io.BytesIO(b""))) == (8, 10, 8)
    monkeypatch.setattr(decoders, "_isobmff_bits", lambda _: bits(io.BytesIO(changed)))  # nothing here writes 10 bits
    assert "1 file with 10 or 12 bits, of which 8 are read" in notes(tmp_path)[0]


def test_transparency_depths_and_contents(tmp_path: Path) -> None:
    write_images(tmp_path, 2, 3)
    encode(pixels(4), tmp_path / "clear.png")
    encode(pixels(3, np.uint16), tmp_path / "deep.png")
    (tmp_path / "really.png").write_bytes(FILES["jpeg"]())
    assert notes(tmp_path) == [
        "1 file with another format than the ending says: content counts (really.png).",
        "1 file with transparency: laid on white; --data.alpha keep keeps it (clear.png).",
        "4 of 5 files have 8 bits: their values are spread to 16.",
    ]
    assert len(notes(tmp_path, replace(CONFIG, alpha="keep"))) == 2


def test_a_long_strip_is_no_image_of_gigabytes(tmp_path: Path) -> None:
    """1 x 20000 pixels, enlarged so that the short side has 256, are 1.3 thousand million."""
    write_images(tmp_path, 3, 3)
    encode(np.zeros((1, 20000, 3), np.uint8), tmp_path / "long.png")
    images = open_domain(str(tmp_path), DataSettings(resize=256, crop=216), "a")
    (why,) = images.skipped.values()
    assert "long.png is 20000 x 1 pixels, and 5120000 x 256 after --data.resize 256" in why and len(images) == 3
    square = DataSettings(resize=256, crop=216, resize_mode="square")
    assert len(open_domain(str(tmp_path), square, "a")) == 4
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 1, 20000), np.uint8))
    with pytest.raises(DataError, match="5120000 x 256 after"):
        open_domain(str(tmp_path / "x.npz"), DataSettings(resize=256, crop=216), "a")
