"""Translation of files: outputs that cannot be written end nothing, nothing of others is overwritten, and every way in
reads a file as training did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import drit
from drit.cli import main as cli
from drit.data.folders import open_domain
from drit.data.images import Header, decode, encode, to_tensor
from drit.errors import DritError, UsageError
from drit.inference import jobs as module
from drit.inference.formats import FormatChoice, Samples
from drit.inference.reading import numbered
from drit.inference.translator import Translator
from drit.training import launch
from tests.conftest import tiny, write_images

Say = pytest.CaptureFixture[str]


def translate(run: Path, *words: object, styles: int = 1) -> int:
    return cli.main(["translate", str(run), *map(str, words), "--to", "b", "--styles", str(styles), "--threads", "1"])


def names(out: Path) -> list[str]:
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())


def colours(shape: tuple[int, ...], depth: int = 8, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 1 << depth, shape)
    return values.astype(np.uint8 if depth == 8 else np.uint16)


def test_outputs_that_cannot_be_as_their_inputs(run: Path, tmp_path: Path, capsys: Say) -> None:
    """16 bits under the name of a JPEG, and formats that are not written: PNG, told once; the rest as they are."""
    folder = tmp_path / "in"
    folder.mkdir()
    encode(colours((20, 24, 3), 16), folder / "deep.png")
    (folder / "deep.png").rename(folder / "a.jpg")
    encode(colours((20, 24, 3)), folder / "b.jpg")
    Image.fromarray(colours((20, 24, 3))).save(folder / "c.jfif", "JPEG")
    Image.fromarray(colours((20, 24))).save(folder / "d.gif")
    out = tmp_path / "out"
    assert translate(run, *sorted(folder.iterdir()), "--out", out, styles=2) == 0
    expected = ["a_style001.png", "b_style001.jpg", "c_style001.jpg", "d_style001.png"]
    assert [n for n in names(out) if "style001" in n] == expected
    assert [decode(out / n)[1].depth for n in expected] == [16, 8, 8, 8]
    error = capsys.readouterr().err
    assert error.count(".jpg holds 8 bits: 16-bit outputs are written as .png. (1 image)") == 1
    assert error.count("Images are not written as .gif: as .png. (1 image)") == 1
    written = json.loads((out / "outputs.json").read_text())
    assert sorted(written) == [n for n in names(out) if "style0" in n] and len(written) == 8
    assert written["a_style002.png"] == {"input": str(folder / "a.jpg"), "style": "style002", "domain": "b"}
    assert (out / "sheet.png").is_file() and (out / "styles.json").is_file()


def test_format_and_depth_on_demand(run: Path, tmp_path: Path, capsys: Say) -> None:
    image = tmp_path / "deep.png"
    encode(colours((20, 24, 3), 16), image)
    for flags, name, depth in (
        (("--format", "webp"), "deep_style001.webp", 8),  # told: it holds 8 bits
        (("--format", "jpg", "--depth", 8), "deep_style001.jpg", 8),
        (("--format", "tif"), "deep_style001.tif", 16),
        (("--depth", 8), "deep_style001.png", 8),
    ):
        out = tmp_path / "_".join(map(str, flags))
        assert translate(run, image, "--out", out, *flags) == 0
        assert decode(out / name)[1].depth == depth
        assert ("holds 8 bits" in capsys.readouterr().err) == (flags == ("--format", "webp"))
    assert translate(run, image, "--out", tmp_path / "no", "--format", "jpg", "--depth", 16) == 2
    assert "--format jpg cannot hold 16 bits; png, tif can." in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_choice_that_cannot_hold_the_channels() -> None:
    FormatChoice("webp").check(Samples(4, alpha=True))
    with pytest.raises(UsageError, match="--format jpg cannot hold 4 channels; png, webp, tif can"):
        FormatChoice("jpg").check(Samples(4, alpha=True))
    with pytest.raises(UsageError, match="--format is png"):
        FormatChoice("bmp").check(Samples(3))
    header = Header(1, 1, 3, 8)
    assert FormatChoice().of(".jpg", header, Samples(4, alpha=True))[:2] == (".png", 8)
    assert FormatChoice().of(".WEBP", header, Samples(4, alpha=True))[:2] == (".webp", 8)
    assert FormatChoice(depth=16).of(".bmp", header, Samples(3))[:2] == (".png", 16)
    assert FormatChoice().of(".png", header, Samples(4))[:2] == (".tif", 8)  # four bands


def test_what_fails_later_is_named_and_the_rest_written(
    run: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name too long for an output, a full disk and an image that is too large, between images that are fine."""
    folder = write_images(tmp_path / "in", 4, 1)
    long = "x" * 248 + ".png"
    (folder / "001.png").rename(folder / long)

    def full(pixels: np.ndarray, path: Path, *others: Any) -> None:
        if path.name == "002_style002.png":
            raise DritError(f"Could not write {path}: No space left on device.")
        encode(pixels, path, *others)

    monkeypatch.setattr(module, "encode", full)
    encode(colours((30, 40, 1)), folder / "large.png")
    outputs = Translator.outputs

    def with_little_memory(self: Translator, image: Any, styles: Tensor, to: str) -> Iterator[Tensor]:
        if image.shape[2] == 40:
            raise MemoryError
        yield from outputs(self, image, styles, to)

    monkeypatch.setattr(Translator, "outputs", with_little_memory)
    out = tmp_path / "out"
    assert translate(run, folder, "--out", out, "--json", styles=3) == 1
    output = capsys.readouterr()
    result = json.loads(output.out)
    good = [f"{i}_style{k:03d}.png" for i in ("000", "002", "003") for k in (1, 2, 3)]
    good.remove("002_style002.png")
    assert [Path(f).name for f in result["files"]] == good
    assert list(json.loads((out / "outputs.json").read_text())) == good
    assert names(out) == sorted([*good, "outputs.json", "sheet.png", "styles.json"])
    assert list(result["skipped"]) == [str(folder / n) for n in ("002.png", "large.png", long)]
    for text in ("No space left", "Memory ran out while an image of 40 x 30 pixels", "File name too long"):
        assert text in output.err
    assert result["images"] == 2


def test_nothing_written_is_an_error(run: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "in", 2, 1)

    def full(pixels: np.ndarray, path: Path, *others: Any) -> None:
        raise DritError(f"Could not write {path}: No space left on device.")

    monkeypatch.setattr(module, "encode", full)
    assert translate(run, folder, "--out", tmp_path / "out") == 1
    assert "None of the images could be translated: " in capsys.readouterr().err
    monkeypatch.undo()
    assert translate(run, folder, "--out", tmp_path / "out") == 0  # what is there is its own


def test_an_output_folder_within_an_input_folder_is_refused(run: Path, tmp_path: Path, capsys: Say) -> None:
    folder = write_images(tmp_path / "in", 2, 1)
    for out in (folder, folder / "out", folder / "a" / ".." / "b"):
        assert translate(run, folder, "--out", out) == 2
        assert "is within the input folder" in (error := capsys.readouterr().err) or "is an input folder" in error
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert translate(run, link, "--out", folder / "out") == 2
    assert names(folder) == ["000.png", "001.png"]


def test_outputs_beside_their_input(run: Path, tmp_path: Path, capsys: Say) -> None:
    """The user's own sheet.png and files named as outputs stay; a second call with all files leaves its outputs out."""
    folder = write_images(tmp_path / "in", 2, 1)
    (folder / "sheet.png").write_bytes(b"mine")
    (folder / "000_style001.png").write_bytes(b"mine too")
    before = {n: (folder / n).read_bytes() for n in names(folder)}
    assert translate(run, folder / "000.png", "--out", folder) == 2
    assert "does not name as outputs: 000_style001.png, sheet.png." in capsys.readouterr().err
    assert {n: (folder / n).read_bytes() for n in names(folder)} == before
    (folder / "sheet.png").unlink()
    (folder / "000_style001.png").unlink()
    images = [folder / "000.png", folder / "001.png"]
    assert translate(run, *images, "--out", folder) == 0
    written = {n: (folder / n).read_bytes() for n in names(folder)}
    assert translate(run, *sorted(folder.glob("*.png")), "--out", folder) == 0  # as a shell gives *.png
    assert {n: (folder / n).read_bytes() for n in names(folder)} == written
    assert translate(run, *sorted(folder.glob("*_style*.png")), "--out", folder) == 2
    assert "are outputs of an earlier call" in capsys.readouterr().err


def test_files_of_others_are_overwritten_on_demand_and_inputs_never(run: Path, tmp_path: Path, capsys: Say) -> None:
    folder = write_images(tmp_path / "in", 1, 1)
    (folder / "000_style001.png").write_bytes((folder / "000.png").read_bytes())
    both = [folder / "000.png", folder / "000_style001.png"]
    assert translate(run, *both, "--out", folder, "--overwrite") == 2
    assert "would overwrite inputs (000_style001.png)" in capsys.readouterr().err
    assert translate(run, both[0], "--out", folder) == 2
    assert translate(run, both[0], "--out", folder, "--overwrite") == 0
    assert decode(both[1])[0].shape[2] == 3


def test_the_same_call_again_and_another_into_the_same_folder(run: Path, tmp_path: Path) -> None:
    folder, out = write_images(tmp_path / "in", 2, 1), tmp_path / "out"
    assert translate(run, folder, "--out", out) == 0
    first = {n: (out / n).read_bytes() for n in names(out)}
    assert translate(run, folder, "--out", out) == 0
    assert {n: (out / n).read_bytes() for n in names(out)} == first
    assert translate(run, folder, "--out", out, "--format", "tif") == 0
    assert len(json.loads((out / "outputs.json").read_text())) == 4
    back = ["translate", str(run), str(out), "--to", "a", "--out", str(tmp_path / "back"), "--styles", "1"]
    assert cli.main([*back, "--threads", "1"]) == 0  # translations are images; the sheet of them is none
    assert len(json.loads((tmp_path / "back" / "outputs.json").read_text())) == 4


def test_a_stopped_translation_knows_its_own(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = write_images(tmp_path / "in", 2, 1), tmp_path / "out"

    def stop_at_the_second(pixels: np.ndarray, path: Path, *others: Any) -> None:
        if path.name.startswith("001"):
            raise KeyboardInterrupt
        encode(pixels, path, *others)

    monkeypatch.setattr(module, "encode", stop_at_the_second)
    assert translate(run, folder, "--out", out) == 130
    monkeypatch.undo()
    assert translate(run, folder, "--out", out) == 0


def test_names_meet_nowhere() -> None:
    assert numbered(["x_a_b", "x_a_b"]) == ["x_a_b", "x_a_b_2"]


@pytest.fixture(scope="module")
def transparent(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A transparent set, and runs that keep its alpha and lay it on white."""
    root = tmp_path_factory.mktemp("alpha")
    a = write_images(root / "a", 3, 4, seed=5)
    runs = []
    for alpha in ("keep", "flatten"):
        settings = tiny(a, folders[1], steps=1)
        settings = replace(settings, data=replace(settings.data, alpha=alpha, resize=0))
        launch.train(settings, root / alpha)
        runs.append(root / alpha)
    return a, runs[0], runs[1]


@pytest.mark.parametrize("alpha", ["keep", "flatten"])
def test_every_way_in_reads_a_transparent_image_as_training_did(
    transparent: tuple[Path, Path, Path], folders: tuple[Path, Path], tmp_path: Path, alpha: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from drit.augmentation.augment import augment
    from drit.augmentation.settings import AugmentSettings
    from drit.data.labelled import open_labelled
    from drit.evaluation.images import Images, as_trained, open_images
    from drit.runs import checkpoint as checkpoints

    a, keep, flatten = transparent
    run = keep if alpha == "keep" else flatten
    translator = drit.load(run, device="cpu", precision="float32", threads=1)
    data, channels = translator.method.settings.data, translator.method.channels
    assert channels["a"] == (4 if alpha == "keep" else 3)
    trained = to_tensor(open_domain(str(a), data, "a").get(0))[None]
    seen: list[Tensor] = []
    content = type(translator.method).content

    def recorded(self: Any, x: Tensor, domain: str) -> Tensor:
        seen.append(x.cpu())
        return content(self, x, domain)

    monkeypatch.setattr(type(translator.method), "content", recorded)
    h, w = trained.shape[2:]
    assert translate(run, a / "000.png", "--out", tmp_path / "out") == 0
    labelled = tmp_path / "labelled" / "class"
    labelled.mkdir(parents=True)
    (labelled / "x.png").write_bytes((a / "000.png").read_bytes())
    work = AugmentSettings("b", 1)
    augment(translator, checkpoints.find(run), open_labelled(str(labelled.parent)), work, tmp_path / "augmented")
    with Image.open(a / "000.png") as image:
        translator.translate(image, "b")
    assert len(seen) == 3
    for x in seen:
        assert torch.equal(x[:, :, :h, :w], trained)
    evaluated = Images(open_images(str(a), "a", as_trained(data, channels), 0), 16, 0, 0).set.get(0)
    assert torch.equal(to_tensor(evaluated)[None], trained)


def test_outputs_with_alpha(transparent: tuple[Path, Path, Path], folders: tuple[Path, Path], tmp_path: Path) -> None:
    """To a transparent domain a JPEG becomes a PNG with its alpha."""
    image = tmp_path / "x.jpg"
    encode(colours((20, 24, 3)), image)
    words = ["translate", str(transparent[1]), str(image), "--to", "a", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--styles", "1", "--threads", "1"]) == 0
    assert decode(tmp_path / "out" / "x_style001.png", "keep")[0].shape == (20, 24, 4)
    assert cli.main([*words, "--format", "jpg"]) == 2
