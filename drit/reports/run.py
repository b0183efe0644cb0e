"""The report of a run: one page that explains it without this program. `drit report RUN`, and the end of `drit train`.

Everything is read from the run's own files, so a run of another machine or an earlier version has its report too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drit.atomic import not_written
from drit.bounded import resolved
from drit.errors import DritError, UsageError
from drit.evaluation.protocol import upgraded
from drit.methods.base import Capabilities
from drit.methods.registry import method_class, preset
from drit.reports import plots
from drit.reports.curves import chart_groups
from drit.reports.pages import Note, Section, Table, write_page
from drit.reports.samples import Frame, frames
from drit.runs.folder import RunFolder, step_of
from drit.runs.record import recorded_settings
from drit.runs.run import Run, read_run
from drit.runs.warnings import active
from drit.settings.schema import to_dict

HEALTHY = {  # numbers of the table on top: name in the metrics, title, what is healthy
    "watch/diversity": ("diversity, to {d}", "of 255; well above 1"),
    "watch/style_error": ("style regression error, {d}", "below 0.5; 1: the output does not show its style"),
    "watch/visible_style": ("visible style, {d}", "above 0.3; 0: the style shows in details of a few pixels alone"),
    "watch/content_probe": ("domain probe accuracy", "towards {chance:.2g}"),
    "generators/content_adversarial": ("content adversarial, {d}", "near {confused:.2g}"),
    "generators/self_reconstruction": ("self-reconstruction error, {d}", "falling"),
    "generators/cross_cycle": ("cycle reconstruction error, {d}", "falling"),
}


@dataclass(frozen=True)
class Advice:
    """A command to go on with, and what it does."""

    text: str
    command: str


@dataclass(frozen=True)
class RunSection(Section):
    """A section of the report; what is empty is not on the page."""

    frames: tuple[Frame, ...] = ()
    advice: tuple[Advice, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.text or self.tables or self.charts or self.notes or self.frames or self.advice)


@dataclass(frozen=True)
class RunPage:
    """What `run.html` shows."""

    title: str
    numbers: Table
    sections: tuple[RunSection, ...]
    unread: tuple[str, ...]  # files of the run that could not be read, and why


def write_report(path: Path, out: Path | None = None) -> dict[str, Any]:
    """Write the report of a run, by default as report.html in its folder. Returns a summary for JSON.

    Raises CheckpointError for what is not a run, DritError for one without metrics or a disk that refuses.
    """
    run = read_run(path)
    out = out or RunFolder(path).report
    page = run_page(run)
    try:
        write_page(out, "run.html", page)
    except OSError as error:
        raise not_written(out, error, "name it with --out") from error
    return {
        "report": str(out),
        "run": str(path),
        "step": run.step,
        "steps": run.steps,
        "warnings": list(active(run.events).values()),
        "metrics": {k: v for k, v in run.lines[-1].items() if k != "step" and math.isfinite(v)},
        "evaluations": run.evaluations,
        "checkpoints": [p.name for p in run.checkpoints],
        "unread": list(page.unread),
    }


def run_page(run: Run) -> RunPage:
    """What the report of a run shows."""
    name, method, preset_name = resolved(run.path).name, run.settings.get("method"), run.settings.get("preset")
    able = _capabilities(run)
    shown, unread = frames(run.sheets)
    sections = (
        _warnings(run),
        RunSection("Samples", _about_samples(able) if shown else "", frames=tuple(shown)),
        *_curves(run),
        _evaluations(run),
        _settings(run),
        _images(run),
        _machine(run),
        _checkpoints(run),
        _next(run, able),
    )
    return RunPage(
        f"{name}: {method} ({preset_name}), {run.step} of {run.steps} iterations",
        Table(("", "now", "healthy"), tuple(_numbers(run))),
        tuple(section for section in sections if not section.empty),
        (*run.unread, *unread),
    )


def _capabilities(run: Run) -> Capabilities | None:
    """What the run's method can do; None where this version does not know it."""
    try:
        settings = recorded_settings(run.path)
        return method_class(settings.method).capabilities_for(settings, tuple(run.data))
    except DritError:
        return None


def flat(nested: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested dictionaries as one with dotted names."""
    values: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            values |= flat(value, f"{where}{name}.")
        else:
            values[f"{where}{name}"] = value
    return values


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Sections


def _numbers(run: Run) -> Iterator[tuple[Any, ...]]:
    """The last values of the metrics that tell most, each from the newest line that has it."""
    count = len(run.domains)
    for stem, (title, healthy) in HEALTHY.items():
        for d in ("", *run.domains):
            name = f"{stem}_{d}" if d else stem
            values = [line[name] for line in run.lines if name in line]
            if values:
                expected = healthy.format(chance=1 / count, confused=math.log(count))
                yield title.format(d=d).removesuffix(", "), values[-1], expected


def _warnings(run: Run) -> RunSection:
    if not run.events:
        watched = any(name.startswith("watch/") for line in run.lines for name in line)
        return RunSection("Warnings", "None." if watched else "None: this run was not watched (--log.watch-every).")
    now = active(run.events)
    notes = []
    for event in run.events:
        if event.get("recovered"):
            continue
        later = [e for e in run.events if e["cause"] == event["cause"] and e["step"] > event["step"]]
        ended = next((e["step"] for e in later if e.get("recovered")), None)
        when = f"iteration {event['step']}" + (f", recovered at {ended}" if ended else "")
        message = f"{event['message'][:1].upper()}{event['message'][1:]}."
        notes.append(Note(message, when, event["cause"] not in now or ended is not None))
    return RunSection("Warnings", notes=tuple(notes))


def _about_samples(able: Capabilities | None) -> str:
    if able is not None and not able.directions:
        text = "A table for each code. Along a row this code changes, and all other codes stay the same."
    else:
        text = "Every sheet shows the same images, a row for each. The titles of the columns name the output."
    return f"{text} The averaged weights draw them where the run keeps such weights."


def _curves(run: Run) -> Iterator[RunSection]:
    for group, charts in chart_groups(run):
        yield RunSection(group.title, group.text, charts=tuple(map(plots.curves_svg, charts)))


def _evaluations(run: Run) -> RunSection:
    """A row for each number, a column for each evaluation."""
    results = {name: flat(upgraded(result)) for name, result in run.evaluations.items()}
    names = dict.fromkeys(name for one in results.values() for name, value in one.items() if is_number(value))
    rows = tuple((name, *(one.get(name, "") for one in results.values())) for name in names)
    return RunSection("Evaluations", tables=(Table(("", *results), rows),) if rows else ())


def _settings(run: Run) -> RunSection:
    chosen = flat(run.settings)
    name = str(chosen.get("preset", ""))
    text = f"What differs from the preset {name}"
    try:
        base = preset(name, str(chosen.get("method")))
    except UsageError:
        base, text = preset("default"), f"This version does not know the preset {name} of this method. From default"
    values = flat(json.loads(json.dumps(to_dict(base))))  # as they are recorded: lists for tuples
    rows = ((path, values.get(path, ""), value) for path, value in chosen.items() if values.get(path) != value)
    table = Table(("setting", "preset", "this run"), tuple(rows))
    return RunSection("Settings", f"{text}. All settings are in config.json.", tables=(table,))


def _images(run: Run) -> RunSection:
    names = dict.fromkeys(name for images in run.data.values() for name in images)

    def cell(value: Any) -> Any:
        if isinstance(value, list):
            return " x ".join(map(str, reversed(value)))  # recorded as height, width
        return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else value

    rows = tuple((name, *(cell(images.get(name, "")) for images in run.data.values())) for name in names)
    return RunSection("Images", tables=(Table(("", *run.data), rows),) if rows else ())


def _machine(run: Run) -> RunSection:
    values = {"machine": run.record.get("machine", "")} | flat(run.record.get("chosen", {}))
    values |= flat(run.record.get("versions", {}))
    rows = tuple((name, str(value)) for name, value in values.items() if value != "")
    return RunSection("Machine and versions", tables=(Table(("", ""), rows),) if rows else ())


def _checkpoints(run: Run) -> RunSection:
    def size(path: Path) -> str:
        return f"{sum(p.stat().st_size for p in path.iterdir()) / 1e6:.1f} MB"

    rows = tuple((step_of(p), size(p), p.relative_to(run.path).as_posix()) for p in run.checkpoints)
    if not rows:
        return RunSection("Checkpoints", "None yet.")
    return RunSection("Checkpoints", tables=(Table(("iteration", "size", "folder"), rows),))


def _next(run: Run, able: Capabilities | None) -> RunSection:
    advice: list[Advice] = []
    if active(run.events):
        text = "Follow the warnings. A changed weight or rate can be tried on this run:"
        advice.append(Advice(text, f"drit train --resume {run.path} --allow-changes --FLAG VALUE"))
    if run.step < run.steps:
        advice.append(Advice(f"Go on to iteration {run.steps}:", f"drit train --resume {run.path}"))
    else:
        more = f"drit train --resume {run.path} --steps {2 * run.steps}"
        advice.append(Advice("Go on with more iterations:", more))
    if run.checkpoints and able is not None and not able.directions:
        advice.append(Advice("Draw images:", f"drit sample {run.path} --out DIR"))
    elif run.checkpoints:
        to = able.directions[-1] if able else run.domains[-1]
        styles = " --styles 5" if able is None or able.multimodal else ""
        advice.append(Advice("Translate:", f"drit translate {run.path} IMAGES --to {to} --out DIR{styles}"))
        advice.append(Advice("Measure:", f"drit evaluate {run.path} --data.a DIR --data.b DIR"))
    advice.append(Advice("See every number, and zoom in:", f"tensorboard --logdir {run.path}"))
    return RunSection("What next", advice=tuple(advice))
