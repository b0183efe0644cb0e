"""Results in words: a table for the terminal, and a page with the images behind the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drit.evaluation.gathered import Direction
from drit.reports.gallery import Number, Section, write_gallery
from drit.sheets import sheet

# name, factor, unit, digits, what it means
_NUMBERS: dict[str, tuple[str, float, str, int, str]] = {
    "fid": ("Fréchet distance", 1, "", 3, "0: outputs and real images have equal mean and spread of features"),
    "kid": ("KID x 1000", 1000, "", 2, "0: equal distributions; can be below 0 by chance"),
    "ndb": ("NDB", 1, "", 0, "kinds of images that are too frequent or too rare"),
    "jsd": ("JSD", 1, "", 4, "0: all kinds of images equally frequent"),
    "lpips_diversity": (
        "perceptual diversity",
        1,
        "",
        4,
        "distance between two outputs of one input; 0: styles are ignored",
    ),
    "lpips_to_input": ("perceptual distance to the input", 1, "", 4, "0: nothing is changed"),
    "self_reconstruction": ("self-reconstruction", 1, " of 255", 2, "mean difference from the image"),
    "cross_cycle": (
        "cycle reconstruction error",
        1,
        " of 255",
        2,
        "mean difference of input and output translated back",
    ),
    "style_error": ("style regression", 1, "", 3, "0: the output shows its style; 0.80: it shows none"),
    "content_kept": ("content kept", 100, " %", 1, "outputs that a classifier of real images classifies correctly"),
    "truth": (
        "best output to the true image",
        1,
        " of 255",
        2,
        "mean difference of the nearest output from the image of the same name",
    ),
    "domain_guessed": ("domain guessed from content", 100, " %", 1, "50: the content tells nothing of the domain"),
}


def label(name: str, found: Mapping[str, Any] | None) -> str:
    """A number's name with its network. FID and LPIPS are so called only where their own networks made them."""
    words = _NUMBERS[name][0]
    network = (found or {}).get("network", {}).get("name")
    if name == "fid" and network == "inception":
        words = "FID"
    if found and "bins" in found:
        words += f" of {found['bins']} bins" if name == "ndb" else ""
    return f"{words} ({network})" if network else words


def rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Each number of a result as words: direction, name, value, interval, real images."""
    both = {"": result["both"]} if result["both"] else {}
    for target, numbers in [*result["to"].items(), *both.items()]:
        for name, found in numbers.items():
            _, factor, unit, digits, _ = _NUMBERS[name]
            where = f"to {target}" if target else "both"
            if found is None:
                yield where, label(name, None), "-", "", ""
                continue

            def shown(value: float | None, factor: float = factor, digits: int = digits) -> str:
                return "?" if value is None else f"{factor * value:.{digits}f}"

            low, high = (shown(v) for v in found["interval"])
            reference = found.get("real_images", found.get("real_halves"))
            real = shown(reference) if reference is not None else ""
            yield where, label(name, found), shown(found["value"]) + unit, f"{low} to {high}", real


def table(result: Mapping[str, Any]) -> str:
    """The numbers for a terminal."""
    lines = [("", "", "value", "95 % interval", "real images"), *rows(result)]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def write_page(path: Path, result: Mapping[str, Any], shown: Mapping[str, Direction]) -> None:
    """index.html: the numbers, and the images that they come from."""
    run, protocol = result["run"], result["protocol"]
    counts = " and ".join(f"{found['used']} of {found['source']}" for found in result["data"].values())
    summary = (
        f"{run['name']} ({run['method']}, iteration {run['step']}), protocol '{protocol['name']}' version "
        f"{protocol['version']}: {counts}, {protocol['styles'] if run['style_dim'] else 1} outputs of each."
    )
    numbers = [
        Number(
            f"{name}, {where}" if where != "both" else name,
            value,
            f"{interval}; real images: {real}" if real else interval,
        )
        for where, name, value, interval, real in rows(result)
    ]
    sections = [section for target, found in shown.items() for section in _sections(target, found)]
    if result["warnings"]:
        sections.append(Section("Warnings", " ".join(result["warnings"])))
    meanings = " ".join(f"{words[0]}: {words[4]}." for words in _NUMBERS.values())
    footer = (
        f"{meanings} Real images: the same distance among real images (of the Fréchet distance: between two halves "
        "of them). Numbers of different networks, protocols or images must not be compared. "
        + " ".join(f"{use}: {n['name']} {n['sha256'][:12]}." for use, n in result["networks"].items())
    )
    write_gallery(
        path, f"Evaluation of {run['name']}", summary, numbers, sections, footer, ("number", "", "95 % interval")
    )


def _sections(target: str, found: Direction) -> Iterator[Section]:
    parts = (
        (
            found.by_realism.lowest,
            "Nearest to real images",
            "Each output beside its input; the most alike to a real image first.",
        ),
        (
            found.by_realism.highest,
            "Farthest from real images",
            "Outputs whose nearest real image is farthest, the worst first.",
        ),
        (found.by_diversity.highest, "Most diverse", "Inputs (left) whose outputs differ most, in random styles."),
        (found.by_diversity.lowest, "Least diverse", "Inputs (left) whose outputs differ least."),
    )
    for strips, title, words in parts:
        if strips:
            cells: list[list[np.ndarray | None]] = [list(strip) for _, strip in strips]
            names = [f"{score:.3f}" for score, _ in strips]
            if len(cells[0]) == 2:  # pairs beside each other
                cells = [[c for pair in cells[i : i + 4] for c in (*pair, None)][:-1] for i in range(0, len(cells), 4)]
                names = [" ".join(names[i : i + 4]) for i in range(0, len(names), 4)]
                words += f" Distances: {'; '.join(names)}."
                names = []
            yield Section(f"{title}, to {target}", words, sheet(cells, row_titles=names, cell=0))
