"""Kills trainings with SIGKILL, at random moments or at every step of a save, and checks what is left.

    python -m tests.training.crash --kills 200 --seed 0      half of them while a checkpoint is written
    python -m tests.training.crash --points 0                before every system call of a save; N: of N of them

One process imports everything and forks a child for each training, so a kill costs a fraction of a second. After each
kill the newest checkpoint must be whole and equal, bit for bit, to that of a training that nobody disturbed, and no
more iterations may be lost than lie between two checkpoints. Prints one JSON object; an AssertionError says what broke.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # where there is a GPU, a process that has computed gradients cannot fork

import torch

from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder, step_of
from drit.runs.metrics import read_metrics
from drit.training import launch
from drit.training.trainer import Trainer
from tests.conftest import tiny, write_images
from tests.training.test_resume import same

STEPS, EVERY = 12, 3
# Calls of a save that change something on the disk, or that a change waits for.
CALLS = {"mkdir", "open", "fsync", "rename", "replace", "unlink", "rmdir", "serialize_file", "write_end_of_file"}


@dataclass
class Seen:
    """What a child told before it ended."""

    step: int = 0  # iterations done
    begun: int = 0  # saves begun
    ended: int = 0  # saves ended
    finished: bool = False

    def take(self, content: bytes) -> None:
        for letter in content.decode():
            self.step += letter == "i"
            self.begun += letter == "s"
            self.ended += letter == "e"
            self.finished |= letter == "f"


def fork(run: Path, settings: Any, stop_after: int | None = None, point: int | None = None) -> tuple[int, int]:
    """Start or resume a training in a child. Returns its number and the pipe that it tells its progress to.

    stop_after: iterations that it ends after. point: the child kills itself before this call of its first save; -1: it
    tells how many calls there are.
    """
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        return pid, reader
    code = 1
    try:
        os.close(reader)
        log = os.open(run.with_name(f"{run.name}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 2)
        torch.set_num_threads(1)
        _tell(writer, point)
        if RunFolder(run).is_run:
            launch.resume(run, stop_after=stop_after)
        else:
            launch.train(settings, run, stop_after)
        os.write(writer, b"f")
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _tell(writer: int, point: int | None) -> None:
    """Have iterations and saves tell that they are done."""
    iterate, save, calls = Trainer.iterate, files.save, 0

    def iterated(self: Trainer) -> Any:
        terms = iterate(self)
        os.write(writer, b"i")
        return terms

    def count(frame: Any, event: str, function: Any) -> None:
        nonlocal calls
        if event == "c_call" and function.__name__ in CALLS:
            if calls == point:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1

    def saved(*arguments: Any) -> Path:
        os.write(writer, b"s")
        sys.setprofile(count if point is not None else None)
        path = save(*arguments)
        sys.setprofile(None)
        os.write(writer, b"c" * calls if point is not None else b"e")
        return path

    Trainer.iterate = iterated  # type: ignore[method-assign]
    files.save = saved


def drain(reader: int) -> bytes:
    """All that a child that has ended wrote."""
    content = b""
    while part := os.read(reader, 4096):
        content += part
    os.close(reader)
    return content


@dataclass(frozen=True)
class Kill:
    """What a kill found and left."""

    saving: bool  # a checkpoint was being written
    unsaved: bool  # there is none yet
    lost: int  # iterations


class Crash:
    """A folder with a training that nobody disturbs, and others that are killed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.run = root / "run"
        a, b = write_images(root / "a", 5, 1, seed=1), write_images(root / "b", 4, 3, seed=2)
        small = tiny(a, b, steps=STEPS, batch=1)
        log = replace(small.log, checkpoint_every=EVERY, keep=2, sample_every=6, watch_every=6)
        self.settings = replace(small, optim=replace(small.optim, content_discriminator_steps=1), log=log)
        launch.train(self.settings, root / "warm", stop_after=1)  # what is prepared once is there in every child
        self.whole = root / "whole"
        began = time.monotonic()
        pid, reader = fork(self.whole, replace(self.settings, log=replace(log, keep=1000)))
        assert os.waitpid(pid, 0)[1] == 0, self.whole.with_name("whole.log").read_text()
        os.close(reader)
        self.seconds = time.monotonic() - began  # of a whole training
        self.save_seconds = 0.03
        self.kills: list[Kill] = []  # those that count
        self.checked = 0  # all

    def newest(self, run: Path) -> int:
        """The iteration of the newest checkpoint, which is whole and the same as in the undisturbed training."""
        if not files.checkpoints(run):
            return 0
        found, damaged = files.load_newest(run)
        assert not damaged, damaged
        expected = files.load(RunFolder(self.whole).checkpoint(step_of(found.folder)))
        assert same(found[2:], expected[2:]), f"{found.folder} has other bits"
        return step_of(found.folder)

    def check_finished(self, run: Path) -> None:
        assert self.newest(run) == STEPS and read_metrics(run) == read_metrics(self.whole)

    def kill_once(self, saving: bool, count: int) -> None:
        """Go on with the run and kill it: at a random moment, or at one within a random save."""
        before = self.newest(self.run)
        if before == STEPS:  # killed behind the last save: nothing was lost
            self._next(self.run)
            before = 0
        pid, reader = fork(self.run, self.settings)
        seen = Seen(before)
        nth, moment = self.random.randint(1, 3), time.monotonic() + self.random.uniform(0, 0.6 * self.seconds)
        save_began = 0.0
        while time.monotonic() < moment or saving:
            ready, _, _ = select.select([reader], [], [], 0.001 if saving else moment - time.monotonic())
            if not ready:
                continue
            if not (content := os.read(reader, 1)):
                break
            seen.take(content)
            if content == b"s":
                save_began = time.monotonic()
                if saving and seen.begun == nth:
                    time.sleep(self.random.uniform(0, 1.1 * self.save_seconds))
                    break
            elif content == b"e":
                self.save_seconds = 0.8 * self.save_seconds + 0.2 * (time.monotonic() - save_began)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        seen.take(drain(reader))
        if seen.finished or not os.WIFSIGNALED(status):
            assert status in (0, signal.SIGKILL), self.run.with_name("run.log").read_text()
            self._next(self.run)
            return
        newest = self.newest(self.run)
        kill = Kill(seen.begun > seen.ended, newest == 0, seen.step - newest)
        assert newest >= before and 0 <= kill.lost <= EVERY, kill
        self.checked += 1
        if sum(one.saving == kill.saving for one in self.kills) < count // 2 + (not kill.saving and count % 2):
            self.kills.append(kill)

    def _next(self, run: Path) -> None:
        """Check a finished run and remove it: the next one begins anew."""
        self.check_finished(run)
        shutil.rmtree(run)

    def _undisturbed(self, run: Path) -> None:
        """Train a run for so many iterations as lie between two checkpoints."""
        pid, reader = fork(run, self.settings, EVERY)
        status = os.waitpid(pid, 0)[1]
        os.close(reader)
        assert status == 0, run.with_name(f"{run.name}.log").read_text()

    def finish(self) -> None:
        """Let the last run end undisturbed."""
        while self.newest(self.run) < STEPS:
            self._undisturbed(self.run)
        self.check_finished(self.run)

    def random_kills(self, count: int) -> dict[str, Any]:
        """Kill until there are `count` kills, half of them while saving."""
        while len(self.kills) < count:
            self.kill_once(sum(kill.saving for kill in self.kills) < count // 2 and self.checked % 2 == 0, count)
        self.finish()
        lost = [kill.lost for kill in self.kills]
        return {
            "kills": len(self.kills),
            "while_saving": sum(kill.saving for kill in self.kills),
            "before_the_first_checkpoint": sum(kill.unsaved for kill in self.kills),
            "checked": self.checked,
            "most_lost": max(lost),
            "mean_lost": round(sum(lost) / len(lost), 2),
            "between_checkpoints": EVERY,
        }

    def kills_at_points(self, count: int) -> dict[str, Any]:
        """Kill a save before each of its calls, or before `count` of them, spread evenly; 0: all."""
        start = self.root / "start"
        self._undisturbed(start)
        pid, reader = fork(Path(shutil.copytree(start, self.root / "counted")), None, EVERY, point=-1)
        assert os.waitpid(pid, 0)[1] == 0
        calls = drain(reader).count(b"c")
        points = range(calls) if not count else sorted({round(i * (calls - 1) / (count - 1)) for i in range(count)})
        for point in points:
            run = Path(shutil.copytree(start, self.root / f"point{point}"))
            pid, reader = fork(run, None, EVERY, point)
            assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), point
            os.close(reader)
            assert self.newest(run) in (EVERY, 2 * EVERY), point
            if self.newest(run) == EVERY:
                self._undisturbed(run)
            assert self.newest(run) == 2 * EVERY, point
            shutil.rmtree(run)
        return {"calls_of_a_save": calls, "kills": len(points)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--points", type=int)
    parser.add_argument("--seed", type=int, default=0)
    values = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        crash = Crash(Path(folder), values.seed)
        result = crash.random_kills(values.kills) if values.kills else {}
        if values.points is not None:
            result["points"] = crash.kills_at_points(values.points)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
