"""A copy of the images of a training without what spoils it: hard links where the disk has them, else copies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drit.atomic import is_taken, not_written, write_json
from drit.bounded import resolved
from drit.data.arrays import array_file, read_arrays
from drit.data.containers import regular
from drit.data.doctor.facts import Source
from drit.data.doctor.findings import Finding
from drit.data.names import file_of
from drit.errors import DataError, UsageError

REMOVED = "removed.json"  # what was left out, and why


def write_clean(
    out: Path,
    sources: Sequence[Source],
    found: Sequence[Finding],
    tracked: Callable[[Any, str, int], Iterator[Any]],
) -> dict[str, str]:
    """Write the training domains without the images that findings drop. Returns the new place of each, by its letter.

    A folder keeps its name and the places of its images; an array file its arrays. `removed.json` says what was left
    out and why. Raises UsageError where `out` holds something, DataError where too little is left of a domain,
    DritError when the disk refuses.
    """
    if is_taken(out):
        raise UsageError(f"--fix {out} exists and is not empty. Choose another folder.")
    reasons: dict[str, str] = {}
    for finding in found:
        for name in finding.dropped:
            reasons.setdefault(name, finding.kind)
    training = {source.domain: source for source in sources if not source.test}
    for source in training.values():
        if sum(image.name not in reasons for image in source.images) < 2:
            raise DataError(
                f"Of {source.path}, fewer than 2 images are left without what was found: nothing to train on."
            )
    names = [_name(source.path) for source in training.values()]
    places: dict[str, str] = {}
    try:
        for domain, source in training.items():
            name = _name(source.path)
            target = out / (name if names.count(name) == 1 and name not in training else domain)
            kept = [image.name for image in source.images if image.name not in reasons]
            file = array_file(source.path)
            places[domain] = _write_array(file, source, kept, target) if file else _link(source, kept, target, tracked)
        write_json(out / REMOVED, reasons)
    except OSError as error:
        raise not_written(error.filename or out, error, "begin anew") from error
    return places


def _name(path: str) -> str:
    file = array_file(path)
    return file[0].stem if file else resolved(Path(path)).name


def _link(source: Source, kept: Sequence[str], target: Path, tracked: Callable[[Any, str, int], Iterator[Any]]) -> str:
    """The files of a folder, each once; a volume is kept whole where one of its slices is."""
    files = list(dict.fromkeys(file_of(Path(name)) for name in kept))
    for file in tracked(files, f"writing {target}", len(files)):
        place = target / file.relative_to(source.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():  # in a shard
            with regular(file, whole=True) as packed:
                place.write_bytes(packed.read())
            continue
        try:
            os.link(resolved(file), place)
        except OSError:  # another disk, or one without links
            shutil.copy2(file, place)
    return str(target)


def _write_array(file: tuple[Path, str], source: Source, kept: Sequence[str], target: Path) -> str:
    """The rows of an array file: images, labels and what else has a row for each image."""
    arrays = read_arrays(*file, beside=True, raw=True)
    chosen = set(kept)
    rows = np.array([i for i, image in enumerate(source.images) if image.name in chosen])
    whole = {"images": arrays.images} | ({} if arrays.labels is None else {"labels": arrays.labels})
    path = target.with_suffix(".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as opened:
        np.savez(opened, **{name: array[rows] for name, array in whole.items()})
    return str(path)
