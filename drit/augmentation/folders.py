"""The outputs of a folder of images: OUT/CLASS/NAME_s001.png ..., and OUT/labels.csv once all are there.

What belongs to an image is copied beside each of its outputs: boxes of the same name, and its mask in OUT/masks. An
output is of its image's format where that can hold it, else a PNG. An image whose outputs cannot be written is skipped;
labels.csv has those that are there. While the work goes on, OUT/.invention keeps the numbers of each unit, if they are
measured.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from drit.augmentation.filter import dropped_by_class, kept_by_invention, kept_outputs
from drit.augmentation.record import write_output
from drit.augmentation.units import RenderedUnit, Renderer
from drit.data.images import Metadata, decode, encode
from drit.data.labelled import BESIDE, MASKS, mask_file, shown
from drit.data.names import slice_of, without_ending
from drit.errors import DataError, DritError
from drit.inference.formats import OutputFormat, lost_notes, lost_parts
from drit.inference.reading import reading_notes
from drit.storage import Folder

COLUMNS = ("file", "label", "source", "repetition", "style")
_INVENTION = ".invention"  # folder of the invention of each unit's outputs, by image and repetition
FILTER_SIDE = 32  # pixels of the images that the filter's classifiers see


class FolderWriter:
    """Writes one augmentation of a folder of images."""

    def __init__(self, renderer: Renderer, units: list[list[int]], folder: Folder) -> None:
        self.renderer = renderer
        self.data = renderer.data
        self.settings = renderer.settings
        self.units = units
        self.folder = folder
        self.out = folder.path
        formats = [renderer.format(i) for i in range(len(self.data))]
        headers = dict(zip(self.data.paths, self.data.headers, strict=True))
        self.notes = reading_notes(renderer.translator.method, renderer.source, headers)
        self.notes += [f"{note} ({count})" for note, count in Counter(f.note for f in formats if f.note).items()]
        self._stems_and_suffixes = self._unique_names(formats)

    def missing(self, unit: int) -> bool:
        """Whether outputs of a unit are not there yet."""
        repetitions = self.settings.repetitions
        if self.settings.max_invention is not None and not self._numbers(unit).is_file():
            return True
        return any(not os.path.isfile(self.out / self._place(i, r)) for i in self.units[unit] for r in repetitions)

    def names(self, unit: int) -> list[str]:
        """The outputs of a unit, under OUT."""
        return [self._place(i, r).as_posix() for i in self.units[unit] for r in self.settings.repetitions]

    def write(self, unit: int, rendered: RenderedUnit, skipped: dict[str, str]) -> Counter[str]:
        """Write the outputs of a unit; an image of which one cannot be written is `skipped`, and leaves none.

        Returns what outputs do not keep of their inputs, with counts.
        """
        lost: Counter[str] = Counter()
        if rendered.invention is not None:
            path = self._numbers(unit)
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = dict(zip(rendered.places, rendered.invention.tolist(), strict=True))
            self._put(path, json.dumps(rows).encode())
        for i, images, metadata in zip(rendered.places, rendered.images, rendered.metadata, strict=True):
            try:
                lost.update(self._write_image(i, images, metadata))
            except (DritError, OSError, ValueError) as error:
                skipped[self.data.name(i)] = f"{self.data.name(i)}: {error}"
                for r in self.settings.repetitions:
                    self._remove(i, r)
        return lost

    def join(self, skipped: dict[str, str], lost: Counter[str]) -> dict[str, Any]:
        """labels.csv of all outputs; removes those that the filter drops.

        skipped: names of images without outputs, and why. lost: what outputs do not keep of their inputs, with counts.
        Returns counts, those dropped by class, the folder, and the images that were skipped. Raises DataError where
        none could be read.
        """
        repetitions = self.settings.repetitions
        rows = [(i, r) for i in range(len(self.data)) if self.data.name(i) not in skipped for r in repetitions]
        if not rows:
            raise DataError("None of the images could be translated: " + "; ".join(skipped.values()))
        source, repetition = np.array(rows).T
        labels = self.data.labels[source]
        kept = np.ones(len(rows), bool)
        joined: dict[str, Any] = {}
        invention = None
        if self.settings.max_invention is not None:
            invention = self._invention(rows)
            kept, joined["invention_limit"] = kept_by_invention(invention, self.settings.max_invention)
        if self.settings.drop:
            channels = self.renderer.translator.method.channels[self.renderer.to]
            pixels = [shown(self._decoded(i, r), FILTER_SIDE, channels) for i, r in rows]
            kept &= kept_outputs(np.stack(pixels), labels, source, repetition, self.settings.seed)
        for (i, r), keep in zip(rows, kept, strict=True):
            if not keep:
                self._remove(i, r)
        kept_rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
        numbers = None if invention is None else invention[kept]
        self._put(self.out / "labels.csv", self._table(kept_rows, numbers).encode(errors="surrogateescape"))
        joined |= {"outputs": int(kept.sum()), "augmented": str(self.out), "skipped": skipped}
        notes = [*self.notes, *lost_notes(lost)]
        joined |= {"notes": notes} if notes else {}
        return joined | ({"dropped": dropped_by_class(kept, labels, self.data.classes)} if self.settings.drops else {})

    def clear(self) -> None:
        """Remove the numbers of the units; the outputs lie where they belong from the start."""
        self.folder.remove(self.out / _INVENTION)

    def _numbers(self, unit: int) -> Path:
        """Where the invention of a unit's outputs is kept."""
        return self.out / _INVENTION / f"{unit:06d}.json"

    def _invention(self, rows: list[tuple[int, int]]) -> np.ndarray:
        """The invention of outputs (image, repetition): (M,), NaN for a source."""
        of_image: dict[str, list[float]] = {}
        for unit in range(len(self.units)):
            if self._numbers(unit).is_file():
                of_image |= json.loads(self._numbers(unit).read_text(encoding="utf-8"))
        first = self.settings.repetitions[0]
        return np.array([of_image[str(i)][r - first] for i, r in rows])

    def _place(self, i: int, repetition: int) -> Path:
        """Where an output lies within OUT."""
        stem, suffix = self._stems_and_suffixes[i]
        return Path(f"{stem}_s{repetition:03d}{suffix}")

    def _decoded(self, i: int, repetition: int) -> np.ndarray:
        """An output that is there: (H, W, C) of grey levels."""
        form = self.renderer.format(i)
        return decode(self.out / self._place(i, repetition), value_range=form.value_range if form.dtype else None)[0]

    def _unique_names(self, formats: list[OutputFormat]) -> list[tuple[str, str]]:
        """Stem under OUT and suffix of each image's outputs: x.png and x.jpg that both become PNG get x and x_2."""
        paths = [path.relative_to(self.data.root) for path in self.data.paths]
        names = [
            (without_ending(path).as_posix(), path.suffix if path.suffix.lower() == form.suffix else form.suffix)
            for path, form in zip(paths, formats, strict=True)
        ]
        given, taken, unique = set(names), set[tuple[str, str]](), []
        for stem, suffix in names:
            name, count = (stem, suffix), 1
            while name in taken or (count > 1 and name in given):
                count += 1
                name = (f"{stem}_{count}", suffix)
            taken.add(name)
            unique.append(name)
        return unique

    def _put(self, path: Path, content: bytes) -> None:
        write_output(path, content)
        self.folder.publish(path)

    def _write_image(self, i: int, images: list[np.ndarray], metadata: Metadata) -> Counter[str]:
        """The outputs (H, W, C) of image i. What belongs to it comes first: an image that is there is whole.

        Returns what they do not keep of it, with counts.
        """
        lost: Counter[str] = Counter()
        mask, notes = self.data.mask(i), self.data.notes(i)
        content, ending = mask_file(mask) if mask else (b"", "")
        form = self.renderer.format(i)
        for r, image in zip(self.settings.repetitions, images, strict=True):
            path = self.out / self._place(i, r)
            path.parent.mkdir(parents=True, exist_ok=True)
            for note in notes:
                self._put(path.with_suffix(note.suffix), note.read_bytes())
            if mask:
                copy = (self.out / MASKS / self._place(i, r)).with_suffix(ending)
                copy.parent.mkdir(parents=True, exist_ok=True)
                self._put(copy, content)
            encode(image, path, form.alpha, metadata)
            self.folder.publish(path)
            lost.update(lost_parts(metadata, path.suffix, image.shape))
        return lost

    def _table(self, rows: list[tuple[int, int]], invention: np.ndarray | None) -> str:
        """labels.csv: a line for each (image, repetition), with the columns that the set carries along.

        invention: (M,), of each line, if it is measured.
        """
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        columns = COLUMNS if invention is None else (*COLUMNS, "invention")
        others = {name: values for name, values in self.data.beside.items() if name not in columns}
        writer.writerow([*columns, *others])
        for k, (i, r) in enumerate(rows):
            style = self.renderer.styles(i, r)[-1].tolist() if r else []
            place, numbers = self._place(i, r).as_posix(), " ".join(f"{v:.6g}" for v in style)
            carried = [values[i] for values in others.values()]
            measured = [] if invention is None else [f"{invention[k]:.6g}" if r else ""]
            writer.writerow([place, self.data.values[i], self.data.name(i), r, numbers, *measured, *carried])
        return table.getvalue()

    def _remove(self, i: int, repetition: int) -> None:
        """Remove an output and what was copied beside it."""
        path = self.out / self._place(i, repetition)
        mask = self.data.mask(i)
        belonging = [path.with_suffix(s) for s in BESIDE]
        if mask:
            ending = mask.suffix if slice_of(mask) is None else ".tif"  # as mask_file has it
            belonging.append((self.out / MASKS / self._place(i, repetition)).with_suffix(ending))
        for file in (path, *belonging):
            try:
                self.folder.remove(file)
            except OSError:  # a name that is too long, say: no such file was written
                pass
