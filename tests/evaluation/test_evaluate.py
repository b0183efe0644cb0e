"""Evaluation end to end on a tiny run: numbers, files, errors, and what may be compared."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drit.cli import main as cli
from drit.data.images import to_tensor
from drit.errors import UsageError
from drit.evaluation import measure, summary
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.images import Images, RealFeatures
from drit.evaluation.intervals import frechet_number
from drit.evaluation.protocol import METRICS, Protocol, checked, comparable, find_protocol, to_json, upgraded
from drit.inference.translator import Translator
from drit.methods.base import Capabilities
from drit.training import launch as loop
from tests.conftest import tiny, write_images

SMALL = Protocol(
    name="small",
    count=24,
    styles=3,
    distribution_styles=2,
    reconstructions=5,
    learn=40,
    learn_steps=3,
    bins=2,
    resamples=5,
)


def digits(path: Path, channels: int, count: int, seed: int, classes: int = 2) -> str:
    """Labelled images: class k has a bright bar in its own place."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 90, (count, 20, 20, channels)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 + 6 * label : 6 + 6 * label] += 150
    np.savez(path, images=images, labels=labels)
    return str(path)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tiny run on labelled arrays (1 and 3 channels), and held-out images."""
    root = tmp_path_factory.mktemp("labelled")
    sets = {d: digits(root / f"{d}.npz", c, 30, i) for i, (d, c) in enumerate((("a", 1), ("b", 3)))}
    config = tiny(sets["a"], sets["b"])
    run = root / "run"
    loop.train(replace(config, steps=2, data=replace(config.data, resize=0)), run)
    tests = {d: digits(root / f"test_{d}.npz", c, 26, 5 + i) for i, (d, c) in enumerate((("a", 1), ("b", 3)))}
    return {"run": run, "tests": tests, "root": root}


def evaluated(run: Path, tests: dict[str, str], protocol: Protocol, cache: Path, **more: Any) -> measure.Evaluation:
    """`evaluate` on one thread: tests run side by side."""
    translator = Translator.load(run, threads=1)
    return measure.prepare(run, tests, protocol, cache, **{"translator": translator, **more}).measure()


@pytest.fixture(scope="module")
def evaluation(labelled: dict[str, Any]) -> measure.Evaluation:
    return evaluated(labelled["run"], labelled["tests"], SMALL, labelled["root"] / "features")


def test_every_number(evaluation: measure.Evaluation) -> None:
    """All are there, finite, inside their intervals, with count and network; JSON gives the result back as it is."""
    result = evaluation.result
    assert json.loads(json.dumps(result)) == result
    assert set(result["to"]) == {"a", "b"}
    for full in result["to"].values():
        numbers = dict(full)
        assert numbers.pop("fid") is None  # 48 outputs, 128 features
        assert numbers.pop("truth") is None  # arrays: no names that pair images
        assert set(numbers) == {
            *("kid", "ndb", "jsd", "lpips_diversity", "lpips_to_input", "self_reconstruction", "cross_cycle"),
            *("style_error", "content_kept", "energy", "grid_energy", "visible_style"),
        }
        for name, found in numbers.items():
            low, high = found["interval"]
            assert low <= found["value"] <= high, name
        assert numbers["kid"]["count"] == 48 and numbers["lpips_diversity"]["count"] == 24
        assert numbers["cross_cycle"]["count"] == 5 and numbers["grid_energy"]["period"] in (2, 4)
        assert (
            numbers["kid"]["network"]["name"] == "domains"
            and numbers["content_kept"]["network"]["name"] == "classifier"
        )
        assert 0 <= numbers["content_kept"]["value"] <= 1
    assert 0 <= result["both"]["domain_guessed"]["value"] <= 1
    assert len([w for w in result["warnings"] if "Fréchet" in w and "at least 129" in w]) == 2
    assert result["data"]["a"]["used"] == 24 and result["run"]["step"] == 2
    learnt = result["networks"]["features_a"]["trained_on"]
    assert learnt["a"]["sha256"] != result["data"]["a"]["sha256"]


def test_again_is_the_same_and_trains_nothing(labelled: dict[str, Any], evaluation: measure.Evaluation) -> None:
    said: list[str] = []
    again = evaluated(labelled["run"], labelled["tests"], SMALL, labelled["root"] / "features", say=said.append).result
    assert not [words for words in said if "Training" in words]
    assert again["to"]["b"] == evaluation.result["to"]["b"]
    assert comparable(again, evaluation.result) == []


def test_numbers_are_those_of_the_translator(labelled: dict[str, Any], evaluation: measure.Evaluation) -> None:
    """Batches give what one image at a time gives: the self-reconstruction and the outputs shown."""
    translator = Translator.load(labelled["run"], precision="float32", threads=1, device="cpu")
    x = to_tensor(np.load(labelled["tests"]["a"])["images"][3])[:, 2:18, 2:18]
    content = translator.encode_batch(x[None], "a")
    assert torch.allclose(content, translator.content(x, "a"), atol=1e-5)
    styles = translator.sample(4, "b")
    made = translator.decode_batch(content.repeat(2, 1, 1, 1), torch.stack([styles, styles.flip(0)]), "b", (16, 16))
    alone = torch.stack(list(translator.outputs(x, styles, "b")))
    assert torch.allclose(made[0], alone, atol=1e-5) and torch.allclose(made[1], alone.flip(0), atol=1e-5)
    assert torch.allclose(translator.style_batch(x[None], "a"), translator.style(x, "a"), atol=1e-5)

    chosen = Images(measure.open_images(labelled["tests"]["a"], "a", tiny("", "").data, 16), 16, 0, 0)
    assert len(chosen) == 26 and chosen.batch(0, 2).shape == (2, 1, 16, 16)


def test_real_images_are_encoded_once(labelled: dict[str, Any]) -> None:
    """Shared between runs; the distance of each to the next, by hand."""
    images = Images(measure.open_images(labelled["tests"]["a"], "a", tiny("", "").data, 16), 16, 0, 0)
    calls = []

    class Means(torch.nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            calls.append(len(x))
            return [torch.cat([x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)], 1)]

    network = FeatureNetwork("means", Means(), 1, {"sha256": "0"})
    real = RealFeatures()
    vectors = real.vectors(network, images, torch.device("cpu"))
    pairs = real.pairs(network, images, torch.device("cpu"))
    assert sum(calls) == 26 and vectors.shape == (26, 2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(pairs, ((unit - np.roll(unit, -1, axis=0)) ** 2).sum(1), atol=1e-5)


class Once(Translator):
    """Counts what is encoded and rendered."""

    rendered = 0
    encoded = 0

    def encode_batch(self, x: Tensor, domain: str) -> Tensor:
        Once.encoded += len(x)
        return super().encode_batch(x, domain)

    def decode_batch(self, content: Tensor, styles: Tensor, to: str, size: tuple[int, int]) -> Tensor:
        Once.rendered += styles.shape[0] * styles.shape[1]
        return super().decode_batch(content, styles, to, size)


def test_no_image_is_translated_twice(labelled: dict[str, Any]) -> None:
    translator = Once.load(labelled["run"], threads=1)
    evaluated(labelled["run"], labelled["tests"], SMALL, labelled["root"] / "features", translator=translator)
    assert Once.encoded == 2 * (24 + 5)  # inputs, and the outputs of which the way back is measured
    assert Once.rendered == 2 * (24 * 3 + 5 + 5)


def test_a_method_without_styles(labelled: dict[str, Any]) -> None:
    """One output of each input: diversity and style regression do not exist, everything else does."""
    translator = Translator.load(labelled["run"], threads=1)
    method = translator.method
    render = method.render
    method.capabilities = Capabilities(multimodal=False, exemplar=False, directions=("a", "b"), style_dim=0)
    method.render = lambda prepared, style, domain: render(prepared, style.new_zeros(len(style), 3), domain)  # type: ignore[method-assign]
    found = evaluated(labelled["run"], labelled["tests"], SMALL, labelled["root"] / "features", translator=translator)
    numbers = found.result["to"]["b"]
    assert numbers["lpips_diversity"] is None and numbers["style_error"] is None and numbers["visible_style"] is None
    assert numbers["self_reconstruction"]["value"] > 0 and numbers["cross_cycle"]["value"] > 0
    assert numbers["kid"]["count"] == 24 and numbers["lpips_to_input"]["value"] > 0


def test_a_method_that_translates_nowhere(labelled: dict[str, Any]) -> None:
    translator = Translator.load(labelled["run"], threads=1)
    translator.method.capabilities = replace(translator.method.capabilities, directions=())
    with pytest.raises(UsageError, match="drit translates nowhere"):
        evaluated(labelled["run"], labelled["tests"], SMALL, labelled["root"] / "features", translator=translator)


def test_frechet_where_there_are_enough(labelled: dict[str, Any]) -> None:
    """A network with few features: the distance is given, with that of two halves of the real images; classifier
    features, for the perceptual distance too."""
    protocol = replace(SMALL, features="classifier", metrics=("fid", "kid", "lpips"), count=0)
    found = evaluated(labelled["run"], labelled["tests"], protocol, labelled["root"] / "features")
    assert found.result["to"]["b"]["fid"] is None
    assert found.result["networks"]["features_a"]["sha256"] != found.result["networks"]["features_b"]["sha256"]
    assert not found.directions["b"].classes

    rng = np.random.default_rng(0)
    network = FeatureNetwork("x", torch.nn.Identity(), 1, {"sha256": "0"})
    real, made = rng.standard_normal((300, 4)), rng.standard_normal((400, 4)) + np.array([2, 0, 0, 0])
    number = frechet_number(made, real, 2, SMALL, network)
    assert number["interval"][0] < 4 < number["interval"][1] and number["real_halves"] < 0.3


def drit(*words: object) -> int:
    return cli.main([str(w) for w in words])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(to_json(SMALL)))
    return path


def test_the_command(
    run: Path, folders: tuple[Path, Path], small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five grey and four colour images without labels: what can be measured is, with warnings; table, JSON, page."""
    out = tmp_path / "out"
    words = [
        "evaluate",
        run,
        "--data.a",
        folders[0],
        "--data.b",
        folders[1],
        "--protocol",
        small,
        "--out",
        out,
        "--threads",
        1,
    ]
    assert drit(*words, "--styles", 2) == 0
    shown = capsys.readouterr()
    assert "perceptual diversity (domains)" in shown.out and "KID x 1000 (domains)" in shown.out
    assert (
        "no labels" in shown.err and "Fréchet distance" in shown.err and "NDB" in shown.err and "held-out" in shown.err
    )
    assert "Domain a and b: the images given are those" in shown.err
    result = json.loads((out / "result.json").read_text())
    assert result["protocol"]["styles"] == 2 and result["to"]["b"]["ndb"] is None
    html = (out / "index.html").read_text()
    assert html.count("data:image/png;base64,") == 8 and "http" not in re.sub(r"http://www.w3.org\S*", "", html)
    for title in ("Nearest to real", "Farthest from real", "Most diverse", "Least diverse", "Warnings"):
        assert title in html
    assert (
        drit(*words, "--json", "--metrics", "kid,lpips", "--features", f"domains:{next((out / 'features').iterdir())}")
        == 0
    )
    again = json.loads(capsys.readouterr().out)
    assert again["to"]["b"].keys() == {"kid", "lpips_diversity", "lpips_to_input"} and again["both"] == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--metrics", "fid,kidd"], "no metric 'kidd'. Did you mean 'kid'"),
        (["--protocol", "quik"], "no protocol 'quik'. Did you mean 'quick'"),
        (["--features", "inception"], "--features inception:FILE"),
        (["--features", "classifier"], "have no labels"),
        (["--styles", "0"], "at least 1 style"),
        (["--count", "1"], "at least 2 images"),
        (["--train.a", "x"], "both --train.a and --train.b"),
        (["--size", "3"], "Unknown flag '--size'"),
    ],
)
def test_wrong_use(
    run: Path,
    folders: tuple[Path, Path],
    words: list[str],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert drit("evaluate", run, "--data.a", folders[0], "--data.b", folders[1], "--out", out, *words) == 2
    assert expected in capsys.readouterr().err
    assert not (out / "result.json").exists()


def test_wrong_images(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Channels that do not fit, no images, an --out that is a run: said before anything is measured."""
    np.savez(tmp_path / "five.npz", images=np.zeros((4, 20, 20, 5), np.uint8))
    arguments = ["evaluate", run, "--data.a", folders[0], "--out", tmp_path / "out"]
    assert drit(*arguments, "--data.b", tmp_path / "five.npz") == 2
    assert "5 channels, domain b takes 3" in capsys.readouterr().err
    assert drit(*arguments, "--data.b", tmp_path / "nothing") == 2
    assert "There is no folder" in capsys.readouterr().err
    assert drit("evaluate", run, "--data.a", folders[0], "--data.b", folders[1], "--out", run) == 2
    assert "is a run folder" in capsys.readouterr().err


def test_labels_that_do_not_fit(labelled: dict[str, Any], tmp_path: Path) -> None:
    """A class that the target lacks is named and left out."""
    tests = labelled["tests"] | {"a": digits(tmp_path / "three.npz", 1, 24, 9, classes=3)}
    protocol = replace(SMALL, metrics=("content",), count=0)
    found = evaluated(labelled["run"], tests, protocol, labelled["root"] / "features").result
    assert any("lack the classes 2; 8 inputs" in w for w in found["warnings"])
    assert found["to"]["b"]["content_kept"]["count"] == 16 and found["networks"].keys() == {"probe_a", "probe_b"}


def test_gone_training_images(labelled: dict[str, Any], tmp_path: Path) -> None:
    """The run's own images moved away: the given ones serve, and the result says so; others can be named."""
    config = tiny(write_images(tmp_path / "x", 3, 1), write_images(tmp_path / "y", 3, 3, seed=1))
    loop.train(replace(config, steps=1), tmp_path / "run")
    (tmp_path / "x").rename(tmp_path / "z")
    protocol = replace(SMALL, metrics=("kid",))
    found = evaluated(tmp_path / "run", labelled["tests"], protocol, tmp_path / "f").result
    assert any("cannot be opened" in w and "--train.a" in w for w in found["warnings"])
    given = {"a": str(tmp_path / "z"), "b": str(tmp_path / "y")}
    found = evaluated(tmp_path / "run", labelled["tests"], protocol, tmp_path / "f", training=given).result
    assert found["warnings"] == []


def test_interrupted(
    run: Path, folders: tuple[Path, Path], small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """No half file is left; what was trained is."""

    def stop(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    monkeypatch.setattr(summary, "direction_numbers", stop)
    words = [
        "--data.a",
        folders[0],
        "--data.b",
        folders[1],
        "--protocol",
        small,
        "--out",
        tmp_path / "out",
        "--threads",
        1,
    ]
    assert drit("evaluate", run, *words) == 130
    assert "no result was written" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["features"]


def test_what_may_be_compared(evaluation: measure.Evaluation) -> None:
    one = evaluation.result
    other = json.loads(json.dumps(one))
    other["protocol"] |= {"name": "another"}
    other["run"] |= {"name": "another run", "step": 7}
    del other["networks"]["perceptual_b"]  # a method of one direction has the networks of that alone
    assert comparable(one, other) == []
    other["protocol"] |= {"styles": 9}
    other["images"]["crop"] = 99
    other["data"]["a"] |= {"sha256": "0", "channels": 3}
    other["networks"]["features_a"] = other["networks"]["features_a"] | {"sha256": "f" * 64}
    reasons = "\n".join(comparable(one, other))
    for part in (
        "styles is 3 in one and 9",
        "crop is 16 in one and 99",
        "data.a: 1 channels in one and 3",
        "data.a: other images (test_a.npz:images",
        "--features NAME:FILE",
    ):
        assert part in reasons
    assert len(comparable(one, other)) == 5


def test_protocol_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"count": 50, "metrics": ["lpips", "fid"]}))
    protocol = find_protocol(str(path))
    assert (protocol.name, protocol.count, protocol.metrics, protocol.styles) == ("mine", 50, ("fid", "lpips"), 10)
    path.write_text(json.dumps({"protocol": to_json(SMALL), "to": {}}))
    assert find_protocol(str(path)) == checked(SMALL)
    for content, expected in (
        ("{", "cannot be read as JSON"),
        ("[]", "must hold a JSON object"),
        ('{"stiles": 3}', "Did you mean 'styles'"),
        ('{"version": 99}', "has version 99"),
        ('{"metrics": "fid"}', "must be a list of names"),
        ('{"metrics": []}', "No metric"),
        ('{"size": 3}', "at least 16 pixels"),
    ):
        path.write_text(content)
        with pytest.raises(UsageError, match=expected):
            find_protocol(str(path))
    assert find_protocol("standard").metrics == METRICS


def old_names(result: dict[str, Any]) -> dict[str, Any]:
    """A result as the version before wrote it: pictures for images."""
    text = json.dumps(result).replace('"real_images"', '"real_pictures"')
    return {"pictures" if k == "images" else k: v for k, v in json.loads(text).items()}


def test_a_result_of_an_earlier_version(evaluation: measure.Evaluation) -> None:
    """It gets today's names and keeps its numbers; one of today, or a foreign file, stays as it is."""
    old = old_names(evaluation.result)
    assert "images" not in old and "real_pictures" in old["to"]["b"]["lpips_diversity"]
    assert upgraded(old) == upgraded(evaluation.result) == evaluation.result
    assert comparable(upgraded(old), evaluation.result) == []
    for foreign in ({}, {"to": 3, "both": None}, {"to": {"b": 1}, "pictures": 2}):
        upgraded(foreign)
    assert upgraded({"to": {"b": 1}, "both": {"x": 2}}) == {"to": {"b": 1}, "both": {"x": 2}}


def test_the_report_of_a_run_with_an_evaluation_of_an_earlier_version(
    labelled: dict[str, Any], evaluation: measure.Evaluation, tmp_path: Path
) -> None:
    run = shutil.copytree(labelled["run"], tmp_path / "run")
    for name, result in (("new", evaluation.result), ("old", old_names(evaluation.result))):
        (run / f"evaluation_{name}").mkdir()
        (run / f"evaluation_{name}" / "result.json").write_text(json.dumps(result))
    assert drit("report", run) == 0
    page = (run / "report.html").read_text()
    assert "lpips_diversity.real_images" in page and "pictures" not in page
