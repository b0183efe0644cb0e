"""The memory model: exact where arithmetic tells, and near what a real process takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drit.methods.drit.objective import DRIT
from drit.methods.drit.settings import DRITSettings
from drit.runs.record import recorded_settings
from drit.runtime import choose
from drit.training.memory import predict
from tests.conftest import write_images

CHANNELS = {"a": 1, "b": 3}


def config(**changes: object) -> DRITSettings:
    base = DRITSettings.from_preset("quick")
    data = replace(base.data, crop=64)
    network = replace(base.network, width=8, attribute_width=8, discriminator_width=8)
    network = replace(network, content_blocks=1, generator_blocks=1, attribute_blocks=2, discriminator_scales=1)
    return replace(base, batch=4, data=data, network=network, **changes)  # type: ignore[arg-type]


def test_weights_and_optimizers_are_counted_exactly() -> None:
    method = DRIT(config(), CHANNELS)
    weights = sum(p.numel() for p in method.parameters())
    averaged = sum(p.numel() for n in method.inference for p in getattr(method, n).parameters())
    found = predict(DRIT, config(), CHANNELS)
    assert found.optimizers == 2 * 4 * weights
    assert found.weights == 4 * (weights + averaged)
    assert found.peak > found.weights + found.optimizers + 4 * averaged  # gradients of encoders and generators at least


def test_what_saves_memory() -> None:
    def work(dtype: torch.dtype = torch.float32, **changes: object) -> int:
        found = predict(DRIT, config(**changes), CHANNELS, dtype)
        return found.peak - found.weights - found.optimizers

    whole = work()
    assert work(accumulate=2) < 0.7 * whole
    assert work(recompute=True) < 0.6 * whole
    assert work(recompute=True, accumulate=2) < work(recompute=True)
    assert work(torch.bfloat16) < 0.8 * whole
    assert work() == whole  # nothing is left over from one prediction to the next


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from tests.training.test_memory import real
from benchmarks.worker import peak_memory
from drit.data.folders import ImageSet
from drit.methods.drit.objective import DRIT
from drit.training.trainer import Trainer
config = real(sys.argv[1] == "1")
images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
sets = {d: ImageSet(d, images, [(96, 96)] * 2, config.data, 3, 8, {}) for d in "ab"}
with Trainer(DRIT, config, sets) as trainer:
    trainer.start_stream()
    for _ in range(2):
        trainer.iterate()
    print(trainer.dtype, peak_memory())
"""


def real(recompute: bool) -> DRITSettings:
    base = DRITSettings.from_preset("paper")
    return replace(base, batch=2, threads=1, recompute=recompute, data=replace(base.data, resize=0, crop=96))


COMMAND = """
import sys
from drit.cli.main import main
from benchmarks.worker import peak_memory
assert main(sys.argv[1:]) == 0
print(peak_memory())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the model is fitted to processes on Linux")
@pytest.mark.parametrize("preset", ["demo", "digits"])
def test_the_prediction_is_near_a_command_with_small_networks(preset: str, tmp_path: Path) -> None:
    """Where the libraries of a process take more than its tensors."""
    a, b = write_images(tmp_path / "a", 8, 1, (32, 32)), write_images(tmp_path / "b", 8, 3, (32, 32))
    words = ["train", "--preset", preset, "--data.a", a, "--data.b", b, "--steps", 20, "--threads", 1]
    command = [sys.executable, "-c", COMMAND, *map(str, words), "--out", str(tmp_path / "run")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    settings = recorded_settings(tmp_path / "run")
    dtype = choose(settings.precision, torch.device("cpu"))
    measured, predicted = int(shown[-1]), predict(DRIT, settings, {"a": 1, "b": 3}, dtype).resident
    assert abs(predicted - measured) < 0.15 * measured, (predicted >> 20, measured >> 20)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the model is fitted to processes on Linux")
@pytest.mark.parametrize("recompute", [False, True])
def test_the_prediction_is_near_a_real_process(recompute: bool) -> None:
    command = [sys.executable, "-c", MEASURE, str(int(recompute))]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    dtype, measured = getattr(torch, shown[0].removeprefix("torch.")), int(shown[1])
    predicted = predict(DRIT, real(recompute), {"a": 3, "b": 3}, dtype).resident
    assert abs(predicted - measured) < 0.15 * measured, (predicted >> 20, measured >> 20)
