"""The styles that people keep beside a run: over HTTP, and by `--style FILE:NAME`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from drit.cli import main as cli
from drit.errors import DritError, UsageError
from drit.runs.library import KeptStyle, StyleLibrary
from drit.runs.reading import DamagedError

Say = pytest.CaptureFixture[str]


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    library = StyleLibrary(tmp_path / "checkpoints" / "step_00000001")
    assert library.styles() == []
    library.keep("snow", "b", [0.1, -2.5])
    library.keep("été 2", "a", [1.0])
    assert library.path == tmp_path / "styles.json"
    assert library.styles() == [KeptStyle("snow", "b", [0.1, -2.5]), KeptStyle("été 2", "a", [1.0])]
    library.remove("snow")
    assert [style.name for style in StyleLibrary(tmp_path / "checkpoints" / "step_00000001").styles()] == ["été 2"]
    with pytest.raises(UsageError, match="no style 'snow'"):
        library.remove("snow")


def test_tags(tmp_path: Path) -> None:
    """They come back; a file without them is read, and one with them by versions that do not know them."""
    library = StyleLibrary(tmp_path / "checkpoints" / "step_00000001")
    library.path.write_text('{"styles": {"snow": [0.5], "rain": [1.0]}, "domains": {"snow": "b", "rain": "b"}}')
    library.tag("snow", ["cold", "white", "cold"])
    assert [(s.name, list(s.tags)) for s in library.styles()] == [("snow", ["cold", "white"]), ("rain", [])]
    content = json.loads(library.path.read_text())
    assert content["tags"] == {"snow": ["cold", "white"]} and content["styles"] == {"snow": [0.5], "rain": [1.0]}
    library.remove("rain")
    library.tag("snow", [])
    assert "tags" not in json.loads(library.path.read_text())
    for wrong in (["a,b"], [""], [" x"], ["x" * 41], [str(i) for i in range(21)]):
        with pytest.raises(UsageError, match="tag"):
            library.tag("snow", wrong)
    with pytest.raises(UsageError, match="no style 'rain'"):
        library.tag("rain", ["wet"])
    library.path.write_text('{"styles": {"x": [1]}, "domains": {"x": "b"}, "tags": {"x": "cold"}}')
    with pytest.raises(DamagedError, match="'tags'"):
        library.styles()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    library = StyleLibrary(tmp_path / "gone" / "checkpoints" / "step_00000001")
    with pytest.raises(DritError, match="Could not write"):
        library.keep("snow", "b", [0.1])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"styles": {"x": [1]}, "domains": {}}', '{"styles": {"x": [NaN]}, "domains": {"x": "b"}}']
)
def test_a_file_that_is_no_library(tmp_path: Path, text: str) -> None:
    library = StyleLibrary(tmp_path / "checkpoints" / "step_00000001")
    library.path.write_text(text)
    with pytest.raises(DamagedError, match=r"styles\.json"):
        library.styles()
    with pytest.raises(DamagedError):
        library.keep("y", "b", [1.0])
    assert library.path.read_text() == text  # nothing is lost


def test_one_style_of_a_file(run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "styles.json").write_text(json.dumps({"styles": {"snow": [0.1, 0.2, 0.3], "rain": [1, 2, 3]}}))
    image = sorted(folders[0].iterdir())[0]
    words = ["translate", str(run), str(image), "--to", "b", "--threads", "1", "--style"]
    assert cli.main([*words, f"{tmp_path}/styles.json:rain", "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "styles.json").read_text())["styles"] == {"rain": [1, 2, 3]}
    assert cli.main([*words, f"{tmp_path}/styles.json:rian", "--out", str(tmp_path / "out")]) == 2
    assert "has no style 'rian'. Did you mean 'rain'?" in capsys.readouterr().err


def test_the_library_refuses_what_it_cannot_keep(tmp_path: Path, run: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    from fastapi.testclient import TestClient

    from drit.serving.api import create_app
    from drit.serving.served import ServedRuns
    from drit.serving.settings import ServeSettings

    app = create_app(ServedRuns.load([str(copy)], threads=1), ServeSettings(), studio=True)
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def keep(name: str = "x", numbers: str = "[1, 2, 3]", domain: str = "b") -> Any:
            return client.post("/v1/library", data={"name": name, "numbers": numbers, "domain": domain})

        names = ("../x", " x", "a\nb", "x" * 81, ".x", "a:b")
        numbers = ("[1, 2]", "[1, 2, null]", "[", "[1, 2, Infinity]")
        every = [{"name": n} for n in names] + [{"numbers": n} for n in numbers] + [{"domain": "c"}]
        for wrong in every:
            answer = keep(**wrong)
            assert answer.status_code == 422 and answer.json()["next"], wrong
        assert not (copy / "styles.json").exists()
        assert keep().status_code == 201
        assert "already" in keep().json()["error"]
        assert client.delete("/v1/library", params={"name": "y"}).status_code == 422
        foreign = {"Origin": "https://evil.example"}
        assert client.post("/v1/library", data={"name": "z"}, headers=foreign).status_code == 403
        (copy / "styles.json").write_text('{"styles": {"x": ["a"]}, "domains": {"x": "b"}}')
        damaged = client.get("/v1/library")
        assert damaged.status_code == 500 and "styles.json" in damaged.json()["error"]
        (copy / "styles.json").write_text("")
        assert client.get("/v1/library").status_code == 500
        assert client.get("/v1/runs").json()["runs"][0]["path"] == str(copy)
