"""A new training with the weights of another one: all networks or some, recorded, at step 0."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drit.cli import main as cli
from drit.errors import UsageError
from drit.runs import checkpoint as files
from drit.settings.schema import to_dict
from drit.training import launch
from drit.training.trainer import Trainer
from tests.conftest import tiny, trainer_of, write_images
from tests.training.test_resume import same


def begun(folders: tuple[Path, Path], out: Path, start_from: Path, *networks: str, **values: object) -> Trainer:
    """A trainer as a new run has it before its first iteration."""
    trainers: list[Trainer] = []

    class StopError(Exception): ...

    def fit(self: Trainer, *_: object) -> None:
        trainers.append(self)
        raise StopError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError):
        patch.setattr(Trainer, "fit", fit)
        launch.train(tiny(*folders, seed=9, **values), out, start_from=start_from, start_networks=networks)
    return trainers[0]


def test_all_networks(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    trainer = begun(folders, tmp_path / "new", run)
    weights, average = files.load_weights(files.find(run))
    assert same(dict(trainer.method.state_dict()), weights) and same(trainer.average.tensors, average)
    assert (trainer.step, trainer.position) == (0, 0)
    assert not any(o.state for o in trainer.optimizers.values())


def test_recorded_and_kept_at_a_resume(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "new"
    checkpoint = run / "checkpoints" / "step_00000003"
    assert launch.train(tiny(*folders, seed=9), out, stop_after=1, start_from=checkpoint).step == 1
    record = files.read_json(out / "config.json")["started_from"]
    assert (record["run"], record["step"], record["method"]) == (run.name, 3, "drit")
    assert record["weights_sha256"] == files.weights_sha256(checkpoint)
    assert "generator" in record["networks"]
    assert launch.resume(out).finished
    assert files.read_json(out / "config.json")["started_from"] == record


def test_some_networks(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    fresh = trainer_of(tiny(*folders, seed=9)).method.state_dict()
    trainer = begun(folders, tmp_path / "new", run, "generator")
    weights, average = files.load_weights(files.find(run))
    for name, t in trainer.method.state_dict().items():
        assert same(t, weights[name] if name.startswith("generator.") else fresh[name]), name
    for name, t in trainer.average.tensors.items():
        assert same(t, average[name] if name.startswith("generator.") else fresh[name]), name
    assert files.read_json(tmp_path / "new" / "config.json")["started_from"]["networks"] == ["generator"]


def test_networks_that_do_not_fit(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Named, with the flag that leaves it out; nothing is written. The others then start."""
    config = tiny(*folders)
    wide = replace(config, network=replace(config.network, discriminator_width=6))
    with pytest.raises(
        UsageError, match=r"network '\w*discriminator\w*' of .* has shape .*--start-networks (.*)"
    ) as error:
        launch.train(wide, tmp_path / "new", start_from=run)
    assert not (tmp_path / "new").exists()
    names = str(error.value).partition("--start-networks ")[2].partition(".")[0].split()
    assert "generator" in names and error.value.args[0].partition("'")[2].partition("'")[0] not in names
    assert launch.train(wide, tmp_path / "new", start_from=run, start_networks=names).finished
    with pytest.raises(UsageError, match=r"no network 'generater'. Did you mean 'generator'"):
        launch.train(config, tmp_path / "other", start_from=run, start_networks=["generater"])


def test_images_of_other_channels(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    colour = write_images(tmp_path / "warm", 4, 3, seed=8)
    with pytest.raises(UsageError, match=r"does not fit.*has shape .* there and .* here"):
        launch.train(tiny(colour, folders[1]), tmp_path / "new", start_from=run)


def test_by_flags(run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Method and sizes are the run's where no others are asked for."""
    images = [f"--data.a={folders[0]}", f"--data.b={folders[1]}", "--data.crop=16", "--data.resize=20", "--batch=2"]
    small = [*images, "--steps=1", "--threads=1", "--precision=float32", "--log.sample-every=0", "--no-log.tensorboard"]
    out = tmp_path / "new"
    assert cli.main(["train", "--start-from", str(run), "--out", str(out), *small]) == 0
    settings = files.read_json(out / "config.json")["settings"]
    assert (settings["network"]["width"], settings["method"], settings["preset"]) == (4, "drit", "default")
    capsys.readouterr()
    for words, message in (
        (["--resume", run, "--start-from", run], "either --resume"),
        (["--start-from", run], "Give either --out"),
        (["--out", tmp_path / "x", "--start-networks", "generator"], "--start-networks needs --start-from"),
        (["--out", tmp_path / "x", "--start-from", tmp_path / "none", *small], "There is no run at"),
    ):
        assert cli.main(["train", *map(str, words)]) in (1, 2)
        assert message in capsys.readouterr().err


def test_another_method_by_flags(folders: tuple[Path, Path], tmp_path: Path) -> None:
    launch.train(tiny(*folders, "munit", steps=1), tmp_path / "munit")
    config = tmp_path / "settings.json"
    config.write_text(json.dumps({"steps": 1, "threads": 1, "batch": 2, "data": to_dict(tiny(*folders).data)}))
    out = tmp_path / "new"
    words = ["train", "--start-from", tmp_path / "munit", "--out", out, "--steps", 1, "--threads", 1, "--batch", 2]
    images = ["--data.a", folders[0], "--data.b", folders[1], "--data.crop", 16, "--data.resize", 20]
    assert cli.main([str(w) for w in (*words, *images, "--no-log.tensorboard", "--log.sample-every", 0)]) == 0
    assert files.read_json(out / "config.json")["settings"]["method"] == "munit"
