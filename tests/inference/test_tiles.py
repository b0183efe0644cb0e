"""Translation in strips: the outputs of the whole image, kept in their format, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import drit
from drit.cli import main as cli
from drit.data.images import decode
from drit.errors import DritError, UsageError
from drit.inference import memory, tiles
from drit.inference.memory import TooLargeError
from drit.inference.translator import Translator
from drit.networks import strips
from tests.conftest import write_images

Say = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few rows."""
    monkeypatch.setattr(tiles, "MIN_TILE", 16)


@pytest.fixture
def translator(run: Path) -> Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


def image(height: int = 61, width: int = 45, channels: int = 1, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, channels)).astype(dtype)


def test_every_kind_of_image_gives_what_it_gives_whole(translator: Translator) -> None:
    """Sides that are no multiple of the stride; several styles; the kind, type and size of the input."""
    grey = image()
    kinds: list[Any] = [
        grey,
        image(dtype=np.uint16),
        (grey[:, :, 0] / 255).astype(np.float32),
        Image.fromarray(grey[:, :, 0]),
        torch.from_numpy(grey[:, :, 0] / 127.5 - 1)[None].float(),
    ]
    for kind in kinds:
        whole = translator.translate(kind, "b", styles=2, seed=1)
        tiled = translator.translate(kind, "b", styles=2, seed=1, tile=17)
        for one, other in zip(whole, tiled, strict=True):
            assert type(one) is type(other)
            a, b = np.asarray(one), np.asarray(other)
            assert a.shape == b.shape and a.dtype == b.dtype
            top = {"uint8": 255, "uint16": 65535}.get(a.dtype.name, 1)
            assert np.abs(a.astype(float) - b).max() <= top / 255  # 1 of 255 where rounding falls between two levels
            assert np.abs(a.astype(float) - b).mean() < top / 5000
    assert whole[0].std() > 0.01


def test_in_bfloat16(run: Path) -> None:
    translator = drit.load(run, device="cpu", precision="bfloat16", threads=1)
    whole, tiled = (translator.translate(image(), "b", seed=1, tile=t)[0].astype(int) for t in (0, 16))
    assert np.abs(whole - tiled).max() <= 3 and np.abs(whole - tiled).mean() < 0.3


def test_the_work_is_counted_to_its_end(translator: Translator) -> None:
    shares: list[float] = []
    made = tiles.TiledImage(translator, image(), "a", "b", 20, 2, advance=shares.append)
    for style in translator.sample(2, "b"):
        height = sum(strip.shape[1] for strip in made.output(style))
        assert height == 61
    assert sum(shares) == pytest.approx(1, abs=0.05) and len(shares) > 20


def test_command(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say) -> None:
    """An image that is refused whole is translated in strips; resolution, profile and georeference come along."""
    folder = tmp_path / "in"
    folder.mkdir()
    tags = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0.0, 0.0, 0.0, 7.0, 8.0, 0.0), True)]
    tags.append((34735, "H", 8, (1, 1, 0, 1, 1024, 0, 1, 1), True))
    tifffile.imwrite(folder / "map.tif", image()[:, :, 0], extratags=tags, resolution=(300, 300))
    Image.fromarray(image()[:, :, 0]).save(folder / "photo.png", dpi=(144, 144))
    command = ["translate", str(run), str(folder), "--to", "b", "--styles", "2", "--threads", "1", "--precision"]
    command += ["float32", "--json", "--out"]
    assert cli.main([*command, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(memory, "CHECKED_PIXELS", 40 * 40)
    monkeypatch.setattr(memory, "available", lambda device: 1 << 10)
    assert cli.main([*command, str(tmp_path / "no")]) == 1
    assert "Translate it in strips, which gives the same (--tile 512" in capsys.readouterr().err
    out = tmp_path / "tiled"
    assert cli.main([*command, str(out), "--tile", "16"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["files"]) == 4
    names = [p.name for p in sorted((tmp_path / "whole").iterdir())]
    assert names == [p.name for p in sorted(out.iterdir())]  # and nothing of the work is left
    for name in names[:2]:
        one, other = decode(tmp_path / "whole" / name), decode(out / name)
        assert np.abs(one[0].astype(int) - other[0]).max() <= 1
        assert one[1].metadata == other[1].metadata
    with tifffile.TiffFile(out / "map_style001.tif") as file:
        assert file.pages[0].tags[33922].value[3:5] == (7.0, 8.0)
    assert round(Image.open(out / "photo_style002.png").info["dpi"][0]) == 144


def test_what_is_refused(run: Path, translator: Translator, tmp_path: Path, capsys: Say) -> None:
    folder = write_images(tmp_path / "in", 1, 1)
    command = ["translate", str(run), str(folder), "--to", "b", "--out", str(tmp_path / "out"), "--threads", "1"]
    assert cli.main([*command, "--tile", "3"]) == 2
    assert "A tile of 3 pixels is too small: give at least 16" in capsys.readouterr().err
    assert cli.main([*command, "--tile", "-64"]) == 2
    assert cli.main([*command, "--tile", "64", "--map"]) == 2
    assert "leave out --tile or --map" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="at least 16"):
        translator.translate(image(), "b", tile=2)


def test_a_full_disk_is_told(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, place: int) -> None:
            pass

        def write(self, content: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(strips.tempfile, "TemporaryFile", lambda **options: Full())
    with pytest.raises(DritError, match="could not be kept in .*: No space left on device. They take .* GiB or more"):
        translator.translate(image(), "b", tile=16)

    def nowhere(**options: Any) -> None:
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(strips.tempfile, "TemporaryFile", nowhere)
    with pytest.raises(DritError, match="No such file or directory"):
        translator.translate(image(), "b", tile=16)


def test_a_strip_that_is_too_large_names_the_image(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator.method, "render", lambda *arguments: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(TooLargeError, match="an image of 45 x 61 pixels was translated"):
        translator.translate(image(), "b", tile=16)


def test_a_method_that_needs_whole_maps_is_named(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator.method, "content", lambda x, domain: torch.flip(x, (2,)))
    with pytest.raises(UsageError, match="cannot be computed in strips: it uses flip on a whole map"):
        translator.translate(image(), "b", tile=16)
    monkeypatch.setattr(translator.method, "content", lambda x, domain: x[:, :, 1:])
    with pytest.raises(UsageError, match="it cuts parts out of a whole map"):
        translator.translate(image(), "b", tile=16)
