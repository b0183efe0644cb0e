"""Measure training steps of all methods: arithmetic, time, and their rate relative to DRIT's.

    python -m benchmarks.methods [PRESET] [METHOD ...]

Each method has a process of its own, with the sizes of PRESET (quick) and colour images. It takes turns with a process
of DRIT, so that other work on the machine slows both alike.

`of the prediction` is the time relative to a prediction: the arithmetic at the rate that DRIT's iteration reaches. It
is the median over turns. `in the optimizer` is the share of the time in Adam. The count of arithmetic leaves it out:
Adam goes through all weights, however few places of an image use them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.worker import random_sets
from drit.methods.registry import entries, method_class, preset
from drit.training.launch import Trainer

TURNS, EACH = 6, 1.5  # the first turn is not counted; seconds of a turn


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


def serve(name: str, method: str) -> None:
    """Iterate on one thread for EACH seconds, at least once, for each line on standard input.

    The first JSON line printed is the GFLOP of an iteration. Then each turn prints the processor seconds of an
    iteration, and those in the optimizers.
    """
    config = preset(name, method)
    config = replace(config, data=replace(config.data, resize=0))
    domains = "abc"[: method_class(method).domains[0]]
    sets = random_sets(domains, config.data.crop, max(8, config.batch), config.data)
    trainer = Trainer(method_class(method), config, sets)
    torch.set_num_threads(1)
    trainer.start_stream()
    trainer.iterate()
    with FlopCounterMode(display=False) as counter:
        trainer.iterate()
    print(json.dumps(counter.get_total_flops() / 1e9), flush=True)
    optimizing = Optimizing(trainer)
    for _ in sys.stdin:
        began, before, optimizing.seconds = time.process_time(), trainer.step, 0.0
        while trainer.step == before or time.process_time() - began < EACH:
            trainer.iterate()
        count = trainer.step - before
        print(json.dumps([(time.process_time() - began) / count, optimizing.seconds / count]), flush=True)


class Worker:
    """A process that serves one method. A context manager."""

    def __init__(self, name: str, method: str) -> None:
        command = [sys.executable, "-m", "benchmarks.methods", "--serve", name, method]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.gflop = float(self._answer())

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The measured process ended. Its error message is above.")
        return json.loads(line)

    def turn(self) -> list[float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds: list[float] = self._answer()
        return seconds


def main(name: str, methods: list[str]) -> None:
    print(f"| preset {name} | GFLOP | seconds | of the prediction | in the optimizer |\n|---|---|---|---|---|")
    with Worker(name, "drit") as drit:
        drit_turns = [drit.turn()]
        for method in methods:
            with Worker(name, method) as worker:
                turns = [(drit.turn(), worker.turn()) for _ in range(TURNS)][1:]
            drit_turns += [of_drit for of_drit, _ in turns]
            ratio = statistics.median(own[0] / worker.gflop / (of_drit[0] / drit.gflop) for of_drit, own in turns)
            print(row(method, worker.gflop, [own for _, own in turns], ratio), flush=True)
        print(row("drit", drit.gflop, drit_turns[1:], 1.0))


def row(method: str, gflop: float, turns: list[list[float]], ratio: float) -> str:
    """A row of the table. turns: of each, seconds of an iteration and those in the optimizers."""
    seconds, optimizer = (statistics.median(column) for column in zip(*turns, strict=True))
    return f"| {method} | {gflop:.0f} | {seconds:.3g} | {ratio:.2f} x | {100 * optimizer / seconds:.0f} % |"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        os._exit(0)  # the trainer's loader thread need not be waited for
    main([*sys.argv[1:], "quick"][0], sys.argv[2:] or [m for m in entries() if m != "drit"])
