"""One rule for every command that writes: not into what it reads, and over nothing that the program did not write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drit.cli import main as cli
from drit.errors import UsageError
from drit.inference import outputs
from tests.conftest import write_images
from tests.methods.test_infogan import digits, drawn  # noqa: F401 (fixtures)

ENTRY = {"input": "x.png", "style": "style001", "domain": "b"}


def test_what_is_known_for_own(tmp_path: Path) -> None:
    assert outputs.own_files(tmp_path) == set()
    (tmp_path / "x_style001.png").write_bytes(b"")
    outputs.note(tmp_path, {"x_style001.png": ENTRY})
    assert outputs.own_files(tmp_path) == {"outputs.json", "x_style001.png", "sheet.png", "styles.json"}
    outputs.note(tmp_path, {"y_style001.png": ENTRY})  # what is gone is no longer known, what is there is
    (tmp_path / "x_style001.png").unlink()
    outputs.note(tmp_path, {"z_style001.png": ENTRY})
    assert list(json.loads((tmp_path / "outputs.json").read_text())) == ["z_style001.png"]


@pytest.mark.parametrize("content", ["{", "[1]", '{"x": 3}', '{"x": {"y": 1}}'])
def test_an_outputs_json_of_others_is_a_file_of_others(tmp_path: Path, content: str) -> None:
    (tmp_path / "outputs.json").write_text(content)
    with pytest.raises(UsageError, match="does not name as outputs: outputs.json"):
        outputs.check_free(tmp_path, ["x.png"], overwrite=False)
    outputs.check_free(tmp_path, ["x.png"], overwrite=True)


def evaluate(run: Path, a: Path, b: Path, *words: object) -> int:
    data = ["evaluate", run, "--data.a", a, "--data.b", b, "--metrics", "reconstruction", "--count", 2, "--styles", 1]
    return cli.main([str(w) for w in (*data, *words, "--threads", 1)])


def test_evaluate(run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(run, *folders, "--out", folders[1] / "page") == 2
    assert "is within the input folder" in capsys.readouterr().err and not (folders[1] / "page").exists()
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine")
    assert evaluate(run, *folders, "--out", out) == 2
    assert "does not name as outputs: index.html" in capsys.readouterr().err
    assert (out / "index.html").read_text() == "mine"
    assert evaluate(run, *folders, "--out", out, "--overwrite") == 0
    assert evaluate(run, *folders, "--out", out) == 0  # its own
    (out / "outputs.json").unlink()
    assert evaluate(run, *folders, "--out", out) == 0  # as of a version that wrote no outputs.json


def test_sample(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    out = tmp_path / "out"
    out.mkdir()
    (out / "category.png").write_bytes(b"mine")
    words = ["sample", str(drawn), "--count", "2", "--threads", "1", "--out"]
    assert cli.main([*words, str(out)]) == 2
    assert "does not name as outputs: category.png" in capsys.readouterr().err
    assert (out / "category.png").read_bytes() == b"mine"
    assert cli.main([*words, str(out), "--overwrite"]) == 0
    assert cli.main([*words, str(out)]) == 0
    assert "category.png" in json.loads((out / "outputs.json").read_text())


def test_augment(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_images(tmp_path / "set" / "class", 2, 1).parent
    words = ["augment", str(run), str(folder), "--to", "b", "--times", "1", "--threads", "1", "--out"]
    assert cli.main([*words, str(folder / "out")]) == 2
    assert "is within the input folder" in capsys.readouterr().err
    out = tmp_path / "out"
    out.mkdir()
    (out / "labels.csv").write_text("mine")
    assert cli.main([*words, str(out)]) == 2
    assert (out / "labels.csv").read_text() == "mine"
