"""Translation of files: folders in, images out, with a contact sheet and a map of what came from where.

    OUT/PLACE_STYLE.SUFFIX ...    the outputs, of the input's format and depth where that can hold them, each with
                                  its state: how it was made
    OUT/outputs.json              input, style and domain of each
    OUT/styles.json  sheet.png    the styles' numbers; a table of the first images
    OUT/maps/PLACE.png            on demand, the map of invention of each input

An image that cannot be read, translated or written is named and skipped; the others are written.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drit.atomic import no_leftovers, not_written
from drit.data.names import suffix_of
from drit.data.notes import KEYWORD
from drit.engines.base import Engine, OneProcess
from drit.errors import DataError, DritError, UsageError
from drit.inference import outputs
from drit.inference.formats import FormatChoice, lost_notes, samples_of
from drit.inference.invention import missing_notes, translates_back
from drit.inference.jobs import SHEET_CELL, SHEET_COLUMNS, Job, Translation, small
from drit.inference.reading import Input, numbered, reading_notes
from drit.inference.state import State, state_of, together
from drit.inference.styles import Style
from drit.inference.tiles import check_tile
from drit.inference.translator import Translator
from drit.progress import tracked
from drit.sheets import save_sheet, sheet
from drit.storage import Folder, Places, folder_of

SHEET_ROWS = 12  # inputs on the contact sheet
_SHEET_JOBS = 4 * SHEET_ROWS  # inputs that may be on it, where others cannot be translated


@dataclass(frozen=True)
class FileOptions:
    """What else is asked of a translation of files."""

    maps: bool = False  # also the map of invention of each image, and the number of each output
    source: str = ""  # domain of the images, which maps need where a run has more than two
    tile: int = 0  # translate in strips of at most tile x tile pixels, with files in the output folder meanwhile
    engine: Engine = field(default_factory=OneProcess)  # who translates
    places: Places = field(default_factory=Places)  # where inputs were copied from


class _Skipped:
    """Images that were left out, and why."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.unreadable = True  # whether all of them are images that cannot be read

    def add(self, path: Path, reason: str, unreadable: bool) -> None:
        self.reasons.setdefault(str(path), reason if str(path) in reason else f"{path}: {reason}")
        self.unreadable = self.unreadable and unreadable

    def nothing_left(self) -> DritError:
        what, kind = ("read", DataError) if self.unreadable else ("translated", DritError)
        return kind(f"None of the images could be {what}: " + "; ".join(self.reasons.values()))


def translate_files(
    translator: Translator,
    inputs: Sequence[Input],
    to: str,
    out: Path | Folder,
    styles: Sequence[Style],
    choice: FormatChoice | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    options: FileOptions | None = None,
) -> dict[str, Any]:
    """Translate images in all styles into `out` (see the module).

    choice: format and depth of the outputs. overwrite: files that this program did not write may be overwritten.
    quiet: no progress bar. Returns counts, files, skipped images with reasons, notes and the rate. Raises UsageError,
    before the first image, for what cannot be written or mapped; DritError where no image could be translated.
    """
    choice, options, folder = choice or FormatChoice(), options or FileOptions(), folder_of(out)
    out = folder.path
    maps, tile = options.maps, options.tile
    check_tile(tile)
    if maps and tile:
        raise UsageError("A map of invention needs an image and its outputs in memory: leave out --tile or --map.")
    target = translator.domain(to)
    source = (translator.known_source if maps else translator.source)(to, options.source)
    map_notes = missing_notes(translator.method, source) if maps else []
    choice.check(samples_of(translator.method, source, target))
    skipped = _Skipped()
    jobs = _plan(translator, inputs, source, target, styles, choice, skipped, bool(tile))
    if not jobs:
        raise skipped.nothing_left()
    shown = options.places.shown
    planned: dict[str, dict[str, Any]] = {
        name: {"input": shown(str(job.image.path)), "style": style.name, "domain": target}
        for job in jobs
        for name, style in zip(job.names, styles, strict=True)
    }
    beside = [outputs.SHEET, outputs.STYLES]
    of_maps: dict[str, dict[str, Any]] = {
        job.map_name: {"input": shown(str(job.image.path)), "style": None, "domain": target, "map": True}
        for job in (jobs if maps else ())
    }
    outputs.check_free(out, [*planned, *of_maps, *beside], overwrite, [image.path for image in inputs])
    outputs.note(out, planned | of_maps)  # first: should the work be stopped, what it wrote is known for its own
    folder.publish(out / outputs.OUTPUTS)
    codes = torch.stack([s.code for s in styles])
    states = [state_of(translator.weights, source, target, s.name, s.code, s.seed) for s in styles]
    texts = [state.text() for state in states]
    rows: list[list[np.ndarray | None]] = []
    if any(s.image is not None for s in styles):
        rows.append([None, *(None if s.image is None else small(s.image) for s in styles[:SHEET_COLUMNS])])
    written: list[str] = []
    written_maps: dict[str, dict[str, Any]] = {}
    lost: Counter[str] = Counter()
    work = Translation(translator, (source, target), codes, [s.name for s in styles], texts, folder, maps, tile, quiet)
    gpu = translator.device.type == "cuda"
    began = time.monotonic()
    with (
        no_leftovers(out, [*planned, *of_maps]),
        closing(options.engine.run(options.places.anywhere(work), jobs, gpu)) as results,
    ):
        for job, done in zip(jobs, tracked(results, "translating", len(jobs), hidden=quiet or bool(tile)), strict=True):
            for reason, unreadable in done.skipped:
                skipped.add(job.image.path, reason, unreadable)
            for name, numbers in done.written.items():
                planned[name] |= numbers
                written.append(name)
            if done.map_numbers is not None:
                written_maps[job.map_name] = of_maps[job.map_name] | done.map_numbers
            lost.update(done.lost)
            if done.row and len(rows) < SHEET_ROWS:
                rows.append(done.row)
    seconds = time.monotonic() - began
    outputs.note(out, {name: planned[name] for name in written} | written_maps)
    if not written:
        raise skipped.nothing_left()
    style_numbers = {s.name: [round(float(v), 6) for v in s.code] for s in styles}
    outputs.write(out / outputs.STYLES, {"domain": target, "styles": style_numbers})
    _write_sheet(rows, states[:SHEET_COLUMNS], out / outputs.SHEET)
    for name in (outputs.OUTPUTS, outputs.STYLES, outputs.SHEET):
        folder.publish(out / name)
    headers = {job.image.path: job.header for job in jobs if job.image.array is None}
    result = {
        "to": target,
        "images": len(inputs) - len(skipped.reasons),
        "styles": len(styles),
        "files": [str(out / name) for name in written],
        "sheet": str(out / outputs.SHEET),
        "outputs": str(out / outputs.OUTPUTS),
        "skipped": skipped.reasons,
        "notes": [*reading_notes(translator.method, source, headers), *_notes(jobs), *lost_notes(lost), *map_notes],
        "seconds": round(seconds, 3),
        "outputs_per_second": round(len(written) / max(seconds, 1e-9), 3),
    }
    if maps:
        result["maps"] = {value["input"]: value | {"map": str(out / name)} for name, value in written_maps.items()}
        if translates_back(translator.method, source):
            result["invention"] = {str(out / name): planned[name]["invention"] for name in written}
    return result


def _plan(
    translator: Translator,
    inputs: Sequence[Input],
    source: str,
    target: str,
    styles: Sequence[Style],
    choice: FormatChoice,
    skipped: _Skipped,
    tiled: bool,
) -> list[Job]:
    """What will be done, from the images' headers; images that are known to fail go to `skipped`."""
    samples = samples_of(translator.method, source, target)
    maps = numbered([outputs.map_name(image.place) for image in inputs])
    stems = numbered([str(image.place.with_name(f"{image.place.name}_{s.name}")) for image in inputs for s in styles])
    jobs: list[Job] = []
    for i, image in enumerate(inputs):
        try:
            header = image.header(translator.method, source)
            if not tiled:
                translator.check_memory(header.height, header.width, target)
        except DritError as error:
            skipped.add(image.path, str(error), isinstance(error, DataError))
            continue
        form = choice.of(".png" if image.array is not None else suffix_of(image.path), header, samples)
        of_image = stems[i * len(styles) : (i + 1) * len(styles)]
        names = [Path(f"{stem}{form.suffix}").as_posix() for stem in of_image]
        jobs.append(Job(image, header, form, names, maps[i], len(jobs) < _SHEET_JOBS))
    return jobs


def _write_sheet(rows: list[list[np.ndarray | None]], states: list[State], path: Path) -> None:
    """The contact sheet, a column for each style, which it names. Raises DritError where the disk refuses."""
    cell = min(SHEET_CELL, max((max(c.shape[:2]) for row in rows for c in row if c is not None), default=SHEET_CELL))
    try:
        image = sheet(rows, column_titles=["input", *(s.name for s in states)], cell=max(64, cell))
        save_sheet(image, path, {KEYWORD: together("sheet", states).text()})
    except OSError as error:
        raise not_written(path, error) from error


def _notes(jobs: Sequence[Job]) -> list[str]:
    """Why outputs are not of their inputs' format, each reason once."""
    counts = Counter(job.format.note for job in jobs if job.format.note)
    return [f"{reason} ({count} image{'s' if count > 1 else ''})" for reason, count in counts.items()]
