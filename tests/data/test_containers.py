"""What a stranger's file can reach: formats by content, files that never end, damage of every kind."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drit.data import containers
from drit.data.folders import list_images, open_domain
from drit.data.images import decode, read_header
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests.conftest import write_images
from tests.data.samples import FILES

BOTH = pytest.mark.parametrize("read", [decode, read_header])
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 20\n(/tmp/written) (w) file closefile\nshowpage\n"


@BOTH
@pytest.mark.parametrize(
    ("content", "name"),
    [
        (POSTSCRIPT, r"EPS \(PostScript\)"),
        (b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(POSTSCRIPT)) + bytes(20) + POSTSCRIPT, r"EPS \(PostScript\)"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + bytes(40), "PSD"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "FPX"),
        (b"\xd7\xcd\xc6\x9a" + bytes(80), "WMF"),
        (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(80), "EMF"),
        (b"DDS " + struct.pack("<I", 124) + bytes(120), "DDS"),
        (b"P6 2 2 255\n" + bytes(12), "Netpbm"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(80), "JPEG 2000"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "a video"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".eps"])
def test_other_formats_are_refused_by_name_whatever_the_ending(
    read: Any, content: bytes, name: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"z{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"z{suffix} holds {name}.*, which is not read. Convert it"):
        read(path)


@BOTH
def test_postscript_reaches_no_interpreter(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands it to Ghostscript; nothing may even ask its reader."""
    from PIL import EpsImagePlugin

    def reached(*_: Any, **__: Any) -> None:
        raise SystemExit("PostScript was opened")

    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", reached)
    (tmp_path / "z.png").write_bytes(POSTSCRIPT)
    with pytest.raises(DataError):
        read(tmp_path / "z.png")


@pytest.mark.parametrize("kind", FILES)
def test_content_decides_not_the_ending(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(FILES[kind]())
    (tmp_path / "x.jpg").write_bytes(FILES[kind]())
    array, image_format = decode(tmp_path / "x.png")
    np.testing.assert_array_equal(array, decode(tmp_path / "x.jpg")[0])
    assert array.shape[:2] == (20, 30) and image_format.channels in (1, 3)
    assert image_format.depth == (16 if "16" in kind else 8)


def test_only_the_reader_of_the_content_is_asked() -> None:
    assert set(containers.READ) <= set(Image.registered_extensions().values()) | {"HEIF"}
    for kind, content in FILES.items():
        assert containers.content_of(content()[: containers.SNIFFED]).lower() == kind.split()[0]
    assert containers.content_of(b"") == "" and containers.content_of(b"words of a text") == ""


@BOTH
def test_files_that_never_end_are_named(read: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.png"))
        for name in ("pipe", "device", "folder", "socket"):
            with pytest.raises(DataError, match=rf"{name}.png cannot be read .* not a regular file"):
                read(tmp_path / f"{name}.png")
    with pytest.raises(DataError, match=r"gone.png cannot be read as an image: No such file"):
        read(tmp_path / "gone.png")


def test_a_pipe_in_a_folder_is_skipped(tmp_path: Path) -> None:
    write_images(tmp_path, 3, 3)
    os.mkfifo(tmp_path / "pipe.png")
    images = open_domain(str(tmp_path), DataSettings(resize=0, crop=16), "a")
    assert len(images) == 3 and [Path(name).name for name in images.skipped] == ["pipe.png"]
    assert len(list_images(tmp_path)) == 4


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    """The file with one damage of the kinds that disks, transfers and attackers cause."""
    data = bytearray(content)
    kind = int(rng.integers(5))
    place = int(rng.integers(min(len(data), 200) if rng.random() < 0.6 else len(data)))  # headers break most
    if kind == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[max(place, 8) :]
    elif kind == 2:
        data[place : place + 4] = rng.choice([bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1"])
    elif kind == 3:
        data[place : place + 1] = rng.bytes(int(rng.integers(1, 9)))
    else:
        for _ in range(8):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
    return bytes(data)


def bands(path: Path) -> None:
    """Another way through the decoder."""
    decode(path, "keep", (3, 1), (-1.0, 70000.0))


def attack(count: int, seed: int, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    whole = {kind: content() for kind, content in FILES.items()}
    for i in range(count):
        kind = list(FILES)[i % len(FILES)]
        damaged = mutant(whole[kind], rng)
        path = folder / f"x{('.png', '.jpg', '.tif')[i % 3]}"
        path.write_bytes(damaged)
        for read in (read_header, decode, bands):
            began = time.monotonic()
            try:
                read(path)
            except DataError as error:
                assert path.name in str(error)
            except BaseException as error:
                (folder / "escaped").write_bytes(damaged)
                raise AssertionError(f"mutant {i} of {kind}, seed {seed}, let {error!r} through") from error
            assert time.monotonic() - began < 10, f"mutant {i} of {kind}, seed {seed}, takes too long"


def test_damage_is_a_data_error_and_nothing_else(tmp_path: Path) -> None:
    attack(540, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_much_damage_is_a_data_error_and_nothing_else(seed: int, tmp_path: Path) -> None:
    attack(2500, seed, tmp_path)


@pytest.mark.parametrize(
    "error", [SyntaxError, RuntimeError, struct.error, KeyError, OverflowError, MemoryError, AssertionError, TypeError]
)
def test_every_error_of_a_decoder_names_the_file(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error("deep inside")

    (tmp_path / "x.png").write_bytes(FILES["png"]())
    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(DataError, match=r"x.png cannot be read as an image"):
        decode(tmp_path / "x.png")
