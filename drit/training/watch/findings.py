"""Findings: what is wrong with a training, as its looks tell.

A function of the lines of metrics, so that a resumed run warns as one that never stopped. What to try is the
method's own advice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from drit.methods.advice import Finding
from drit.methods.base import Method
from drit.training.watch.looks import BALANCE

PATIENCE = 1000  # iterations that a state must last before it is a warning
LOOKS = 5  # and the looks it must have shown in
IGNORED = 0.02  # styles make less than this share of the difference between real images
READ = 0.5  # style regression error, below which styles are read from outputs
HIDDEN = 0.5  # of what is read of styles (R^2), visible style below which they are not seen there
TOLD_APART = 0.97  # of held-out images whose domain the probe reads
EARLY = 0.25  # share of the training in which content codes may tell the domains apart
WON = 0.25  # of a discriminator's loss at chance
GUESSING = 0.01  # distance of a discriminator's and a generator's loss from theirs at chance
WORSE = 1.5  # times the best reconstruction
RECONSTRUCTION = re.compile(r"^generators\w*/\w*(reconstruction|cycle)")
SHARE = "watch/diversity_share_"
VISIBLE = "watch/visible_style_"

Line = Mapping[str, float]  # of a run's metrics: iteration, losses, numbers of a look


class Warned(NamedTuple):
    """A finding and its message, which says what to try."""

    finding: Finding
    message: str


def is_look(line: Line) -> bool:
    """Whether a line of metrics holds the numbers of a look."""
    return any(name.startswith("watch/") for name in line)


def warnings(seen: Sequence[Line], method: Method) -> list[Warned]:
    """What is wrong after the looks `seen` (lines of metrics, oldest first): the last of them counts."""
    if not seen:
        return []
    warned = []
    for finding, message in (
        *_styles_ignored(seen),
        *_styles_hidden(seen),
        *_content_tells(seen, method.settings.steps),
        *_discriminators_win(seen),
        *_discriminators_guess(seen, method.at_chance()),
        *_reconstruction_worse(seen),
    ):
        advice = method.advice(finding)
        warned.append(Warned(finding, f"{message}; try {advice}" if advice else message))
    return warned


def lasting(seen: Sequence[Line], bad: Callable[[Line], bool]) -> int:
    """Iterations for which looks have been bad without a break up to now; 0 unless that is long and often enough."""
    count = 0
    for line in reversed(seen):
        if not bad(line):
            break
        count += 1
    last = int(seen[-1]["step"] - seen[-count]["step"]) if count else 0
    return last if count >= LOOKS and last >= PATIENCE else 0


Found = Iterator[tuple[Finding, str]]


def _styles_ignored(seen: Sequence[Line]) -> Found:
    for name in [name for name in seen[-1] if name.startswith(SHARE)]:
        target = name.removeprefix(SHARE)
        if iterations := lasting(seen, lambda line, name=name: line.get(name, 1.0) < IGNORED):  # type: ignore[misc]
            difference = seen[-1][f"watch/diversity_{target}"]
            real = difference / max(seen[-1][name], 1e-9)
            yield (
                Finding("styles_ignored", target),
                f"styles are being ignored to {target}: diversity {difference:.1f} of 255 for {iterations} iterations "
                f"(between real images {real:.0f})",
            )


def _styles_hidden(seen: Sequence[Line]) -> Found:
    for name in [name for name in seen[-1] if name.startswith(VISIBLE)]:
        target = name.removeprefix(VISIBLE)
        error = f"watch/style_error_{target}"

        def hidden(line: Line, name: str = name, error: str = error) -> bool:
            wrong = line.get(error, 1.0)  # R^2 of what is read is about 1 - error^2
            return wrong < READ and line.get(name, 1.0) < HIDDEN * (1 - wrong**2)

        if iterations := lasting(seen, hidden):
            yield (
                Finding("styles_hidden", target),
                f"styles are hidden in details of outputs to {target} for {iterations} iterations: the attribute "
                f"encoder reads them (style regression error {seen[-1][error]:.2f}), but of outputs without details "
                f"below 4 pixels they show less than half (visible style {seen[-1][name]:.2f})",
            )


def _content_tells(seen: Sequence[Line], steps: int) -> Found:
    """Only after a share of the training: at first, every code tells the domains apart."""
    iterations = lasting(seen, lambda line: line.get("watch/content_probe", 0.0) >= TOLD_APART)
    if iterations and seen[-1]["step"] >= EARLY * steps:
        yield (
            Finding("content_tells_domain"),
            f"the content code tells the domains apart: domain probe accuracy {seen[-1]['watch/content_probe']:.0%} on "
            f"held-out images for {iterations} iterations (chance is the goal), so styles carry less",
        )


def _discriminators_win(seen: Sequence[Line]) -> Found:
    winning = []
    for name in [name for name in seen[-1] if name.startswith(BALANCE)]:
        if iterations := lasting(seen, lambda line, name=name: line.get(name, 1.0) < WON):  # type: ignore[misc]
            term = name.removeprefix(BALANCE)
            winning.append(f"{term} at {seen[-1][name]:.2f} of its loss at chance for {iterations} iterations")
    if winning:
        yield (
            Finding("discriminators_win"),
            f"the discriminators win: {'; '.join(winning)}. The generators learn little from that",
        )


def _discriminators_guess(seen: Sequence[Line], at_chance: Mapping[str, float]) -> Found:
    guessing = []
    for name, chance in at_chance.items():
        term = name.partition("/")[2]
        if iterations := lasting(seen, lambda line, name=name, chance=chance: _guesses(line, name, chance)):  # type: ignore[misc]
            guessing.append(f"{term} for {iterations} iterations")
    if guessing:
        yield (
            Finding("discriminators_guess"),
            f"the discriminators only guess: loss at chance for {'; '.join(guessing)}. Outputs are not pushed towards "
            "the domain",
        )


def _guesses(line: Line, name: str, chance: float) -> bool:
    """Both sides of a game are at chance at once: its equilibrium moves about that, one that stands still is none."""
    term = name.partition("/")[2]
    answers = [v for other, v in line.items() if other.startswith("generator") and other.endswith(f"/{term}")]
    if name not in line or not answers or abs(line[name] / chance - 1) >= GUESSING:
        return False
    return abs(answers[0] / (chance / 2) - 1) < GUESSING  # the generators' is half of the discriminators'


def _reconstruction_worse(seen: Sequence[Line]) -> Found:
    """The mean of the last looks against the best mean of as many looks in a row."""
    series = [(value, int(line["step"])) for line in seen if (value := reconstruction(line)) is not None]
    if len(series) < 2 * LOOKS:
        return
    means = [
        (math.fsum(value for value, _ in series[i - LOOKS : i]) / LOOKS, series[i - 1][1])
        for i in range(LOOKS, len(series) + 1)
    ]
    best, when = min(means)
    now = means[-1][0]
    if now > WORSE * best:
        yield (
            Finding("reconstruction_worse"),
            f"reconstruction gets worse: {now:.3g} now, {best:.3g} around iteration {when}. Training runs away: "
            "stop it",
        )


def reconstruction(line: Line) -> float | None:
    """Sum of the reconstruction and cycle terms of a line of metrics; None if it has none."""
    terms = [v for name, v in line.items() if RECONSTRUCTION.search(name)]
    return math.fsum(terms) if terms else None
