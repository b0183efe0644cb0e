"""Bad input to training: a clear error that names the next step, and nothing lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from drit.atomic import sha256
from drit.errors import CheckpointError, DivergedError, DritError, UsageError
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT
from drit.runs import checkpoint as files
from drit.runs.record import recorded_settings
from drit.settings.schema import to_dict
from drit.training import launch as loop
from tests.conftest import tiny, write_images


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def record_hashes(checkpoint: Path) -> None:
    """Have meta.json of a checkpoint hold the hashes of its files as they are now."""
    path = checkpoint / "meta.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    meta["sha256"] = {name: sha256(checkpoint / name) for name in meta["sha256"]}
    path.write_text(json.dumps(meta), encoding="utf-8")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may break."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_out_that_is_another_run(run: Path, folders: tuple[Path, Path]) -> None:
    before = (run / "config.json").read_bytes()
    with pytest.raises(UsageError, match="another run.*--resume"):
        loop.train(tiny(*folders, seed=9), run)
    assert (run / "config.json").read_bytes() == before


def test_out_that_holds_something_else(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        loop.train(tiny(*folders), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letter.txt"]


def test_out_that_ended_before_its_first_checkpoint(copy: Path, folders: tuple[Path, Path]) -> None:
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(UsageError, match="without a checkpoint.*remove the folder and give the command again"):
        loop.train(tiny(*folders), copy)


def test_images_named_in_two_ways(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders)
    data = replace(config.data, a="", b="", domains=tuple(map(str, folders)))
    for given, method, words in (
        (replace(data, a=str(folders[0])), "drit++", "--data.domains names all images: leave --data.a out"),
        (replace(config.data, pairs=str(tmp_path)), "pix2pix", "--data.pairs names all images: leave --data.a out"),
        (replace(data, pairs=str(tmp_path)), "drit++", "leave --data.pairs out"),
    ):
        with pytest.raises(UsageError, match=words):
            loop.train(tiny(*folders, method, data=given), tmp_path / "run")


def test_a_folder_called_like_another_domain(tmp_path: Path) -> None:
    b, a = (str(write_images(tmp_path / d, 3, 1, seed=i)) for i, d in enumerate("ba"))
    with pytest.raises(UsageError, match=r"domain a are called 'b' .* --to b could mean either. Give them as domain b"):
        loop.train(tiny(b, a), tmp_path / "run")
    assert loop.train(tiny(a, b, steps=1), tmp_path / "run").finished


def test_nothing_is_written_when_data_are_wrong(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        loop.train(tiny(folders[0], tmp_path / "missing"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_same_images_twice(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the same images"):
        loop.train(tiny(folders[0], folders[0]), tmp_path / "run")


def test_a_full_disk_keeps_the_old_checkpoint(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    loop.train(tiny(*folders), run, stop_after=3)
    before = files.load_weights(files.find(run))[0]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DritError, match=r"No space left.*step_00000003.*--resume"):
        loop.resume(run)
    monkeypatch.undo()
    assert [p.name for p in (run / "checkpoints").iterdir() if p.is_dir()] == ["step_00000003"]  # no half-written one
    after = files.load_weights(files.find(run))[0]
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert loop.resume(run).finished


@pytest.mark.parametrize("part", ["weights.safetensors", "state.pt", "meta.json"])
def test_truncated_checkpoint(copy: Path, part: str) -> None:
    """Without an earlier one, the file is named and nothing is written."""
    shutil.rmtree(copy / "checkpoints" / "step_00000003")
    path = files.find(copy) / part
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = contents(copy)
    with pytest.raises(CheckpointError, match=rf"{part}.*There is no other checkpoint"):
        loop.resume(copy, replace(recorded_settings(copy), steps=8))
    assert contents(copy) == before


def test_truncated_weights_do_not_translate(copy: Path) -> None:
    path = files.find(copy) / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="truncated or broken"):
        Translator.load(copy)


def test_checkpoint_of_other_sizes(copy: Path) -> None:
    path = files.find(copy) / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["generator.own.a.last.bias"] = torch.zeros(5)
    safetensors.torch.save_file(tensors, path)
    record_hashes(path.parent)
    with pytest.raises(CheckpointError, match=r"another shape of tensor 'generator.own.a.last.bias'"):
        loop.resume(copy, replace(recorded_settings(copy), steps=8))


def test_checkpoint_of_another_method(copy: Path) -> None:
    path = files.find(copy) / "meta.json"
    path.write_text(path.read_text().replace('"method": "drit"', '"method": "cyclegan"'))
    with pytest.raises(CheckpointError, match="of the method 'cyclegan'"):
        loop.resume(copy, replace(recorded_settings(copy), steps=8))


def test_state_of_another_run(copy: Path) -> None:
    path = files.find(copy) / "state.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"optimizers": {"other": state["optimizers"]["generator"]}}, path)
    record_hashes(path.parent)
    with pytest.raises(CheckpointError, match=r"state.pt is of another run"):
        loop.resume(copy, replace(recorded_settings(copy), steps=8))


def test_foreign_checkpoint(copy: Path) -> None:
    (files.find(copy) / "meta.json").write_text(json.dumps({"epoch": 3}))
    with pytest.raises(CheckpointError, match="not written by drit"):
        Translator.load(copy)


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no run at"):
        files.find(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a run"):
        files.find(tmp_path)


def test_a_run_that_died_before_its_first_checkpoint(copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    for _ in range(2):  # without the folder of checkpoints, and with an empty one
        with pytest.raises(CheckpointError, match=r"no whole checkpoint yet.*remove the folder"):
            loop.resume(copy)
        (copy / "checkpoints").mkdir(exist_ok=True)


def test_resume_with_changed_settings_lists_them(copy: Path) -> None:
    config = recorded_settings(copy)
    changed = replace(config, steps=8, batch=3, optim=replace(config.optim, lr=1e-3))
    with pytest.raises(UsageError, match=r"batch: 2 -> 3; optim.lr: 0.0004 -> 0.001.*--allow-changes"):
        loop.resume(copy, changed)
    assert recorded_settings(copy) == config
    assert loop.resume(copy, changed, allow_changes=True).step == 8
    assert recorded_settings(copy).batch == 3


def test_resume_with_other_images(folders: tuple[Path, Path], tmp_path: Path) -> None:
    a = Path(shutil.copytree(folders[0], tmp_path / "a"))
    loop.train(tiny(a, folders[1]), tmp_path / "run", stop_after=1)
    write_images(a, 7, 1, seed=5)
    with pytest.raises(UsageError, match=r"a: count 5 -> 7.*--allow-changes"):
        loop.resume(tmp_path / "run")
    assert loop.resume(tmp_path / "run", allow_changes=True, stop_after=1).step == 2


def test_resume_of_a_finished_run(run: Path) -> None:
    with pytest.raises(UsageError, match="trained already.*--steps 12"):
        loop.resume(run)


def test_divergence_names_the_last_good_checkpoint(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that is NaN from the fifth iteration on stops the run at the ninth, after five skipped steps. The
    checkpoint of the third is named and whole: none is written where a step was just skipped."""
    render, count = DRIT.render, 0

    def poisoned(self: DRIT, *inputs: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        out: torch.Tensor = render(self, *inputs)
        return out * float("nan") if count > 16 else out  # four renders an iteration

    monkeypatch.setattr(DRIT, "render", poisoned)
    config = tiny(*folders, steps=20)
    config = replace(config, log=replace(config.log, sample_every=0, watch_every=0))
    with pytest.raises(DivergedError, match=r"iteration 9.*step_00000003.*--optim.lr 0.0002"):
        loop.train(config, tmp_path / "run")
    assert [p.name for p in files.checkpoints(tmp_path / "run")] == ["step_00000003"]


def test_divergence_before_the_first_checkpoint(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = DRIT.render
    monkeypatch.setattr(DRIT, "render", lambda *inputs: render(*inputs) * float("nan"))
    with pytest.raises(DivergedError, match=r"No checkpoint was written yet: remove .*run, and start again with --opt"):
        loop.train(tiny(*folders), tmp_path / "run")


def test_impossible_settings(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders)
    no_weights = {name: 0.0 for name, value in to_dict(config.loss).items() if isinstance(value, float)}
    for changed, words in (
        (replace(config, batch=0), "--batch is 0: it must be at least 1"),
        (replace(config, log=replace(config.log, metrics_every=0)), "--log.metrics-every is 0: .* at least 1"),
        (replace(config, log=replace(config.log, checkpoint_every=0)), "--log.checkpoint-every is 0"),
        (replace(config, optim=replace(config.optim, lr=-1.0)), "--optim.lr is -1.0: it must be at least 0"),
        (replace(config, optim=replace(config.optim, lr=float("nan"))), "--optim.lr is nan"),
        (replace(config, optim=replace(config.optim, beta1=1.0)), "at least 0 and less than 1"),
        (replace(config, network=replace(config.network, downsamplings=-1)), "at least 1 and at most 5"),
        (
            replace(config, network=replace(config.network, style_dim=0)),
            "style-dim is 0: .* at least 1",
        ),
        (replace(config, loss=replace(config.loss, **no_weights)), "All weights of drit's losses are 0"),
        (replace(config, recompute=True, network=replace(config.network, spectral_norm=True)), "leave out one of them"),
        (replace(config, batch=1, optim=replace(config.optim, split_batch=True)), "batch of at least 2"),
        (replace(config, batch=4, accumulate=3), "--accumulate 3 must divide the batch of 4"),
        (replace(config, data=replace(config.data, crop=8)), "--data.crop is 8: it must be at least 16"),
        (replace(config, data=replace(config.data, crop=18)), "take 16 or 20"),
        (replace(config, device="cuda:77"), "no device 'cuda:77'"),
        (replace(config, device="meta"), "no device 'meta'"),
        (replace(config, seed=-1), "--seed is -1"),
        (replace(config, data=replace(config.data, max_unreadable=-1)), "--data.max-unreadable is -1"),
        (replace(config, method="drot"), "Did you mean 'drit'"),
        (replace(config, method="munit"), "These are DRITSettings, and 'munit' has MUNITSettings"),
    ):
        with pytest.raises(UsageError, match=words):
            loop.train(changed, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_newest_checkpoints_are_kept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders)
    config = replace(config, log=replace(config.log, checkpoint_every=1, keep=2, keep_every=3, sample_every=0))
    loop.train(config, tmp_path / "run")
    assert [p.name[-1] for p in files.checkpoints(tmp_path / "run")] == ["3", "5", "6"]


def test_a_run_within_its_own_images_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Its sample sheets would be training images at the next resume."""
    a = write_images(tmp_path / "a", 4, 3)
    with pytest.raises(UsageError, match="within the input folder"):
        loop.train(tiny(a, folders[1]), a / "run")
    assert not (a / "run").exists()
