"""Published checkpoints: both forms become runs that translate and go on; foreign and hostile files run nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drit.cli import main as cli
from drit.errors import CheckpointError, UsageError
from drit.importing.official import import_checkpoint
from drit.inference.translator import Translator
from drit.methods.drit.official import official_names
from drit.methods.drit.settings import DRITNetwork
from drit.runs import checkpoint as files
from drit.runs.record import recorded_settings
from drit.training import launch as loop
from tests import recipe
from tests.conftest import trainer_of


@pytest.mark.parametrize("form", ["concat", "feature"])
@pytest.mark.parametrize("zipped", [True, False])  # PyTorch wrote plain pickles when the program was published
def test_an_imported_run_translates_as_its_weights_say(form: str, zipped: bool, tmp_path: Path) -> None:
    content = recipe.published(form, channels=(1, 3), **recipe.SMALL)
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    result = import_checkpoint(tmp_path / "x.pth", tmp_path / "run")
    network, channels = result["network"], result["channels"]
    assert (network["generator"], channels, network["style_dim"]) == (form, {"a": 1, "b": 3}, 8)
    translator = Translator.load(tmp_path / "run", precision="float32")
    network = translator.method.settings.network
    assert isinstance(network, DRITNetwork)
    assert {name: getattr(network, name) for name in recipe.SMALL} == recipe.SMALL
    weights = translator.method.state_dict()
    for ours, (part, key) in official_names(network).items():
        assert torch.equal(weights[ours].cpu().flatten(), content[part][key].flatten()), ours
    made = translator.translate(np.zeros((37, 41), np.uint8), to="b", styles=2)
    assert [m.shape for m in made] == [(37, 41, 3)] * 2


@recipe.needs_parity
@pytest.mark.slow
@pytest.mark.parametrize("form", ["concat", "feature"])
def test_whole_published_checkpoints_give_the_recorded_outputs(form: str, tmp_path: Path) -> None:
    layout = json.loads(recipe.LAYOUT.read_text())["networks"][form]
    content = {
        part: OrderedDict(
            (key, torch.from_numpy(recipe.tensor(0, part, key, shape)).float()) for key, shape in keys.items()
        )
        for part, keys in layout.items()
    }
    torch.save(content | {"ep": 0, "total_it": 0}, tmp_path / "x.pth")
    assert cli.main(["import", str(tmp_path / "x.pth"), "--out", str(tmp_path / "run")]) == 0
    translator = Translator.load(tmp_path / "run", precision="float32")
    recorded = np.load(recipe.PARITY / f"{form}_64x64.npz")
    for i, (source, target) in enumerate((("a", "b"), ("b", "a"))):
        image = recipe.images(i, 1, 64)[0].float()
        code = translator.content(image, source)
        assert _relative(code[:, ::8], recorded[f"content_{source}"]) < 1e-4
        style = translator.style(image, source)
        assert _relative(style, recorded[f"{'mean' if form == 'concat' else 'style'}_{source}"]) < 1e-4
        made = torch.stack(list(translator.outputs(image, recipe.codes(0, 2).float(), target)))
        assert _relative(made, recorded[f"{target}_from_{source}"]) < 1e-4


def _relative(found: Tensor, recorded: np.ndarray) -> float:
    expected = torch.from_numpy(recorded)
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("form", ["concat", "feature"])
def test_training_goes_on_with_the_optimizers(form: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    content = recipe.published(form, steps=4, channels=(1, 3), **recipe.SMALL)
    torch.save(content, tmp_path / "x.pth")
    result = import_checkpoint(tmp_path / "x.pth", tmp_path / "run")
    assert result["step"] == 4 and result["optimizers"]
    config = recorded_settings(tmp_path / "run")
    data = dataclasses.replace(config.data, a=str(folders[0]), b=str(folders[1]), resize=216)
    log = dataclasses.replace(config.log, tensorboard=False)
    config = dataclasses.replace(config, steps=5, threads=1, batch=2, data=data, log=log)
    with trainer_of(config, tmp_path / "run") as trainer:
        trainer.restore(files.find(tmp_path / "run"))
        for ours, (part, key) in official_names(config.network).items():
            network, _, name = ours.partition(".")
            p = dict(getattr(trainer.method, network).named_parameters())[name]
            moments = trainer.optimizers[network].state[p]
            theirs = content[f"{part}_opt"]["state"][list(content[part]).index(key)]
            assert torch.equal(moments["exp_avg"].cpu().flatten(), theirs["exp_avg"].flatten()), ours
            assert float(moments["step"]) == 4
    outcome = loop.resume(tmp_path / "run", config, allow_changes=True)
    assert (outcome.step, outcome.finished) == (5, True)


class Hostile:
    """A pickle that creates a file when it is loaded by an ordinary unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_runs_nothing(zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = recipe.published("concat", **recipe.SMALL) | {"ep": Hostile(tmp_path / "gotcha")}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    torch.load(tmp_path / "x.pth", weights_only=False)
    assert (tmp_path / "gotcha").is_dir()  # it would have
    (tmp_path / "gotcha").rmdir()
    assert cli.main(["import", str(tmp_path / "x.pth"), "--out", str(tmp_path / "run")]) == 1
    assert "could run code when loaded, and was not" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_a_hostile_bare_pickle(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Hostile(tmp_path / "gotcha")))
    with pytest.raises(CheckpointError, match="x.pth"):
        import_checkpoint(tmp_path / "x.pth", tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_files_that_are_no_published_checkpoint(run: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "x.pth", tmp_path / "run"
    content = recipe.published("concat", **recipe.SMALL)

    def refused(words: str, value: Any = None) -> None:
        if value is not None:
            torch.save(value, path)
        with pytest.raises(CheckpointError, match=words):
            import_checkpoint(path, out)
        assert not out.exists() and [p.name for p in tmp_path.iterdir()] == ["x.pth"]

    refused("holds a list", [1, 2])
    refused(r"has no network disA \(its keys: epoch\)", {"epoch": 3})
    refused("not a tensor", content | {"gen": {"x": 3}})
    refused("no tensor 'convA.0.model.1.weight' in network enc_c", content | {"enc_c": {}})
    short = OrderedDict(content["gen"])
    del short["decB1.2.model.5.bias"]
    refused("no tensor 'decB1.2.model.5.bias' in network 'gen'", content | {"gen": short})
    wide = OrderedDict(content["disContent"])
    wide["model.4.weight"] = torch.zeros(1, 7, 1, 1)
    refused("another shape of tensor 'content_discriminator.logit.weight'", content | {"disContent": wide})
    torch.save(content, path)
    path.write_bytes(path.read_bytes()[:1000])
    refused("is truncated, or no checkpoint")
    path.write_bytes(b"nonsense")
    refused("is truncated, or no checkpoint")
    with pytest.raises(UsageError, match="There is no file"):
        import_checkpoint(tmp_path / "none.pth", out)
    with pytest.raises(UsageError, match="not empty"):
        import_checkpoint(path, run)
