"""How time and memory grow with styles, image size, batch and width: `python -m benchmarks.curves`.

Draws docs/images/cost.png and writes the points beside benchmarks.json. Needs matplotlib (of the development packages).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.run import machine, process

# title, what grows, its values, and the case that each value gives: task, size, count, width
CURVES: list[tuple[str, str, list[int], Any]] = [
    ("Translation, 256 px", "styles", [1, 2, 5, 10, 20, 50, 100], lambda n: ("translate", 256, n, 64)),
    ("Translation, one style", "image size", [64, 128, 256, 512, 1024], lambda n: ("translate", n, 1, 64)),
    ("Training step, batch 2", "image size", [64, 96, 128, 192, 256], lambda n: ("train", n, 2, 64)),
    ("Training step, 64 px", "batch", [1, 2, 4, 8], lambda n: ("train", 64, n, 64)),
    ("Training step, 128 px, batch 2", "width", [16, 32, 48, 64], lambda n: ("train", 128, 2, n)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks-curves.json"))
    parser.add_argument("--png", type=Path, default=Path("docs/images/cost.png"))
    values = parser.parse_args()
    curves = []
    for title, what, xs, case in CURVES:
        points = []
        for x in xs:
            task, size, count, width = case(x)
            found = process("worker", task, "drit", size, count, 0.5, width)
            points.append({"x": x, **found})
            print(f"{title}, {what} {x}: {found['seconds']:.3g} s, {found['work_mib']:.0f} MiB", flush=True)
        curves.append({"title": title, "what": what, "points": points})
    values.out.write_text(json.dumps({"machine": machine(), "curves": curves}, indent=2) + "\n", encoding="utf-8")
    draw(curves, values.png)


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(2, len(curves), figsize=(3.1 * len(curves), 5.2), constrained_layout=True)
    for column, curve in enumerate(curves):
        xs = [p["x"] for p in curve["points"]]
        for row, (key, label) in enumerate((("seconds", "seconds"), ("work_mib", "memory of work, MiB"))):
            axes = rows[row][column]
            axes.plot(xs, [p[key] for p in curve["points"]], "o-", color="#2f6db5", markersize=4)
            axes.set_ylim(bottom=0)
            axes.set_xlim(left=0)
            axes.grid(color="#dddddd")
            axes.set_xlabel(curve["what"])
            if row == 0:
                axes.set_title(curve["title"], fontsize=10)
            if column == 0:
                axes.set_ylabel(label)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
