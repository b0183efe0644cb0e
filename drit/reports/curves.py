"""The metrics of a run as charts: one for each term of an update, with all domains in it, in groups."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drit.reports.plots import Curves
from drit.runs.run import Run

MAX_POINTS = 160  # of a curve; what lies between is averaged


@dataclass(frozen=True)
class Group:
    """Charts under one heading. pattern: matches the names of the metrics that belong here."""

    title: str
    pattern: str
    text: str


GROUPS = (  # a metric belongs to the first group that it matches
    Group(
        "Watch",
        r"^watch/",
        "The watch translates the same images in the same styles again and again. Dashed line: chance.",
    ),
    Group(
        "Reconstruction",
        r"/\w*(reconstruction|cycle|identity)",
        "Mean absolute error of images in [-1, 1]. It should fall, then stay flat.",
    ),
    Group(
        "Content",
        r"/content_(adversarial|norm)",
        "The content encoders hide the domain. The content discriminator tries to classify it. Dashed line: it "
        "guesses.",
    ),
    Group(
        "Adversarial",
        r"/\w*adversarial",
        "Losses of discriminators and generators. Dashed line: the discriminators guess. Neither side should win for "
        "good.",
    ),
    Group(
        "Styles",
        r"/(kl|latent|mode_seeking|style)",
        "Terms that keep styles normally distributed, recoverable from the output, and diverse.",
    ),
    Group("Totals and rates", r"^(total|rate)/", "The weighted sums that the optimizers see, and the learning rates."),
    Group("Other terms", r"", ""),
)


def chart_groups(run: Run) -> list[tuple[Group, list[Curves]]]:
    """Every metric of a run in one chart. Groups without a metric are left out."""
    names = list(dict.fromkeys(name for line in run.lines for name in line if name != "step"))
    levels = chance_levels(run)
    groups = []
    for group in GROUPS:
        inside = [name for name in names if re.search(group.pattern, name)]
        names = [name for name in names if name not in inside]
        families: dict[str, dict[str, str]] = {}
        for name in inside:
            family, domain = _family(name, run.domains)
            families.setdefault(family, {})[domain] = name
        charts = [
            Curves(
                family.replace("_", " ").replace("/", ": ", 1),
                {domain: points(run.lines, name) for domain, name in members.items()},
                level=next((levels[name] for name in members.values() if name in levels), None),
            )
            for family, members in families.items()
        ]
        if charts:
            groups.append((group, charts))
    return groups


def _family(name: str, domains: Sequence[str]) -> tuple[str, str]:
    """Chart and legend of a curve: `generators/kl_a` is a in the chart `generators/kl`; no domain, no legend."""
    for d in domains:
        if name.endswith(f"_{d}"):
            return name.removesuffix(f"_{d}"), d
    return name, ""


def chance_levels(run: Run) -> dict[str, float]:
    """The value at chance of each metric that has one, by the metric's name.

    Losses of guessing discriminators stand in the run's record (`at_chance`, by `update/term`); a run without the
    record has no level for losses. A generator answers one of the two halves of a discriminator's loss, that of fake
    images: its level is half. `watch/balance_*` is a loss relative to chance. `watch/content_probe` is an accuracy.
    """
    names = {name for line in run.lines for name in line}
    levels = {name: 1.0 for name in names if name.startswith("watch/balance_")}
    levels["watch/content_probe"] = 1 / len(run.domains)
    recorded = run.record.get("at_chance", {})
    for discriminator, loss in recorded.items() if isinstance(recorded, dict) else ():
        if not isinstance(loss, (int, float)) or not math.isfinite(loss):
            continue
        levels[discriminator] = float(loss)
        term = discriminator.partition("/")[2]
        answers = {term, *(f"{term}_{d}" for d in run.domains)}
        for name in names:
            update, _, own = name.partition("/")
            if update.startswith("generator") and own in answers and name not in recorded:
                levels[name] = loss / 2
    return {name: level for name, level in levels.items() if name in names}


def points(lines: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """(iteration, value) of a metric, averaged in groups to at most MAX_POINTS; values that are not finite are left
    out."""
    values = [(float(line["step"]), float(line[name])) for line in lines if name in line]
    values = [point for point in values if math.isfinite(point[1])]
    size = max(1, -(-len(values) // MAX_POINTS))
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
