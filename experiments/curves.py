"""Draw loss curves of runs into one PNG: `python -m experiments.curves RUN... --out curves.png`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from drit.reports.plots import Curves, save_curves_png
from drit.runs.metrics import read_metrics

PANELS = {  # title, and loss terms of the generators
    "reconstruction": ("self_reconstruction_a", "self_reconstruction_b", "cross_cycle_a", "cross_cycle_b"),
    "latent regression": ("latent_regression_a", "latent_regression_b"),
    "adversarial, generators": ("domain_adversarial_a", "domain_adversarial_b", "content_adversarial_a"),
}
MAX_POINTS = 60  # a curve has at most this many; each is the mean of several lines of metrics


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True)
    values = parser.parse_args()
    save_curves_png(values.out, [panels(run) for run in values.runs], width=440, height=240)
    return 0


def panels(run: Path) -> list[Curves]:
    """The plots of one run."""
    lines = read_metrics(run)
    groups = np.array_split(np.arange(len(lines)), min(MAX_POINTS, len(lines)))
    return [
        Curves(
            f"{run.name}: {title}",
            {
                name.replace("_", " "): [
                    (lines[group[-1]]["step"], float(np.mean([lines[i][f"generators/{name}"] for i in group])))
                    for group in groups
                    if all(f"generators/{name}" in lines[i] for i in group)
                ]
                for name in names
            },
        )
        for title, names in PANELS.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
