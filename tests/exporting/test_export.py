"""`drit export --format onnx`: files, the record, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from drit.cli.main import main
from drit.errors import DritError, UsageError
from drit.exporting import check, onnx_layers
from drit.exporting.check import Runner
from drit.exporting.onnx import export_onnx, graphs_of
from drit.exporting.symbols import HANDLERS, Symbol
from drit.inference.translator import Translator
from drit.methods.registry import method_class
from tests.conftest import tiny


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graphs of the tiny run."""
    out = tmp_path_factory.mktemp("export") / "onnx"
    assert main(["export", str(run), "--format", "onnx", "--out", str(out), "--threads", "1"]) == 0
    return out


def untrained(name: str, folders: tuple[Path, Path]) -> Translator:
    torch.manual_seed(0)
    settings = tiny(*folders, method=name)
    domains = {"a": 3} if name == "infogan" else {"a": 3, "b": 3}
    return Translator(method_class(name)(settings, domains), {}, "cpu", "float32", threads=1)


def test_the_record_suffices_to_translate(exported: Path, run: Path) -> None:
    """An 8-bit image of odd sides, three styles and an exemplar's: the bytes of the translator, but for rounding."""
    record = json.loads((exported / "drit.json").read_text())
    direction = next(d for d in record["directions"] if d["to"] == "b")
    assert direction["from"] == "a" and record["run"]["method"] == "drit" and record["licence"] == "unknown"
    graphs = {part: Runner(exported / direction[part], 1) for part in ("content", "style", "render")}
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (37, 50, record["domains"]["a"]["channels"]), np.uint8)
    exemplar = rng.integers(0, 256, (40, 44, record["domains"]["b"]["channels"]), np.uint8)

    def prepared(pixels: np.ndarray) -> np.ndarray:
        multiple = record["image"]["sides_multiple_of"]
        more = [(0, -side % multiple) for side in pixels.shape[:2]]
        padded = np.pad(pixels, [*more, (0, 0)], mode="reflect")
        return (padded.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]

    translator = Translator.load(run, "cpu", "float32", threads=1)
    styles = np.concatenate([translator.sample(3, "b").numpy(), graphs["style"](image=prepared(exemplar))["styles"]])
    images = graphs["render"](**graphs["content"](image=prepared(image)), styles=styles)["images"]
    made = np.rint(np.clip((images + 1) * 127.5, 0, 255)).astype(np.uint8)[:, :, :37, :50].transpose(0, 2, 3, 1)
    random = translator.translate(image, "b", styles=3)
    for ours, theirs in zip([*random, *translator.translate(image, "b", style_from=exemplar)], made, strict=True):
        assert int(np.abs(ours.astype(int) - theirs).max()) <= 1


def test_the_record_tells_files_and_differences(exported: Path) -> None:
    record = json.loads((exported / "drit.json").read_text())
    files = {path.name: path.stat().st_size for path in exported.glob("*.onnx")}
    assert {name: graph["bytes"] for name, graph in record["graphs"].items()} == files
    assert set(files) == {
        "content_a_to_b.onnx", "content_b_to_a.onnx", "style_a.onnx", "style_b.onnx", "render_a.onnx", "render_b.onnx",
    }  # fmt: skip
    checked = record["checked"]
    assert len(checked["sizes"]) == 3 and set(checked["max_difference"]) == {"images", "styles"}
    assert 0 < checked["max_difference"]["images"] < 1e-3
    assert record["graphs"]["render_b.onnx"]["inputs"]["styles"] == ["styles", 3]


def test_graphs_that_are_the_same_for_all_directions_share_a_file(folders: tuple[Path, Path]) -> None:
    """DRIT++ has one content encoder and one generator; the domain enters where a style is taken or rendered."""
    made = graphs_of(untrained("drit++", folders))
    assert set(made.files) == {"content.onnx", "style_a.onnx", "style_b.onnx", "render_a.onnx", "render_b.onnx"}
    assert [d["content"] for d in made.directions] == ["content.onnx"] * 2


@pytest.mark.parametrize("name, parts", [("unit", ["translate"]), ("cyclegan-noise", ["content", "render"])])
def test_methods_have_the_graphs_that_they_can(name: str, parts: list[str], folders: tuple[Path, Path]) -> None:
    made = graphs_of(untrained(name, folders), "b")
    assert [list(d) for d in made.directions] == [["from", "to", *parts]]


def test_parts_that_a_method_lacks_are_refused(folders: tuple[Path, Path]) -> None:
    for name, part, why in (
        ("unit", "style", "unit takes no style from an image. Its graphs: translate"),
        ("unit", "render", "unit has no styles: one graph translates"),
        ("cyclegan-noise", "style", "cyclegan-noise takes no style from an image. Its graphs: content, render"),
        ("munit", "translate", "munit has styles: the graphs are apart"),
    ):
        with pytest.raises(UsageError, match=why):
            graphs_of(untrained(name, folders), "b", [part])
    with pytest.raises(UsageError, match="infogan draws images from codes and translates none"):
        graphs_of(untrained("infogan", folders))
    with pytest.raises(UsageError, match="does not translate to a"):
        graphs_of(untrained("pix2pix", folders), "a")


def test_one_part_of_one_direction(run: Path, tmp_path: Path) -> None:
    record = export_onnx(run, tmp_path / "out", "a", ["render"], "cc-by-4.0", threads=1)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["drit.json", "render_a.onnx"]
    assert record["licence"] == "cc-by-4.0"


def test_convolutions_in_8_bits(run: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The loss that is told is that of the files; weights take a quarter."""
    out = tmp_path / "out"
    words = ["export", str(run), "--format", "onnx", "--out", str(out), "--threads", "1"]
    assert main([*words, "--int8", "--to", "b"]) == 0
    told = float(re.search(r"outputs of a to b by (\S+) of 255", capsys.readouterr().out).group(1))  # type: ignore[union-attr]
    record = json.loads((out / "drit.json").read_text())
    assert record["int8"] == {"part": "content", "mean_difference_of_255": {"a to b": pytest.approx(told, abs=0.005)}}
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 1, 32, 36)).astype(np.float32)
    styles = rng.standard_normal((2, 3)).astype(np.float32)
    render = Runner(out / "render_b.onnx", 1)
    whole, rounded = (
        render(**Runner(folder / "content_a_to_b.onnx", 1)(image=image), styles=styles)["images"]
        for folder in (exported, out)
    )
    change = 127.5 * float(np.abs(whole - rounded).mean())
    assert 0 < change < 5 and 0.1 * told < change < 10 * told
    assert (out / "content_a_to_b.onnx").stat().st_size < 1.5 * (exported / "content_a_to_b.onnx").stat().st_size


def test_8_bits_where_they_cannot_be(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--int8 is for the graph `content`"):
        graphs_of(untrained("unit", folders), "b", int8=True)
    with pytest.raises(UsageError, match="has no convolutions"):
        graphs_of(untrained("bicyclegan", folders), "b", int8=True)
    moved = untrained("munit", (tmp_path / "gone", tmp_path / "gone too"))
    with pytest.raises(UsageError, match="--int8 reads images of the run's domain a.*gone"):
        graphs_of(moved, "b", int8=True)


def test_graphs_that_differ_from_the_run_are_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slightly_wrong(x: Symbol) -> Symbol:
        return onnx_layers._written(x, "Tanh") * 1.01

    monkeypatch.setitem(HANDLERS, torch.tanh, slightly_wrong)
    with pytest.raises(DritError, match=r"graphs of b to a do not.*images differ by up to 0\.00\d+, more than 0\.001"):
        export_onnx(run, tmp_path / "out", "a", threads=1)
    assert not list(tmp_path.iterdir())


def test_a_number_that_is_not_finite_is_a_difference() -> None:
    with pytest.raises(DritError, match="differ by up to inf"):
        check.refuse_worse("a to b", {"styles": 0.0, "images": float("inf")}, check.TOLERANCE)


def test_wrong_use(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    out = ["--out", str(tmp_path / "out")]
    for words, code, message in (
        (["--format", "onnx", "--out", str(tmp_path / "full")], 2, "exists and is not empty"),
        (["--format", "onnx", *out, "--to", "winter"], 2, "There is no domain 'winter'"),
        (["--format", "safetensors", *out, "--parts", "style"], 2, "--parts is for --format onnx"),
    ):
        assert main(["export", str(run), *words]) == code
        assert message in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), "--format", "onnx", *out]) == 1
    assert "There is no run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_packages_that_are_missing_are_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", str(run), "--format", "onnx", "--out", str(tmp_path / "out")]) == 2
    assert "onnx, onnxruntime. Install them: pip install 'drit[export]'" in capsys.readouterr().err
