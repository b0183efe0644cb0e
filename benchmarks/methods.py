"""Training steps of all methods: arithmetic, time, and the rate beside that of DRIT's step.

    python -m benchmarks.methods [PRESET] [METHOD ...]

Each is a process of its own with the sizes of PRESET (quick) and colour pictures, in which iterations of the method and
of DRIT take turns: what else the machine does slows both. `of the prediction` is the time against what the arithmetic
predicts at the rate that DRIT's iteration reaches, the median over turns. `optimizer`: time in Adam, which no count of
arithmetic holds: it goes through all weights, however few places of a picture each is used at.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.case import random_sets
from benchmarks.run import process
from drit.methods import METHODS, method_class
from drit.presets import preset
from drit.train.loop import Trainer

SECONDS, LEAST = 8.0, 5  # of the method's iterations; turns
EACH = 1.0  # seconds of a turn


class Optimizing:
    """Processor seconds spent in the optimizers of a trainer from now on."""

    def __init__(self, trainer: Trainer) -> None:
        self.seconds = 0.0
        self._began = 0.0
        for optimizer in trainer.optimizers.values():
            optimizer.register_step_pre_hook(self._begin)
            optimizer.register_step_post_hook(self._end)

    def _begin(self, *_: object) -> None:
        self._began = time.process_time()

    def _end(self, *_: object) -> None:
        self.seconds += time.process_time() - self._began


def begun(name: str, method: str) -> tuple[Trainer, float]:
    """A trainer after its first iterations, and the GFLOP of one."""
    config = preset(name, method)
    config = replace(config, data=replace(config.data, resize=0))
    domains = "abc"[: method_class(method).domains[0]]
    sets = random_sets(domains, config.data.crop, max(8, config.batch), config.data)
    trainer = Trainer(config, Path("/nonexistent"), sets)
    torch.set_num_threads(1)
    trainer.start_stream()
    trainer.iterate()
    with FlopCounterMode(display=False) as counter:
        trainer.iterate()
    return trainer, counter.get_total_flops() / 1e9


def timed(trainer: Trainer, seconds: float) -> float:
    """Processor seconds of an iteration, the mean over at least one and over about so many seconds."""
    began, count = time.process_time(), 0
    while not count or time.process_time() - began < seconds:
        trainer.iterate()
        count += 1
    return (time.process_time() - began) / count


def measure(name: str, method: str) -> dict[str, float]:
    """Of one iteration, on one thread: GFLOP, processor seconds (median), those in optimizers (mean), and the time of
    DRIT's iteration for the same arithmetic (median)."""
    drit, drit_gflop = begun(name, "drit")
    trainer, gflop = begun(name, method)
    times, ratios = list[float](), list[float]()
    optimizing = Optimizing(trainer)
    spent = 0.0
    while len(times) < LEAST or spent < SECONDS:
        predicted = timed(drit, 0.0) / drit_gflop * gflop
        before = trainer.step
        times.append(timed(trainer, EACH))
        spent += times[-1] * (trainer.step - before)
        ratios.append(times[-1] / predicted)
    return {
        "gflop": gflop,
        "seconds": statistics.median(times),
        "optimizer": optimizing.seconds / spent,
        "ratio": statistics.median(ratios),
    }


def main(name: str, methods: list[str]) -> None:
    print(f"| preset {name} | GFLOP | seconds | of the prediction | in the optimizer |\n|---|---|---|---|---|")
    for method in dict.fromkeys(["drit", *methods]):
        one = process("methods", "--one", name, method)
        ratio, share = one["ratio"], 100 * one["optimizer"]
        print(f"| {method} | {one['gflop']:.0f} | {one['seconds']:.2f} | {ratio:.2f} x | {share:.0f} % |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(*sys.argv[2:])), flush=True)
        os._exit(0)  # the trainer's loader thread need not be waited for
    main([*sys.argv[1:], "quick"][0], sys.argv[2:] or list(METHODS))
