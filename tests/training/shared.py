"""Trains each method for a few iterations by several processes, in float64, and keeps what came out.

    python -m tests.training.shared CASES OUT COUNT...

CASES: a file of torch, a list of (name, settings). OUT: a folder for a file of results for each number of processes,
`COUNT.pt`. One process imports everything and forks the others.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from drit import peers
from drit.methods.base import Batch
from drit.settings.common import TrainSettings
from drit.training.trainer import Trainer
from tests.conftest import trainer_of

ITERATIONS = 3
EPS = 1e-4  # of Adam


class Float64(Trainer):
    """A trainer of weights in float64."""

    def _batches(self) -> Iterator[Batch]:
        for batch in super()._batches():
            yield Batch({d: x.double() for d, x in batch.items()}, batch.labels)


def result(settings: TrainSettings) -> dict[str, Any]:
    """Weights, moving average, state beside weights, and the losses of each iteration."""
    with trainer_of(settings) as trainer:
        trainer.__class__ = Float64
        trainer.method.double()
        for optimizer in trainer.optimizers.values():
            # the gradient of a bias before a normalisation is rounding alone: Adam shall not make whole steps of it
            optimizer.param_groups[0]["eps"] = EPS
        trainer.average.reset()
        trainer.start_stream()
        losses = []
        for i in range(ITERATIONS):
            trainer.step = settings.steps - 1 if i == ITERATIONS - 1 else i  # of each stage
            losses.append(trainer.iterate())
        return {
            "weights": trainer.method.state_dict(),
            "average": trainer.average.tensors,
            "state": trainer.method.training_state(),
            "losses": {f"{i} {name}": value for i, terms in enumerate(losses) for name, value in terms.items()},
            "skipped": torch.tensor(trainer.safety.read() != []),
        }


def main(cases: Path, out: Path, counts: list[int]) -> None:
    for count in counts:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        children = [_fork(cases, out, rank, count, port) for rank in range(count)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(codes):
            sys.exit(f"{count} processes ended with {codes}")


def _fork(cases: Path, out: Path, rank: int, count: int, port: int) -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        torch.set_num_threads(1)
        with peers.joined(cuda=False, seconds=120):
            results = {name: result(settings) for name, settings in torch.load(cases, weights_only=False)}
            if peers.is_first():
                torch.save(results, out / f"{count}.pt")
        code = 0
    finally:
        if code:
            import traceback

            traceback.print_exc()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(n) for n in sys.argv[3:]])
