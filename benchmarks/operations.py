"""Measure where the time of a task goes: seconds by kind of operation, and the rate of its convolutions.

python -m benchmarks.operations {train,official,translate} SIZE COUNT
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.worker import TASKS
from drit.runtime import cores

# Kinds of operations, and parts of their names. An operation is of the first kind that fits.
KINDS = {
    "convolutions, backward": ("convolution_backward",),
    "convolutions, forward": ("convolution",),
    "normalisation": ("group_norm", "InstanceNorm", "bmm", "addcmul"),
    "optimizers": ("adam", "Adam", "Optimizer"),
    "padding": ("pad2d", "pad"),
    "copies and casts": ("copy", "empty", "fill", "zero", "cat", "clone", "contiguous"),
    "activations": ("relu", "threshold", "clamp", "tanh"),
}
REST = "sums, losses and the rest"


def kind_of(name: str) -> str:
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), REST)


def measure(task: str, size: int, count: int) -> dict[str, object]:
    torch.set_num_threads(cores())
    call = TASKS[task, "drit"](size, count)
    with FlopCounterMode(display=False) as counter:
        call()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call()
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        seconds[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    convolving = sum(s for kind, s in seconds.items() if kind.startswith("convolutions"))
    gflop = counter.get_total_flops() / 1e9
    return {
        "gflop": gflop,
        "convolutions_gflop_per_second": gflop / convolving,
        "seconds": dict(sorted(seconds.items(), key=lambda item: -item[1])),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))), flush=True)
    import os

    os._exit(0)  # the trainer's loader thread need not be waited for
