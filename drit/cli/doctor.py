"""`drit doctor`: what is wrong with the images of a training, and what it will take."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drit.cli.options import INTERRUPTED, command, show
from drit.errors import DataError, UsageError

if TYPE_CHECKING:
    from drit.data.doctor.facts import Cache, Source
    from drit.data.doctor.findings import Finding
    from drit.settings.common import TrainSettings
    from drit.training.forecast import Forecast


def add(commands: Any) -> None:
    parser = command(
        commands,
        "doctor",
        "look for what would stop or spoil a training, before it starts",
        doctor,
        "examples:\n"
        "  drit doctor --data.a photos/summer --data.b photos/winter\n"
        "  drit doctor --data.a summer --data.b winter --test.a held/summer --out doctor.html --fix clean\n\n"
        "Takes all flags of `drit train`. Looks at every image: unreadable, too small, near-constant, grey among\n"
        "colours, outliers, duplicates and near-duplicates within and between domains and with test images, one image\n"
        "under two labels, imbalance. Then memory, time and disk of the training. Images that were looked at before\n"
        "are remembered: the same command goes on where it was stopped.\n"
        "Exit code 0: nothing, or advice alone. 1: something would stop or spoil the training.",
        with_settings=True,
    )
    parser.usage = (
        "drit doctor --data.a DIR --data.b DIR [--test.a DIR] [--test.b DIR] [--out PAGE.html] [--fix DIR] [...]"
    )
    for domain in "ab":
        parser.add_argument(
            f"--test.{domain}", metavar="DIR", help=f"held-out images of domain {domain}, to compare with"
        )
    parser.add_argument("--out", metavar="PAGE.html", help="page with thumbnails to write")
    parser.add_argument("--fix", metavar="DIR", help="write a copy of the images without what spoils a training")
    parser.add_argument("--no-forecast", action="store_true", help="leave out memory, time and disk of the training")
    parser.add_argument("--config", metavar="FILE", help="JSON file of settings (a run's config.json serves)")


def doctor(values: argparse.Namespace) -> int:
    from drit.cli.flags import settings

    chosen = settings(values)
    chosen.check()
    if not chosen.data.sources():
        raise UsageError("Give the images of a training: --data.a DIR --data.b DIR.")
    from drit.data.doctor.clean import write_clean
    from drit.data.doctor.facts import Cache, cache_file, perceptual_hash
    from drit.data.doctor.findings import findings
    from drit.progress import quiet, tracked
    from drit.runs.folder import refuse_inside

    def shown(things: Any, title: str, total: int) -> Any:
        return tracked(things, title, total, quiet())

    if values.fix:
        refuse_inside(Path(values.fix), chosen.data.sources().values(), "--fix")
    cache = Cache(cache_file())
    try:
        sources = _sources(chosen, values, cache, shown)
    except KeyboardInterrupt:
        print("Stopped. What was looked at is remembered: the same command goes on.", flush=True)
        return INTERRUPTED
    finally:
        cache.close()
    found = findings(sources, chosen.data)
    found, notes, outlook = _try_training(chosen, found, not values.no_forecast)
    if perceptual_hash() is None:
        notes.append('Near-duplicates were not looked for: pip install "drit[doctor]"')
    places = write_clean(Path(values.fix), sources, found, shown) if values.fix else {}
    bad = [finding for finding in found if finding.severity != "advice"]
    unfit = outlook is not None and not outlook.fits
    if values.out:
        _write_page(Path(values.out), sources, found, notes, outlook, chosen)
    result = {
        "images": {source.name: len(source.images) for source in sources},
        "findings": [asdict(finding) for finding in found],
        "notes": notes,
        "forecast": asdict(outlook) if outlook else None,
        "fixed": places,
        "page": values.out or "",
    }
    show(values, result, _message(sources, found, notes, outlook, places, values))
    return 1 if bad or unfit else 0


def _sources(chosen: TrainSettings, values: argparse.Namespace, cache: Cache, shown: Any) -> list[Source]:
    """Everything that is looked at: each domain once, then the test images."""
    from drit.data.doctor.facts import Source, labels_of, look

    given = [(domain, path, False) for domain, path in chosen.data.sources().items()]
    if chosen.data.pairs:
        given = given[:1]
    given += [(d, path, True) for d in "ab" if (path := getattr(values, f"test.{d}"))]
    sources = []
    for domain, path, test in given:
        images = look(path, chosen.data, domain, cache, shown)
        name = f"test images of {domain}" if test else "pairs" if chosen.data.pairs else f"domain {domain}"
        sources.append(Source(name, path, domain, test, images, labels_of(path, [image.name for image in images])))
    return sources


def _try_training(
    chosen: TrainSettings, found: list[Finding], wanted: bool
) -> tuple[list[Finding], list[str], Forecast | None]:
    """Open the images as training does: what it would refuse is a finding. Then, where it would not, the forecast."""
    from drit.data.doctor.findings import Finding
    from drit.methods.registry import method_for
    from drit.training.checks import open_sets, settled
    from drit.training.forecast import forecast

    try:
        sets = open_sets(method_for(chosen), chosen)
    except (DataError, UsageError) as error:
        known = any(finding.severity == "stops" for finding in found)
        return (found if known else [Finding("refused", "stops", "training", str(error)), *found]), [], None
    notes = [note for images in sets.values() for note in images.notes]
    if not wanted:
        return found, notes, None
    print("timing a few iterations (--no-forecast leaves this out)", file=sys.stderr, flush=True)
    outlook = forecast(settled(chosen, sets), sets, Path())
    return found, [*outlook.advice, *notes], outlook


def _numbers(outlook: Forecast | None) -> list[tuple[str, str]]:
    """What the training takes, in words."""
    from drit.training.progress import duration

    if outlook is None:
        return []
    mib = 1 << 20
    timed = outlook.seconds > 0
    gpu = []
    if outlook.gpu_memory_free:
        gpu = [("memory of the GPU", f"{outlook.gpu_memory / mib:.0f} MiB ({outlook.gpu_memory_free / mib:.0f} free)")]
    return [
        ("memory", f"{outlook.memory / mib:.0f} MiB ({outlook.memory_free / mib:.0f} free)"),
        *gpu,
        ("disk", f"{outlook.disk / mib:.0f} MiB ({outlook.disk_free / mib:.0f} free)"),
        ("1000 iterations", duration(1000 * outlook.seconds) if timed else "not measured"),
        (f"all {outlook.steps}", duration(outlook.steps * outlook.seconds) if timed else "not measured"),
    ]


def _summary(sources: list[Source], found: list[Finding]) -> str:
    counts = ", ".join(f"{source.name}: {len(source.images)} images" for source in sources)
    if not found:
        return f"{counts}. Nothing was found."
    kinds = {s: sum(f.severity == s for f in found) for s in ("stops", "spoils", "advice")}
    texts = {"stops": "would stop the training", "spoils": "would spoil it", "advice": "to look at"}
    return f"{counts}. Findings: " + ", ".join(f"{kinds[s]} {texts[s]}" for s in kinds if kinds[s]) + "."


def _message(
    sources: list[Source],
    found: list[Finding],
    notes: list[str],
    outlook: Forecast | None,
    places: dict[str, str],
    values: argparse.Namespace,
) -> str:
    lines = [_summary(sources, found)]
    lines += [f"{finding.severity}: {finding.where}: {finding.kind}. {finding.message}" for finding in found]
    lines += [f"{name}: {value}" for name, value in _numbers(outlook)]
    lines += [f"note: {note}" for note in notes]
    if places:
        flags = " ".join(f"--data.{domain} {place}" for domain, place in places.items())
        lines.append(f"Cleaned copy: drit train {flags} --out RUN (left out: {values.fix}/removed.json)")
    if values.out:
        lines.append(f"Page: {values.out}")
    return "\n".join(lines)


def _write_page(
    path: Path,
    sources: list[Source],
    found: list[Finding],
    notes: list[str],
    outlook: Forecast | None,
    chosen: TrainSettings,
) -> None:
    from drit.data.doctor.facts import reading_for
    from drit.reports.doctor import write_doctor_page

    readings = {source.path: reading_for(source.path, chosen.data, source.domain) for source in sources}
    write_doctor_page(path, _summary(sources, found), _numbers(outlook), found, notes, readings)
