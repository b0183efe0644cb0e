"""What a training will take: memory, time and disk, and what to change where it does not fit."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drit.data.folders import ImageSet
from drit.methods.registry import method_for
from drit.runtime import choose, choose_device, free_gpu_memory, free_memory
from drit.settings.common import TrainSettings
from drit.training.launch import seconds_each
from drit.training.memory import GPU_HOST, predict

MIB = 1 << 20
SHEET = 2 * MIB  # bytes of a sample sheet, at most
LINE = 1024  # bytes of a line of metrics, with its TensorBoard event
LONG = 7 * 86400.0  # seconds of a training, above which a smaller preset is named


@dataclass(frozen=True)
class Forecast:
    """Bytes and seconds. What is 0 was not measured."""

    memory: int  # of the process, with the images that it keeps
    memory_free: int
    gpu_memory: int  # 0 on a CPU, like the next
    gpu_memory_free: int
    disk: int  # of the run folder at its largest
    disk_free: int
    seconds: float  # of an iteration
    steps: int
    advice: tuple[str, ...] = ()  # what to change where something does not fit

    @property
    def fits(self) -> bool:
        """Whether memory and disk are enough."""
        return self.fits_memory and self.disk <= self.disk_free

    @property
    def fits_memory(self) -> bool:
        """Whether the memory of the machine, and that of the GPU, is enough."""
        return self.memory <= self.memory_free and self.gpu_memory <= self.gpu_memory_free


def forecast(settings: TrainSettings, sets: dict[str, ImageSet], place: Path, timed: bool = True) -> Forecast:
    """What a training with these settings (`checks.settled`) on these images takes.

    place: where the run will be written, or a folder above it. timed: run a few real iterations; they are not run where
    they would not fit into memory.
    """
    method, device = method_for(settings), choose_device(settings.device)
    channels = {d: s.channels for d, s in sets.items()}
    memory = predict(method, settings, channels, choose(settings.precision, device))
    kept = sum(_cached(s) for s in sets.values())
    log = settings.log
    checkpoints = min(settings.steps // log.checkpoint_every + 1, log.keep + 1)  # one more while it is written
    checkpoints += settings.steps // log.keep_every if log.keep_every else 0
    sheets = settings.steps // log.sample_every if log.sample_every else 0
    lines = settings.steps // log.metrics_every
    disk = checkpoints * (memory.weights + memory.optimizers) + sheets * SHEET + lines * LINE
    place = next(p for p in (place.absolute(), *place.absolute().parents) if p.is_dir())
    on_gpu = (memory.on_gpu, free_gpu_memory(device)) if device.type == "cuda" else (0, 0)
    told = Forecast(
        memory=(memory.resident if device.type == "cpu" else GPU_HOST) + kept,
        memory_free=free_memory(),
        gpu_memory=on_gpu[0],
        gpu_memory_free=on_gpu[1],
        disk=disk,
        disk_free=shutil.disk_usage(place).free,
        seconds=0.0,
        steps=settings.steps,
    )
    if timed and told.fits_memory:
        told = replace(told, seconds=seconds_each(settings, sets))
    return replace(told, advice=tuple(_advice(told, settings)))


def _advice(told: Forecast, settings: TrainSettings) -> Iterator[str]:
    for where, needed, free in (
        ("memory", told.memory, told.memory_free),
        ("memory of the GPU", told.gpu_memory, told.gpu_memory_free),
    ):
        if needed > free:
            yield (
                f"It needs {needed / MIB:.0f} MiB of {where}, and {free / MIB:.0f} are free: add --recompute or "
                f"--accumulate {settings.batch}, or choose a smaller --data.crop or --network.width."
            )
    if told.disk > told.disk_free:
        yield (
            f"The run needs {told.disk / MIB:.0f} MiB of disk, and {told.disk_free / MIB:.0f} are free: lower "
            "--log.keep, set --log.keep-every 0, or choose another place."
        )
    if told.seconds * told.steps > LONG:
        yield (
            f"{told.steps} iterations would take {told.seconds * told.steps / 86400:.0f} days here: lower --steps, "
            "choose a smaller --preset, or a machine with a GPU."
        )


def _cached(images: ImageSet) -> int:
    """Bytes of the images that a set keeps in memory."""
    if not images.cached:
        return 0
    pixels = sum(math.prod(images.size(i)) for i in range(len(images)))
    return pixels * images.channels * images.depth // 8
