"""Trainings by several processes on this machine, for the tests in test_shared.py.

    python -m tests.training.shared cases OUT COUNT...   every method in float64 by one process and by COUNT
    python -m tests.training.shared faults OUT           commands by two processes, of which one fails

One process imports everything and forks those that train. OUT: a folder for what came out.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # tensors without numbers load it: once here, not in each process

from drit import peers
from drit.cli import main as cli
from drit.cli import train
from drit.methods.base import Batch
from drit.runs import checkpoint as files
from drit.settings.common import TrainSettings
from drit.settings.schema import changed, to_dict
from drit.training import launch
from drit.training.trainer import Trainer
from tests.conftest import opened, tiny, write_images

ITERATIONS = 3
EPS = 1e-4  # of Adam
HALTED = 2.0  # seconds that a halted process is waited for
Work = Callable[[int], object]  # what process r does; the exit code if it is a number


class Float64(Trainer):
    """A trainer of weights in float64."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.method.double()
        for optimizer in self.optimizers.values():
            # the gradient of a bias before a normalisation is rounding alone: Adam shall not make whole steps of it
            optimizer.param_groups[0]["eps"] = EPS
        if self.average.tensors:
            self.average.reset()

    def _batches(self) -> Iterator[Batch]:
        for batch in super()._batches():
            yield Batch({d: x.double() for d, x in batch.items()}, batch.labels)


def result(settings: TrainSettings, spoilt: bool = False) -> dict[str, Any]:
    """Weights, moving average, state beside weights, and the losses of each iteration.

    spoilt: this process's images of the second iteration are no numbers.
    """
    sets = opened(settings)
    with Float64(method_of(settings), settings, sets) as trainer:
        trainer.start_stream()
        batches = trainer._batches
        losses = []
        for i in range(ITERATIONS):
            trainer.step = settings.steps - 1 if i == ITERATIONS - 1 else i  # of each stage
            if spoilt:
                factor = float("nan") if i == 1 else 1.0
                trainer._batches = lambda f=factor: (Batch({d: f * x for d, x in b.items()}) for b in batches())  # type: ignore[method-assign,misc]
            losses.append(trainer.iterate())
        return {
            "weights": trainer.method.state_dict(),
            "average": trainer.average.tensors,
            "state": trainer.method.training_state(),
            "losses": {f"{i} {name}": value for i, terms in enumerate(losses) for name, value in terms.items()},
            "skipped": trainer.safety.read(),
        }


def method_of(settings: TrainSettings) -> Any:
    from drit.methods.registry import method_class

    return method_class(settings.method)


def by(count: int, work: Work, log: Path | None = None, restarts: int = 0) -> list[int]:
    """Have `count` processes do something. Returns their exit codes, negative for signals.

    log: the beginning of the files that take what they write. One that halts is ended when the others are gone.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"TORCHELASTIC_RESTART_COUNT": restarts}
    left = {
        _fork(lambda r=r: work(r), shared | {"RANK": r, "LOCAL_RANK": r}, log and f"{log}.{r}"): r for r in range(count)
    }
    codes = [0] * count
    halted_since: float | None = None
    while left:
        for child in list(left):
            if (done := os.waitpid(child, os.WNOHANG))[0]:
                codes[left.pop(child)] = os.waitstatus_to_exitcode(done[1])
                halted_since = time.monotonic()
        if len(left) < count and halted_since and time.monotonic() - halted_since > HALTED:
            for child in left:
                if state_of(child) == "T":
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    return codes


def state_of(pid: int) -> str:
    """The letter of a process's state, such as T (halted) or Z (ended, not waited for); empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _fork(work: Callable[[], object], environment: dict[str, object], log: str | None) -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        os.environ |= {name: str(value) for name, value in environment.items()}
        torch.set_num_threads(1)
        if log:
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
        done = work()
        code = done if isinstance(done, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def cases(out: Path, counts: Sequence[int]) -> None:
    """Train what `cases.pt` lists, (name, settings), by one process and by so many; a file of results for each."""

    def work(rank: int) -> None:
        with peers.joined(cuda=False, seconds=300):
            results = {name: result(settings) for name, settings in torch.load(out / "cases.pt", weights_only=False)}
            if peers.is_first():
                torch.save(results, out / f"{peers.count()}.pt")

    for count in (1, *counts):
        if any(codes := by(count, work)):
            sys.exit(f"{count} processes ended with {codes}")


def at(step: int, do: Callable[[], object]) -> None:
    """In this process, do something after an iteration."""
    iterate = Trainer.iterate

    def then(self: Trainer) -> Any:
        terms = iterate(self)
        if self.step == step:
            do()
        return terms

    Trainer.iterate = then  # type: ignore[method-assign]


def faults(out: Path) -> None:
    """Commands by two processes; codes of each and seconds it took into `codes.json`, what they wrote beside it."""
    folders = write_images(out / "a", 5, 1, seed=1), write_images(out / "b", 4, 3, seed=2)
    settings = changed(tiny(*folders, steps=8, device="cpu"), {"log.sample_every": 0, "log.watch_every": 0})
    train._report = lambda _: ""  # takes seconds, and is the first process's alone
    (out / "settings.json").write_text(json.dumps(to_dict(settings)), encoding="utf-8")
    codes: dict[str, list[int]] = {}

    def command(name: str, *words: str, run: str = "", before: Work = lambda _: None, restarts: int = 0) -> None:
        def work(rank: int) -> int:
            before(rank)
            more = [word.replace("RANK", str(rank)) for word in words]
            where = ["--config", str(out / "settings.json"), "--out", str(out / (run or name))]
            return cli.main(["train", *where, *more])

        codes[name] = by(2, work, out / name, restarts)

    def of_second(step: int, number: signal.Signals) -> Work:
        return lambda rank: at(step, lambda: os.kill(os.getpid(), number)) if rank == 1 else None

    command("killed", before=of_second(5, signal.SIGKILL))
    command("restarted", run="killed", restarts=1)
    command("halted", "--peer-timeout", "2", before=of_second(5, signal.SIGSTOP))
    command("ended", before=of_second(5, signal.SIGTERM))
    command("continued", "--or-resume", run="ended")
    command("odd", "--batch", "5")
    command("taken", run="killed")
    command("different", "--seed", "RANK")

    def in_float64(count: int, do: Callable[[], object]) -> None:
        def work(rank: int) -> None:
            launch.Trainer = Float64  # type: ignore[misc,attr-defined]
            files.check_fit = lambda *_: None  # the skeleton that weights are compared with is of float32
            do()

        if any(ended := by(count, work)):
            sys.exit(f"{count} processes in float64 ended with {ended}")

    in_float64(1, lambda: launch.train(settings, out / "whole"))
    in_float64(2, lambda: launch.train(settings, out / "parts", stop_after=4))
    in_float64(1, lambda: launch.resume(out / "parts", stop_after=2))
    in_float64(2, lambda: launch.resume(out / "parts"))

    def spoilt(rank: int) -> None:
        with peers.joined(cuda=False, seconds=60):
            torch.save(result(settings, spoilt=rank == 1), out / f"spoilt.{rank}.pt")

    codes["spoilt"] = by(2, spoilt)
    (out / "codes.json").write_text(json.dumps(codes), encoding="utf-8")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        what, folder, *numbers = sys.argv[1:]
        cases(Path(folder), [int(n) for n in numbers]) if what == "cases" else faults(Path(folder))
