"""What to do with a GPU that is lent for minutes: the tests, the benchmark, then training with samples.

    python -m experiments.gpu_plan --data DIR --runs DIR --out DIR [--minutes 9] [--device cuda] [--skip STEP ...]
    python -m experiments.gpu_plan --join OUT... --run RUN

The same command goes on where the last one stopped, as long as --runs is kept: first `tests` (those that compute on the
device, with the exactness, parity and conformance suites, which compute on the processor beside it), then `benchmark`
(`benchmarks.gpu`), then `train`: the preset `default` at 216 pixels on cat2dog and roadscene in turns, for as long as
--minutes allows. Every two minutes of training it writes a sheet of samples.

OUT holds eight files of at most 15 MiB: the log of each step, the newest sheets, and a part of the newest weights. Each
call brings the next parts. `--join` puts the parts of several calls together to a run folder that translates.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from drit.atomic import write_atomically, write_json
from drit.cli.parser import fail
from drit.errors import CheckpointError, DritError, UsageError
from drit.inference.translator import Translator
from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder
from drit.sheets import save_sheet
from drit.training.interrupt import RESUME_ME
from experiments.levers import SETS
from experiments.suite import contact_sheet

PART = 15 << 20  # bytes of a file that is brought back
PARTS = 4  # of weights in one call
SLICE = 120.0  # seconds of training between two sheets
TRAINED = ("cat2dog", "roadscene")
BATCH = 8  # an iteration of 8 images takes a GPU hardly longer than one of 2 (docs/performance.md)
STEPS = ("tests", "benchmark")  # before the training, once each
TESTS = ("tests/methods", "tests/networks", "tests/training/test_deterministic.py", "tests/inference")


class Plan:
    """The steps, what is left of the time, and where everything lies."""

    def __init__(self, values: argparse.Namespace) -> None:
        self.data: Path = values.data
        self.runs: Path = values.runs
        self.out: Path = values.out
        self.device: str = values.device
        self.steps: int = values.steps
        self.flags: list[str] = values.flags.split()
        self.skip: list[str] = values.skip
        self.end = time.monotonic() + 60 * values.minutes
        for folder in (self.runs, self.out):
            folder.mkdir(parents=True, exist_ok=True)
        self.state_file = self.runs / "plan.json"
        self.state: dict[str, int] = json.loads(self.state_file.read_text()) if self.state_file.is_file() else {}

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def note(self, key: str, value: int) -> None:
        self.state[key] = value
        write_json(self.state_file, self.state)

    def command(self, name: str, words: list[str]) -> int | None:
        """Run a command into OUT/NAME.txt. Its exit code; None where the time ran out."""
        log = self.out / f"{name}.txt"
        with log.open("ab") as shown:
            try:
                return subprocess.run(
                    [sys.executable, *words], stdout=shown, stderr=subprocess.STDOUT, timeout=max(1, self.left())
                ).returncode
            except subprocess.TimeoutExpired:
                return None

    def once(self, name: str, words: list[str]) -> None:
        """A step that is done when its command has ended, whether it failed or not: its log tells."""
        if name in self.skip or name in self.state or self.left() < 30:
            return
        code = self.command(name, words)
        if code is not None:
            self.note(name, code)
            print(f"{name}: exit code {code}", flush=True)

    def train(self, name: str) -> None:
        """A slice of training on one set, and a sheet of what it has learnt."""
        run, (a, b, _) = self.runs / name, SETS[name]
        seconds = int(min(SLICE, self.left() - 20))
        if files.checkpoints(run):
            words = ["--resume", str(run), "--steps", str(self.steps)]
        else:
            sets = [str(self.data / path.format(part="train")) for path in (a, b)]
            words = ["--data.a", sets[0], "--data.b", sets[1], "--out", str(run), "--steps", str(self.steps)]
            words += ["--preset", "default", "--batch", str(BATCH), "--device", self.device, "--no-log.tensorboard"]
            words += self.flags
        code = self.command(f"train-{name}", ["-m", "drit", "train", *words, "--time-limit", f"{seconds}s"])
        if code not in (0, RESUME_ME):
            raise CheckpointError(f"The training on {name} failed with exit code {code}: see train-{name}.txt.")
        checkpoint = files.find(run)
        step = files.load_meta(checkpoint)["step"]
        test = [str(self.data / path.format(part="test")) for path in (a, b)]
        save_sheet(contact_sheet({f"{name} {step}": run}, test), self.out / f"{name}.png")
        print(f"{name}: iteration {step}", flush=True)

    def bring_weights(self) -> None:
        """The next parts of the weights into OUT, after those of earlier calls. Training may have gone on since: what
        was packed is brought to its last part before newer weights are packed."""
        for name in TRAINED:
            run, folder = self.runs / name, self.runs / f"bring-{name}"
            if not files.checkpoints(run):
                continue
            first = self.state.get(f"brought-{name}", 0)
            if first == 0:
                shutil.rmtree(folder, ignore_errors=True)
                self.pack(name, run, folder)
            parts = sorted(folder.glob("*-part_*"))
            end = first + PARTS // len(TRAINED)
            for part in parts[first:end]:
                shutil.copy(part, self.out)
            self.note(f"brought-{name}", 0 if end >= len(parts) else end)

    @staticmethod
    def pack(name: str, run: Path, folder: Path) -> None:
        """An archive of what translation needs of the newest weights, in parts of at most PART bytes. A part's name
        tells the iteration and how many parts there are."""
        checkpoint = files.find(run)
        step = files.load_meta(checkpoint)["step"]
        whole = folder / "run"
        (whole / "checkpoints" / checkpoint.name).mkdir(parents=True)
        for file in ("weights.safetensors", "meta.json"):
            shutil.copy(checkpoint / file, whole / "checkpoints" / checkpoint.name)
        shutil.copy(RunFolder(run).config, whole)
        archive = Path(shutil.make_archive(str(folder / "run"), "tar", whole))
        data = archive.read_bytes()
        archive.unlink()
        shutil.rmtree(whole)
        begins = range(0, len(data), PART)
        for i, begin in enumerate(begins):
            write_atomically(folder / f"{name}-{step}-part_{i:03d}-of-{len(begins)}", data[begin : begin + PART])

    def follow(self) -> None:
        """All that is left, until the time is over."""
        self.once("tests", ["-m", "pytest", *TESTS, "-m", "not slow", "-n", "auto", "-p", "no:cacheprovider"])
        self.once("benchmark", ["-m", "benchmarks.gpu"])
        turn = self.state.get("turn", 0)
        while self.left() > 60:
            self.train(TRAINED[turn % len(TRAINED)])
            turn += 1
            self.note("turn", turn)
        self.bring_weights()


def join(folders: list[Path], run: Path) -> None:
    """Put the parts of one archive together. Raises UsageError where parts are missing or are not of one step."""
    parts = {path.name: path for folder in folders for path in folder.glob("*-part_*-of-*")}
    stems = {name.rsplit("-part_", 1)[0] for name in parts}
    if len(stems) != 1:
        raise UsageError(f"The parts are of {len(stems)} archives ({', '.join(sorted(stems))}): give those of one.")
    (stem,) = stems
    count = int(next(iter(parts)).rsplit("-of-", 1)[1])
    names = [f"{stem}-part_{i:03d}-of-{count}" for i in range(count)]
    if missing := [name for name in names if name not in parts]:
        raise UsageError(f"Parts are missing: {', '.join(missing)}. Give the folders of all calls.")
    run.mkdir(parents=True)
    archive = run.with_suffix(".tar")
    archive.write_bytes(b"".join(parts[name].read_bytes() for name in names))
    shutil.unpack_archive(archive, run, "tar", filter="data")
    archive.unlink()
    Translator.load(run, device="cpu")
    print(f"{run} translates.")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR", help="data folder")
    parser.add_argument("--runs", type=Path, default=Path("runs/gpu"), metavar="DIR", help="what is kept between calls")
    parser.add_argument("--out", type=Path, metavar="DIR", help="what is brought back")
    parser.add_argument("--minutes", type=float, default=9.0, help="of this call [9]")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the plan [cuda]")
    parser.add_argument("--steps", type=int, default=200_000, help="iterations of each training, at most [200000]")
    parser.add_argument("--flags", default="", help="more settings of `drit train`, in one string")
    parser.add_argument("--skip", nargs="+", default=[], choices=STEPS, help="steps to leave out")
    parser.add_argument("--join", nargs="+", type=Path, metavar="OUT", help="put brought parts together")
    parser.add_argument("--run", type=Path, help="the run folder that --join makes")
    values = parser.parse_args(arguments)
    try:
        if values.join:
            if values.run is None:
                raise UsageError("--join needs --run: the run folder to make.")
            join(values.join, values.run)
        elif values.out is None:
            raise UsageError("Give --out: the folder of what is brought back.")
        else:
            Plan(values).follow()
    except DritError as error:
        return fail(error, error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
