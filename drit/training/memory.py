"""How much memory training takes, before it starts: an iteration of each stage, on tensors without numbers.

Every operation of a real iteration runs on fake tensors, which have shapes, types and lifetimes but no memory. What is
alive at once is counted; its largest value is the peak. So the model holds for any method, size, batch, width and
precision, and for --accumulate and --recompute, without a formula to keep up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from drit.methods.base import Batch, Method
from drit.runtime import AliveBytes, autocast
from drit.settings.common import TrainSettings
from drit.training.updates import gradients, turns_of

# What a process holds beside tensors, and what gaps of the allocator and buffers of the convolution library add:
# fitted to processes that trained in bfloat16, the published networks at 64 to 256 pixels and the presets `quick`,
# `digits` and `demo`, all within 6 % (docs/performance.md).
LIBRARIES = 370 << 20
GAPS = 1.24
# The same of a process that trains on a GPU, for its memory on the GPU and on the host (docs/performance.md).
GPU_LIBRARIES = 40 << 20
GPU_KEPT, GPU_WORK = 1.1, 1.5  # of weights with their optimizers, and of all else
GPU_HOST = 2000 << 20


@dataclass(frozen=True)
class Memory:
    """Bytes. `peak` is the most that is alive at once: weights, moving average, optimizers, gradients and work."""

    weights: int  # of all networks, with the moving average
    optimizers: int
    peak: int

    @property
    def resident(self) -> int:
        """Memory of a CPU process that trains so, without its images."""
        return LIBRARIES + round(GAPS * self.peak)

    @property
    def on_gpu(self) -> int:
        """Memory of a GPU that a process takes which trains so."""
        kept = self.weights + self.optimizers
        return GPU_LIBRARIES + round(GPU_KEPT * kept + GPU_WORK * (self.peak - kept))


def predict(
    method_type: type[Method], settings: TrainSettings, channels: dict[str, int], dtype: torch.dtype = torch.float32
) -> Memory:
    """Memory of training with these settings; nothing of that size is allocated.

    channels: of every domain. dtype: of the convolutions, as `runtime.choose` gives it.
    """
    device = torch.device("cpu")
    with FakeTensorMode(), AliveBytes() as counter:
        method = method_type(settings, channels)
        average = [p.detach().clone() for n in method.inference for p in getattr(method, n).parameters()]
        average = average if settings.optim.ema else []
        weights = counter.alive
        moments = [torch.empty_like(p) for p in method.parameters() for _ in range(2)]
        optimizers = counter.alive - weights
        for step in _stages(method, settings.steps):
            turns = turns_of(method, _batches(settings, channels), step, seed=0)
            while gradients(method, turns, {}, lambda: autocast(dtype, device)) is not None:
                pass
        del moments, average
    return Memory(weights, optimizers, counter.peak)


def _stages(method: Method, steps: int) -> Iterator[int]:
    """The first iteration of each stage of training."""
    step = 0
    while step < steps:
        yield step
        step = method.stage(step, steps)[1]


def _batches(settings: TrainSettings, channels: dict[str, int]) -> Iterator[Batch]:
    side = settings.data.crop
    while True:
        images = {d: torch.zeros(settings.batch, c, side, side) for d, c in channels.items()}
        shape = (settings.batch, side, side) if settings.learns_masks else (settings.batch,)
        labels = torch.zeros(shape, dtype=torch.int64)
        yield Batch({d: x.contiguous(memory_format=torch.channels_last) for d, x in images.items()}, labels)
