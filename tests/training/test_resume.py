"""N iterations in one go and N/2 + resume give the same bits: weights, averages, optimizers, position, metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drit.runs import checkpoint as files
from drit.runs.metrics import read_metrics
from drit.runs.record import recorded_settings
from drit.runtime import choose_device
from drit.training import launch as loop
from tests.conftest import tiny, trainer_of


def same(one: Any, other: Any) -> bool:
    """Equal bit for bit, through nested dictionaries and lists."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("generator", ["concat", "feature", "film"])
@pytest.mark.parametrize("workers", [0, 2])
def test_resume_is_bit_exact(generator: str, workers: int, folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders)
    config = replace(
        config,
        network=replace(config.network, generator=generator),
        data=replace(config.data, workers=workers),
        log=replace(config.log, sample_every=0),
    )
    loop.train(config, tmp_path / "whole")
    stopped = loop.train(config, tmp_path / "halves", stop_after=2)  # not at a multiple of anything
    assert (stopped.step, stopped.finished) == (2, False)
    assert loop.resume(tmp_path / "halves").finished
    one, other = files.find(tmp_path / "whole"), files.find(tmp_path / "halves")
    assert one.name == other.name == "step_00000006"
    assert same(files.load_weights(one), files.load_weights(other))
    state = files.load_state(one)
    assert same(state, files.load_state(other))
    assert state["position"] == 12  # two batches an iteration: one for the content discriminator alone
    assert read_metrics(tmp_path / "whole") == read_metrics(tmp_path / "halves")


def test_what_is_taken_up_lies_in_memory_as_the_weights_do(run: Path, folders: tuple[Path, Path]) -> None:
    """A file does not keep the order of the axes. Convolutions of another order round otherwise on a GPU, and its Adam
    refuses moments of another order than their weights'."""
    with trainer_of(tiny(*folders)) as trainer:
        loaded = files.load(files.find(run))
        for states in loaded.state["optimizers"].values():
            for state in states["state"].values():
                state["exp_avg"] = state["exp_avg"].contiguous()  # as an imported checkpoint has them
        trainer.take_up(loaded)
        layouts = {name: p.stride() for name, p in trainer.method.named_parameters()}
        assert any(p.dim() == 4 and not p.is_contiguous() for p in trainer.method.parameters())
        assert all(t.stride() == layouts[name] for name, t in trainer.average.tensors.items())
        assert same(trainer.average.tensors, loaded.average)
        for optimizer in trainer.optimizers.values():
            for p, state in optimizer.state.items():
                assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == p.stride()


def test_different_seeds_differ(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Guards the test above: what it compares does depend on the random numbers."""
    loop.train(tiny(*folders, seed=1), tmp_path / "other")
    assert not same(files.load_weights(files.find(run)), files.load_weights(files.find(tmp_path / "other")))


def test_official_order_of_updates_resumes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders)
    optim = replace(
        config.optim, split_batch=True, separate_random_step=True, latent_moves_attribute_encoder=False, ema=0.0
    )
    config = replace(config, optim=optim, batch=3)
    loop.train(config, tmp_path / "whole")
    loop.train(config, tmp_path / "halves", stop_after=4)
    loop.resume(tmp_path / "halves")
    assert same(*(files.load_weights(files.find(tmp_path / name)) for name in ("whole", "halves")))


def test_metrics_after_a_crash_hold_no_line_twice(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Lines written after the last checkpoint, and a torn one, are dropped and computed again."""
    run = tmp_path / "run"
    loop.train(tiny(*folders), run, stop_after=3)
    with open(run / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": 4, "total/generators": 1.0}) + '\n{"step": 5, "tot')
    loop.resume(run)
    assert [line["step"] for line in read_metrics(run)] == [1, 2, 3, 4, 5, 6]


def test_more_steps_go_on(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    loop.train(tiny(*folders), tmp_path / "run")
    outcome = loop.resume(tmp_path / "run", replace(recorded_settings(tmp_path / "run"), steps=8))
    assert (outcome.step, outcome.finished) == (8, True)


def test_a_run_records_what_the_settings_left_open(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders, precision="bfloat16")
    loop.train(config, tmp_path / "run", stop_after=1)
    device = str(choose_device("auto"))
    record = files.read_json(tmp_path / "run" / "config.json")
    found = record["chosen"] | {"device": record["chosen"]["device"].split(" ")[0]}  # without the name of a GPU
    assert found == {"precision": "bfloat16", "device": device, "threads": 1}
    assert (record["settings"]["device"], record["settings"]["precision"]) == ("auto", "bfloat16")  # as they were given
    assert record["machine"].endswith("Linux") if sys.platform == "linux" else record["machine"]
    del record["chosen"], record["machine"]  # a run of an earlier version has neither
    (tmp_path / "run" / "config.json").write_text(json.dumps(record), encoding="utf-8")
    assert loop.resume(tmp_path / "run").finished
    assert files.read_json(tmp_path / "run" / "config.json")["chosen"]["threads"] == 1


def test_ctrl_c_saves_and_tells_how_to_go_on(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A real process, a real signal: exit code 130, a whole checkpoint, the command to resume, no traceback."""
    out, settings = tmp_path / "run", tmp_path / "settings.json"
    config = tiny(*folders, steps=100_000)
    from drit.settings.schema import to_dict

    settings.write_text(json.dumps(to_dict(config)), encoding="utf-8")
    command = [sys.executable, "-m", "drit", "train", "--config", str(settings), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "checkpoints" / "latest").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    words, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"drit train --resume {out}" in words
    assert "Traceback" not in errors
    found = files.find(out)
    step = files.load_meta(found)["step"]
    assert f"iteration {step}" in words
    assert loop.resume(out, stop_after=1).step == step + 1


def test_tensorboard_events_hold_the_losses(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny(*folders, steps=2)
    config = replace(config, log=replace(config.log, tensorboard=True, sample_every=0))
    loop.train(config, tmp_path / "run", stop_after=1)
    assert loop.resume(tmp_path / "run").finished  # goes on after the last point, which stays
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    written = {e.step: e.value for e in events.Scalars("total/generators")}
    assert list(written) == [1, 2]
    logged = {int(r["step"]): r["total/generators"] for r in read_metrics(tmp_path / "run")}
    assert written == pytest.approx(logged, rel=1e-5)
