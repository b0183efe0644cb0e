"""A comparison in words and images: a table in Markdown, and a page with plots and outputs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drit.data.images import from_tensor
from drit.evaluation.comparison import Compared
from drit.evaluation.seeds import over_seeds
from drit.reports.gallery import Section, scatter_svg, table, write_gallery
from drit.sheets import sheet

# What tables of several runs show: name in a result, title, factor, digits.
COLUMNS = (
    ("fid", "Fréchet distance", 1, 3),
    ("kid", "KID x 1000", 1000, 2),
    ("ndb", "NDB", 1, 0),
    ("jsd", "JSD", 1, 4),
    ("lpips_diversity", "diversity", 1, 4),
    ("lpips_to_input", "distance to input", 1, 4),
    ("content_kept", "content kept, %", 100, 1),
    ("truth", "best to the true image", 1, 2),
    ("self_reconstruction", "self-reconstruction", 1, 2),
    ("cross_cycle", "cycle reconstruction error", 1, 2),
    ("style_error", "style regression", 1, 3),
)
_COSTS = (
    ("parameters_million", "parameters, M"),
    ("gflop", "GFLOP, one output"),
    ("gflop_of_ten", "GFLOP, ten"),
    ("iterations", "iterations"),
    ("training_seconds", "training, s"),
    ("seconds_of_one", "one output, s"),
    ("seconds_of_ten", "ten, s"),
)
Row = list[str]


def in_families(found: Sequence[Compared]) -> dict[str, list[Compared]]:
    """Runs that differ in their seed alone, by the name they have in common."""
    families: dict[str, list[Compared]] = {}
    for c in found:
        families.setdefault(c.family, []).append(c)
    return families


def over_families(found: Sequence[Compared]) -> dict[str, Any]:
    """Of each family its runs and its numbers over them (`over_seeds`)."""
    return {
        name: {"runs": [c.name for c in runs], "to": over_seeds([c.result for c in runs])}
        for name, runs in in_families(found).items()
    }


def tables(found: Sequence[Compared]) -> Iterator[tuple[str, Row, list[Row]]]:
    """Title, heads and rows of each table: over seeds where runs differ in that alone; one for each direction, where
    values carry their interval; then the costs."""
    families = over_families(found)
    if len(families) < len(found):
        yield from _over_seeds(families)
    for target in ("b", "a"):
        titles, cells = _lines({c.name: n for c in found if (n := c.result["to"].get(target))}, _shown)
        if titles:
            yield f"To {target}", ["run", *titles], [[name, *line] for name, line in cells.items()]
    guessed = {c.name: c.result["both"].get("domain_guessed") for c in found}
    if any(guessed.values()):
        rows = [[name, _shown(value, 100, 1)] for name, value in guessed.items()]
        yield "Content", ["run", "domain guessed from content, % (50: hidden)"], rows
    costs = [[c.name, *("-" if c.cost[key] is None else f"{c.cost[key]:g}" for key, _ in _COSTS)] for c in found]
    yield "Cost", ["run", *(title for _, title in _COSTS)], costs


def _over_seeds(families: dict[str, Any]) -> Iterator[tuple[str, Row, list[Row]]]:
    for target in ("b", "a"):
        numbers = {name: family["to"][target] for name, family in families.items() if target in family["to"]}
        titles, rows = _lines(numbers, _mean)
        if titles:
            counted = [[name, str(len(families[name]["runs"])), *cells] for name, cells in rows.items()]
            yield f"To {target}, mean and standard deviation over seeds", ["runs", "seeds", *titles], counted


def _lines(numbers: dict[str, Any], shown: Callable[[Any, float, int], str]) -> tuple[Row, dict[str, Row]]:
    """Titles of the columns that anything has a number for, and the cells of each row."""
    columns = [c for c in COLUMNS if any(n.get(c[0]) for n in numbers.values())]
    rows = {name: [shown(n.get(key), f, d) for key, _, f, d in columns] for name, n in numbers.items()}
    return [title for _, title, _, _ in columns], rows


def _mean(found: dict[str, Any] | None, factor: float, digits: int) -> str:
    if found is None:
        return "-"
    spread = "" if found["std"] is None else f" +- {factor * found['std']:.{digits}f}"
    return f"{factor * found['mean']:.{digits}f}{spread}"


def _shown(found: dict[str, Any] | None, factor: float, digits: int) -> str:
    if not found or found["value"] is None:
        return "-"
    value, (low, high) = found["value"], found["interval"]
    if low is None or high is None:
        return f"{factor * value:.{digits}f}"
    return f"{factor * value:.{digits}f} ({factor * low:.{digits}f} to {factor * high:.{digits}f})"


def markdown(found: Sequence[Compared]) -> str:
    parts = []
    for title, heads, rows in tables(found):
        lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
        parts.append("\n".join([f"**{title}**", "", *lines]))
    return "\n\n".join(parts) + "\n"


def write_page(path: Path, found: Sequence[Compared]) -> None:
    """index.html: tables, realism against diversity, and the same inputs through every run."""
    first = found[0].result
    protocol = first["protocol"]
    network = ", ".join(dict.fromkeys(n["name"] for n in first["networks"].values())) or "none"
    counts = " and ".join(f"{d['used']} of {d['source']}" for d in first["data"].values())
    summary = (
        f"{len(found)} runs, protocol '{protocol['name']}' version {protocol['version']}: {counts}; features: "
        f"{network}. In brackets 95 % intervals of the bootstrap over images; the chance of training again is not in "
        f"them{': of that the tables over seeds tell' if len(in_families(found)) < len(found) else ''}."
    )
    sections = [Section(title, "", svg=table(heads, rows)) for title, heads, rows in tables(found)]
    sections += list(_plots(found))
    sections += list(_images(found))
    write_gallery(path, "Comparison of runs", summary, [], sections)


def _plots(found: Sequence[Compared]) -> Iterator[Section]:
    families = in_families(found)
    several = len(families) < len(found)
    for target in ("b", "a"):
        for measure, title, factor, _ in COLUMNS[:2]:
            points, spans = {}, {}
            for name, runs in families.items():
                numbers = over_seeds([c.result for c in runs]).get(target, {})
                if measure not in numbers:
                    continue
                realism, diversity = numbers[measure], numbers.get("lpips_diversity")
                points[name] = (diversity["mean"] if diversity else 0.0, factor * realism["mean"])
                ends = runs[0].result["to"][target][measure]["interval"]
                if several:
                    ends = realism["lowest"], realism["highest"]
                if None not in ends:
                    spans[name] = (factor * ends[0], factor * ends[1])
            if points:
                svg = scatter_svg(points, "diversity of the outputs of one input", title, spans=spans)
                lines = "means over seeds, from the lowest to the highest" if several else "intervals of the distance"
                words = (
                    "Lower is more like the real images, further right more diverse: the lower right is best. "
                    f"Upright lines: {lines}."
                )
                yield Section(f"Realism and diversity, to {target}", words, svg=svg)
                break


def _images(found: Sequence[Compared]) -> Iterator[Section]:
    """Of the first run of each family."""
    found = [runs[0] for runs in in_families(found).values()]
    for target in ("b", "a"):
        runs = [c for c in found if target in c.examples]
        if not runs:
            continue
        for i, x in enumerate(runs[0].examples[target][0]):
            cells: list[list[np.ndarray | None]] = [
                [from_tensor(x), *(from_tensor(made) for made in c.examples[target][1][i])] for c in runs
            ]
            width = max(map(len, cells))
            cells = [row + [None] * (width - len(row)) for row in cells]
            image = sheet(cells, row_titles=[c.name for c in runs], cell=max(64, min(128, x.shape[-1])))
            yield Section(f"Input {i + 1}, to {target}", "Left the input; each run in its random styles.", image)
