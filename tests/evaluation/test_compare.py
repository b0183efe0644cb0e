"""Runs under one protocol: one table, results kept, and what cannot stand beside each other is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drit.cli import main as cli
from drit.data.images import decode, encode, to_tensor
from drit.data.transforms import centre_crop, resize
from drit.errors import UsageError
from drit.evaluation import comparison as compare
from drit.evaluation import measure, seeds
from drit.inference.translator import Translator
from drit.reports import comparison as comparison_page
from drit.training import launch as loop
from tests.conftest import tiny, write_images
from tests.evaluation.test_evaluate import SMALL, old_names

PROTOCOL = replace(SMALL, count=6, learn=20)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three runs of two methods on the same images; test images of b are the negatives of those of a."""
    root = tmp_path_factory.mktemp("compare")
    train = [str(write_images(root / d, 6, 3, seed=i)) for i, d in enumerate(("trainA", "trainB"))]
    test = {"a": str(write_images(root / "testA", 6, 3, seed=5)), "b": str(root / "testB")}
    (root / "testB").mkdir()
    for path in (root / "testA").iterdir():
        stretched = resize(255 - decode(path)[0], 24, 36)  # of the same scene, wider
        encode(stretched, root / "testB" / path.name)
    copies = [shutil.copytree(path, f"{path}_copy") for path in train]  # the same images elsewhere
    runs = {}
    for name, method, seed, (a, b) in (
        ("drit", "drit", 0, train),
        ("other", "drit", 1, copies),
        ("cyclegan", "cyclegan", 0, train),
    ):
        config = tiny(a, b, method, seed=seed, steps=2)
        loop.train(config, root / name)
        runs[name] = root / name
    protocol = root / "small.json"
    from drit.evaluation.protocol import to_json

    protocol.write_text(json.dumps(to_json(PROTOCOL)))
    return {"root": root, "train": train, "test": test, "runs": runs, "protocol": str(protocol)}


def test_the_command(world: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "comparison"
    words = ["compare", *map(str, world["runs"].values()), "--data.a", world["test"]["a"], "--data.b"]
    words += [world["test"]["b"], "--protocol", world["protocol"], "--out", str(out), "--threads", "1"]
    assert cli.main(words) == 0
    table = (out / "table.md").read_text()
    assert [f"| {name} |" in table for name in world["runs"]] == [True] * 3
    assert "**To b**" in table and "**To a**" in table and "**Cost**" in table
    page = (out / "index.html").read_text()
    assert page.count("<img") == 2 * compare.INPUTS and "Realism and diversity, to b" in page
    families = json.loads((out / "comparison.json").read_text())["families"]
    assert {name: family["runs"] for name, family in families.items()} == {
        "drit + other": ["drit", "other"],  # of two seeds
        "cyclegan": ["cyclegan"],
    }
    assert table.startswith("**To b, mean and standard deviation over seeds**") and "| drit + other | 2 |" in table
    assert "from the lowest to the highest" in page
    found = json.loads((out / "comparison.json").read_text())["runs"]
    assert found["cyclegan"]["result"]["to"]["b"]["lpips_diversity"] is None
    cost = found["drit"]["cost"]
    assert cost["gflop"] < cost["gflop_of_ten"] < 10 * cost["gflop"] and cost["training_seconds"] > 0
    assert found["cyclegan"]["cost"]["gflop_of_ten"] is found["cyclegan"]["cost"]["seconds_of_ten"] is None
    assert 0 < cost["seconds_of_one"] and 0 < cost["seconds_of_ten"]
    # again: nothing is measured anew
    with monkeypatch.context() as patched:
        patched.setattr(measure.PreparedEvaluation, "measure", lambda *a, **k: pytest.fail("measured again"))
        assert cli.main(words) == 0
    assert json.loads((out / "comparison.json").read_text())["runs"]["drit"]["result"] == found["drit"]["result"]
    # nor what an earlier version kept
    for name in found:
        old = old_names(found[name]["result"])
        (out / "results" / f"{name}.json").write_text(json.dumps(old))
    with monkeypatch.context() as patched:
        patched.setattr(measure.PreparedEvaluation, "measure", lambda *a, **k: pytest.fail("measured again"))
        assert cli.main(words) == 0
    assert json.loads((out / "comparison.json").read_text())["runs"]["drit"]["result"] == found["drit"]["result"]
    # but what is no whole result
    (out / "results" / "other.json").write_text("{}")
    part = {k: v for k, v in found["drit"]["result"].items() if k != "to"}
    (out / "results" / "drit.json").write_text(json.dumps(part))
    (out / "results" / "cyclegan.json").write_text('{"run": ')
    assert cli.main(words) == 0
    again = json.loads((out / "comparison.json").read_text())["runs"]
    assert all(again[name]["result"]["to"] == found[name]["result"]["to"] for name in found)
    # of other images, or seen by a network that learnt from others: everything is
    for change in (["--data.a", str(write_images(tmp_path / "a", 6, 3, seed=7))], ["--train.a", world["test"]["a"]]):
        more = ["--train.b", world["train"][1]] if change[0] == "--train.a" else []
        assert cli.main([*words, *change, *more]) == 0
        again = json.loads((out / "comparison.json").read_text())["runs"]
        assert all(again[name]["result"]["to"]["b"] != found[name]["result"]["to"]["b"] for name in found)


def test_the_best_answer_to_an_aligned_image(world: dict[str, Any], tmp_path: Path) -> None:
    """By hand: of the styles of the protocol, the output nearest to the image of the same name."""
    protocol = replace(PROTOCOL, metrics=("truth",))
    result = measure.prepare(world["runs"]["drit"], world["test"], protocol, tmp_path).measure().result
    translator = Translator.load(world["runs"]["drit"])
    styles = translator.method.sample_style(6 * 3, "b", torch.Generator().manual_seed(0)).unflatten(0, (6, 3))
    expected = []
    for i in range(6):
        # 24 x 30 pixels are resized to 20 x 25, the true ones of 24 x 36 to 20 x 30 and then likewise; cut to 16 x 16
        first, second = (decode(Path(world["test"][d]) / f"{i:03d}.png")[0] for d in "ab")
        pair = resize(first, 20, 25), resize(resize(second, 20, 30), 20, 25)
        x, true = (to_tensor(centre_crop(p, 16)) for p in pair)
        made = torch.stack(list(translator.outputs(x, styles[i], "b")))
        expected.append(float((made - true).abs().mean((1, 2, 3)).min()) * 127.5)
    assert result["to"]["b"]["truth"]["value"] == pytest.approx(sum(expected) / 6, rel=2e-3)
    loose = {"a": world["test"]["a"], "b": world["train"][1]}
    for path in Path(world["train"][1]).iterdir():  # other names: nothing is aligned
        path.rename(path.with_name(f"x{path.name}"))
    result = measure.prepare(world["runs"]["drit"], loose, protocol, tmp_path).measure().result
    assert result["to"]["b"]["truth"] is None


def test_what_cannot_be_compared(world: dict[str, Any], folders: tuple[Path, Path], tmp_path: Path) -> None:
    grey, crop, sampler = tmp_path / "grey", tmp_path / "crop", tmp_path / "infogan"
    loop.train(tiny(*folders, steps=1), grey)
    config = tiny(*world["train"], steps=1)
    loop.train(replace(config, data=replace(config.data, crop=20)), crop)
    loop.train(tiny(world["train"][0], "", "infogan", steps=1), sampler)

    def run(*runs: Path) -> None:
        compare.compare(runs, world["test"], PROTOCOL, tmp_path / "out", {})

    drit = world["runs"]["drit"]
    with pytest.raises(UsageError, match="drit and grey cannot be compared: domain a has 3 channels in one and 1"):
        run(drit, grey)
    with pytest.raises(UsageError, match=r"other sizes \(resize 20, crop 16; resize 20, crop 20\).*--size"):
        run(drit, crop)
    for runs in ((sampler,), (drit, sampler)):
        with pytest.raises(UsageError, match="infogan .* does not translate"):
            run(*runs)
    turned = tmp_path / "turned"
    loop.train(tiny(*world["train"][::-1], steps=1), turned)
    with pytest.raises(UsageError, match="domain a of one is domain b of the other"):
        run(drit, turned)
    with pytest.raises(UsageError, match="given twice"):
        run(drit, drit)
    assert not (tmp_path / "out").exists()


def test_runs_on_other_images_are_told(world: dict[str, Any], tmp_path: Path) -> None:
    other = write_images(tmp_path / "other", 6, 3, seed=9)
    loop.train(tiny(world["train"][0], other, steps=1), tmp_path / "elsewhere")
    said: list[str] = []
    runs = [world["runs"]["drit"], tmp_path / "elsewhere"]
    compare.compare(runs, world["test"], replace(PROTOCOL, metrics=("style",)), tmp_path / "out", {}, say=said.append)
    assert "drit and elsewhere were trained on other images of domain b." in said


def test_networks_learn_from_the_halves_of_side_by_side_images(world: dict[str, Any], tmp_path: Path) -> None:
    pairs = write_images(tmp_path / "pairs", 4, 3, (24, 60))
    config = tiny("", "", "pix2pix", steps=1)
    loop.train(replace(config, data=replace(config.data, pairs=str(pairs))), tmp_path / "run")
    protocol = replace(PROTOCOL, metrics=("kid",))
    (found,) = compare.compare([tmp_path / "run"], world["test"], protocol, tmp_path / "out", {})
    learnt = found.result["networks"]["features_b"]["trained_on"]
    assert learnt["a"]["sha256"] != learnt["b"]["sha256"]


def test_runs_that_differ_in_their_seed_alone_are_a_family() -> None:
    config = tiny("a", "b")
    configs = {
        "drit-0": config,
        "drit-seed1": replace(config, seed=1, threads=1, log=replace(config.log, keep=9)),
        "munit": replace(config, method="munit"),
        "longer-0": replace(config, steps=config.steps + 1),
        "x": replace(config, batch=7),
        "y": replace(config, batch=7, seed=2),
        "1": replace(config, batch=9),
        "2": replace(config, batch=9, seed=2),
    }
    assert seeds.families(configs) == {
        "drit": ["drit-0", "drit-seed1"],
        "munit": ["munit"],
        "longer-0": ["longer-0"],
        "x + y": ["x", "y"],
        "1 + 2": ["1", "2"],
    }
    other = {"munit-1": replace(config, seed=1), "munit-2": config, "munit": replace(config, method="munit")}
    assert seeds.families(other) == {"munit-1 + munit-2": ["munit-1", "munit-2"], "munit": ["munit"]}


def test_numbers_over_seeds() -> None:
    """A column for what any run has, mean and std over the seeds of a family; a family without it gets a dash."""

    def compared(name: str, **values: float | None) -> compare.Compared:
        numbers = {k: None if v is None else {"value": v, "interval": [None, None]} for k, v in values.items()}
        costs: dict[str, float | None] = dict.fromkeys((key for key, _ in comparison_page._COSTS), 1.0)
        result = {"to": {"b": numbers}, "both": {}}
        return compare.Compared(
            name, name.rpartition("-")[0], result, costs | {"seconds_of_one": 1.0, "seconds_of_ten": 1.0}, {}
        )

    runs = [compared("full-0", fid=0.5, kid=0.1), compared("full-1", fid=0.7, kid=0.2), compared("no-dc-0", fid=None)]
    assert seeds.over_seeds([c.result for c in runs])["b"]["fid"] == {
        "mean": pytest.approx(0.6),
        "std": pytest.approx(0.02**0.5),
        "lowest": 0.5,
        "highest": 0.7,
        "runs": 2,
    }
    lines = comparison_page.markdown(runs).splitlines()
    assert lines[2] == "| runs | seeds | Fréchet distance | KID x 1000 |"
    assert lines[4] == "| full | 2 | 0.600 +- 0.141 | 150.00 +- 70.71 |"
    assert lines[5] == "| no-dc | 1 | - | - |"
    alone = [run for run in runs if run.name != "full-1"]
    assert "over seeds" not in comparison_page.markdown(alone)


def test_names_tell_runs_apart(tmp_path: Path) -> None:
    assert compare.names([tmp_path / "x" / "one", tmp_path / "y" / "two"]) == ["one", "two"]
    assert compare.names([tmp_path / "x" / "run", tmp_path / "y" / "run"]) == ["x-run", "y-run"]


def test_hashes_of_two_kinds_are_not_compared() -> None:
    """A run of format 1 has hashes of names and sizes: they tell nothing about a run of format 2."""
    said: list[str] = []
    compare._check_images(
        {"old": {"a": ":1", "b": ":2"}, "new": {"a": "sampled-v2:3", "b": "sampled-v2:4"}}, [], said.append
    )
    assert len(said) == 1 and "is not known" in said[0]
    said.clear()
    compare._check_images({"x": {"a": "k:1", "b": "k:2"}, "y": {"a": "k:1", "b": "k:4"}}, [], said.append)
    assert said == ["x and y were trained on other images of domain b."]


def test_what_lies_in_the_folder_is_not_overwritten(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    data = [f"--data.{d}={folder}" for d, folder in zip("ab", folders, strict=True)]
    assert cli.main(["compare", str(run), *data, "--out", str(tmp_path)]) == 2
    assert cli.main(["compare", str(run), *data, "--out", str(folders[0] / "out")]) == 2
    assert (tmp_path / "index.html").read_text() == "mine" and not (folders[0] / "out").exists()
