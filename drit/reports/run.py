"""The report of a run: one page that explains it without this program. `drit report RUN`, and the end of `drit train`.

Everything is read from the run's own files, so a run of another machine or an earlier version has its report too.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from drit.errors import DritError, UsageError
from drit.evaluation.protocol import upgraded
from drit.methods.base import Capabilities
from drit.methods.registry import method_class
from drit.reports.gallery import curves_svg, number_class, table, write_page
from drit.runs.record import recorded_config
from drit.runs.run import Run, read_run
from drit.runs.warnings import active
from drit.settings.presets import preset
from drit.settings.schema import to_dict

SHEETS = 24  # sample sheets on the page, spread over the training
SHEET_WIDTH = 1100  # pixels, at most
POINTS = 160  # of a curve; what lies between is averaged

GROUPS = (  # of the curves: title, what is in it, and what to look for
    ("Watch", r"^watch/", "The same images in the same styles, looked at again and again. Dashed: chance."),
    (
        "Reconstruction",
        r"/\w*(reconstruction|cycle|identity)",
        "Mean absolute error of images in [-1, 1]. It should fall, and flatten.",
    ),
    (
        "Content",
        r"/content_(adversarial|norm)",
        "The encoders hide the domain, the content discriminator looks for it. Dashed: it only guesses.",
    ),
    (
        "Adversarial",
        r"/\w*adversarial",
        "Discriminators judge, generators answer. Dashed: the discriminators only guess. Neither should win for good.",
    ),
    ("Styles", r"/(kl|latent|mode_seeking|style)", "What keeps styles normal, readable and different."),
    ("Totals and rates", r"^(total|rate)/", "Weighted sums, as the optimizers see them, and the learning rate."),
    ("Other terms", r"", ""),
)
HEALTHY = {  # numbers of the table on top: name in the metrics, words, what is healthy
    "watch/diversity": ("difference between two styles, to {d}", "of 255; well above 1"),
    "watch/style_error": ("error of a style read from its output, {d}", "below 0.5; 1: unreadable"),
    "watch/content_probe": ("domain read from the content code", "towards {chance:.2g}"),
    "generators/content_adversarial": ("content adversarial, {d}", "near {confused:.2g}"),
    "generators/self_reconstruction": ("self-reconstruction error, {d}", "falling"),
    "generators/cross_cycle": ("cross-cycle error, {d}", "falling"),
}
_STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .6rem 1.2rem; }
.note { border-left: 4px solid #D55E00; padding: .1rem 0 .1rem .9rem; margin: .7rem 0; }
.note.past { border-color: var(--line); color: var(--soft); }
code { font-size: .88rem; background: #8882; border-radius: 4px; padding: .1rem .35rem; overflow-wrap: anywhere; }
.film img { display: none; } .film img.shown { display: block; } .film input { width: min(100%, 40rem); }
.film img { box-sizing: border-box; } .note code { white-space: nowrap; } svg { overflow: visible; }
td { overflow-wrap: anywhere; vertical-align: top; }
td.number { overflow-wrap: normal; }
"""
_FILM = """<script>
document.querySelectorAll(".film").forEach(film => {
  const slider = film.querySelector("input"), step = film.querySelector("output");
  const images = film.querySelectorAll("img");
  const show = () => images.forEach((image, i) => {
    image.classList.toggle("shown", i == slider.value);
    if (i == slider.value) step.textContent = image.alt;
  });
  slider.addEventListener("input", show); show();
});
</script>"""


def write_report(path: Path, out: Path | None = None) -> dict[str, Any]:
    """Write the report of a run, by default as report.html in its folder. Returns a summary for JSON.

    Raises CheckpointError for what is not a run, DritError for one without metrics or a disk that refuses.
    """
    run = read_run(path)
    out = out or path / "report.html"
    name, method, preset_name = path.resolve().name, run.settings.get("method"), run.settings.get("preset")
    title = f"{name}: {method} ({preset_name}), {run.step} of {run.steps} iterations"
    able = _able(run)
    samples, torn = _samples(run, able)
    sections = [
        ("Warnings", _warnings(run)),
        ("Samples", samples),
        *_curves(run),
        ("Evaluations", _evaluations(run)),
        ("Settings", _settings(run)),
        ("Images", _images(run)),
        ("Machine and versions", _machine(run)),
        ("Checkpoints", _checkpoints(run)),
        ("What next", _next(run, able)),
    ]
    sections = [(name, body) for name, body in sections if body]
    links = "".join(f'<a href="#s{i}">{_e(name)}</a>' for i, (name, _) in enumerate(sections))
    body = "".join(f'<section id="s{i}"><h2>{_e(name)}</h2>{part}</section>' for i, (name, part) in enumerate(sections))
    unread = [*run.unread, *torn]
    body += "".join(f'<p class="soft">Not read: {_e(why)}</p>' for why in unread)
    try:
        write_page(out, title, f"<h1>{_e(title)}</h1>{_numbers(run)}<nav>{links}</nav>{body}{_FILM}", _STYLE)
    except OSError as error:
        raise DritError(f"Could not write {out}: {error.strerror or error}. Choose another --out.") from error
    return {
        "report": str(out),
        "run": str(path),
        "step": run.step,
        "steps": run.steps,
        "warnings": list(active(run.events).values()),
        "metrics": {k: v for k, v in run.lines[-1].items() if k != "step" and math.isfinite(v)},
        "evaluations": run.evaluations,
        "checkpoints": [p.name for p in run.checkpoints],
        "unread": unread,
    }


def _able(run: Run) -> Capabilities | None:
    """What the run's method can do; None where this version does not know it."""
    try:
        config = recorded_config(run.path)
        channels = {d: int(found["channels"]) for d, found in run.data.items()}
        with FakeTensorMode():  # no weights are made
            return method_class(config.method).build(config, channels).capabilities
    except (DritError, KeyError, TypeError, ValueError):
        return None


def _e(value: Any) -> str:
    return html.escape(str(value))


def flat(nested: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested dictionaries as one with dotted names."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            found |= flat(value, f"{where}{name}.")
        else:
            found[f"{where}{name}"] = value
    return found


# Sections


def _numbers(run: Run) -> str:
    """The last values of what tells most, from the newest line that has each."""
    rows = []
    for stem, (words, healthy) in HEALTHY.items():
        for d in ("", *run.domains):
            name = f"{stem}_{d}" if d else stem
            values = [line[name] for line in run.lines if name in line]
            if values:
                count = len(run.domains)
                healthy = healthy.format(chance=1 / count, confused=math.log(count))
                rows.append((words.format(d=d).removesuffix(", "), values[-1], healthy))
    return table(("", "now", "healthy"), rows)


def _warnings(run: Run) -> str:
    if not run.events:
        watched = any(name.startswith("watch/") for line in run.lines for name in line)
        return "<p>None.</p>" if watched else "<p>None: this run was not watched (--log.watch-every).</p>"
    now = active(run.events)
    parts = []
    for event in run.events:
        if event.get("recovered"):
            continue
        later = [e for e in run.events if e["cause"] == event["cause"] and e["step"] > event["step"]]
        ended = next((e["step"] for e in later if e.get("recovered")), None)
        past = event["cause"] not in now or ended is not None
        when = f"iteration {event['step']}" + (f", recovered at {ended}" if ended else "")
        message = event["message"][:1].upper() + event["message"][1:]
        words = re.sub(r"--\w[\w.-]*", r"<code>\g<0></code>", _e(message))
        parts.append(f'<div class="note{" past" if past else ""}"><span class="soft">{when}</span><br>{words}.</div>')
    return "".join(parts)


def _samples(run: Run, able: Capabilities | None) -> tuple[str, list[str]]:
    """A slider over the sheets, and those that are no images."""
    steps = list(run.sheets)
    if not steps:
        return "", []
    last = len(steps) - 1
    chosen = [steps[round(i * last / max(1, min(SHEETS, len(steps)) - 1))] for i in range(min(SHEETS, len(steps)))]
    images, torn = [], []
    for step in chosen:
        try:
            images.append(f'<img alt="iteration {step}" src="{_embedded(run.sheets[step])}">')
        except OSError:
            torn.append(f"{run.sheets[step].name}: not an image")
    if not images:
        return "", torn
    images[-1] = images[-1].replace("<img ", '<img class="shown" ')
    n = len(images) - 1
    slider = f'<input type="{"range" if n else "hidden"}" min="0" max="{n}" value="{n}" aria-label="iteration">'
    if able is not None and not able.directions:
        words = "A table for each code. A row keeps all other codes, and this one changes along it."
    else:
        words = "The same images in each sheet, a row for each; the titles of columns say what was made of them."
    words += " By the averaged weights where the run keeps them."
    film = f'<div class="film">{slider} <output class="soft"></output>{"".join(images)}</div>'
    return f"<p>{words}</p>{film}", torn


def _embedded(path: Path) -> str:
    """A sheet as a data address: as it is if it is small, else as JPEG of at most SHEET_WIDTH pixels."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
        if len(content) < 150_000 and image.width <= SHEET_WIDTH:
            return "data:image/png;base64," + base64.b64encode(content).decode()
        if image.width > SHEET_WIDTH:
            height = round(image.height * SHEET_WIDTH / image.width)
            image = image.resize((SHEET_WIDTH, height), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _curves(run: Run) -> list[tuple[str, str]]:
    """The curves of every term: a chart for each family (a term of one update, of all domains), in groups."""
    names = list(dict.fromkeys(name for line in run.lines for name in line if name != "step"))
    levels = _levels(run)
    left = names
    sections = []
    for title, pattern, words in GROUPS:
        inside = [name for name in left if re.search(pattern, name)]
        left = [name for name in left if name not in inside]
        families: dict[str, dict[str, str]] = {}
        for name in inside:
            family, label = _family(name, run.domains)
            families.setdefault(family, {})[label] = name
        charts = [
            curves_svg(
                {label: _points(run.lines, name) for label, name in members.items()},
                family.replace("_", " ").replace("/", ": ", 1),
                width=520,
                height=210,
                level=next((levels[name] for name in members.values() if name in levels), None),
            )
            for family, members in families.items()
        ]
        if charts:
            sections.append((title, f'<p>{_e(words)}</p><div class="charts">{"".join(charts)}</div>'))
    return sections


def _family(name: str, domains: Sequence[str]) -> tuple[str, str]:
    """Chart and legend of a curve: `generators/kl_a` is a in the chart `generators/kl`; no domain, no legend."""
    for d in domains:
        if name.endswith(f"_{d}"):
            return name.removesuffix(f"_{d}"), d
    return name, ""


def _levels(run: Run) -> dict[str, float]:
    """Where chance is: of each loss that a look compared with it (the generators' is half), and of the watch."""
    found = {"watch/content_probe": 1 / len(run.domains)}
    for line in run.lines[::-1]:
        shares = {
            name.removeprefix("watch/balance_"): v for name, v in line.items() if name.startswith("watch/balance_")
        }
        for term, share in shares.items():
            found[f"watch/balance_{term}"] = 1.0
            for name, loss in line.items():
                update, _, own = name.partition("/")
                if own == term and update.endswith(("discriminators", "discriminator")):
                    chance = loss / share if share else math.nan
                    found[name] = chance
                    for other in line:
                        if other.startswith("generators") and _same_term(other.partition("/")[2], term, run.domains):
                            found[other] = chance / 2
        if shares:
            break
    return {name: level for name, level in found.items() if math.isfinite(level)}


def _same_term(term: str, other: str, domains: Sequence[str]) -> bool:
    return term == other or any(term == f"{other}_{d}" for d in domains)


def _points(lines: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """(iteration, value) of a metric, averaged in groups to about POINTS."""
    points = [(float(line["step"]), float(line[name])) for line in lines if name in line]
    points = [p for p in points if math.isfinite(p[1])]
    size = max(1, -(-len(points) // POINTS))
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _evaluations(run: Run) -> str:
    """A row for each number, a column for each evaluation."""
    tables = {name: flat(upgraded(result)) for name, result in run.evaluations.items()}
    numbers = dict.fromkeys(name for one in tables.values() for name, value in one.items() if number_class(value))
    return table(("", *tables), ([name, *(one.get(name, "") for one in tables.values())] for name in numbers))


def _settings(run: Run) -> str:
    chosen = flat(run.settings)
    name = str(chosen.get("preset", ""))
    words = f"What differs from the preset {name}"
    try:
        base = preset(name, str(chosen.get("method")))
    except UsageError:
        base, words = preset("default"), f"The preset {name} of this method is not known here; from default"
    values = flat(json.loads(json.dumps(to_dict(base))))  # as they are recorded: lists for tuples
    rows = [(path, values.get(path, ""), value) for path, value in chosen.items() if values.get(path) != value]
    return f"<p>{_e(words)}; all of them are in config.json.</p>{table(('setting', 'preset', 'this run'), rows)}"


def _images(run: Run) -> str:
    names = dict.fromkeys(name for prints in run.data.values() for name in prints)

    def cell(value: Any) -> Any:
        if isinstance(value, list):
            return " x ".join(map(str, reversed(value)))  # recorded as height, width
        return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else value

    rows = ([name, *(cell(prints.get(name, "")) for prints in run.data.values())] for name in names)
    return table(("", *run.data), rows)


def _machine(run: Run) -> str:
    parts = {"machine": run.record.get("machine", "")} | flat(run.record.get("chosen", {}))
    parts |= flat(run.record.get("versions", {}))
    return table(("", ""), ((name, str(value)) for name, value in parts.items() if value != ""))


def _checkpoints(run: Run) -> str:
    def size(path: Path) -> str:
        return f"{sum(p.stat().st_size for p in path.iterdir()) / 1e6:.1f} MB"

    rows = [(int(p.name.removeprefix("step_")), size(p), f"checkpoints/{p.name}") for p in run.checkpoints]
    return table(("iteration", "size", "folder"), rows) or "<p>None yet.</p>"


def _next(run: Run, able: Capabilities | None) -> str:
    parts: list[tuple[str, str]] = []
    if active(run.events):
        words = "Mend what is warned of; a changed weight or rate can be tried on this run:"
        parts.append((words, f"drit train --resume {run.path} --allow-changes --FLAG VALUE"))
    if run.step < run.steps:
        parts.append((f"Go on to iteration {run.steps}:", f"drit train --resume {run.path}"))
    else:
        parts.append(("Go on with more iterations:", f"drit train --resume {run.path} --steps {2 * run.steps}"))
    if run.checkpoints and able is not None and not able.directions:
        parts.append(("Draw images:", f"drit sample {run.path} --out DIR"))
    elif run.checkpoints:
        to = able.directions[-1] if able else run.domains[-1]
        styles = " --styles 5" if able is None or able.multimodal else ""
        parts.append(("Translate:", f"drit translate {run.path} IMAGES --to {to} --out DIR{styles}"))
        parts.append(("Measure:", f"drit evaluate {run.path} --data.a DIR --data.b DIR"))
    parts.append(("Every number, to zoom into:", f"tensorboard --logdir {run.path}"))
    return "".join(f"<p>{_e(words)}<br><code>{_e(line)}</code></p>" for words, line in parts)
