"""Loss curves of runs as one PNG: `python -m experiments.curves RUN... --out curves.png`. Needs matplotlib."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from drit.runs.metrics import read_metrics

PANELS = {
    "reconstruction": ("self_reconstruction_a", "self_reconstruction_b", "cross_cycle_a", "cross_cycle_b"),
    "latent regression": ("latent_regression_a", "latent_regression_b"),
    "adversarial, generators": ("domain_adversarial_a", "domain_adversarial_b", "content_adversarial_a"),
}
MAX_POINTS = 60  # lines of metrics are averaged down to so many


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True)
    values = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(
        len(values.runs), len(PANELS), figsize=(11, 2.6 * len(values.runs)), constrained_layout=True, squeeze=False
    )
    for row, run in zip(rows, values.runs, strict=True):
        lines = read_metrics(run)
        groups = np.array_split(np.arange(len(lines)), min(MAX_POINTS, len(lines)))
        for axes, (title, names) in zip(row, PANELS.items(), strict=True):
            for name in names:
                points = [
                    (lines[g[-1]]["step"], np.mean([lines[i][f"generators/{name}"] for i in g]))
                    for g in groups
                    if all(f"generators/{name}" in lines[i] for i in g)
                ]
                axes.plot(*zip(*points, strict=True), label=name.replace("_", " "))
            axes.set_title(f"{run.name}: {title}", fontsize=9)
            axes.set_ylim(bottom=0)
            axes.grid(color="#dddddd")
            axes.legend(fontsize=7)
    figure.savefig(values.out, dpi=80)
    return 0


if __name__ == "__main__":
    sys.exit(main())
