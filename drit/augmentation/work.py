"""A labelled set in the other domain: k translations of each image, each in a random style of its own, labels kept.

The work is cut into units, batches of images of one size. What a unit gives depends on the model, the set, the seed
and the unit alone: interrupted, resumed or split over processes, the files are the same, byte for byte (on one kind of
machine).

    OUT/augment.json       settings, checkpoint (iteration and hash), counts
    OUT/augmented.npz      from arrays: images, labels, source, repetition, styles; made of OUT/parts/ once all is there
    OUT/CLASS/NAME_s001.png ... and OUT/labels.csv (file, label, source, repetition, style)      from a folder
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from drit.atomic import write_atomically, write_json
from drit.augmentation.filter import classified_correctly
from drit.data.images import convert_channels, encode, from_tensor, to_tensor
from drit.data.labelled import BESIDE, MASKS, LabelledSet, shown
from drit.errors import DataError, DritError, UsageError
from drit.inference.translator import Translator
from drit.methods.registry import no_styles
from drit.runs import checkpoint as files

ARRAYS = ("images", "labels", "source", "repetition", "styles")
COLUMNS = ("file", "label", "source", "repetition", "style")
FILTER_SIDE = 32  # pixels of the images that the filter reads, unless they are smaller arrays


def augment(
    translator: Translator,
    checkpoint: Path,
    data: LabelledSet,
    to: str,
    times: int,
    out: Path,
    seed: int = 0,
    keep_source: bool = False,
    drop: bool = False,
    part: tuple[int, int] = (1, 1),
    quiet: bool = True,
) -> dict[str, Any]:
    """Write `times` translations of each image of `data` to domain `to` into `out`; goes on where it was stopped.

    checkpoint: the folder that `translator` was loaded from. keep_source: the image itself too, as repetition 0.
    drop: leave out translations that are not read as their label (`classified_correctly`). part (i, n): only every n-th unit from
    the i-th; the whole, called afterwards, joins what the parts made. Raises UsageError when `out` holds other work.
    """
    source, target = translator.source(to), translator.domain(to)
    method = translator.method
    if times < 1:
        raise UsageError("--times must be at least 1.")
    if times > 1 and not method.capabilities.style_dim:
        raise UsageError(f"{no_styles()} Use --times 1.")
    if not 1 <= part[0] <= part[1]:
        raise UsageError(f"--part {part[0]}/{part[1]}: give I/N with I from 1 to N.")
    if data.array is None and out.resolve().is_relative_to(data.root.resolve()):
        raise UsageError(f"--out {out} is within the set {data.root}. Choose another, so that the set stays as it is.")
    convert_channels(np.zeros((1, 1, data.channels), np.uint8), method.channels[source])
    work = _Work(translator, data, target, times, seed, keep_source, out)
    settings = {
        "run": str(checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint),
        "step": files.load_meta(checkpoint)["step"],
        "weights_sha256": files.weights_sha256(checkpoint),
        "device": translator.device.type,
        "precision": str(translator.dtype).removeprefix("torch."),
        "to": target,
        "times": times,
        "seed": seed,
        "keep_source": keep_source,
        "filter": drop,
        "data": data.source,
        "images": len(data),
        "data_sha256": data.digest,
    }
    found = _claim(out, settings)
    if found.get("outputs") is not None:
        return found | {"rendered": 0, "seconds": 0.0, "outputs_per_second": 0.0}
    began = time.monotonic()
    rendered = work.render(part, quiet)
    seconds = time.monotonic() - began
    rate = {
        "rendered": rendered,
        "seconds": round(seconds, 3),
        "outputs_per_second": round(rendered / max(seconds, 1e-9), 3),
    }
    if part[1] > 1:
        return found | {"part": f"{part[0]}/{part[1]}", "skipped": work.skipped} | rate
    joined = work.join(drop)
    write_json(out / "augment.json", settings | joined)
    shutil.rmtree(out / "parts", ignore_errors=True)  # of no more use, now that the joined set is noted
    return settings | joined | rate


def styles_of(translator: Translator, to: str, image: int, times: int, seed: int) -> Tensor:
    """The random styles of one image (times, S): a function of seed and image; more of them keep the first ones."""
    if not translator.method.capabilities.style_dim:
        return torch.zeros(times, 0)
    # Odd multipliers keep (seed, image) pairs apart; torch's generator mixes the bits itself.
    generator = torch.Generator().manual_seed((seed * 0x9E3779B1 + image * 0x85EBCA6B + 1) % (1 << 63))
    return torch.cat([translator.method.sample_style(1, to, generator) for _ in range(times)])


class _Work:
    """The units of one augmentation: rendering them, and joining what they gave."""

    def __init__(
        self, translator: Translator, data: LabelledSet, to: str, times: int, seed: int, keep_source: bool, out: Path
    ) -> None:
        self.translator = translator
        self.data = data
        self.to = to
        self.times = times
        self.seed = seed
        self.repetitions = range(0 if keep_source else 1, times + 1)
        self.out = out
        self.skipped: dict[str, str] = {}  # damaged images and why
        self.units: list[list[int]] = []
        by_shape: dict[tuple[int, int], list[int]] = {}
        for i, shape in enumerate(data.shapes):
            by_shape.setdefault(shape, []).append(i)
        for (height, width), places in by_shape.items():
            size = translator.batch_size(height, width)
            self.units += [places[k : k + size] for k in range(0, len(places), size)]

    def render(self, part: tuple[int, int], quiet: bool) -> int:
        """Do the units of a part that are not there yet. Returns the number of translations made."""
        mine = range(part[0] - 1, len(self.units), part[1])
        made = 0
        progress = Progress(
            TextColumn("translating"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        with progress:
            for unit in progress.track(mine):
                missing = not self._shard(unit).is_file() if self.data.array is not None else self._missing(unit)
                if missing:
                    made += self._render(unit)
        return made

    def _render(self, unit: int) -> int:
        sources, places = [], []
        for i in self.units[unit]:
            try:
                sources.append(self.data.get(i))
                places.append(i)
            except DataError as error:
                self.skipped[self.data.name(i)] = str(error)
        if not places:
            return 0
        channels = self.translator.method.channels
        own, wanted = channels[self.translator.source(self.to)], channels[self.to]
        x = torch.stack([to_tensor(convert_channels(s, own)) for s in sources])
        styles = torch.stack([styles_of(self.translator, self.to, i, self.times, self.seed) for i in places], 1)
        made = self.translator.batch(x, styles.flatten(0, 1), self.to).unflatten(0, (self.times, len(places)))
        pixels = {depth: from_tensor(made, depth) for depth in {8 * s.dtype.itemsize for s in sources}}
        images = [list(pixels[8 * s.dtype.itemsize][:, j]) for j, s in enumerate(sources)]
        if self.repetitions[0] == 0:
            images = [[convert_channels(s, wanted), *row] for s, row in zip(sources, images, strict=True)]
            styles = torch.cat([torch.zeros_like(styles[:1]), styles])
        if self.data.array is not None:
            self._write_shard(unit, np.stack([m for row in images for m in row]), styles.transpose(0, 1).flatten(0, 1))
        else:
            for i, row in zip(places, images, strict=True):
                self._write_files(i, row)
        return self.times * len(places)

    def join(self, drop: bool) -> dict[str, Any]:
        """The set as a whole, from what all units gave. Returns counts, those dropped by class, and the data's path."""
        joined = self._join_array if self.data.array is not None else self._join_folder
        return joined(drop)

    def _dropped(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, int]:
        return {name: int((~kept & (labels == k)).sum()) for k, name in enumerate(self.data.classes)}

    def _kept(self, images: np.ndarray, labels: np.ndarray, source: np.ndarray, repetition: np.ndarray) -> np.ndarray:
        """Translations to keep; the sources themselves are not judged."""
        kept = np.ones(len(labels), bool)
        judged = np.flatnonzero(repetition > 0)
        kept[judged] = classified_correctly(images[judged], labels[judged], source[judged], self.seed)
        return kept

    # Arrays

    def _shard(self, unit: int) -> Path:
        return self.out / "parts" / f"{unit:06d}.npz"

    def _write_shard(self, unit: int, images: np.ndarray, styles: Tensor) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, images=images, styles=styles.numpy())
        path = self._shard(unit)
        path.parent.mkdir(exist_ok=True)
        _write(path, buffer.getvalue())

    def _join_array(self, drop: bool) -> dict[str, Any]:
        """augmented.npz by image and repetition, written shard by shard: memory holds one of them."""
        places = np.concatenate(self.units)
        source = np.repeat(places, len(self.repetitions))
        repetition = np.tile(self.repetitions, len(places)).astype(np.int64)
        labels = self.data.labels[source]
        kept = np.ones(len(source), bool)
        if drop:
            images = np.concatenate(list(self._shards("images", kept)))
            pixels = images if images.dtype == np.uint8 else (images >> 8).astype(np.uint8)
            kept = self._kept(pixels, labels, source, repetition)
            del images, pixels
        rows = {
            "labels": self.data.values[source],
            "source": source,
            "repetition": repetition,
        }
        final = self.out / "augmented.npz"
        temporary = final.with_name(f".{final.name}.tmp")
        try:
            with zipfile.ZipFile(temporary, "w") as archive:
                for name in ("images", "styles"):
                    _stream(archive, name, int(kept.sum()), self._shards(name, kept))
                for name, values in rows.items():
                    _stream(archive, name, int(kept.sum()), iter([values[kept]]))
                for name, values in self.data.beside.items():
                    if name not in ARRAYS:
                        parts = np.array_split(source[kept], len(self.units))
                        _stream(archive, name, int(kept.sum()), (values[p] for p in parts))
            temporary.replace(final)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DritError(
                f"Could not write {final}: {error.strerror}. Make room and give the command again."
            ) from error
        counts = {"outputs": int(kept.sum()), "augmented": str(final)}
        return counts | ({"dropped": self._dropped(kept, labels)} if drop else {})

    def _shards(self, name: str, kept: np.ndarray) -> Iterator[np.ndarray]:
        begin = 0
        for unit in range(len(self.units)):
            with np.load(self._shard(unit)) as shard:
                values = shard[name]
            yield values[kept[begin : begin + len(values)]]
            begin += len(values)

    # Folders

    def _place(self, i: int, repetition: int) -> Path:
        path = self.data.paths[i].relative_to(self.data.root)
        return path.with_name(f"{path.stem}_s{repetition:03d}{path.suffix}")

    def _missing(self, unit: int) -> bool:
        return any(not (self.out / self._place(i, r)).is_file() for i in self.units[unit] for r in self.repetitions)

    def _write_files(self, i: int, images: list[np.ndarray]) -> None:
        """Translations of image i. What belongs to it comes first: an image that is there is whole."""
        mask, notes = self.data.mask(i), self.data.notes(i)
        for r, image in zip(self.repetitions, images, strict=True):
            path = self.out / self._place(i, r)
            path.parent.mkdir(parents=True, exist_ok=True)
            for note in notes:
                _write(path.with_suffix(note.suffix), note.read_bytes())
            if mask:
                copy = (self.out / MASKS / self._place(i, r)).with_suffix(mask.suffix)
                copy.parent.mkdir(parents=True, exist_ok=True)
                _write(copy, mask.read_bytes())
            encode(image, path)

    def _join_folder(self, drop: bool) -> dict[str, Any]:
        rows = [
            (i, r) for i in range(len(self.data)) if self.data.name(i) not in self.skipped for r in self.repetitions
        ]
        if not rows:
            raise DataError("None of the images could be read: " + "; ".join(self.skipped.values()))
        source, repetition = np.array(rows).T
        labels = self.data.labels[source]
        kept = np.ones(len(rows), bool)
        if drop:
            from drit.data.images import decode

            channels = self.translator.method.channels[self.to]
            pixels = [shown(decode(self.out / self._place(i, r))[0], FILTER_SIDE, channels) for i, r in rows]
            kept = self._kept(np.stack(pixels), labels, source, repetition)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        others = {name: values for name, values in self.data.beside.items() if name not in COLUMNS}
        writer.writerow([*COLUMNS, *others])
        for (i, r), keep in zip(rows, kept, strict=True):
            place = self._place(i, r)
            if not keep:
                self._remove(i, r)
                continue
            style = styles_of(self.translator, self.to, i, r, self.seed)[-1].tolist() if r else []
            writer.writerow(
                [place.as_posix(), self.data.values[i], self.data.name(i), r, " ".join(f"{v:.6g}" for v in style)]
                + [values[i] for values in others.values()]
            )
        _write(self.out / "labels.csv", table.getvalue().encode())
        counts = {"outputs": int(kept.sum()), "augmented": str(self.out), "skipped": self.skipped}
        return counts | ({"dropped": self._dropped(kept, labels)} if drop else {})

    def _remove(self, i: int, repetition: int) -> None:
        path = self.out / self._place(i, repetition)
        mask = self.data.mask(i)
        belonging = [path.with_suffix(s) for s in BESIDE]
        if mask:
            belonging.append((self.out / MASKS / self._place(i, repetition)).with_suffix(mask.suffix))
        for file in (path, *belonging):
            file.unlink(missing_ok=True)


def _claim(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Note the settings in OUT/augment.json, or check them against what is there. Returns what is noted.

    Raises UsageError when the folder holds something else, or work with other settings, which are listed.
    """
    path = out / "augment.json"
    if path.is_file():
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path} cannot be read: {error}. Remove the folder, or choose another --out.") from error
        changed = [
            f"{name} ({found.get(name)} before, {value} now)"
            for name, value in settings.items()
            if found.get(name) != value and name not in ("run", "data")  # where they are; what they are has a hash
        ]
        if changed:
            raise UsageError(
                f"{out} holds an augmentation with other settings: {', '.join(changed)}. Give the same ones to go on, "
                "or another --out."
            )
        return found
    if out.exists() and (not out.is_dir() or any(not p.name.startswith(".") for p in out.iterdir())):
        raise UsageError(f"--out {out} is not empty and holds no augmentation to go on with. Choose another.")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)
    return settings


def _stream(archive: zipfile.ZipFile, name: str, count: int, parts: Iterator[np.ndarray]) -> None:
    """An array of `count` rows as a member of an .npz file, part by part. The bytes depend on the values alone."""
    first = next(parts)
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        header = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, header | {"shape": (count, *first.shape[1:])})
        file.write(np.ascontiguousarray(first).tobytes())
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise DritError(f"Could not write {path}: {error.strerror}. Make room and give the command again.") from error
