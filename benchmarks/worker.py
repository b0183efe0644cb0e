"""Measure one task in one formulation, in a process of its own: seconds and peak memory, as JSON.

    python -m benchmarks.worker {train,official,translate} {drit,reference} SIZE COUNT [SECONDS [WIDTH]]

Tasks, at the published network sizes:

    train        an iteration with COUNT images of each domain and all losses of the paper
    official     an iteration of the official implementation: halves of a batch, three batches for the content
                 discriminator, mode seeking; `reference` also follows that program's order of work
    translate    one image of SIZE pixels in COUNT random styles

Formulations: `drit` is this program as it would run here. `reference` is the reference formulation in float32 and
contiguous memory format (reference/formulation.py). The first call is not counted.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drit.data.folders import ImageSet
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT
from drit.methods.drit.settings import DRITSettings
from drit.methods.noise import Noise
from drit.runtime import cores
from drit.settings.common import DataSettings
from drit.settings.schema import changed
from drit.training.launch import Trainer
from reference import formulation as reference

CHANNELS = {"a": 3, "b": 3}


def official(size: int, count: int, width: int = 64) -> DRITSettings:
    """The settings of the official implementation's iteration at a size."""
    return _sized(DRITSettings.from_preset("official"), size, count, width, {"precision": "auto"})


def paper(size: int, count: int, width: int = 64) -> DRITSettings:
    """The settings of the paper's iteration at a size, with one update of the content discriminator."""
    return _sized(DRITSettings.from_preset("paper"), size, count, width, {"optim.content_discriminator_steps": 1})


def _sized(settings: DRITSettings, size: int, count: int, width: int, more: dict[str, Any]) -> DRITSettings:
    widths = dict.fromkeys(("network.width", "network.attribute_width", "network.discriminator_width"), width)
    return changed(settings, widths | {"batch": count, "data.resize": 0, "data.crop": size} | more)


def images(size: int, count: int, seed: int) -> np.ndarray:
    """Images of noise: (count, size, size, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def random_sets(domains: Iterable[str], size: int, count: int, config: DataSettings) -> dict[str, ImageSet]:
    """Colour images of noise, `count` for each domain, in memory and of one size."""
    sizes = [(size, size)] * count
    return {d: ImageSet(d, images(size, count, i), sizes, config, 3, 8, {}) for i, d in enumerate(domains)}


def train_drit(size: int, count: int, width: int = 64) -> Callable[[], object]:
    return _trainer(paper(size, count, width))


def official_drit(size: int, count: int, width: int = 64) -> Callable[[], object]:
    return _trainer(official(size, count, width))


def _trainer(config: DRITSettings) -> Callable[[], object]:
    size, count = config.data.crop, config.batch
    sets = random_sets(CHANNELS, size, count, config.data)
    trainer = Trainer(DRIT, config, sets)
    trainer.start_stream()
    return trainer.iterate


def train_reference(size: int, count: int, width: int = 64) -> Callable[[], object]:
    config = paper(size, count, width)
    model, optimizers = _reference_model(config)
    batch = {d: torch.rand(count, 3, size, size) * 2 - 1 for d in "ab"}
    steps: Iterator[int] = iter(range(1 << 30))
    return lambda: reference.step(model, batch, Noise(0, next(steps)), optimizers)


def official_reference(size: int, count: int, width: int = 64) -> Callable[[], object]:
    model, optimizers = _reference_model(official(size, count, width))
    batches = [{d: torch.rand(count, 3, size, size) * 2 - 1 for d in "ab"} for _ in range(3)]
    steps: Iterator[int] = iter(range(1 << 30))
    return lambda: reference.official_iteration(model, batches, Noise(0, next(steps)), optimizers)


def _reference_model(config: DRITSettings) -> tuple[DRIT, dict[str, torch.optim.Optimizer]]:
    model = DRIT(config, CHANNELS)
    rates = model.learning_rates()
    o = config.optim
    return model, {
        n: torch.optim.Adam(m.parameters(), rates[n], (o.beta1, o.beta2), weight_decay=o.weight_decay)
        for n, m in model.named_children()
    }


def translate_drit(size: int, count: int, width: int = 64) -> Callable[[], object]:
    translator = Translator(DRIT(paper(size, 1, width), CHANNELS), {})
    x = images(size, 1, 0)[0]
    return lambda: [None for _ in translator.outputs(x, translator.sample(count, "b"), "b")]


def translate_reference(size: int, count: int, width: int = 64) -> Callable[[], object]:
    model = DRIT(paper(size, 1, width), CHANNELS).requires_grad_(False)
    x = torch.from_numpy(images(size, 1, 0)).permute(0, 3, 1, 2).contiguous() / 127.5 - 1

    @torch.inference_mode()
    def render() -> None:
        """Encode and generate again for every style, as the official implementation does."""
        for style in torch.randn(count, 1, 8):
            reference.generate(model, reference.content(model, x, "a"), style, "b")

    return render


TASKS = {
    ("official", "drit"): official_drit,
    ("official", "reference"): official_reference,
    ("train", "drit"): train_drit,
    ("train", "reference"): train_reference,
    ("translate", "drit"): translate_drit,
    ("translate", "reference"): translate_reference,
}


def peak_memory() -> int:
    """Peak resident memory of this process, in bytes. (That of getrusage includes the process that started it.)"""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(task: str, form: str, size: int, count: int, seconds: float, width: int = 64) -> dict[str, float]:
    """Call a task for about `seconds` (at least once), after one call that is not counted.

    Returns the median time of a call, the peak resident memory, and the working memory: the growth up to that peak.
    """
    torch.set_num_threads(cores())
    before = peak_memory()
    call = TASKS[task, form](size, count, width)
    if count <= 10:  # a call of a hundred styles warms up within itself
        call()
    times: list[float] = []
    while not times or sum(times) < seconds:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    peak = peak_memory()
    return {"seconds": statistics.median(times), "peak_mib": peak / 2**20, "work_mib": (peak - before) / 2**20}


if __name__ == "__main__":
    task, form, *rest = sys.argv[1:]
    size, count, seconds, width = [*rest, *("2", "64")[len(rest) - 2 :]]
    print(json.dumps(measure(task, form, int(size), int(count), float(seconds), int(width))))
    sys.stdout.flush()
    os._exit(0)  # the trainer's loader thread need not be waited for
