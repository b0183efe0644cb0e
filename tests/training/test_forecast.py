"""Disk and time of a training as they are forecast, and what is said where it does not fit."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from drit.cli.doctor import _numbers as numbers
from drit.methods.registry import method_class, settings_class
from drit.settings.schema import changed
from drit.training import forecast as module
from drit.training import launch
from drit.training.checks import settled
from drit.training.forecast import SHEET, forecast
from drit.training.memory import GPU_HOST, GPU_KEPT, GPU_LIBRARIES, GPU_WORK, Memory
from drit.training.trainer import Trainer
from tests.conftest import opened, tiny


def test_disk_is_that_of_a_run(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Within 15 %, for networks so large that headers of files hardly count. One checkpoint more is written first."""
    small = tiny(*folders, steps=2, batch=1, device="cpu")
    settings = replace(
        small,
        network=replace(small.network, width=16, discriminator_width=16, attribute_width=16),
        log=replace(small.log, checkpoint_every=1, keep=1, sample_every=0, watch_every=0),
    )
    sets = opened(settings)
    told = forecast(settled(settings, sets), sets, tmp_path / "not" / "yet", timed=False)
    launch.train(settings, tmp_path / "run")
    written = sum(p.stat().st_size for p in (tmp_path / "run" / "checkpoints").rglob("*") if p.is_file())
    assert told.disk / 2 == pytest.approx(written, rel=0.15)
    assert told.seconds == 0 and told.fits and told.advice == () and told.gpu_memory == 0
    assert told.memory > 200 << 20


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that needs no prediction: 300 bytes of a checkpoint."""
    monkeypatch.setattr(module, "predict", lambda *_: Memory(100, 200, 1000))


@pytest.mark.usefixtures("known")
def test_samples_and_kept_checkpoints_take_disk(folders: tuple[Path, Path], tmp_path: Path) -> None:
    settings = tiny(*folders, steps=1000)
    sets = opened(settings)

    def disk(**log: int) -> int:
        changed = replace(settings, log=replace(settings.log, **{"sample_every": 0, "keep": 1, **log}))
        return forecast(settled(changed, sets), sets, tmp_path, timed=False).disk

    assert disk(keep=2) == disk() + 300 and disk(keep_every=100) == disk() + 10 * 300
    assert disk(sample_every=500) == disk() + 2 * SHEET


@pytest.mark.usefixtures("known")
def test_what_does_not_fit_says_what_to_change(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny(*folders, steps=10**9)
    sets = opened(settings)
    monkeypatch.setattr(module, "seconds_each", lambda *_: 1.0)
    told = forecast(settled(settings, sets), sets, tmp_path)
    assert told.seconds == 1.0 and "would take 11574 days here: lower --steps" in told.advice[-1]
    monkeypatch.setattr(module, "free_memory", lambda: 1 << 20)
    told = forecast(settled(settings, sets), sets, tmp_path)
    assert told.seconds == 0 and not told.fits and "add --recompute or --accumulate 2" in told.advice[0]


@pytest.mark.usefixtures("known")
def test_the_memory_of_a_gpu(folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside that of the machine, which the libraries of a GPU take."""
    settings = tiny(*folders)
    sets = opened(settings)
    monkeypatch.setattr(module, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(module, "choose", lambda *_: torch.float32)
    monkeypatch.setattr(module, "free_gpu_memory", lambda _: 1 << 30)
    told = forecast(settled(settings, sets), sets, tmp_path, timed=False)
    assert told.gpu_memory == GPU_LIBRARIES + round(GPU_KEPT * 300 + GPU_WORK * 700) and told.fits
    assert told.memory >= GPU_HOST and told.gpu_memory_free == 1 << 30
    assert ("memory of the GPU", "40 MiB (1024 free)") in numbers(told)
    monkeypatch.setattr(module, "free_gpu_memory", lambda _: 1000)
    told = forecast(settled(settings, sets), sets, tmp_path)
    assert not told.fits and told.seconds == 0 and "MiB of memory of the GPU, and 0 are free" in told.advice[0]


@pytest.mark.slow
def test_time_is_that_of_a_training(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 15 % of what 60 iterations take, in seconds of the processor: other work on the machine counts in
    neither."""
    a, b = folders
    preset = settings_class("drit").presets()["digits"]
    settings = changed(
        preset, {"data.a": str(a), "data.b": str(b), "data.resize": 0, "data.crop": 16, "threads": 1, "steps": 80}
    )
    monkeypatch.setattr(module, "seconds_each", partial(launch.seconds_each, clock=time.process_time))
    sets = opened(settings)
    settings = settled(settings, sets)
    before = forecast(settings, sets, tmp_path).seconds
    with Trainer(method_class("drit"), settings, sets, tmp_path / "run") as trainer:
        trainer.start_stream()
        for step in range(70):
            if step == 10:
                began = time.process_time()
            trainer.iterate()
            trainer.step = step + 1
        taken = (time.process_time() - began) / 60
    after = forecast(settings, sets, tmp_path).seconds  # the processor's pace changes with what shares it
    assert (before + after) / 2 == pytest.approx(taken, rel=0.15)
