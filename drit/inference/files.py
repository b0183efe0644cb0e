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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from drit.data.images import Header, Metadata, encode, from_tensor, to_tensor
from drit.data.names import suffix_of
from drit.errors import DataError, DritError, UsageError
from drit.inference import memory, outputs
from drit.inference.formats import FormatChoice, OutputFormat, lost_notes, lost_parts, samples_of
from drit.inference.heat import COLUMNS as MAP_COLUMNS
from drit.inference.heat import map_image
from drit.inference.invention import InventionMeter, missing_notes, translates_back
from drit.inference.reading import Input, numbered, reading_notes
from drit.inference.state import state_of
from drit.inference.styles import Style
from drit.inference.tiles import TiledImage, check_tile, joined
from drit.inference.translator import Translator
from drit.progress import bar, tracked
from drit.sheets import as_image, save_sheet, sheet

SHEET_ROWS = 12  # inputs on the contact sheet
SHEET_COLUMNS = 16  # outputs of each on it
SHEET_CELL = 192  # pixels of the long side of a cell, at most


class _Job(NamedTuple):
    """The translation of one image."""

    image: Input
    header: Header
    format: OutputFormat
    names: list[str]  # of its outputs under the output folder, one for each style
    map_name: str  # of its map of invention there


@dataclass(frozen=True)
class FileOptions:
    """What else is asked of a translation of files."""

    maps: bool = False  # also the map of invention of each image, and the number of each output
    source: str = ""  # domain of the images, which maps need where a run has more than two
    tile: int = 0  # translate in strips of at most tile x tile pixels, with files in the output folder meanwhile


class _Skipped:
    """Images that were left out, and why."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.unreadable = True  # whether all of them are images that cannot be read

    def add(self, path: Path, error: Exception) -> None:
        reason = str(error)
        self.reasons.setdefault(str(path), reason if str(path) in reason else f"{path}: {reason}")
        self.unreadable = self.unreadable and isinstance(error, DataError)

    def nothing_left(self) -> DritError:
        what, kind = ("read", DataError) if self.unreadable else ("translated", DritError)
        return kind(f"None of the images could be {what}: " + "; ".join(self.reasons.values()))


def translate_files(
    translator: Translator,
    inputs: Sequence[Input],
    to: str,
    out: Path,
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
    choice, options = choice or FormatChoice(), options or FileOptions()
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
    planned: dict[str, dict[str, Any]] = {
        name: {"input": str(job.image.path), "style": style.name, "domain": target}
        for job in jobs
        for name, style in zip(job.names, styles, strict=True)
    }
    beside = [outputs.SHEET, outputs.STYLES]
    of_maps: dict[str, dict[str, Any]] = {
        job.map_name: {"input": str(job.image.path), "style": None, "domain": target, "map": True}
        for job in (jobs if maps else ())
    }
    outputs.check_free(out, [*planned, *of_maps, *beside], overwrite, [image.path for image in inputs])
    outputs.note(out, planned | of_maps)  # first: should the work be stopped, what it wrote is known for its own
    codes = torch.stack([s.code for s in styles])
    states = [state_of(translator.weights, source, target, s.name, s.code, s.seed).text() for s in styles]
    rows: list[list[np.ndarray | None]] = []
    if any(s.image is not None for s in styles):
        rows.append([None, *(None if s.image is None else _small(s.image) for s in styles[:SHEET_COLUMNS])])
    written: list[str] = []
    written_maps: dict[str, dict[str, Any]] = {}
    lost: Counter[str] = Counter()
    began = time.monotonic()
    for job in tracked(jobs, "translating", len(jobs), hidden=quiet or bool(tile)):
        try:
            with memory.named_size(job.header.height, job.header.width):
                array, metadata = job.image.read(translator.method, source)
                row: list[np.ndarray | None] = [_small(array)]
                mapped = _Mapped(translator, array, source, target) if maps else None
                made: Iterator[tuple[np.ndarray, Tensor | None]]
                if tile:
                    made = _tiled(translator, job, array, codes, (source, target), tile, out, quiet)
                else:
                    made = ((job.format.array(o), o) for o in translator.outputs(to_tensor(array), codes, target))
                for name, state, (pixels, output) in zip(job.names, states, made, strict=True):
                    if len(row) <= SHEET_COLUMNS:
                        row.append(_small(job.format.levels(pixels)))
                    if mapped is not None and output is not None:
                        planned[name] |= mapped.add(output)
                    try:
                        lost.update(_write(pixels, out / name, job.format, replace(metadata, note=state)))
                        written.append(name)
                    except DritError as error:
                        skipped.add(job.image.path, error)
                if mapped is not None:
                    mapped.write(out / job.map_name, [s.name for s in styles])
                    written_maps[job.map_name] = of_maps[job.map_name] | mapped.numbers()
        except DritError as error:
            skipped.add(job.image.path, error)
            continue
        if len(rows) < SHEET_ROWS:
            rows.append(row)
    seconds = time.monotonic() - began
    outputs.note(out, {name: planned[name] for name in written} | written_maps)
    if not written:
        raise skipped.nothing_left()
    numbers = {s.name: [round(float(v), 6) for v in s.code] for s in styles}
    outputs.write(out / outputs.STYLES, {"domain": target, "styles": numbers})
    _write_sheet(rows, [s.name for s in styles[:SHEET_COLUMNS]], out / outputs.SHEET)
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


class _Mapped:
    """The map of invention of one image (H, W, C), gathered while its outputs are written."""

    def __init__(self, translator: Translator, array: np.ndarray, source: str, to: str) -> None:
        self._meter = InventionMeter(translator, to_tensor(array)[None], source, to)
        self._array = array
        self._shown: list[np.ndarray] = []
        self._errors: list[np.ndarray] = []  # cycle errors of the outputs that are shown
        self._mean_errors: list[float] = []  # of all

    def add(self, output: Tensor) -> dict[str, float]:
        """Take up an output (C, H, W) in [-1, 1]; returns its numbers."""
        error = self._meter.add(output)
        if len(self._shown) < MAP_COLUMNS:
            self._shown.append(from_tensor(output))
            self._errors += [] if error is None else [error.numpy()]
        if error is None:
            return {}
        self._mean_errors.append(float(error.mean()))
        return {"invention": round(self._meter.invention[-1], 4), "cycle_error": round(self._mean_errors[-1], 2)}

    def numbers(self) -> dict[str, float]:
        """The image's numbers, each a mean: of its outputs' invention and cycle error, of its std over styles."""
        std = self._meter.style_std()
        numbers = {} if std is None else {"style_std": round(float(std.mean()), 2)}
        if self._mean_errors:
            numbers["invention"] = round(float(np.mean(self._meter.invention)), 4)
            numbers["cycle_error"] = round(float(np.mean(self._mean_errors)), 2)
        return numbers

    def write(self, path: Path, titles: Sequence[str]) -> None:
        """Write the map of all outputs that were taken up. Raises DritError where the disk refuses."""
        std = self._meter.style_std()
        figure = map_image(
            self._array, self._shown, titles[:MAP_COLUMNS], None if std is None else std.numpy(), self._errors
        )
        try:
            save_sheet(figure, path)
        except OSError as error:
            raise DritError(f"Could not write {path}: {error.strerror}. Make room, and run again.") from error


def _plan(
    translator: Translator,
    inputs: Sequence[Input],
    source: str,
    target: str,
    styles: Sequence[Style],
    choice: FormatChoice,
    skipped: _Skipped,
    tiled: bool,
) -> list[_Job]:
    """What will be done, from the images' headers; images that are known to fail go to `skipped`."""
    samples = samples_of(translator.method, source, target)
    maps = numbered([outputs.map_name(image.place) for image in inputs])
    stems = numbered([str(image.place.with_name(f"{image.place.name}_{s.name}")) for image in inputs for s in styles])
    jobs = []
    for i, image in enumerate(inputs):
        try:
            header = image.header(translator.method, source)
            if not tiled:
                translator.check_memory(header.height, header.width, target)
        except DritError as error:
            skipped.add(image.path, error)
            continue
        form = choice.of(".png" if image.array is not None else suffix_of(image.path), header, samples)
        of_image = stems[i * len(styles) : (i + 1) * len(styles)]
        names = [Path(f"{stem}{form.suffix}").as_posix() for stem in of_image]
        jobs.append(_Job(image, header, form, names, maps[i]))
    return jobs


def _tiled(
    translator: Translator,
    job: _Job,
    array: np.ndarray,
    codes: Tensor,
    way: tuple[str, str],
    tile: int,
    out: Path,
    quiet: bool,
) -> Iterator[tuple[np.ndarray, Tensor | None]]:
    """The translations of one image (H, W, C) in styles (K, S), in strips: as they are written, (H, W, C') each.

    way: letters of its domain and of the one it goes to. A bar shows what is done. None stands for the tensor, which is
    never whole.
    """
    out.mkdir(parents=True, exist_ok=True)
    with bar(f"translating {job.image.path.name}", hidden=quiet) as advance:
        image = TiledImage(translator, array, *way, tile, len(codes), str(out), advance)
        for code in codes:
            yield joined(map(job.format.array, image.output(code)), len(array)), None


def _write(array: np.ndarray, path: Path, form: OutputFormat, metadata: Metadata) -> list[str]:
    """Write an output (H, W, C) with what its input says beside its pixels; returns what of that the format drops.

    Raises DritError where the disk, the name or the format refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(array, path, form.alpha, metadata)
    except (OSError, ValueError) as error:
        raise DritError(f"Could not write {path}: {getattr(error, 'strerror', None) or error}.") from error
    return lost_parts(metadata, path.suffix, array.shape)


def _small(array: np.ndarray) -> np.ndarray:
    """An image (H, W, C) for the sheet: not larger than a cell."""
    side = max(array.shape[:2])
    if side <= SHEET_CELL:
        return array
    height, width = (max(1, round(s * SHEET_CELL / side)) for s in array.shape[:2])
    return np.asarray(as_image(array).resize((width, height), Image.Resampling.LANCZOS))


def _write_sheet(rows: list[list[np.ndarray | None]], names: list[str], path: Path) -> None:
    """The contact sheet, a column for each style. Raises DritError where the disk refuses."""
    cell = min(SHEET_CELL, max(max(c.shape[:2]) for row in rows for c in row if c is not None))
    try:
        save_sheet(sheet(rows, column_titles=["input", *names], cell=max(64, cell)), path)
    except OSError as error:
        raise DritError(f"Could not write {path}: {error.strerror}. Make room, and run again.") from error


def _notes(jobs: Sequence[_Job]) -> list[str]:
    """Why outputs are not of their inputs' format, each reason once."""
    counts = Counter(job.format.note for job in jobs if job.format.note)
    return [f"{reason} ({count} image{'s' if count > 1 else ''})" for reason, count in counts.items()]
