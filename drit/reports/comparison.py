"""A comparison for people: tables in Markdown, and a page with plots and outputs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drit.data.images import from_tensor
from drit.evaluation.comparison import Compared
from drit.evaluation.seeds import over_seeds
from drit.reports import pages, plots
from drit.reports.pages import Section, Table
from drit.sheets import sheet

# What tables of several runs show: name in a result, title, factor, digits.
COLUMNS = (
    ("fid", "Fréchet distance", 1, 3),
    ("kid", "KID x 1000", 1000, 2),
    ("energy", "energy distance x 1000", 1000, 1),
    ("grid_energy", "grid energy", 1, 2),
    ("ndb", "NDB", 1, 0),
    ("jsd", "JSD", 1, 4),
    ("lpips_diversity", "diversity", 1, 4),
    ("lpips_to_input", "distance to input", 1, 4),
    ("content_kept", "content accuracy, %", 100, 1),
    ("truth", "best to the true image", 1, 2),
    ("self_reconstruction", "self-reconstruction", 1, 2),
    ("cross_cycle", "cycle reconstruction error", 1, 2),
    ("style_error", "style regression error", 1, 3),
    ("visible_style", "visible style", 1, 3),
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
REALISM = COLUMNS[:2]  # the first that was measured is drawn against diversity
Row = tuple[str, ...]


@dataclass(frozen=True)
class ComparisonPage:
    """What `comparison.html` shows."""

    title: str
    summary: str
    sections: tuple[Section, ...]


def in_families(compared: Sequence[Compared]) -> dict[str, list[Compared]]:
    """Runs that differ in their seed alone, by the name they have in common."""
    families: dict[str, list[Compared]] = {}
    for one in compared:
        families.setdefault(one.family, []).append(one)
    return families


def over_families(compared: Sequence[Compared]) -> dict[str, Any]:
    """Of each family its runs and its numbers over them (`over_seeds`)."""
    return {
        name: {"runs": [one.name for one in runs], "to": over_seeds([one.result for one in runs])}
        for name, runs in in_families(compared).items()
    }


# Tables


def tables(compared: Sequence[Compared]) -> Iterator[tuple[str, Table]]:
    """Title and table: over seeds where runs differ in that alone; then one for each direction, values with their
    intervals; then the costs."""
    families = over_families(compared)
    if len(families) < len(compared):
        yield from _over_seeds(families)
    for target in ("b", "a"):
        results = {one.name: numbers for one in compared if (numbers := one.result["to"].get(target))}
        titles, cells = _lines(results, _with_interval)
        if titles:
            yield f"To {target}", Table(("run", *titles), tuple((name, *line) for name, line in cells.items()))
    guessed = {one.name: one.result["both"].get("domain_guessed") for one in compared}
    if any(guessed.values()):
        rows = tuple((name, _with_interval(value, 100, 1)) for name, value in guessed.items())
        yield "Content", Table(("run", "domain probe accuracy, % (50: hidden)"), rows)
    costs = tuple((one.name, *(_cost(one.cost[key]) for key, _ in _COSTS)) for one in compared)
    yield "Cost", Table(("run", *(title for _, title in _COSTS)), costs)


def _over_seeds(families: dict[str, Any]) -> Iterator[tuple[str, Table]]:
    for target in ("b", "a"):
        numbers = {name: family["to"][target] for name, family in families.items() if target in family["to"]}
        titles, lines = _lines(numbers, _with_std)
        if titles:
            rows = tuple((name, str(len(families[name]["runs"])), *cells) for name, cells in lines.items())
            yield f"To {target}, mean and standard deviation over seeds", Table(("runs", "seeds", *titles), rows)


def _lines(numbers: dict[str, Any], text: Callable[[Any, float, int], str]) -> tuple[Row, dict[str, Row]]:
    """Titles of the columns that any row has a number for, and the cells of each row."""
    columns = [column for column in COLUMNS if any(n.get(column[0]) for n in numbers.values())]
    rows = {name: tuple(text(n.get(key), f, d) for key, _, f, d in columns) for name, n in numbers.items()}
    return tuple(title for _, title, _, _ in columns), rows


def _with_std(number: dict[str, Any] | None, factor: float, digits: int) -> str:
    if number is None:
        return "-"
    std = "" if number["std"] is None else f" +- {factor * number['std']:.{digits}f}"
    return f"{factor * number['mean']:.{digits}f}{std}"


def _with_interval(number: dict[str, Any] | None, factor: float, digits: int) -> str:
    if not number or number["value"] is None:
        return "-"
    value, (low, high) = number["value"], number["interval"]
    if low is None or high is None:
        return f"{factor * value:.{digits}f}"
    return f"{factor * value:.{digits}f} ({factor * low:.{digits}f} to {factor * high:.{digits}f})"


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def markdown(compared: Sequence[Compared]) -> str:
    """The tables as Markdown."""
    parts = []
    for title, table in tables(compared):
        lines = [f"| {' | '.join(cells)} |" for cells in (table.head, ["---"] * len(table.head), *table.rows)]
        parts.append("\n".join([f"**{title}**", "", *lines]))
    return "\n\n".join(parts) + "\n"


# The page


def write_page(path: Path, compared: Sequence[Compared]) -> None:
    """Write index.html: tables, realism against diversity, and the same inputs through every run. Raises OSError when
    the disk refuses."""
    pages.write_page(path, "comparison.html", comparison_page(compared))


def comparison_page(compared: Sequence[Compared]) -> ComparisonPage:
    """What the page of a comparison shows."""
    first = compared[0].result
    protocol = first["protocol"]
    network = ", ".join(dict.fromkeys(n["name"] for n in first["networks"].values())) or "none"
    counts = " and ".join(f"{images['used']} of {images['source']}" for images in first["data"].values())
    several = len(in_families(compared)) < len(compared)
    summary = (
        f"{len(compared)} runs, protocol '{protocol['name']}' version {protocol['version']}. Images: {counts}. Feature "
        f"network: {network}. In brackets stand 95 % intervals of the bootstrap over images. They do not hold the "
        f"chance of training again{': the tables over seeds do' if several else ''}."
    )
    sections = [Section(title, tables=(_kept_together(table),)) for title, table in tables(compared)]
    return ComparisonPage("Comparison of runs", summary, (*sections, *_plots(compared), *_images(compared)))


def _kept_together(table: Table) -> Table:
    """A table whose lines break before an interval, not within it."""

    def unbroken(cell: Any) -> str:
        return str(cell).replace("+- ", "±\u00a0").replace(" to ", "\u00a0to\u00a0")

    return replace(table, rows=tuple((row[0], *map(unbroken, row[1:])) for row in table.rows))


def _plots(compared: Sequence[Compared]) -> Iterator[Section]:
    families = in_families(compared)
    several = len(families) < len(compared)
    lines = "means over seeds, from the lowest to the highest" if several else "95 % intervals of the distance"
    text = f"Lower is closer to real images, right is more diverse: the lower right is best. Vertical lines: {lines}."
    for target in ("b", "a"):
        for measure, title, factor, _ in REALISM:
            points, spans = {}, {}
            for name, runs in families.items():
                numbers = over_seeds([one.result for one in runs]).get(target, {})
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
                chart = plots.Scatter(points, "diversity of the outputs of one input", title, spans)
                yield Section(f"Realism and diversity, to {target}", text, charts=(plots.scatter_svg(chart),))
                break


def _images(compared: Sequence[Compared]) -> Iterator[Section]:
    """The same inputs through the first run of each family."""
    first = [runs[0] for runs in in_families(compared).values()]
    for target in ("b", "a"):
        runs = [one for one in first if target in one.examples]
        if not runs:
            continue
        for i, x in enumerate(runs[0].examples[target][0]):
            cells: list[list[np.ndarray | None]] = [
                [from_tensor(x), *(from_tensor(output) for output in one.examples[target][1][i])] for one in runs
            ]
            width = max(map(len, cells))
            cells = [row + [None] * (width - len(row)) for row in cells]
            image = sheet(cells, row_titles=[one.name for one in runs], cell=max(64, min(128, x.shape[-1])))
            text = "Left: the input. Each row: the outputs of one run in random styles."
            yield Section(f"Input {i + 1}, to {target}", text, image=image)
