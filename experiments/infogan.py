"""What keeps InfoGAN's categories from being the digits: its generator, or Q, which reads them?

    make experiment NAME=infogan
    python -m experiments.infogan --mnist FILE --out DIR [--only MEMBER ...] [--seeds N] [--jobs N] [--threads N]

Each member is the preset `paper` with some settings changed. A trained model is judged twice, each time under the best
one-to-one matching of categories and classes:

- read: Q classifies the 10000 test digits (the error of the paper, section 7.2).
- drawn: the generator draws 1000 digits of each category, and a classifier that was trained on labelled digits says
  what they are. A category that draws two classes shows here; Q cannot be better than that.

The same command goes on after a stop: finished runs are kept, unfinished ones resumed. Writes OUT/MEMBER-SEED,
OUT/infogan.json and OUT/table.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drit.atomic import write_atomically, write_json
from drit.cli.options import INTERRUPTED
from drit.cli.parser import fail
from drit.errors import DritError, UsageError, nearest
from drit.inference.sampling import code_agreement, labelled
from drit.inference.translator import Translator
from drit.probes.classifier import Classifier, accuracy, predict, train_classifier
from drit.probes.matching import agreement
from drit.runs.record import recorded_settings
from drit.runtime import cores
from experiments.suite import finished, run_of, spread

MEMBERS = {
    "paper": "",
    "long": "--steps 20000",
    "warp": "--network.category-warp 0.3",
    "light-continuous": "--loss.mutual-information-continuous 0.1",
    "no-continuous": "--network.continuous 0",
}
DRAWN = 1000  # digits of each category
EPOCHS = 4  # of the classifier that says what they are


def command(member: str, seed: int, values: argparse.Namespace) -> list[str]:
    """Of one training; it resumes one that was stopped."""
    data = ["--data.a", f"{values.mnist}:train_images", "--out", str(run_of(values.out, member, seed))]
    words = ["train", "--method", "infogan", "--preset", "paper", *data, "--seed", str(seed), "--or-resume"]
    own = ["--threads", str(values.threads), "--no-log.tensorboard", *MEMBERS[member].split()]
    return [sys.executable, "-m", "drit", *words, *own]


def judged(run: Path, classifier: Classifier, mnist: Path) -> dict[str, Any]:
    """Errors in per cent: of what is read, and of what is drawn."""
    translator = Translator.load(run, device="cpu")
    config = recorded_settings(run)
    read = code_agreement(translator, labelled(f"{mnist}:test_images", config.data), config.data.crop, quiet=True)
    (grid, *_) = translator.method.grids(DRAWN, torch.Generator().manual_seed(0))  # rows x categories
    categories = np.tile(np.arange(grid.images.shape[1]), DRAWN)
    seen = predict(classifier, grid.images.flatten(0, 1))
    drawn = agreement(categories, seen, grid.images.shape[1])
    return {
        "iterations": config.steps,
        "read_error_percent": read["error_percent"],
        "read_counts": read["counts"],
        "drawn_error_percent": round(100 * drawn.error, 3),
        "drawn_classes": [str(c) for c in drawn.classes],
        "drawn_counts": drawn.counts.tolist(),
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: the errors of each seed, their means and standard deviations (n - 1), in per cent."""
    lines = ["| member | iterations | read, % wrong | mean | drawn, % wrong | mean |", "|---|---|---|---|---|---|"]
    for member in MEMBERS:
        runs = [result for name, result in results.items() if name.rpartition("-")[0] == member]
        if runs:
            cells = [in_words([run[f"{kind}_error_percent"] for run in runs]) for kind in ("read", "drawn")]
            lines.append(f"| {member} | {runs[0]['iterations']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def in_words(errors: Sequence[float]) -> str:
    """The errors and their mean as two cells."""
    return f"{', '.join(f'{e:.1f}' for e in errors)} | {spread(errors, '.1f')}"


def labeller(mnist: Path) -> Classifier:
    """A classifier trained on the labelled training digits."""
    with np.load(mnist) as arrays:
        images = {part: torch.from_numpy(arrays[f"{part}_images"]).unsqueeze(-1) for part in ("train", "test")}
        labels = {part: arrays[f"{part}_labels"].astype(np.int64) for part in ("train", "test")}
    classifier = train_classifier(images["train"], labels["train"], epochs=EPOCHS)
    print(f"the classifier knows {100 * accuracy(classifier, images['test'], labels['test']):.2f} % of test digits")
    return classifier


def experiment(values: argparse.Namespace) -> int:
    names = [(member, seed) for seed in range(values.seeds) for member in values.only]
    missing = [name for name in names if not finished(run_of(values.out, *name))]
    with ThreadPoolExecutor(values.jobs) as pool:
        codes = list(pool.map(lambda name: subprocess.run(command(*name, values), check=False).returncode, missing))
    if any(codes):
        return INTERRUPTED if INTERRUPTED in codes else max(codes)
    torch.set_num_threads(values.threads or cores())
    classifier = labeller(values.mnist)
    results = {
        f"{member}-{seed}": judged(run_of(values.out, member, seed), classifier, values.mnist) for member, seed in names
    }
    write_json(values.out / "infogan.json", results)
    write_atomically(values.out / "table.md", table(results).encode())
    print(table(results), end="")
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, default=Path("../shared/data/mnist/mnist.npz"), metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("runs/infogan"), metavar="DIR", help="folder of the runs")
    parser.add_argument("--only", nargs="+", default=list(MEMBERS), metavar="MEMBER", help="these members [all]")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each member, with seeds 0, 1, ... [3]")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side [1]")
    parser.add_argument("--threads", type=int, default=1, help="of each training [1]")
    values = parser.parse_args(arguments)
    try:
        for name in values.only:
            if name not in MEMBERS:
                raise UsageError(f"There is no '{name}'.{nearest(name, MEMBERS)} There are: {', '.join(MEMBERS)}.")
        return experiment(values)
    except DritError as error:
        return fail(error, error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
