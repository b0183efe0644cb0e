"""The comparisons of docs/results.md: train every member of a suite with equal compute, then compare them.

    python -m experiments.suite NAME --data DIR --out DIR [--seconds S | --steps N] [--seeds N] [--only MEMBER ...]

Suites: `digits` and `photographs` compare unpaired methods. `pairs` compares methods that learn from pairs with DRIT,
which does not use them. `ablation-digits` and `ablation-photographs` compare DRIT with DRIT without one of its parts.

Equal compute means equal processor time of one thread (--seconds) or equal iterations (--steps). With --seconds, a few
timed iterations decide how many a member gets. The same command goes on after a stop: finished runs are kept,
unfinished ones resumed.

DIR holds mnist/mnist.npz, mnist_m.npz (experiments/mnist_m.py makes it) and roadscene/{train,test}{A,B}.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drit.atomic import write_atomically
from drit.cli.flags import settings
from drit.cli.options import INTERRUPTED
from drit.cli.parser import Parser, fail
from drit.data.folders import open_domain
from drit.data.transforms import centre_crop
from drit.errors import DritError, UsageError, nearest
from drit.inference.translator import Translator
from drit.runs import checkpoint as files
from drit.runs.record import recorded_settings
from drit.settings.common import TrainSettings
from drit.sheets import save_sheet, sheet
from drit.training import launch as loop

DIGITS = ("mnist/mnist.npz:{part}_images", "mnist_m.npz:{part}_images")
ROADS = ("roadscene/{part}A", "roadscene/{part}B")
DIGIT_FLAGS = "--preset demo --batch 16 --data.resize 0 --data.crop 28"
ROAD_FLAGS = "--preset quick --data.resize 112 --data.crop 96 --log.sample-every 100000"
PAPER = "--loss.mode-seeking 0"  # the objective of the paper, whatever a preset adds to it
UNPAIRED = {
    "drit": PAPER,
    "drit-no-dc": f"{PAPER} --loss.content-adversarial 0",
    "drit-ms": "--loss.mode-seeking 0.3",
    "drit-ms1": "--loss.mode-seeking 1",
    "munit": "--method munit",
    "cyclegan": "--method cyclegan",
    "cyclegan-noise": "--method cyclegan-noise",
    "unit": "--method unit",
    "cycle-bicycle": "--method cycle-bicycle",
    "drit++": "--method drit++",
}
ABLATION = {
    "full": PAPER,
    "no-dc": f"{PAPER} --loss.content-adversarial 0",
    "no-regression": f"{PAPER} --loss.latent-regression 0",
    "no-kl": f"{PAPER} --loss.kl 0",
    "no-cross-cycle": f"{PAPER} --loss.cross-cycle 0",
    "mode-seeking": "--loss.mode-seeking 0.3",
    "feature": f"{PAPER} --network.generator feature",
}


SHOWN = 4  # styles of an input on the sheet


@dataclass(frozen=True)
class Suite:
    """Members, and what they are trained on.

    data: domains a and b, relative to the data folder; {part} is train or test. flags: of all members. features: the
    feature network of `drit compare`.
    """

    data: tuple[str, str]
    flags: str
    members: dict[str, str]
    features: str = "domains"


SUITES = {
    "digits": Suite(DIGITS, DIGIT_FLAGS, UNPAIRED, "classifier"),
    "photographs": Suite(ROADS, ROAD_FLAGS, UNPAIRED),
    "pairs": Suite(  # aligned once they have one size
        ROADS,
        f"{ROAD_FLAGS} --data.resize-mode square",
        {"drit": PAPER, "pix2pix": "--method pix2pix", "bicyclegan": "--method bicyclegan"},
    ),
    "ablation-digits": Suite(DIGITS, DIGIT_FLAGS, ABLATION, "classifier"),
    "ablation-photographs": Suite(ROADS, ROAD_FLAGS, ABLATION),
}


# Numbers of a direction, and how the table over seeds heads them.
COLUMNS = {
    "kid": "KID x 1000",
    "energy": "energy distance x 1000",
    "grid_energy": "grid energy",
    "lpips_diversity": "diversity",
    "truth": "best of 5",
    "visible_style": "visible style",
}


def train(suite: Suite, member: str, seed: int, data: Path, out: Path, seconds: float, steps: int) -> bool:
    """Train one member, or resume it. Returns whether it is finished."""
    run = run_of(out, member, seed)
    if files.checkpoints(run):
        return finished(run) or loop.resume(run).finished
    a, b = (str(data / path.format(part="train")) for path in suite.data)
    words = f"{suite.flags} {suite.members[member]} --seed {seed} --threads 1 --no-log.tensorboard".split()
    words += ["--data.a", a, "--data.b", b]
    config = configured([*words, "--steps", str(steps or 1000)])
    if not steps:
        affordable = loop.affordable(config, seconds, time.process_time)
        config = configured([*words, "--steps", str(affordable)])
    return loop.train(config, run).finished


def finished(run: Path) -> bool:
    """Whether a run is trained to its last iteration; not so where nothing is."""
    return bool(files.checkpoints(run)) and files.load_meta(files.find(run))["step"] >= recorded_settings(run).steps


def run_of(out: Path, member: str, seed: int) -> Path:
    """The run folder of a member."""
    return out / f"{member}-{seed}"


def compare(suite: Suite, runs: Sequence[Path], data: Path, out: Path, features: str) -> int:
    """Compare runs on the suite's test images by `drit compare`; a sheet of their outputs, and with several seeds the
    table of `over_seeds`, beside. Its exit code."""
    test = [str(data / path.format(part="test")) for path in suite.data]
    command = ["compare", *map(str, runs), "--data.a", test[0], "--data.b", test[1], "--out", str(out)]
    command += ["--threads", "1", "--protocol", "quick", "--features", features]
    code = subprocess.run([sys.executable, "-m", "drit", *command], check=False).returncode
    if code == 0:
        first: dict[str, Path] = {}
        for run in runs:
            first.setdefault(run.name.rpartition("-")[0], run)
        save_sheet(contact_sheet(first, test), out / "sheet.png")
        if len(first) < len(runs):
            compared = json.loads((out / "comparison.json").read_text(encoding="utf-8"))["runs"]
            results = {name: one["result"] for name, one in compared.items()}
            write_atomically(out / "seeds.md", over_seeds(results).encode())
    return code


def over_seeds(results: Mapping[str, dict[str, Any]]) -> str:
    """Markdown: mean and standard deviation (n - 1) of members over their seeds, to b / to a. Their iterations differ:
    equal is the time.

    results: what `drit evaluate` gives, by run, MEMBER-SEED.
    """
    members: dict[str, list[dict[str, Any]]] = {}
    for name, result in results.items():
        members.setdefault(name.rpartition("-")[0], []).append(result)
    lines = [
        "| member | seeds | iterations | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for member, runs in members.items():
        steps = ", ".join(str(run["run"]["step"]) for run in runs)
        cells = []
        for key in COLUMNS:
            scale = 1000 if key in ("kid", "energy") else 1
            both = []
            for to in ("b", "a"):
                numbers = [scale * run["to"][to][key]["value"] for run in runs if run["to"].get(to, {}).get(key)]
                both.append(spread(numbers, ".4g", ".3g") or "-")
            cells.append(" / ".join(both))
        lines.append(f"| {member} | {len(runs)} | {steps} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(numbers: Sequence[float], form: str, std_form: str = "") -> str:
    """Mean and standard deviation (n - 1), each in its format (that of the mean, if the other is not given). Of one
    number it is the number, of none the empty string."""
    if not numbers:
        return ""
    std = f" +- {statistics.stdev(numbers):{std_form or form}}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):{form}}{std}"


def configured(words: list[str]) -> TrainSettings:
    """The settings that flags of `drit train` ask for."""
    parser = Parser()
    parser.take_settings()
    return settings(parser.parse_all(words))


def contact_sheet(runs: dict[str, Path], test: list[str]) -> Image.Image:
    """A row for each run: two test images of a in random styles of b, and two of b in styles of a."""
    cells: list[list[np.ndarray | None]] = []
    for run in runs.values():
        translator = Translator.load(run, threads=1)
        data, able, row = recorded_settings(run).data, translator.method.capabilities, []
        for source, to in (("a", "b"), ("b", "a")):
            images = open_domain(test["ab".index(source)], data, source)
            for i in (1, 8):
                image = centre_crop(images.get(i % len(images)), data.crop)
                styles = SHOWN if able.style_dim else 1
                outputs = translator.translate(image, to, styles) if to in able.directions else []
                row += [image, *outputs, *[None] * (SHOWN - len(outputs))]
        cells.append(row)
    return sheet(cells, row_titles=list(runs))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", metavar="NAME", help=", ".join(SUITES))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--seconds", type=float, default=300.0, help="processor time of each member [300]")
    parser.add_argument("--steps", type=int, default=0, help="equal iterations in place of equal time")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each member, with seeds 0, 1, ... [1]")
    parser.add_argument("--only", nargs="+", default=[], metavar="MEMBER", help="these members [all]")
    values = parser.parse_args()
    try:
        if values.suite not in SUITES:
            raise UsageError(f"There is no suite '{values.suite}'.{nearest(values.suite, SUITES)}")
        suite = SUITES[values.suite]
        members = values.only or list(suite.members)
        for seed in range(values.seeds):
            for member in members:
                if not train(suite, member, seed, values.data, values.out, values.seconds, values.steps):
                    return INTERRUPTED
        runs = [run_of(values.out, member, seed) for seed in range(values.seeds) for member in members]
        return compare(suite, runs, values.data, values.out / "comparison", suite.features)
    except DritError as error:
        return fail(error, error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
