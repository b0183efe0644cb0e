"""The experiments' data and measurements, on arrays made here."""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drit.data.images import encode
from drit.data.labelled import LabelledSet
from drit.errors import DataError, UsageError
from drit.inference.translator import Translator
from drit.methods.registry import method_for
from drit.runs.record import recorded_settings
from drit.training.launch import affordable
from experiments import adaptation, gpu_plan, infogan, invention, levers, mnist_m
from experiments.suite import SUITES, Suite, configured, contact_sheet, over_seeds
from experiments.suite import train as train_member


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of the experiments' layout: six digits each, two photographs."""
    rng = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist_m").mkdir()
    arrays, crops = {}, {}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (6, 28, 28)).astype(np.uint8)
        arrays[f"{part}_labels"] = np.arange(6) % 3
        crops |= {f"{part}_files": np.array(["0.png", "1.png"]), f"{part}_photo": np.arange(6) % 2}
        crops |= {f"{part}_y": np.arange(6), f"{part}_x": np.arange(6) * 2}
        for i in range(2):
            folder = tmp_path / "bsds500" / part
            folder.mkdir(parents=True, exist_ok=True)
            encode(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8), folder / f"{i}.png")
    np.savez(tmp_path / "mnist" / "mnist.npz", **arrays)
    np.savez(tmp_path / "mnist_m" / "crops.npz", **crops)
    return tmp_path


def test_the_recipe_of_mnist_m(data: Path) -> None:
    from drit.data.images import decode

    made = mnist_m.make(data)
    digits_ = np.load(data / "mnist" / "mnist.npz")
    photograph = decode(data / "bsds500" / "train" / "1.png")[0].astype(int)
    expected = np.abs(photograph[3:31, 6:34] - digits_["train_images"][3].astype(int)[:, :, None])
    np.testing.assert_array_equal(made["train_images"][3], expected)
    assert made["test_images"].shape == (6, 28, 28, 3)
    np.testing.assert_array_equal(made["test_labels"], digits_["test_labels"])
    assert (
        mnist_m.blend(np.full((1, 2, 2), 255, np.uint8), [np.zeros((2, 2, 3), int)], np.zeros((1, 3), int)).min() == 255
    )
    with pytest.raises(DataError, match=r"There is no .*mnist.npz"):
        mnist_m.make(data / "nowhere")


def test_domain_adaptation(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows, each with as many iterations; a second call keeps the rows that are there."""
    out = data / "out"
    words = ["--data", str(data), "--run", str(run), "--out", str(out), "--seeds", "2", "--passes", "6", "--width", "4"]
    assert adaptation.main([*words, "--threads", "1", "--rows", "x1", "source"]) == 0
    first = json.loads((out / "adaptation.json").read_text())["rows"]
    assert list(first) == ["source", "x1"]
    monkeypatch.setattr(adaptation, "ROWS", ("source", "x1", "x2", "x3", "target"))
    assert adaptation.main([*words, "--threads", "1", "--rows", "x1", "x2", "x3", "target"]) == 0
    rows = json.loads((out / "adaptation.json").read_text())["rows"]
    assert {name: (row["train"], row["epochs"]) for name, row in rows.items()} == {
        "source": (6, 6), "x1": (6, 6), "x2": (12, 3), "x3": (18, 2), "target": (6, 6)
    }  # fmt: skip
    assert rows["x1"] == first["x1"]
    assert all(len(row["accuracies"]) == len(row["accuracies_without_unlabelled"]) == 2 for row in rows.values())
    assert (out / "table.md").read_text() in capsys.readouterr().out
    assert adaptation.main([*words, "--out", f"{out}2", "--threads", "1", "--rows", "x1", "--self-training", "1"]) == 0
    (line,) = (data / "out2" / "table.md").read_text().splitlines()[2:]
    row = json.loads((data / "out2" / "adaptation.json").read_text())["rows"]["x1"]
    assert row["accuracies_without_self_training"] == rows["x1"]["accuracies"]
    assert line.endswith(f"{100 * row['accuracy']:.2f} +- {100 * row['std']:.2f} |") and line.count("+-") == 3
    few = ["--out", f"{out}3", "--threads", "1", "--labelled", "4", "--rows", "x1", "target"]
    assert adaptation.main([*words, *few]) == 0
    rows = json.loads((data / "out3" / "adaptation.json").read_text())["rows"]
    assert {name: (row["train"], row["epochs"]) for name, row in rows.items()} == {"x1": (6, 6), "target": (4, 9)}
    assert adaptation.main([*words, "--passes", "5"]) == 2
    assert "has rows with other settings" in capsys.readouterr().err


def test_a_few_labels_are_of_all_classes() -> None:
    images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    labels = np.array([0] * 10 + [1] * 8 + [2] * 2)
    chosen = adaptation.some(LabelledSet("x", labels, ["0", "1", "2"], labels, [], 1, "", array=images), 7, 3)
    assert sorted(chosen.labels.tolist()) in ([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 2, 2])
    assert labels[chosen.images.flatten().numpy()].tolist() == chosen.labels.tolist()
    assert len(set(chosen.images.flatten().tolist())) == 7


def test_a_suite_trains_its_members_once(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """Equal steps, or as many as the time allows; a finished run is kept, an unfinished one goes on."""
    flags = (
        "--preset digits --batch 2 --data.resize 20 --data.crop 16 --network.width 4 "
        "--network.discriminator-width 4 --log.sample-every 0"
    )
    data = tuple(str(f.relative_to(f.parents[0])) for f in folders)
    suite = Suite((data[0], data[1]), flags, {"plain": "", "cyclegan": "--method cyclegan"})
    root = folders[0].parents[0]
    assert train_member(suite, "cyclegan", 3, root, tmp_path, 0, 2)
    run = tmp_path / "cyclegan-3"
    recorded = recorded_settings(run)
    assert (recorded.method, recorded.seed, recorded.steps, recorded.threads) == ("cyclegan", 3, 2, 1)
    before = (run / "metrics.jsonl").stat().st_mtime_ns
    assert train_member(suite, "cyclegan", 3, root, tmp_path, 0, 2)
    assert (run / "metrics.jsonl").stat().st_mtime_ns == before
    config = replace(recorded, steps=100)
    ticks = itertools.count()
    assert affordable(config, 60.0, lambda: 60.0 * next(ticks)) == 50  # at least
    assert affordable(config, 6000.0, lambda: 60.0 * next(ticks)) == 600  # six iterations took 60 s


def test_infogan_is_judged_by_what_it_reads_and_draws(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "--steps 2 --batch 4 --network.width 4 --network.discriminator-width 4"
    monkeypatch.setattr(infogan, "MEMBERS", {"plain": small, "warped": f"{small} --network.category-warp 0.3"})
    monkeypatch.setattr(infogan, "DRAWN", 3)
    words = [
        "--mnist",
        str(data / "mnist" / "mnist.npz"),
        "--out",
        str(tmp_path / "out"),
        "--seeds",
        "2",
        "--jobs",
        "2",
    ]
    assert infogan.main(words) == 0
    found = json.loads((tmp_path / "out" / "infogan.json").read_text())
    assert list(found) == ["plain-0", "warped-0", "plain-1", "warped-1"]
    one = found["warped-1"]
    assert np.sum(one["read_counts"]) == 6 and np.sum(one["drawn_counts"], axis=1).tolist() == [3] * 10
    assert 0 <= one["drawn_error_percent"] <= 100
    table = (tmp_path / "out" / "table.md").read_text()
    assert len(table.splitlines()) == 4 and table in capsys.readouterr().out
    before = (tmp_path / "out" / "plain-0" / "metrics.jsonl").stat().st_mtime_ns
    assert infogan.main([*words, "--only", "plain"]) == 0
    assert (tmp_path / "out" / "plain-0" / "metrics.jsonl").stat().st_mtime_ns == before
    assert infogan.main(["--only", "plian"]) == 2 and "Did you mean 'plain'" in capsys.readouterr().err


def test_levers(tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every member is trained on every set and compared; a second call trains nothing anew."""
    small = "--preset digits --batch 2 --network.width 4 --network.discriminator-width 4"
    small += " --data.crop 16 --log.sample-every 0"
    monkeypatch.setattr(levers, "FLAGS", small)
    monkeypatch.setattr(levers, "MEMBERS", {"today": "", "plain": "--loss.kl 0"})
    monkeypatch.setattr(levers, "SETS", {"set": (*map(str, folders), "--data.resize 20")})
    compared = []
    monkeypatch.setattr(levers, "compare", lambda suite, runs, data, out, features: compared.append((runs, out)) or 0)
    monkeypatch.setattr("experiments.suite.loop.affordable", lambda config, seconds, clock: 2)
    words = ["levers", "--data", str(tmp_path), "--out", str(tmp_path), "--features", "domains", "squeezenet:x"]
    monkeypatch.setattr("sys.argv", words)
    assert levers.main() == 0
    runs = [tmp_path / "set" / name for name in ("today-0", "plain-0")]
    kinds = ("comparison_domains", "comparison_squeezenet")
    assert compared == [(runs, tmp_path / "set" / kind) for kind in kinds]
    assert [recorded_settings(run).loss.kl for run in runs] == [0.01, 0.0]  # type: ignore[attr-defined]
    before = [(run / "metrics.jsonl").stat().st_mtime_ns for run in runs]
    assert levers.main() == 0
    assert [(run / "metrics.jsonl").stat().st_mtime_ns for run in runs] == before
    monkeypatch.setattr("sys.argv", [*words, "--sets", "sett"])
    assert levers.main() == 2


def test_members_are_told_over_their_seeds() -> None:
    """Mean and standard deviation by hand; iterations differ, and a number may be missing in one direction."""

    def run(step: int, kid: float) -> dict[str, Any]:
        grid = {"grid_energy": {"value": 2.0}, "truth": None}
        return {"run": {"step": step}, "to": {"b": {"kid": {"value": kid}, **grid}, "a": {"kid": {"value": kid / 2}}}}

    table = over_seeds({"today-0": run(600, 0.1), "film-16-0": run(7, 0.3), "today-1": run(650, 0.3)})
    assert table.splitlines()[2:] == [
        "| today | 2 | 600, 650 | 200 +- 141 / 100 +- 70.7 | - / - | 2 +- 0 / - | - / - | - / - | - / - |",
        "| film-16 | 1 | 7 | 300 / 150 | - / - | 2 / - | - / - | - / - | - / - |",
    ]


def test_the_sheet_has_a_row_for_each_run(run: Path, folders: tuple[Path, Path]) -> None:
    image = contact_sheet({"one": run, "two": run}, [str(f) for f in folders])
    single = contact_sheet({"one": run}, [str(f) for f in folders])
    assert image.width == single.width and image.height > 1.8 * single.height


def test_every_member_of_every_suite_is_a_configuration() -> None:
    for suite in (*SUITES.values(), *map(levers.suite_of, levers.SETS)):
        for flags in suite.members.values():
            method_for(configured(f"{suite.flags} {flags}".split()))


def test_the_area_under_roc_is_the_share_of_pairs_in_order() -> None:
    """3 beats 1 and 2, 1.5 beats 1 alone, and 2 draws with 2: (2 + 1 + 1 + 0.5) / 6 pairs."""
    numbers, wrong = np.array([1.0, 2.0, 3.0, 1.5, 2.0]), np.array([False, False, True, True, True])
    assert invention.area_under_roc(numbers, wrong) == pytest.approx((2 + 1 + 1.5) / 6)


def test_invention_is_measured(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name, channels in (("a", 1), ("b", 3), ("test_a", 1), ("test_b", 3)):
        images = rng.integers(0, 256, (20, 16, 16, channels)).astype(np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(20) % 2)
    assert invention.main([str(run), "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1:3] for line in lines[2:]] == [["a to b", "100"], ["b to a", "100"]]


@pytest.mark.slow
def test_the_plan_for_a_gpu_trains_brings_weights_in_parts_and_joins_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    rng = np.random.default_rng(0)
    for folder in ("trainA", "trainB", "testA", "testB"):
        (data / "cat2dog" / folder).mkdir(parents=True)
        for i in range(2):
            encode(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8), data / "cat2dog" / folder / f"{i}.png")
    sizes = "--network.width 4 --network.style-dim 2 --network.attribute-width 4 --network.discriminator-width 4"
    flags = f"{sizes} --data.resize 32 --data.crop 32 --batch 1 --threads 1"
    values = argparse.Namespace(
        data=data,
        runs=tmp_path / "runs",
        out=tmp_path / "out",
        device="cpu",
        steps=2,
        flags=flags,
        minutes=2.0,
        skip=["benchmark"],
    )
    plan = gpu_plan.Plan(values)
    plan.once("benchmark", ["-c", ""])
    assert "benchmark" not in plan.state
    plan.once("tests", ["-c", "raise SystemExit(3)"])
    plan.once("tests", ["-c", "raise SystemExit(0)"])  # done already: its exit code stays
    assert json.loads(plan.state_file.read_text())["tests"] == 3
    plan.train("cat2dog")
    assert (tmp_path / "out" / "cat2dog.png").is_file(), (tmp_path / "out" / "train-cat2dog.txt").read_text()
    monkeypatch.setattr(gpu_plan, "PART", 100_000)
    first, second = tmp_path / "out", tmp_path / "second"
    plan.bring_weights()
    with pytest.raises(UsageError, match="Parts are missing"):
        gpu_plan.join([first], tmp_path / "incomplete")
    x = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    packed = Translator.load(tmp_path / "runs" / "cat2dog", "cpu").translate(x, "b", styles=1)
    plan.steps = 4  # the next call trains before it brings more
    plan.train("cat2dog")
    plan.out = second
    second.mkdir()
    while len(list(second.glob("*-part_*"))) + 2 < len(list((tmp_path / "runs" / "bring-cat2dog").glob("*-part_*"))):
        plan.bring_weights()
    assert {path.name.split("-")[1] for path in second.glob("*-part_*")} == {"2"}  # not of iteration 4
    gpu_plan.join([first, second], tmp_path / "joined")
    joined = Translator.load(tmp_path / "joined", "cpu").translate(x, "b", styles=1)
    np.testing.assert_array_equal(joined[0], packed[0])
    plan.bring_weights()
    assert any(path.name.startswith("cat2dog-4-") for path in second.glob("*-part_*"))
