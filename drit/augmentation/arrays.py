"""The outputs of an array file: OUT/parts/UNIT.npz while the work goes on, joined to OUT/augmented.npz at its end.

augmented.npz holds images, labels, source, repetition and styles, invention if it is measured, and the other arrays of
the set that have a row for each image.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from drit.atomic import not_written
from drit.augmentation.filter import dropped_by_class, kept_by_invention, kept_outputs
from drit.augmentation.record import write_output
from drit.augmentation.units import RenderedUnit, Renderer
from drit.storage import Folder

ARRAYS = ("images", "labels", "source", "repetition", "styles")


class ArrayWriter:
    """Writes one augmentation of an array file."""

    def __init__(self, renderer: Renderer, units: list[list[int]], folder: Folder) -> None:
        self.renderer = renderer
        self.data = renderer.data
        self.settings = renderer.settings
        self.units = units
        self.folder = folder
        self.out = folder.path

    def missing(self, unit: int) -> bool:
        """Whether the outputs of a unit are not there yet."""
        return not self._part(unit).is_file()

    def names(self, unit: int) -> list[str]:
        """The files of a unit, under OUT."""
        return [self._part(unit).relative_to(self.out).as_posix()]

    def write(self, unit: int, rendered: RenderedUnit, skipped: dict[str, str]) -> Counter[str]:
        """Write the outputs of a unit, none of which is `skipped`. Nothing is lost: returns no counts.

        Raises DritError where the disk refuses.
        """
        buffer = io.BytesIO()
        images = np.stack([image for of_source in rendered.images for image in of_source])
        columns: dict[str, Any] = {"images": images, "styles": rendered.styles.flatten(0, 1).numpy()}
        if rendered.invention is not None:
            columns["invention"] = rendered.invention.ravel()
        np.savez(buffer, **columns)
        path = self._part(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_output(path, buffer.getvalue())
        self.folder.publish(path)
        return Counter()

    def join(self, skipped: dict[str, str], lost: Counter[str]) -> dict[str, Any]:
        """augmented.npz by image and repetition, written part by part: memory holds one of them.

        Returns counts, those dropped by class, and the file. Raises DritError where the disk refuses.
        """
        places = np.concatenate(self.units)
        source = np.repeat(places, len(self.settings.repetitions))
        repetition = np.tile(self.settings.repetitions, len(places)).astype(np.int64)
        labels = self.data.labels[source]
        kept = np.ones(len(source), bool)
        if self.settings.drop:
            images = np.concatenate(list(self._rows("images", kept)))
            levels = self.renderer.format(0).levels(images)
            pixels = levels if levels.dtype == np.uint8 else (levels >> 8).astype(np.uint8)
            kept = kept_outputs(pixels, labels, source, repetition, self.settings.seed)
            del images, levels, pixels
        columns = {"labels": self.data.values[source], "source": source, "repetition": repetition}
        joined: dict[str, Any] = {}
        if self.settings.max_invention is not None:
            columns["invention"] = np.concatenate(list(self._rows("invention", np.ones(len(source), bool))))
            keep, joined["invention_limit"] = kept_by_invention(columns["invention"], self.settings.max_invention)
            kept &= keep
        count = int(kept.sum())
        path = self.out / "augmented.npz"
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with zipfile.ZipFile(temporary, "w") as archive:
                for name in ("images", "styles"):
                    _stream(archive, name, count, self._rows(name, kept))
                for name, values in columns.items():
                    _stream(archive, name, count, iter([values[kept]]))
                for name, values in self.data.beside.items():
                    if name not in (*ARRAYS, *columns):
                        parts = np.array_split(source[kept], len(self.units))
                        _stream(archive, name, count, (values[p] for p in parts))
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise not_written(path, error, "give the command again") from error
        self.folder.publish(path)
        joined |= {"outputs": count, "augmented": str(path)}
        if self.settings.drops:
            joined["dropped"] = dropped_by_class(kept, labels, self.data.classes)
        return joined

    def clear(self) -> None:
        """Remove the parts, which are of no more use once the joined set is noted."""
        self.folder.remove(self.out / "parts")

    def _part(self, unit: int) -> Path:
        return self.out / "parts" / f"{unit:06d}.npz"

    def _rows(self, name: str, kept: np.ndarray) -> Iterator[np.ndarray]:
        """The kept rows of an array (n, ...), unit by unit; kept: (M,) bool, of the outputs of all units."""
        begin = 0
        for unit in range(len(self.units)):
            with np.load(self._part(unit), allow_pickle=False) as part:
                values = part[name]
            yield values[kept[begin : begin + len(values)]]
            begin += len(values)


def _stream(archive: zipfile.ZipFile, name: str, count: int, parts: Iterator[np.ndarray]) -> None:
    """An array (count, ...) as a member of an .npz file, part by part. The bytes depend on the values alone."""
    first = next(parts)
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, header | {"shape": (count, *first.shape[1:])})
        file.write(np.ascontiguousarray(first).tobytes())
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())
