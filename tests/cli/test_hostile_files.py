"""Every command that takes files of others: it names what it refuses, and ends with an exit code and no traceback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drit.cli import main as cli
from drit.data.images import decode, read_header
from drit.errors import DataError, UsageError
from drit.inference.styles import read_styles
from drit.inference.translator import Translator
from drit.settings.schema import changed, to_dict
from tests import hostile
from tests.conftest import tiny, write_images
from tests.evaluation.test_evaluate import SMALL, to_json

Say = pytest.CaptureFixture[str]
ODD = (b"\xff\xfe.png", b"new\nline.png", b"<b>&\"' .png", b"-x.png", b"%s{}.png", b"n" * 240 + b".png")
# bytes of names that are no text, or text for a page, a flag, a format


class World:
    """A set of two classes: x has hostile images, y none."""

    def __init__(self, root: Path, write: Callable[..., Path]) -> None:
        self.root, self.mixed, self.clean = root, root / "mixed", root / "clean"
        self.refused: list[str] = []
        self.refused_by_header: list[str] = []
        good = write(self.mixed / "x", 3, 3)
        for one in hostile.images():
            path = good / one.name
            path.write_bytes(one.content)
            header = None
            try:
                header = read_header(path)
                large = min(header.height, header.width) >= 16 and header.height * header.width < 10**5
                keep = large and header.extra == 0 and header.channels < 5
                decode(path)
            except DataError:
                keep = "samples" not in one.name  # of channels that no other has: a folder is refused for it
                self.refused += [one.name] * keep
                self.refused_by_header += [one.name] * (keep and header is None)
            if not keep:  # well read, but no image for these networks
                path.unlink()
        (good / "ring.png").symlink_to("ring.png")
        (good / "up").symlink_to("..")
        os.mkfifo(good / "pipe.png")
        self.refused += ["ring.png", "pipe.png"]
        for name in ODD:
            shutil.copy(good / "000.png", good / os.fsdecode(name))
        write(self.mixed / "y", 6, 3, seed=9)
        self.clean.mkdir()
        for label in "xy":
            (self.clean / label).mkdir()
            for path in (self.mixed / label).iterdir():
                if path.is_file() and path.name not in self.refused:
                    shutil.copy(path, self.clean / label / path.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")
    return World(tmp_path_factory.mktemp("world"), write_images)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def command(capsys: Say, *words: object) -> tuple[int, str]:
    """The exit code and all output of a command. Whatever it raises fails the test."""
    code = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out + said.err


def names_all(text: str, names: list[str]) -> None:
    assert [name for name in names if name not in text] == []


def config(folder: Path, **values: Any) -> Path:
    """A file of the smallest settings, without images."""
    settings = changed(tiny("", ""), {"data.a": "", "data.b": "", "log.watch_every": 0, "log.sample_every": 0} | values)
    path = folder / "small.json"
    path.write_text(json.dumps(to_dict(settings)))
    return path


def test_train_skips_and_names(world: World, tmp_path: Path, capsys: Say) -> None:
    small = config(tmp_path, **{"steps": 1, "data.max_unreadable": 400})
    words = ["--data.a", world.mixed / "x", "--data.b", world.mixed / "y", "--out", tmp_path / "run"]
    code, text = command(capsys, "train", "--config", small, *words)
    assert code == 0, text
    names_all(text, world.refused_by_header)
    code, text = command(
        capsys, "train", "--config", small, *words[:-1], tmp_path / "other", "--data.max-unreadable", 9
    )
    assert code == 2 and "more than --data.max-unreadable 9" in text


def test_doctor_names_all_and_cleans(world: World, tmp_path: Path, capsys: Say) -> None:
    words = ["doctor", "--data.a", world.mixed / "x", "--data.b", world.mixed / "y", "--data.crop", 16]
    words += ["--data.resize", 0, "--preset", "digits", "--no-forecast", "--json"]
    words += ["--out", tmp_path / "page.html", "--fix", tmp_path / "fix"]
    code = cli.main([str(word) for word in words])
    result = json.loads(capsys.readouterr().out)
    assert code == 1
    unreadable = str([f for f in result["findings"] if f["kind"] == "unreadable"])
    names_all(unreadable, world.refused)
    assert (tmp_path / "page.html").stat().st_size > 10_000 and "<b>&\"'" not in (tmp_path / "page.html").read_text()
    left = [p for p in (tmp_path / "fix").rglob("*.png")]
    assert left and not {p.name for p in left} & set(world.refused)


def test_translate_names_what_it_skips(world: World, run: Path, tmp_path: Path, capsys: Say) -> None:
    out = tmp_path / "out"
    words = ["translate", run, world.mixed / "x", "--to", "a", "--out", out, "--styles", 1, "--threads", 1]
    code, text = command(capsys, *words)
    assert code == 1, text
    names_all(text, world.refused)
    written = json.loads((out / "outputs.json").read_text())
    readable = [p for p in (world.clean / "x").iterdir() if len(os.fsencode(p.name)) < 200]
    assert len(written) == len(readable) and all((out / name).is_file() for name in written)


def test_exemplars(world: World, run: Path, tmp_path: Path, capsys: Say) -> None:
    """Of readable ones each style; the first of the others ends the command, by name."""
    image = world.clean / "y" / "000.png"
    exemplars = sorted((world.clean / "x").iterdir())
    words = ["translate", run, image, "--to", "b", "--threads", 1]
    code, text = command(capsys, *words, "--out", tmp_path / "out", "--style-from", *exemplars)
    assert code == 0, text
    code, text = command(capsys, *words, "--out", tmp_path / "again", "--style", tmp_path / "out" / "styles.json")
    assert code == 0, text
    assert len(json.loads((tmp_path / "again" / "outputs.json").read_text())) == len(exemplars)
    translator = Translator.load(str(run), precision="float32", threads=1)
    from drit.inference.styles import StyleChoice, chosen_styles

    for name in world.refused:
        with pytest.raises(DataError, match="There is no image or folder|cannot be read|larger than|holds"):
            chosen_styles(translator, "b", StyleChoice(exemplars=[str(world.mixed / "x" / name)]))


def test_augment_probe_and_pack(world: World, run: Path, tmp_path: Path, capsys: Say) -> None:
    for words in (["augment", run, world.mixed, "--to", "a", "--times", 1, "--out", tmp_path / "x"],
                  ["probe", "--train", world.mixed, "--test", world.mixed]):  # fmt: skip
        code, text = command(capsys, *words)
        assert code == 2 and "images cannot be read" in text
    out = tmp_path / "augmented"
    code, text = command(capsys, "augment", run, world.clean, "--to", "a", "--times", 1, "--out", out, "--threads", 1)
    assert code == 1 and text.count("skipped:") == 1 and "nnnn" in text  # a name that no output's fits into
    again = [
        "augment",
        run,
        out,
        "--labels",
        out / "labels.csv",
        "--to",
        "a",
        "--times",
        1,
        "--out",
        tmp_path / "twice",
    ]
    code, text = command(capsys, *again)
    assert code == 0, text
    code, text = command(capsys, "probe", "--train", world.clean, "--test", world.clean, "--seeds", 1, "--epochs", 1,
                         "--width", 4)  # fmt: skip
    assert code == 0 and "accuracy" in text
    code, text = command(capsys, "data", "pack", world.clean, "--out", tmp_path / "packed")
    assert code == 0, text
    code, text = command(capsys, "data", "pack", world.mixed, "--out", tmp_path / "none")
    assert code in (1, 2) and ("ring.png" in text or "pipe.png" in text)


def test_evaluate(world: World, run: Path, tmp_path: Path, capsys: Say) -> None:
    protocol = tmp_path / "small.json"
    protocol.write_text(json.dumps(to_json(SMALL) | {"metrics": ["reconstruction"], "count": 3, "styles": 1}))
    words = ["evaluate", run, "--protocol", protocol, "--out", tmp_path / "out", "--threads", 1, "--data.a"]
    code, text = command(capsys, *words, world.clean / "y", "--data.b", world.clean / "x")
    assert code == 0, text
    code, text = command(capsys, *words, world.clean / "y", "--data.b", world.mixed / "x")
    assert code == 2 and "cannot be read" in text


def test_settings(tmp_path: Path, capsys: Say) -> None:
    for one in hostile.settings():
        path = tmp_path / one.name
        path.write_bytes(one.content)
        for words in (["train", "--out", tmp_path / "run"], ["doctor"]):
            code, text = command(capsys, *words, "--config", path)
            assert code in (1, 2) and len(text) < 6000, f"{one.name}: {code} {text}"
    assert not (tmp_path / "run").exists()


def test_protocols(tmp_path: Path, run: Path, capsys: Say) -> None:
    for name, content in hostile.DAMAGED.items():
        path = tmp_path / f"{name}.json"
        path.write_bytes(content)
        code, text = command(capsys, "evaluate", run, "--data.a", "x", "--data.b", "y", "--protocol", path)
        assert code == 2 and path.name in text, text


def test_styles(run: Path, tmp_path: Path) -> None:
    translator = Translator.load(str(run), precision="float32", threads=1)
    for one in hostile.styles(translator.method.capabilities.style_dim):
        path = tmp_path / one.name
        path.write_bytes(one.content)
        if one.outcome == hostile.READ:
            assert [style.name for style in read_styles(path, translator)] == ["x"]
            continue
        with pytest.raises(UsageError, match=path.stem):
            read_styles(path, translator)


@pytest.mark.parametrize("kind", ["pipe", "ring", "folder", "socket"])
def test_what_is_no_file(kind: str, run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: Say) -> None:
    """In every place that takes a file or folder: none waits for a pipe, none follows a ring."""
    odd, out = tmp_path / "odd", tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "ring":
        odd.symlink_to("odd")
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to("/dev/zero")
    a, b = folders
    for words in (
        ["train", "--config", odd, "--out", out],
        ["train", "--data.a", odd, "--data.b", b, "--out", out],
        ["train", "--resume", odd],
        ["train", "--data.a", a, "--data.b", b, "--start-from", odd, "--out", out],
        ["doctor", "--data.a", odd, "--data.b", b],
        ["data", "pack", odd, "--out", out],
        ["translate", odd, a, "--to", "b", "--out", out],
        ["translate", run, odd, "--to", "b", "--out", out],
        ["translate", run, a, "--to", "b", "--out", out, "--style", odd],
        ["translate", run, a, "--to", "b", "--out", out, "--style-from", odd],
        ["augment", run, odd, "--to", "b", "--times", 1, "--out", out],
        ["augment", run, a, "--labels", odd, "--to", "b", "--times", 1, "--out", out],
        ["probe", "--train", odd, "--test", odd],
        ["evaluate", run, "--data.a", odd, "--data.b", b],
        ["evaluate", run, "--data.a", a, "--data.b", b, "--protocol", odd],
        ["evaluate", run, "--data.a", a, "--data.b", b, "--features", f"domains:{odd}", "--out", out],
        ["compare", odd, run, "--data.a", a, "--data.b", b, "--out", out],
        ["report", odd],
        ["import", odd, "--out", out],
        ["export", odd, "--format", "safetensors", "--out", out],
        ["serve", odd],
        ["studio", odd],
    ):  # fmt: skip
        code, text = command(capsys, *words)
        assert code in (1, 2) and "odd" in text, f"{words}: {code} {text}"


def test_an_output_folder_that_leads_nowhere(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: Say
) -> None:
    (tmp_path / "ring").symlink_to("ring")
    a, b = folders
    for words in (
        ["translate", run, a, "--to", "b"],
        ["augment", run, a / "..", "--to", "b", "--times", 1],
        ["data", "pack", a],
        ["train", "--config", config(tmp_path), "--data.a", a, "--data.b", b],
    ):
        code, text = command(capsys, *words, "--out", tmp_path / "ring")
        assert code in (1, 2) and "ring" in text, f"{words}: {code} {text}"
