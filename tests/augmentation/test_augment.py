"""Augmentation: labels kept, the same bytes however the work is cut, what is refused, what the filter drops."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drit
from drit.augmentation import folders as folders_module
from drit.augmentation.augment import augment
from drit.augmentation.settings import AugmentSettings
from drit.augmentation.units import styles_of
from drit.cli import main as cli
from drit.data.images import decode, encode
from drit.data.labelled import open_labelled
from drit.errors import DritError, UsageError
from drit.inference import memory
from drit.inference import translator as translate_module
from drit.inference.translator import Translator
from drit.methods.registry import method_class
from drit.runs import checkpoint as files
from drit.training import launch as loop
from tests.conftest import tiny

LABELS = [3, 1, 3, 1, 1, 3, 1]


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images in a unit."""
    monkeypatch.setattr(translate_module, "CHUNK_PIXELS", 2 * 16 * 20)


@pytest.fixture
def array(tmp_path: Path) -> str:
    images = np.random.default_rng(0).integers(0, 256, (7, 16, 20)).astype(np.uint8)
    boxes = np.arange(14).reshape(7, 2)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array(LABELS, np.int16), boxes=boxes)
    return str(tmp_path / "a.npz")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Three images of two classes and two sizes, one with a mask, one with boxes."""
    rng = np.random.default_rng(1)
    for name, size in (("cat/x", (16, 20)), ("cat/y", (17, 18)), ("dog/x", (16, 20)), ("masks/cat/x", (16, 20))):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(rng.integers(0, 256, (*size, 1)).astype(np.uint8), path)
    (tmp_path / "set" / "dog" / "x.txt").write_text("0 0.5 0.5 1 1\n")
    return str(tmp_path / "set")


def work(translator: Translator, run: Path, data: str, out: Path, **options: Any) -> dict[str, Any]:
    settings = AugmentSettings(**{"to": "b", "times": 2, "seed": 4} | options)
    return augment(translator, files.find(run), open_labelled(data), settings, out)


def contents(out: Path) -> dict[str, bytes]:
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
    text = json.loads(found.pop("augment.json"))
    return found | {"settings": json.dumps({k: v for k, v in text.items() if k != "augmented"}).encode()}


def test_arrays(translator: Translator, run: Path, array: str, tmp_path: Path) -> None:
    """Each output is what the translator gives for that image and style; labels and other rows go along."""
    result = work(translator, run, array, tmp_path / "out")
    assert (result["outputs"], result["rendered"]) == (14, 14)
    made = np.load(result["augmented"])
    assert made["labels"].tolist() == np.repeat(LABELS, 2).tolist() and made["labels"].dtype == np.int16
    assert made["source"].tolist() == np.repeat(range(7), 2).tolist()
    assert made["repetition"].tolist() == [1, 2] * 7
    np.testing.assert_array_equal(made["boxes"], np.arange(14).reshape(7, 2).repeat(2, 0))
    source = np.load(array)["images"]
    for row in (0, 7, 13):
        alone = translator.translate(source[row // 2], "b", styles=torch.from_numpy(made["styles"][row])[None])[0]
        assert np.abs(made["images"][row].astype(int) - alone).max() <= 1
    assert len({s.tobytes() for s in made["styles"]}) == 14
    assert made["images"].shape == (14, 16, 20, 3) and made["images"].std(0).mean() > 0
    noted = json.loads((tmp_path / "out" / "augment.json").read_text())
    assert (noted["step"], len(noted["weights_sha256"]), noted["seed"]) == (6, 64, 4)
    assert not (tmp_path / "out" / "parts").exists()


@pytest.mark.parametrize("max_invention", [None, 0.7])
@pytest.mark.parametrize("kind", ["array", "folder"])
def test_parts_and_interruptions_give_the_same_bytes(
    kind: str, max_invention: float | None, translator: Translator, run: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    data = request.getfixturevalue(kind)
    work = partial(globals()["work"], max_invention=max_invention)
    work(translator, run, data, tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    out = tmp_path / "cut"
    first = work(translator, run, data, out, part=(2, 2))
    assert "outputs" not in first and 0 < first["rendered"]
    batch, calls = Translator.batch, []

    def stop_at_the_second(self: Translator, *arguments: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return batch(self, *arguments)

    monkeypatch.setattr(Translator, "batch", stop_at_the_second)
    if kind == "array":
        with pytest.raises(KeyboardInterrupt):
            work(translator, run, data, out, part=(1, 2))
    work(translator, run, data, out, part=(1, 2))
    last = work(translator, run, data, out)
    assert last["rendered"] == 0
    assert contents(out) == expected
    assert work(translator, run, data, out)["outputs"] == last["outputs"]  # done: nothing more to do


def test_work_of_an_earlier_version_goes_on(translator: Translator, run: Path, array: str, tmp_path: Path) -> None:
    """Its augment.json says pictures for images: finished work is recognised, other work still refused."""
    out = tmp_path / "out"
    work(translator, run, array, out, part=(1, 2))
    note = out / "augment.json"
    note.write_text(note.read_text().replace('"images"', '"pictures"'))
    result = work(translator, run, array, out)
    assert (result["outputs"], result["rendered"], result["images"]) == (14, 6, 7)
    assert "pictures" not in note.read_text()
    note.write_text(note.read_text().replace('"images": 7', '"pictures": 7'))
    again = work(translator, run, array, out)
    assert (again["outputs"], again["rendered"], again["images"]) == (14, 0, 7)
    note.write_text(note.read_text().replace('"pictures": 7', '"pictures": 8'))
    with pytest.raises(UsageError, match=r"images \(8 before, 7 now\)"):
        work(translator, run, array, out)


def test_a_class_may_be_named_as_the_parts_are(translator: Translator, run: Path, folder: str, tmp_path: Path) -> None:
    (Path(folder) / "dog").rename(Path(folder) / "parts")
    work(translator, run, folder, tmp_path / "out")
    assert (tmp_path / "out" / "parts" / "x_s001.png").is_file()


def test_more_repetitions_keep_the_first_ones(translator: Translator, run: Path, array: str, tmp_path: Path) -> None:
    few, many = (np.load(work(translator, run, array, tmp_path / str(k), times=k)["augmented"]) for k in (1, 3))
    first = many["repetition"] == 1
    np.testing.assert_array_equal(few["images"], many["images"][first])
    np.testing.assert_array_equal(few["styles"], many["styles"][first])
    other = np.load(work(translator, run, array, tmp_path / "other", times=1, seed=5)["augmented"])
    assert (other["styles"] != few["styles"]).all()


def test_folders(translator: Translator, run: Path, folder: str, tmp_path: Path) -> None:
    """The structure is kept, masks and boxes are copied, the sources kept on demand; the result is a labelled set."""
    out = tmp_path / "out"
    assert work(translator, run, folder, out, keep_source=True)["outputs"] == 9
    images = [f"{n}_s00{r}.png" for n in ("cat/x", "cat/y", "dog/x") for r in range(3)]
    made = open_labelled(str(out))
    assert [made.name(i) for i in range(9)] == images
    assert made.labels.tolist() == [0] * 6 + [1] * 3
    source = decode(Path(folder) / "cat" / "y.png")[0]
    np.testing.assert_array_equal(decode(out / "cat" / "y_s000.png")[0], np.repeat(source, 3, 2))
    mask = (Path(folder) / "masks" / "cat" / "x.png").read_bytes()
    assert (out / "masks" / "cat" / "x_s002.png").read_bytes() == mask
    assert (out / "dog" / "x_s001.txt").read_text() == "0 0.5 0.5 1 1\n"
    rows = list(csv.DictReader((out / "labels.csv").open()))
    assert [r["file"] for r in rows] == images
    assert (rows[1]["source"], rows[1]["repetition"], rows[1]["label"], rows[0]["style"]) == (
        "cat/x.png",
        "1",
        "cat",
        "",
    )
    style = torch.tensor([[float(v) for v in rows[1]["style"].split()]])
    alone = translator.translate(decode(Path(folder) / "cat" / "x.png")[0], "b", styles=style)[0]
    assert np.abs(decode(out / "cat" / "x_s001.png")[0].astype(int) - alone).max() <= 1
    np.testing.assert_allclose(style, styles_of(translator, "b", 0, 1, 4), rtol=1e-4)


def test_a_label_file_carries_its_columns(translator: Translator, run: Path, folder: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("file,label,who\ncat/x.png,1,Ann\ncat/y.png,2,Bo\ndog/x.png,1,Cy\n")
    data = open_labelled(folder, str(file))
    augment(translator, files.find(run), data, AugmentSettings("b", 1), tmp_path / "out")
    made = open_labelled(str(tmp_path / "out"), str(tmp_path / "out" / "labels.csv"))
    assert made.values.tolist() == ["1", "2", "1"] and made.beside["who"].tolist() == ["Ann", "Bo", "Cy"]


def test_a_damaged_image_is_named_and_left_out(translator: Translator, run: Path, folder: str, tmp_path: Path) -> None:
    path = Path(folder) / "cat" / "y.png"
    path.write_bytes(path.read_bytes()[:150])
    result = work(translator, run, folder, tmp_path / "out")
    assert list(result["skipped"]) == ["cat/y.png"] and result["outputs"] == 4


def test_an_image_whose_outputs_cannot_be_written_is_skipped_and_tried_again(
    translator: Translator, run: Path, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work ends, labels.csv has what is there; the same command again fills in what is missing."""
    work(translator, run, folder, tmp_path / "whole")
    expected = contents(tmp_path / "whole")

    def full(pixels: np.ndarray, path: Path, *others: Any) -> None:
        if path.name == "y_s002.png":
            raise DritError(f"Could not write {path}: No space left on device.")
        encode(pixels, path, *others)

    monkeypatch.setattr(folders_module, "encode", full)
    out = tmp_path / "out"
    result = work(translator, run, folder, out)
    assert list(result["skipped"]) == ["cat/y.png"] and "No space left" in result["skipped"]["cat/y.png"]
    assert result["outputs"] == 4 and not list(out.rglob("y_s*"))
    rows = list(csv.DictReader((out / "labels.csv").open()))
    assert [r["file"] for r in rows] == [f"{n}_s00{r}.png" for n in ("cat/x", "dog/x") for r in (1, 2)]
    monkeypatch.undo()
    monkeypatch.setattr(translate_module, "CHUNK_PIXELS", 2 * 16 * 20)
    again = work(translator, run, folder, out)
    assert (again["outputs"], again["rendered"], again["skipped"]) == (6, 2, {})
    assert contents(out) == expected
    assert work(translator, run, folder, out)["rendered"] == 0


def test_a_name_too_long_for_an_output_ends_nothing(
    run: Path, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(folder) / "cat" / "y.png").rename(Path(folder) / "cat" / ("y" * 248 + ".png"))
    words = ["augment", str(run), folder, "--to", "b", "--times", "2", "--out", str(tmp_path / "out"), "--json"]
    assert cli.main([*words, "--threads", "1"]) == 1
    output = capsys.readouterr()
    assert "File name too long" in output.err and json.loads(output.out)["outputs"] == 4
    assert len(list(csv.DictReader((tmp_path / "out" / "labels.csv").open()))) == 4


def test_an_image_that_is_too_large_is_skipped(
    translator: Translator, run: Path, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(np.zeros((40, 40, 1), np.uint8), Path(folder) / "cat" / "large.png")
    monkeypatch.setattr(memory, "CHECKED_PIXELS", 30 * 30)
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    result = work(translator, run, folder, tmp_path / "out")
    assert list(result["skipped"]) == ["cat/large.png"] and result["outputs"] == 6
    assert "The largest of its shape that fits is" in result["skipped"]["cat/large.png"]


def test_formats_that_cannot_hold_the_outputs(translator: Translator, run: Path, folder: str, tmp_path: Path) -> None:
    """16 bits under the name of a JPEG become a PNG, told once, beside x.png of the same class; JPEGs stay."""
    rng = np.random.default_rng(2)
    cat = Path(folder) / "cat"
    encode(rng.integers(0, 65536, (16, 20, 1)).astype(np.uint16), cat / "deep.png")
    (cat / "deep.png").rename(cat / "x.jpg")
    encode(rng.integers(0, 256, (16, 20, 1)).astype(np.uint8), cat / "y.jpg")
    out = tmp_path / "out"
    result = work(translator, run, folder, out, times=1)
    assert result["outputs"] == 5 and result["skipped"] == {}
    assert result["notes"] == [
        "1 file with another format than the ending says: content counts (x.jpg).",
        ".jpg holds 8 bits: 16-bit outputs are written as .png. (1)",
    ]
    names = sorted(p.name for p in (out / "cat").iterdir())
    assert names == ["x_2_s001.png", "x_s001.png", "y_s001.jpg", "y_s001.png"]
    depths = [decode(out / "cat" / name)[1].depth for name in names]
    assert sorted(depths[:2]) == [8, 16] and depths[2:] == [8, 8]
    assert len(open_labelled(str(out), str(out / "labels.csv"))) == 5


def test_format_and_depth_on_demand(translator: Translator, run: Path, folder: str, array: str, tmp_path: Path) -> None:
    work(translator, run, folder, tmp_path / "webp", format="webp")
    assert (tmp_path / "webp" / "dog" / "x_s002.webp").is_file()
    work(translator, run, folder, tmp_path / "deep", depth=16, keep_source=True)
    source = decode(Path(folder) / "cat" / "x.png")[0]
    kept = decode(tmp_path / "deep" / "cat" / "x_s000.png")[0]
    np.testing.assert_array_equal(kept, np.repeat(source.astype(np.uint16) * 257, 3, 2))
    deep = np.load(work(translator, run, array, tmp_path / "array", depth=16)["augmented"])["images"]
    plain = np.load(work(translator, run, array, tmp_path / "plain")["augmented"])["images"]
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - plain).max() <= 0.51
    with pytest.raises(UsageError, match=r"format \(webp before, None now\)"):
        work(translator, run, folder, tmp_path / "webp")
    with pytest.raises(UsageError, match="--format is for folders"):
        work(translator, run, array, tmp_path / "no", format="png")


def test_sixteen_bits(translator: Translator, run: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 65536, (3, 16, 20)).astype(np.uint16)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1, 0])
    made = np.load(work(translator, run, str(tmp_path / "a.npz"), tmp_path / "out", keep_source=True)["augmented"])
    assert made["images"].dtype == np.uint16 and len(np.unique(made["images"])) > 256
    np.testing.assert_array_equal(made["images"][3], np.repeat(images[1][:, :, None], 3, 2))
    assert made["repetition"].tolist() == [0, 1, 2] * 3 and (made["styles"][3] == 0).all()


def test_what_is_refused(translator: Translator, run: Path, array: str, folder: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    work(translator, run, array, out)
    with pytest.raises(UsageError, match=r"other settings: times \(2 before, 3 now\), seed \(4 before, 0 now\). Give"):
        work(translator, run, array, out, times=3, seed=0)
    with pytest.raises(UsageError, match="not empty and holds no augmentation"):
        work(translator, run, array, tmp_path)
    with pytest.raises(UsageError, match="is within the input folder"):
        work(translator, run, folder, Path(folder) / "out")
    for part in ((0, 2), (3, 2)):
        with pytest.raises(UsageError, match="give I/N with I from 1 to N"):
            work(translator, run, array, tmp_path / "new", part=part)
    with pytest.raises(UsageError, match="--times must be at least 1"):
        work(translator, run, array, tmp_path / "new", times=0)
    (out / "augment.json").write_text("{")
    with pytest.raises(UsageError, match="augment.json cannot be read"):
        work(translator, run, array, out)
    assert not (tmp_path / "new").exists()


def test_a_method_without_styles_gives_one_translation(folders: tuple[Path, Path], array: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    loop.train(tiny(*folders, method="cyclegan", steps=1), run)
    translator = drit.load(run, device="cpu", precision="float32", threads=1)
    with pytest.raises(UsageError, match="it has no styles; .* have. Use --times 1"):
        work(translator, run, array, tmp_path / "out")
    made = np.load(work(translator, run, array, tmp_path / "out", times=1)["augmented"])
    assert made["images"].shape == (7, 16, 20, 3) and made["styles"].shape == (7, 0)
    alone = translator.translate(np.load(array)["images"][5], "b")[0]
    assert np.abs(made["images"][5].astype(int) - alone).max() <= 1


def test_the_filter_drops_what_is_not_read_as_its_label(
    translator: Translator, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A translator that shows dark or bright by the label, but for two outputs, which are the wrong way round."""
    labels = np.arange(24) % 2
    images = np.repeat(labels[:, None, None] * 200, 16 * 20, 2).reshape(24, 16, 20).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    calls: list[int] = []

    def shown(self: Translator, x: torch.Tensor, styles: torch.Tensor, to: str) -> torch.Tensor:
        made = x.repeat(len(styles) // len(x), 3, 1, 1)
        if len(calls) in (2, 5):  # the second repetition of the first image of the unit: 4, of class 0, and 10
            made[2] = 200 / 127.5 - 1
        calls.append(1)
        return made + 0.05 * torch.randn(made.shape, generator=torch.Generator().manual_seed(len(calls)))

    monkeypatch.setattr(Translator, "batch", shown)
    result = work(translator, run, str(tmp_path / "a.npz"), tmp_path / "out", drop=True, keep_source=True)
    assert result["dropped"] == {"0": 2, "1": 0}
    made = np.load(result["augmented"])
    assert len(made["labels"]) == 24 * 3 - 2
    gone = {(4, 2), (10, 2)}
    assert not gone & set(zip(made["source"].tolist(), made["repetition"].tolist(), strict=True))
    assert (
        work(translator, run, str(tmp_path / "a.npz"), tmp_path / "out", drop=True, keep_source=True)["rendered"] == 0
    )


def test_the_filter_removes_files(
    translator: Translator, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drit.augmentation import filter as module

    for i in range(4):
        path = tmp_path / "set" / f"c{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(np.zeros((16, 20, 1), np.uint8), path)
        path.with_suffix(".txt").write_text("box")
    kept = np.array([1, 0, 1, 1, 1, 1, 1, 0], bool)
    monkeypatch.setattr(module, "classified_correctly", lambda *arguments: kept)
    out = tmp_path / "out"
    result = work(translator, run, str(tmp_path / "set"), out, drop=True)
    assert (result["outputs"], result["dropped"]) == (6, {"c0": 1, "c1": 1})
    assert not (out / "c0" / "0_s002.png").exists() and not (out / "c1" / "3_s002.txt").exists()
    assert len(list(csv.DictReader((out / "labels.csv").open()))) == len(open_labelled(str(out))) == 6


def test_the_command(run: Path, array: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["augment", str(run), array, "--to", "colour", "--times", "1", "--out", str(tmp_path / "out"), "--json"]
    assert cli.main([*words, "--threads", "1", "--part", "1/2"]) == 0
    assert json.loads(capsys.readouterr().out)["part"] == "1/2"
    assert cli.main([*words, "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == 7
    assert cli.main([*words, "--part", "half"]) == 2
    assert "--part half: give I/N, as in 1/4." in capsys.readouterr().err


def test_the_command_stopped(
    run: Path, array: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Translator, "batch", stop)
    words = ["augment", str(run), array, "--to", "b", "--times", "1", "--out", str(tmp_path / "out"), "--threads", "1"]
    assert cli.main(words) == 130
    assert "Give the same command again to go on." in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["array", "folder"])
def test_what_invents_the_most_is_dropped(
    kind: str, translator: Translator, run: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The worst 30 % of all translations, by the number that the map gives; sources stay; counts by class."""
    data = request.getfixturevalue(kind)
    result = work(translator, run, data, tmp_path / "out", times=3, keep_source=True, max_invention=0.7)
    count = 7 if kind == "array" else 3
    if kind == "array":
        made = np.load(result["augmented"])
        rows = list(zip(made["source"].tolist(), made["repetition"].tolist(), made["invention"].tolist(), strict=True))
        sources = list(np.load(data)["images"])
    else:
        table = list(csv.DictReader((tmp_path / "out" / "labels.csv").open()))
        sources = [decode(Path(data) / name)[0] for name in ("cat/x.png", "cat/y.png", "dog/x.png")]
        places = {"cat/x.png": 0, "cat/y.png": 1, "dog/x.png": 2}
        rows = [(places[r["source"]], int(r["repetition"]), float(r["invention"] or "nan")) for r in table]
        assert all((tmp_path / "out" / r["file"]).is_file() for r in table)
        assert len(list((tmp_path / "out").glob("*/?_s*.png"))) == len(table)
        assert not (tmp_path / "out" / ".invention").exists()
    every = []
    for i, source in enumerate(sources):
        codes = styles_of(translator, "b", i, 3, seed=4)
        every += [(i, 1 + j, v) for j, v in enumerate(translator.translate_map(source, "b", codes).invention)]
    limit = np.quantile([v for _, _, v in every], 0.7)
    assert result["invention_limit"] == pytest.approx(limit, rel=1e-3)
    kept = {(i, r): v for i, r, v in every if v <= limit * (1 + 1e-4)}
    assert {(i, r) for i, r, _ in rows if r} == set(kept)
    assert [i for i, r, _ in rows if r == 0] == list(range(count))
    assert all(np.isnan(v) if r == 0 else v == pytest.approx(kept[i, r], rel=1e-3) for i, r, v in rows)
    assert sum(result["dropped"].values()) == 3 * count - len(kept) > 0
    noted = json.loads((tmp_path / "out" / "augment.json").read_text())
    assert noted["max_invention"] == 0.7
    with pytest.raises(UsageError, match=r"max_invention \(0.7 before, 0.5 now\)"):
        work(translator, run, data, tmp_path / "out", times=3, keep_source=True, max_invention=0.5)


def test_invention_that_cannot_be_asked_for(
    translator: Translator, run: Path, array: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="give the share of translations to keep, from 0 to 1"):
        work(translator, run, array, tmp_path / "out", max_invention=64.0)
    one_way = Translator(
        method_class("bicyclegan")(tiny(*folders, method="bicyclegan"), {"a": 1, "b": 3}), {}, "cpu", "float32", 1
    )
    with pytest.raises(UsageError, match="--max-invention needs the way back, and this method does not translate to a"):
        work(one_way, run, array, tmp_path / "out", max_invention=0.9)
    assert not (tmp_path / "out").exists()
