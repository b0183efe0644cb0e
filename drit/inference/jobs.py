"""The translation of one image in all styles, as a task that any process can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from drit.atomic import not_written
from drit.data.images import Header, Metadata, encode, from_tensor, to_tensor
from drit.errors import DataError, DritError
from drit.inference import memory
from drit.inference.formats import OutputFormat, lost_parts
from drit.inference.heat import COLUMNS as MAP_COLUMNS
from drit.inference.heat import map_image
from drit.inference.invention import InventionMeter
from drit.inference.outputs import OUTPUTS
from drit.inference.reading import Input
from drit.inference.tiles import TiledImage, joined
from drit.inference.translator import Translator
from drit.progress import bar
from drit.sheets import as_image, save_sheet
from drit.storage import Folder

SHEET_COLUMNS = 16  # outputs of each input on the contact sheet
SHEET_CELL = 192  # pixels of the long side of a cell, at most


class Job(NamedTuple):
    """The translation of one image."""

    image: Input
    header: Header
    format: OutputFormat
    names: list[str]  # of its outputs under the output folder, one for each style
    map_name: str  # of its map of invention there
    shown: bool  # whether it may be on the contact sheet


@dataclass
class Done:
    """What came of one job."""

    row: list[np.ndarray | None] = field(default_factory=list)  # of the contact sheet: small images (H, W, C)
    written: dict[str, dict[str, float]] = field(default_factory=dict)  # numbers of each output that was written
    map_numbers: dict[str, float] | None = None  # of its map of invention, if that was written
    lost: Counter[str] = field(default_factory=Counter)  # what outputs do not keep of their input
    skipped: list[tuple[str, bool]] = field(default_factory=list)  # why, and whether the image cannot be read


class Translation:
    """Does jobs: what one gives depends on the job alone."""

    def __init__(
        self,
        translator: Translator,
        way: tuple[str, str],
        codes: Tensor,
        titles: Sequence[str],
        states: Sequence[str],
        folder: Folder,
        maps: bool,
        tile: int,
        quiet: bool,
    ) -> None:
        """way: letters of the domain of the images and of the one they go to. codes: styles (K, S). titles, states:
        name of each style, and how an output in it was made. maps, tile: as in `FileOptions`."""
        self.translator = translator
        self.source, self.target = way
        self.codes = codes
        self.titles = titles
        self.states = states
        self.folder = folder
        self.maps = maps
        self.tile = tile
        self.quiet = quiet

    def __call__(self, job: Job) -> Done:
        """Translate one image and write its outputs; what cannot be is in the result.

        Raises DritError where `folder` is not the command's own.
        """
        self.folder.check_shared(OUTPUTS)
        done = Done()
        try:
            with memory.named_size(job.header.height, job.header.width):
                self._translate(job, done)
        except DritError as error:
            done.skipped.append((str(error), isinstance(error, DataError)))
        return done

    def _translate(self, job: Job, done: Done) -> None:
        out = self.folder.path
        array, metadata = job.image.read(self.translator.method, self.source)
        row: list[np.ndarray | None] = [small(array)]
        mapped = _Mapped(self.translator, array, self.source, self.target) if self.maps else None
        made: Iterator[tuple[np.ndarray, Tensor | None]]
        if self.tile:
            made = self._tiled(job, array)
        else:
            outputs = self.translator.outputs(to_tensor(array), self.codes, self.target)
            made = ((job.format.array(o), o) for o in outputs)
        for name, state, (pixels, output) in zip(job.names, self.states, made, strict=True):
            if len(row) <= SHEET_COLUMNS:
                row.append(small(job.format.levels(pixels)))
            numbers = mapped.add(output) if mapped is not None and output is not None else {}
            try:
                done.lost.update(_write(pixels, out / name, job.format, replace(metadata, note=state)))
                self.folder.publish(out / name)
                done.written[name] = numbers
            except DritError as error:
                done.skipped.append((str(error), isinstance(error, DataError)))
        if mapped is not None:
            mapped.write(out / job.map_name, self.titles)
            self.folder.publish(out / job.map_name)
            done.map_numbers = mapped.numbers()
        done.row = row if job.shown else []

    def _tiled(self, job: Job, array: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor | None]]:
        """The translations of one image (H, W, C), in strips: as they are written, (H, W, C') each.

        A bar shows what is done. None stands for the tensor, which is never whole.
        """
        out, way = self.folder.path, (self.source, self.target)
        out.mkdir(parents=True, exist_ok=True)
        with bar(f"translating {job.image.path.name}", hidden=self.quiet) as advance:
            image = TiledImage(self.translator, array, *way, self.tile, len(self.codes), str(out), advance)
            for code in self.codes:
                yield joined(map(job.format.array, image.output(code)), len(array)), None


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
            raise not_written(path, error) from error


def _write(array: np.ndarray, path: Path, form: OutputFormat, metadata: Metadata) -> list[str]:
    """Write an output (H, W, C) with what its input says beside its pixels; returns what of that the format drops.

    Raises DritError where the disk, the name or the format refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(array, path, form.alpha, metadata)
    except (OSError, ValueError) as error:
        raise not_written(path, error) from error
    return lost_parts(metadata, path.suffix, array.shape)


def small(array: np.ndarray) -> np.ndarray:
    """An image (H, W, C) for the sheet: not larger than a cell."""
    side = max(array.shape[:2])
    if side <= SHEET_CELL:
        return array
    height, width = (max(1, round(s * SHEET_CELL / side)) for s in array.shape[:2])
    return np.asarray(as_image(array).resize((width, height), Image.Resampling.LANCZOS))
