"""Measure how time and memory grow with styles, image size, batch and width: `python -m benchmarks.curves`.

Draws docs/images/cost.png and writes the points to benchmarks-curves.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.run import machine, process
from drit.reports.plots import Curves, save_curves_png

# Title, what grows, its values, and what is measured at each value: task, size, count, width.
CURVES: list[tuple[str, str, list[int], Any]] = [
    ("Translation, 256 px", "styles", [1, 2, 5, 10, 20, 50, 100], lambda n: ("translate", 256, n, 64)),
    ("Translation, one style", "image size", [64, 128, 256, 512, 1024], lambda n: ("translate", n, 1, 64)),
    ("Training step, batch 2", "image size", [64, 96, 128, 192, 256], lambda n: ("train", n, 2, 64)),
    ("Training step, 64 px", "batch", [1, 2, 4, 8], lambda n: ("train", 64, n, 64)),
    ("Training step, 128 px, batch 2", "width", [16, 32, 48, 64], lambda n: ("train", 128, 2, n)),
]
MEASURES = (("seconds", "seconds"), ("work_mib", "working memory, MiB"))  # name of the measurement, title of its axis


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks-curves.json"), help="file of the points [%(default)s]"
    )
    parser.add_argument(
        "--png", type=Path, default=Path("docs/images/cost.png"), help="file of the plots [%(default)s]"
    )
    values = parser.parse_args()
    curves = []
    for title, what, xs, settings in CURVES:
        points = []
        for x in xs:
            task, size, count, width = settings(x)
            measured = process("worker", task, "drit", size, count, 0.5, width)
            points.append({"x": x, **measured})
            print(f"{title}, {what} {x}: {measured['seconds']:.3g} s, {measured['work_mib']:.0f} MiB", flush=True)
        curves.append({"title": title, "what": what, "points": points})
    values.out.write_text(json.dumps({"machine": machine(), "curves": curves}, indent=2) + "\n", encoding="utf-8")
    draw(curves, values.png)


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    """Draw one PNG: a column for each curve, a row for each measure."""
    rows = [
        [
            Curves(
                curve["title"] if i == 0 else "",
                {"": [(p["x"], p[key]) for p in curve["points"]]},
                x_title=curve["what"],
                y_title=y_title if j == 0 else "",
                markers=True,
                from_zero=True,
            )
            for j, curve in enumerate(curves)
        ]
        for i, (key, y_title) in enumerate(MEASURES)
    ]
    save_curves_png(path, rows, width=250, height=190)


if __name__ == "__main__":
    main()
