"""An evaluation for people: a table for the terminal, and a page with the images behind the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drit.evaluation.gathered import Direction
from drit.reports import pages
from drit.reports.pages import Note, Section, Table
from drit.sheets import sheet

HEAD = ("value", "95 % interval", "real images")


@dataclass(frozen=True)
class Measure:
    """How a number of a result is shown: multiplied by factor, rounded to digits, with its unit. meaning: one line."""

    title: str
    meaning: str
    factor: float = 1
    unit: str = ""
    digits: int = 4


MEASURES = {  # by name in result.json
    "fid": Measure("Fréchet distance", "0: mean and covariance of the features equal those of real images", digits=3),
    "kid": Measure("KID x 1000", "0: equal distributions; below 0 by chance", 1000, digits=2),
    "energy": Measure("energy distance x 1000", "0: equal distributions; below 0 by chance", 1000, digits=1),
    "grid_energy": Measure(
        "grid energy",
        "energy at periods of 2 or 4 pixels relative to real images; 1: as these, far above: a visible grid",
        digits=2,
    ),
    "ndb": Measure("NDB", "number of image clusters that are too frequent or too rare", digits=0),
    "jsd": Measure("JSD", "0: all image clusters are as frequent as in real images"),
    "lpips_diversity": Measure(
        "perceptual diversity", "distance of two outputs of one input; 0: styles change nothing"
    ),
    "lpips_to_input": Measure("perceptual distance to the input", "0: the translation changes nothing"),
    "self_reconstruction": Measure("self-reconstruction", "mean absolute difference from the image", 1, " of 255", 2),
    "cross_cycle": Measure(
        "cycle reconstruction error",
        "mean absolute difference of the input and its output translated back",
        1,
        " of 255",
        2,
    ),
    "style_error": Measure("style regression error", "0: the output shows its style; 0.80: it shows none", digits=3),
    "visible_style": Measure(
        "visible style",
        "R^2 of the style read from outputs without details below 4 pixels; 0: what shows of it is hidden in details",
        digits=3,
    ),
    "content_kept": Measure(
        "content accuracy", "outputs that a classifier of real images classifies correctly", 100, " %", 1
    ),
    "truth": Measure(
        "best output to the true image",
        "mean absolute difference of the nearest output from the image of the same name",
        1,
        " of 255",
        2,
    ),
    "domain_guessed": Measure(
        "domain probe accuracy", "50: the content code tells nothing of the domain", 100, " %", 1
    ),
}


@dataclass(frozen=True)
class EvaluationPage:
    """What `evaluation.html` shows."""

    title: str
    summary: str
    numbers: Table
    sections: tuple[Section, ...]
    meanings: tuple[tuple[str, str], ...]  # number, what it means
    networks: Table


def label(name: str, number: Mapping[str, Any] | None) -> str:
    """A number's name with its network. It is called FID only with the Inception network."""
    title = MEASURES[name].title
    network = (number or {}).get("network", {}).get("name")
    if name == "fid" and network == "inception":
        title = "FID"
    if name == "ndb" and number and "bins" in number:
        title += f" of {number['bins']} bins"
    return f"{title} ({network})" if network else title


def rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Each number of a result as text: direction, name, value, interval, the same of real images."""
    both = {"": result["both"]} if result["both"] else {}
    for target, numbers in [*result["to"].items(), *both.items()]:
        for name, number in numbers.items():
            measure, direction = MEASURES[name], f"to {target}" if target else "both"
            if number is None:
                yield direction, label(name, None), "-", "", ""
                continue
            low, high = (_text(measure, end) for end in number["interval"])
            reference = number.get("real_images", number.get("real_halves"))
            real = "" if reference is None else _text(measure, reference)
            yield (
                direction,
                label(name, number),
                _text(measure, number["value"]) + measure.unit,
                f"{low} to {high}",
                real,
            )


def _text(measure: Measure, value: float | None) -> str:
    return "?" if value is None else f"{measure.factor * value:.{measure.digits}f}"


def table(result: Mapping[str, Any]) -> str:
    """The numbers for a terminal."""
    lines = [("", "", *HEAD), *rows(result)]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def write_page(path: Path, result: Mapping[str, Any], shown: Mapping[str, Direction]) -> None:
    """Write index.html: the numbers, and the images that they come from. Raises OSError when the disk refuses.

    shown: of each target domain, the images that the evaluation kept.
    """
    pages.write_page(path, "evaluation.html", evaluation_page(result, shown))


def evaluation_page(result: Mapping[str, Any], shown: Mapping[str, Direction]) -> EvaluationPage:
    """What the page of an evaluation shows."""
    run, protocol = result["run"], result["protocol"]
    counts = " and ".join(f"{images['used']} of {images['source']}" for images in result["data"].values())
    outputs = protocol["styles"] if run["style_dim"] else 1
    summary = (
        f"Run {run['name']} ({run['method']}, iteration {run['step']}), protocol '{protocol['name']}' version "
        f"{protocol['version']}. Images: {counts}, {outputs} output{'s' if outputs > 1 else ''} of each."
    )
    sections = [section for target, direction in shown.items() for section in _sections(target, direction)]
    if result["warnings"]:
        sections.insert(0, Section("Warnings", notes=tuple(map(Note, result["warnings"]))))
    used = {name for numbers in (*result["to"].values(), result["both"]) for name in numbers}
    return EvaluationPage(
        f"Evaluation of {run['name']}",
        summary,
        Table(("", "", *HEAD), tuple(rows(result)), strong=2),
        tuple(sections),
        tuple((measure.title, f"{measure.meaning}.") for name, measure in MEASURES.items() if name in used),
        Table(
            ("feature network", "name", "SHA-256"),
            tuple((use, network["name"], network["sha256"][:12]) for use, network in result["networks"].items()),
        ),
    )


def _sections(target: str, direction: Direction) -> Iterator[Section]:
    strips = (
        (
            direction.by_realism.lowest,
            "Nearest to real images",
            "Each output beside its input, the most similar to a real image first.",
        ),
        (
            direction.by_realism.highest,
            "Farthest from real images",
            "Outputs whose nearest real image is farthest, the farthest first.",
        ),
        (direction.by_diversity.highest, "Most diverse", "Inputs (left) whose outputs in random styles differ most."),
        (direction.by_diversity.lowest, "Least diverse", "Inputs (left) whose outputs in random styles differ least."),
    )
    for kept, title, text in strips:
        if not kept:
            continue
        cells: list[list[np.ndarray | None]] = [list(strip) for _, strip in kept]
        scores = [f"{score:.3f}" for score, _ in kept]
        if len(cells[0]) == 2:  # input and output alone: four pairs in a row
            cells = [[c for pair in cells[i : i + 4] for c in (*pair, None)][:-1] for i in range(0, len(cells), 4)]
            lines = [" ".join(scores[i : i + 4]) for i in range(0, len(scores), 4)]
            text += f" Distances: {'; '.join(lines)}."
            scores = []
        yield Section(f"{title}, to {target}", text, image=sheet(cells, row_titles=scores, cell=0))
