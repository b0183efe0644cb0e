"""Models without their run: `save_pretrained`, `from_pretrained`, `--format safetensors` and `--format hub`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from drit.cli.main import main
from drit.errors import CheckpointError, DritError
from drit.exporting import hub
from drit.inference.translator import Translator
from drit.methods.registry import method_class
from drit.runs.checkpoint import find, weights_sha256
from tests.conftest import tiny
from tests.every_method import METHODS


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run as a folder for the hub. Tests must not change it."""
    out = tmp_path_factory.mktemp("export") / "hub"
    assert main(["export", str(run), "--format", "hub", "--out", str(out), "--licence", "cc-by-4.0"]) == 0
    return out


def test_the_bytes_are_those_of_the_run(folder: Path, run: Path) -> None:
    """Random styles, an exemplar's, the way back, a map of invention: what needs every network of translation."""
    of_run, of_folder = Translator.load(run, threads=1), Translator.from_pretrained(folder, threads=1)
    rng = np.random.default_rng(0)
    grey, colour = (rng.integers(0, 256, (21, 30, c), np.uint8) for c in (1, 3))
    for translate in (
        lambda t: t.translate(grey, "b", styles=3, seed=5),
        lambda t: t.translate(grey, "b", style_from=colour),
        lambda t: t.translate(colour, "a"),
        lambda t: [t.translate_map(grey, "b", 2).style_std],
        lambda t: t.translate(grey, "colour"),  # a domain by the name of its folder
    ):
        for ours, theirs in zip(translate(of_run), translate(of_folder), strict=True):
            assert np.array_equal(ours, theirs)


def test_every_method_is_saved_and_read(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Without the networks that only training needs."""
    for name in (m for m in METHODS if not m.startswith(("drit-", "drit++-"))):
        torch.manual_seed(0)
        method = method_class(name)(tiny(*folders, method=name), {"a": 3, "b": 3})
        whole = Translator(method, {"a": "x", "b": "y"}, "cpu", "float32", 1)
        whole.save_pretrained(tmp_path / name)
        tensors = safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        assert {key.partition(".")[0] for key in tensors} == set(method.inference)
        read = Translator.from_pretrained(tmp_path / name, "cpu", "float32", 1)
        image = torch.rand(3, 40, 35)
        assert torch.equal(whole.translate(image, "b")[0], read.translate(image, "b")[0])
        assert read.names == {"a": "x", "b": "y"}


def test_what_is_recorded(folder: Path, run: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["licence"] == "cc-by-4.0"
    assert config["run"]["weights_sha256"] == weights_sha256(find(run))
    data = config["config"]["data"]
    assert (data["a"], data["b"]) == ("grey", "colour")  # where they lay is nobody's business
    assert str(run.parent.parent) not in (folder / "config.json").read_text() + (folder / "README.md").read_text()


def test_the_model_card(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    front = re.match(r"---\n(.*?)\n---\n", text, re.S)
    assert front and 'license: "cc-by-4.0"' in front[1] and 'pipeline_tag: "image-to-image"' in front[1]
    assert "| a | grey | 5 | 1 | 8 |" in text and "Not evaluated." in text and "Trained for 6 iterations" in text
    assert "# grey to colour" in text


def test_the_figures_of_evaluations_of_these_weights(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    number = {"value": 0.5, "interval": [0.25, 0.75]}
    for name, weights in (("quick", weights_sha256(find(run))), ("old", "of an earlier checkpoint")):
        (copy / f"evaluation_{name}").mkdir()
        result = {"run": {"weights_sha256": weights}, "to": {"b": {"content_kept": number}}, "both": {}}
        (copy / f"evaluation_{name}" / "result.json").write_text(json.dumps(result))
    hub.export_weights(copy, tmp_path / "out", card=True)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| to b | content accuracy | 50.0 % | 25.0 to 75.0 |  |" in text
    assert "`quick`" in text and "`old`" not in text
    (copy / "evaluation_quick" / "result.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is not a result of drit evaluate"):
        hub.export_weights(copy, tmp_path / "again", card=True)


def test_safetensors_alone(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), "--format", "safetensors", "--out", str(out)]) == 0
    assert "recorded as unknown: --licence ID" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    text = (out / "README.md").read_text()
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    counted = sum(t.numel() for n, t in tensors.items() if n.startswith("generator."))
    assert text.startswith("# Weights of a drit model") and f" {counted} |" in text


def test_damage_is_named(folder: Path, tmp_path: Path) -> None:
    def broken(change: Any) -> Path:
        copy = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(folder, copy)
        change(copy)
        return copy

    def with_config(**values: Any) -> Any:
        def change(copy: Path) -> None:
            config = json.loads((copy / "config.json").read_text()) | values
            (copy / "config.json").write_text(json.dumps(config))

        return change

    def other_weight(copy: Path) -> None:
        data = bytearray((copy / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (copy / "model.safetensors").write_bytes(data)

    def lacking(copy: Path) -> None:
        tensors = safetensors.torch.load_file(copy / "model.safetensors")
        tensors.pop(min(tensors))
        safetensors.torch.save_file(tensors, copy / "model.safetensors")
        with_config(sha256={})(copy)

    for change, message in (
        (lambda copy: (copy / "config.json").unlink(), "has no config.json. Give a folder that `drit export"),
        (lambda copy: (copy / "config.json").write_text("{}"), "config.json was not written by drit"),
        (with_config(format=99), "config.json has format 99"),
        (with_config(names=["a"]), "'names' cannot be"),
        (with_config(config={"method": "drit", "network": {"width": "x"}}), "config.json does not hold this version's"),
        (lambda copy: (copy / "model.safetensors").write_bytes(b"x"), "model.safetensors is truncated or broken"),
        (other_weight, "model.safetensors is damaged: its SHA-256"),
        (lacking, "model.safetensors lacks tensor 'attribute_encoder"),
    ):
        with pytest.raises(CheckpointError, match=re.escape(message)):
            Translator.from_pretrained(broken(change))
    with pytest.raises(CheckpointError, match="There is no folder me/seasons.*hf download REPO"):
        Translator.from_pretrained("me/seasons")


def test_push(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the library of the hub alone, which a stand-in takes the place of here."""
    calls = []

    class Api:
        def create_repo(self, name: str, exist_ok: bool) -> None:
            if name == "others/model":
                raise PermissionError("403 Forbidden.\nmore")
            calls.append(("create", name, exist_ok))

        def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> str:
            calls.append(("upload", repo_id, sorted(p.name for p in folder_path.iterdir())))
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(hub, "check_installed", lambda packages, what: None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=Api))
    result = hub.export_weights(run, tmp_path / "out", card=True, push="me/seasons")
    assert result["pushed"] == "https://hub/me/seasons"
    files = ["README.md", "config.json", "model.safetensors"]
    assert calls == [("create", "me/seasons", True), ("upload", "me/seasons", files)]
    with pytest.raises(DritError, match=r"was written, but not uploaded to others/model: 403 Forbidden\. Log in"):
        hub.export_weights(run, tmp_path / "kept", card=True, push="others/model")
    assert (tmp_path / "kept" / "README.md").is_file()


def test_wrong_use_of_push(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(run), "--out", str(tmp_path / "out")]
    assert main([*words, "--format", "safetensors", "--push", "me/x"]) == 2
    assert "--push is for --format hub" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*words, "--format", "hub", "--push", "me/x"]) == 2
    assert "--push needs packages that are not installed: huggingface_hub" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    assert main([*words, "--format", "hub", "--push", "seasons"]) == 2
    assert "name a repository as OWNER/NAME" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
