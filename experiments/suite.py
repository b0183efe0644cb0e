"""Comparisons of docs/results.md: trains every member of a suite with equal compute, one after another, then compares.

    python -m experiments.suite NAME --data DIR --out DIR [--seconds S | --steps N] [--seeds N] [--only MEMBER ...]

Suites: `digits` and `photographs` (unpaired methods), `pairs` (methods that learn from pairs, and DRIT without using
them), `ablation-digits` and `ablation-photographs` (DRIT without one of its parts). Equal compute is processor time of
one thread (--seconds: a few timed iterations choose how many there are) or equal --steps. Goes on where it was
stopped: a finished run is kept, an unfinished one resumed.

DIR holds mnist/mnist.npz, mnist_m.npz (experiments/mnist_m.py makes it) and roadscene/{train,test}{A,B}.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drit.atomic import write_atomically
from drit.commands import INTERRUPTED
from drit.data.folders import open_domain
from drit.data.transforms import centre_crop
from drit.errors import DritError, UsageError, nearest
from drit.evaluate.comparison_page import COLUMNS
from drit.flags import Parser, add_settings, fail, settings
from drit.sheets import save_sheet, sheet
from drit.train import checkpoint as files
from drit.train import loop
from drit.train.setup import recorded_config
from drit.translate import Translator

DIGITS = ("mnist/mnist.npz:{part}_images", "mnist_m.npz:{part}_images")
ROADS = ("roadscene/{part}A", "roadscene/{part}B")
DIGIT_FLAGS = "--preset demo --data.resize 0 --data.crop 28"
ROAD_FLAGS = "--preset quick --data.resize 112 --data.crop 96 --log.sample-every 100000"
PLAIN = "--loss.mode-seeking 0"  # the paper's objective, whatever a preset adds to it
UNPAIRED = {
    "drit": PLAIN,
    "drit-no-dc": f"{PLAIN} --loss.content-adversarial 0",
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
    "full": PLAIN,
    "no-dc": f"{PLAIN} --loss.content-adversarial 0",
    "no-regression": f"{PLAIN} --loss.latent-regression 0",
    "no-kl": f"{PLAIN} --loss.kl 0",
    "no-cross-cycle": f"{PLAIN} --loss.cross-cycle 0",
    "mode-seeking": "--loss.mode-seeking 0.3",
    "feature": f"{PLAIN} --network.generator feature",
}


SHOWN = 4  # styles of an input on the sheet


@dataclass(frozen=True)
class Suite:
    """What is trained on what. data: of a and b below the data folder, {part}: train or test. flags: of all members.
    features: the network that `drit compare` looks with."""

    data: tuple[str, str]
    flags: str
    members: dict[str, str]
    features: str = "domains"


SUITES = {
    "digits": Suite(DIGITS, DIGIT_FLAGS, UNPAIRED, "classifier"),
    "photographs": Suite(ROADS, ROAD_FLAGS, UNPAIRED),
    "pairs": Suite(  # aligned once they are of one size
        ROADS,
        f"{ROAD_FLAGS} --data.resize-mode square",
        {"drit": PLAIN, "pix2pix": "--method pix2pix", "bicyclegan": "--method bicyclegan"},
    ),
    "ablation-digits": Suite(DIGITS, DIGIT_FLAGS, ABLATION, "classifier"),
    "ablation-photographs": Suite(ROADS, ROAD_FLAGS, ABLATION),
}


def train(suite: Suite, member: str, seed: int, data: Path, out: Path, seconds: float, steps: int) -> bool:
    """Train one member, or go on with it. Returns whether it is finished."""
    run = out / f"{member}-{seed}"
    if files.checkpoints(run):
        if files.load_meta(files.find(run))["step"] >= recorded_config(run).steps:
            return True
        return loop.resume(run).finished
    a, b = (str(data / path.format(part="train")) for path in suite.data)
    parser = Parser()
    add_settings(parser)
    words = f"{suite.flags} {suite.members[member]} --seed {seed} --threads 1 --no-log.tensorboard".split()
    config = settings(parser.parse_all([*words, "--data.a", a, "--data.b", b, "--steps", str(steps or 1000)]))
    if not steps:
        affordable = loop.affordable(config, seconds, time.process_time)
        config = settings(parser.parse_all([*words, "--data.a", a, "--data.b", b, "--steps", str(affordable)]))
    return loop.train(config, run).finished


def means(found: dict[str, Any], members: list[str]) -> str:
    """Markdown: each number's mean over the seeds of a member, with the deviation where there are several.

    found: runs of a comparison.json, named MEMBER-SEED.
    """
    parts = []
    for to in ("b", "a"):
        results = {m: [r["result"]["to"].get(to) or {} for r in _of(found, m)] for m in members}
        columns = [c for c in COLUMNS if any(r.get(c[0]) for of_member in results.values() for r in of_member)]
        lines = [f"| to {to} | {' | '.join(title for _, title, _, _ in columns)} |", "|---" * (1 + len(columns)) + "|"]
        for member, of_member in results.items():
            cells = [_mean([r.get(key) for r in of_member], factor, digits) for key, _, factor, digits in columns]
            lines.append(f"| {member} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _of(found: dict[str, Any], member: str) -> list[dict[str, Any]]:
    """The runs of a member, of all seeds."""
    return [r for name, r in found.items() if name.rpartition("-")[0] == member]


def _mean(numbers: list[dict[str, Any] | None], factor: float, digits: int) -> str:
    values = [factor * n["value"] for n in numbers if n is not None and n["value"] is not None]
    if not values:
        return "-"
    spread = f" +- {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def contact_sheet(runs: dict[str, Path], test: list[str]) -> Image.Image:
    """Two test pictures of a in random styles of b, and two of b in styles of a: a row for each run."""
    cells: list[list[np.ndarray | None]] = []
    for run in runs.values():
        translator = Translator.load(run, threads=1)
        data, able, row = recorded_config(run).data, translator.method.capabilities, []
        for source, to in (("a", "b"), ("b", "a")):
            pictures = open_domain(test["ab".index(source)], data, source)
            for i in (1, 8):
                picture = centre_crop(pictures.get(i % len(pictures)), data.crop)
                styles = SHOWN if able.style_dim else 1
                made = translator.translate(picture, to, styles) if to in able.directions else []
                row += [picture, *made, *[None] * (SHOWN - len(made))]
        cells.append(row)
    return sheet(cells, row_titles=list(runs))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", metavar="NAME")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=300.0, help="processor time of each member [300]")
    parser.add_argument("--steps", type=int, default=0, help="equal iterations in place of equal time")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], metavar="MEMBER")
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
        runs = [str(values.out / f"{member}-{seed}") for seed in range(values.seeds) for member in members]
        test = [str(values.data / path.format(part="test")) for path in suite.data]
        out = values.out / "comparison"
        command = ["compare", *runs, "--data.a", test[0], "--data.b", test[1], "--out", str(out), "--threads", "1"]
        command += ["--protocol", "quick", "--features", suite.features]
        code = subprocess.run([sys.executable, "-m", "drit.cli", *command], check=False).returncode
        if code == 0:
            found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))["runs"]
            write_atomically(out / "means.md", means(found, members).encode())
            save_sheet(contact_sheet({m: values.out / f"{m}-0" for m in members}, test), out / "sheet.png")
            print(means(found, members), end="")
        return code
    except DritError as error:
        return fail(error, error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
