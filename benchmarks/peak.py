"""Measure the peak rate of convolutions on this machine. Shares of the peak refer to it.

    python -m benchmarks.peak

It is that of a 3 x 3 convolution of 256 channels on two maps of 54 x 54: the residual blocks of the published networks
at 216 pixels. Forward and backward, channels_last, in float32 and bfloat16.
"""

from __future__ import annotations

import json
import statistics
import time

import torch
import torch.nn.functional as F

from drit.runtime import cores

CHANNELS, SIDE, IMAGES, ROUNDS = 256, 54, 2, 15
GFLOP = 3 * 2 * IMAGES * CHANNELS**2 * 9 * SIDE**2 / 1e9  # forward, gradient of the input, gradient of the weight


def measure(dtype: torch.dtype) -> float:
    """The rate in GFLOP/s: the median of several rounds."""
    x = torch.randn(IMAGES, CHANNELS, SIDE, SIDE, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    x.requires_grad_()
    weight.requires_grad_()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        y = F.conv2d(x, weight, padding=1)
        torch.autograd.grad(y, (x, weight), y)
        times.append(time.perf_counter() - began)
    return GFLOP / statistics.median(times[3:])


def main() -> None:
    torch.set_num_threads(cores())
    print(json.dumps({name: measure(getattr(torch, name)) for name in ("float32", "bfloat16")}))


if __name__ == "__main__":
    main()
