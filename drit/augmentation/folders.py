"""The outputs of a folder of images: OUT/CLASS/NAME_s001.png ..., and OUT/labels.csv once all are there.

What belongs to an image is copied beside each of its outputs: boxes of the same name, and its mask in OUT/masks.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from drit.augmentation.filter import dropped_by_class, kept_outputs
from drit.augmentation.record import write_output
from drit.augmentation.units import RenderedUnit, Renderer
from drit.data.images import decode, encode
from drit.data.labelled import BESIDE, MASKS, shown
from drit.errors import DataError

COLUMNS = ("file", "label", "source", "repetition", "style")
FILTER_SIDE = 32  # pixels of the images that the filter's classifiers see


class FolderWriter:
    """Writes one augmentation of a folder of images."""

    def __init__(self, renderer: Renderer, units: list[list[int]], out: Path) -> None:
        self.renderer = renderer
        self.data = renderer.data
        self.settings = renderer.settings
        self.units = units
        self.out = out

    def missing(self, unit: int) -> bool:
        """Whether outputs of a unit are not there yet."""
        repetitions = self.settings.repetitions
        return any(not (self.out / self._place(i, r)).is_file() for i in self.units[unit] for r in repetitions)

    def write(self, unit: int, rendered: RenderedUnit) -> None:
        """Write the outputs of a unit. Raises DritError where the disk refuses."""
        for i, images in zip(rendered.places, rendered.images, strict=True):
            self._write_image(i, images)

    def join(self) -> dict[str, Any]:
        """labels.csv of all outputs; removes those that the filter drops.

        Returns counts, those dropped by class, the folder, and the images that were skipped. Raises DataError where
        none could be read.
        """
        skipped, repetitions = self.renderer.skipped, self.settings.repetitions
        rows = [(i, r) for i in range(len(self.data)) if self.data.name(i) not in skipped for r in repetitions]
        if not rows:
            raise DataError("None of the images could be read: " + "; ".join(skipped.values()))
        source, repetition = np.array(rows).T
        labels = self.data.labels[source]
        kept = np.ones(len(rows), bool)
        if self.settings.drop:
            channels = self.renderer.translator.method.channels[self.renderer.to]
            pixels = [shown(decode(self.out / self._place(i, r))[0], FILTER_SIDE, channels) for i, r in rows]
            kept = kept_outputs(np.stack(pixels), labels, source, repetition, self.settings.seed)
        for (i, r), keep in zip(rows, kept, strict=True):
            if not keep:
                self._remove(i, r)
        kept_rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
        write_output(self.out / "labels.csv", self._table(kept_rows).encode())
        joined = {"outputs": int(kept.sum()), "augmented": str(self.out), "skipped": skipped}
        return joined | ({"dropped": dropped_by_class(kept, labels, self.data.classes)} if self.settings.drop else {})

    def clear(self) -> None:
        """Nothing: the outputs lie where they belong from the start."""

    def _place(self, i: int, repetition: int) -> Path:
        """Where an output lies within OUT."""
        path = self.data.paths[i].relative_to(self.data.root)
        return path.with_name(f"{path.stem}_s{repetition:03d}{path.suffix}")

    def _write_image(self, i: int, images: list[np.ndarray]) -> None:
        """The outputs (H, W, C) of image i. What belongs to it comes first: an image that is there is whole."""
        mask, notes = self.data.mask(i), self.data.notes(i)
        for r, image in zip(self.settings.repetitions, images, strict=True):
            path = self.out / self._place(i, r)
            path.parent.mkdir(parents=True, exist_ok=True)
            for note in notes:
                write_output(path.with_suffix(note.suffix), note.read_bytes())
            if mask:
                copy = (self.out / MASKS / self._place(i, r)).with_suffix(mask.suffix)
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_output(copy, mask.read_bytes())
            encode(image, path)

    def _table(self, rows: list[tuple[int, int]]) -> str:
        """labels.csv: a line for each (image, repetition), with the columns that the set carries along."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        others = {name: values for name, values in self.data.beside.items() if name not in COLUMNS}
        writer.writerow([*COLUMNS, *others])
        for i, r in rows:
            style = self.renderer.styles(i, r)[-1].tolist() if r else []
            place, numbers = self._place(i, r).as_posix(), " ".join(f"{v:.6g}" for v in style)
            carried = [values[i] for values in others.values()]
            writer.writerow([place, self.data.values[i], self.data.name(i), r, numbers, *carried])
        return table.getvalue()

    def _remove(self, i: int, repetition: int) -> None:
        """Remove an output and what was copied beside it."""
        path = self.out / self._place(i, repetition)
        mask = self.data.mask(i)
        belonging = [path.with_suffix(s) for s in BESIDE]
        if mask:
            belonging.append((self.out / MASKS / self._place(i, repetition)).with_suffix(mask.suffix))
        for file in (path, *belonging):
            file.unlink(missing_ok=True)
