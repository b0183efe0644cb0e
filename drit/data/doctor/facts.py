"""Facts of every image of a set: size, values, hashes. Each image is read once and remembered in a cache.

An image is known again by its path, size and time of change. The cache is written as the look goes on, so one that was
interrupted goes on where it stopped. Memory holds about 1 kB for each image.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drit.bounded import is_folder
from drit.data.arrays import array_file, read_arrays
from drit.data.folders import list_images
from drit.data.images import decode, read_values
from drit.data.masks import without_masks
from drit.data.names import file_of
from drit.data.ranges import (
    SURVEYED,
    Reading,
    auto_range,
    chosen_bands,
    chosen_range,
    read_array_images,
    select_bands,
    survey,
)
from drit.data.shards import member_of
from drit.errors import DataError
from drit.runtime import cores
from drit.settings.common import DataSettings

VERSION = 1  # of the facts: others in the cache are not believed
THUMB = 16  # side of the small grey image that near-duplicates are compared by
AT_ONCE = 64  # images between two writes of the cache
_MAX_PIXELS = 1 << 16  # of an image that its statistics are computed of, evenly over it


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an image. Values are in 0..255, whatever its depth."""

    name: str  # its file, or its place in an array file
    error: str = ""  # why it cannot be read; then nothing else is known
    height: int = 0
    width: int = 0
    channels: int = 0
    mean: float = 0.0
    std: float = 0.0  # standard deviation of its values
    colour: float = 0.0  # mean absolute difference between its channels; 0: grey
    digest: str = ""  # of its pixels: the same for two files of one image
    hash: int | None = None  # 64-bit perceptual hash; None where that library is missing
    thumb: str = ""  # (THUMB, THUMB) of uint8 in hexadecimal


@dataclass(frozen=True)
class Source:
    """A domain, or the held-out images of one, with its images' facts."""

    name: str  # as a person knows it: domain a, test images of a
    path: str
    domain: str  # its letter
    test: bool
    images: list[Facts]
    labels: list[str]  # of each image; empty where there are none


def cache_file() -> Path:
    """Where facts are kept: drit-doctor.sqlite in the user's folder for caches. It may be deleted at any time."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "drit-doctor.sqlite"


class Cache:
    """Facts by path and way of reading. Where the file cannot be used, nothing is remembered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(path, timeout=10)
            self._create()
        except (OSError, sqlite3.Error):
            self._table = sqlite3.connect(":memory:")
            self._create()

    def _create(self) -> None:
        self._table.execute("CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, state TEXT, facts TEXT)")

    def get(self, key: str, state: str) -> Facts | None:
        """The facts of an image that is in this state: size and time of change."""
        try:
            row = self._table.execute("SELECT facts FROM facts WHERE key = ? AND state = ?", (key, state)).fetchone()
            return Facts(**json.loads(row[0])) if row else None
        except (sqlite3.Error, ValueError, TypeError):  # damaged: looked at again
            return None

    def put(self, rows: Sequence[tuple[str, str, Facts]]) -> None:
        """Remember facts of images: key, state, facts."""
        try:
            with self._table:
                self._table.executemany(
                    "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
                    [(key, state, json.dumps(asdict(facts))) for key, state, facts in rows],
                )
        except sqlite3.Error:
            pass

    def close(self) -> None:
        self._table.close()


def perceptual_hash() -> Callable[[np.ndarray], int] | None:
    """The 64-bit hash of a grey image (H, W) of uint8 that small changes hardly change; None without `imagehash`."""
    try:
        import imagehash
    except ImportError:
        return None
    from PIL import Image

    def computed(grey: np.ndarray) -> int:
        bits = imagehash.phash(Image.fromarray(grey)).hash.reshape(-1)
        return int.from_bytes(np.packbits(bits).tobytes(), "big")

    return computed


def examine(array: np.ndarray, name: str, hashed: Callable[[np.ndarray], int] | None) -> Facts:
    """The facts of an image (H, W, C) of uint8 or uint16."""
    height, width, channels = array.shape
    digest = hashlib.blake2b(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).data, digest_size=16)
    step = max(1, int(np.sqrt(height * width / _MAX_PIXELS)))
    values = array[::step, ::step].astype(np.float32) / (257 if array.dtype == np.uint16 else 1)
    colours = values[..., :3] if channels >= 3 else values[..., :1]
    small = array[..., : colours.shape[2]]
    small = (small >> 8).astype(np.uint8) if small.dtype == np.uint16 else small
    small = cv2.resize(np.ascontiguousarray(small), (2 * THUMB, 2 * THUMB), interpolation=cv2.INTER_AREA)
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    thumb = cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    return Facts(
        name,
        "",
        height,
        width,
        channels,
        round(float(colours.mean()), 2),
        round(float(colours.std()), 2),
        round(float((colours.max(axis=2) - colours.min(axis=2)).mean()), 2),
        digest.hexdigest(),
        hashed(grey) if hashed else None,
        thumb.tobytes().hex(),
    )


def look(
    path: str, config: DataSettings, domain: str, cache: Cache, tracked: Callable[[Any, str, int], Iterator[Any]]
) -> list[Facts]:
    """The facts of all images of a folder or array file, in order. Raises DataError where there is none.

    tracked: shows how many things are done: things, title, their number.
    """
    hashed = perceptual_hash()
    file = array_file(path)
    if file:
        return list(_of_array(path, file, config, domain, hashed, tracked))
    folder = Path(path)
    if not is_folder(folder):
        raise DataError(f"There is no folder {folder} (domain {domain}). Give a folder of images, or an .npz file.")
    paths = without_masks(folder, list_images(folder))
    if not paths:
        raise DataError(f"No images in {folder} (domain {domain}). Give a folder with .jpg, .png, .webp or .tif files.")
    reading = _reading(paths, path, config, domain)
    found: list[Facts] = []
    with ThreadPoolExecutor(cores()) as pool:
        things = tracked(paths, f"looking at {path}", len(paths))
        while part := list(islice(things, AT_ONCE)):
            states = [_state(p) for p in part]
            keys = [_key(f"{VERSION} {hashed is not None} {reading} {p.absolute()}") for p in part]
            known = [cache.get(key, state) for key, state in zip(keys, states, strict=True)]
            missing = [p for p, facts in zip(part, known, strict=True) if facts is None]
            fresh = pool.map(lambda p: _of_file(p, reading, hashed), missing)
            facts = [one if one is not None else next(fresh) for one in known]
            if missing:
                cache.put(
                    [row for row, one in zip(zip(keys, states, facts, strict=True), known, strict=True) if not one]
                )
            found += facts
    return found


def _key(text: str) -> str:
    """The text as the cache takes it: names of files need not be UTF-8, and texts of a database must."""
    return text.encode(errors="backslashreplace").decode()


def _state(path: Path) -> str:
    """What changes when a file is written."""
    try:
        status = os.stat(file_of(path))
    except OSError:
        member = member_of(path)
        return member.sha256 if member else ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _of_file(path: Path, reading: Reading, hashed: Callable[[np.ndarray], int] | None) -> Facts:
    try:
        return examine(decode(path, *reading)[0], str(path), hashed)
    except DataError as error:
        return Facts(str(path), str(error))


def reading_for(path: str, config: DataSettings, domain: str) -> Reading:
    """How the images of a folder or array file are read; a range that is `auto` is found.

    Raises DataError where they cannot be.
    """
    file = array_file(path)
    if not file:
        return _reading(without_masks(Path(path), list_images(Path(path))), path, config, domain)
    bands, value_range = chosen_bands(config, domain), chosen_range(config, domain)
    if isinstance(value_range, str):
        images = select_bands(read_arrays(*file, raw=True).images, path, bands)
        value_range = auto_range(survey(images[:: max(1, len(images) // SURVEYED)]), path, "--data.range")
    return Reading(config.alpha, bands, value_range)


def _reading(paths: Sequence[Path], path: str, config: DataSettings, domain: str) -> Reading:
    bands, value_range = chosen_bands(config, domain), chosen_range(config, domain)
    if isinstance(value_range, str):
        chosen = paths[:: max(1, len(paths) // SURVEYED)]
        value_range = auto_range(survey(_values(chosen, bands)), path, "--data.range")
    return Reading(config.alpha, bands, value_range)


def _of_array(
    path: str,
    file: tuple[Path, str],
    config: DataSettings,
    domain: str,
    hashed: Callable[[np.ndarray], int] | None,
    tracked: Callable[[Any, str, int], Iterator[Any]],
) -> Iterator[Facts]:
    """The facts of the images of an array file. They are computed anew: the file is read as a whole either way."""
    reading = reading_for(path, config, domain)
    images = read_arrays(*file, raw=reading.value_range is not None).images
    for i in tracked(range(len(images)), f"looking at {path}", len(images)):
        image = read_array_images(images[i : i + 1], path, reading)[0]
        yield examine(image, f"{path}[{i}]", hashed)


def _values(paths: Sequence[Path], bands: tuple[int, ...]) -> Iterator[np.ndarray]:
    for path in paths:
        try:
            yield read_values(path, bands)
        except DataError:
            continue


def labels_of(path: str, names: Sequence[str]) -> list[str]:
    """The label of each image: its row in an array file, the folder that it lies in below a folder's own folders.

    Empty where there are none: an array file without labels, images in the folder itself.
    """
    file = array_file(path)
    if file:
        labels = read_arrays(*file, raw=True).labels
        return [] if labels is None else [str(label) for label in labels.tolist()]
    parts = [Path(name).relative_to(path).parts for name in names]
    if not all(len(part) > 1 for part in parts):
        return []
    return [sys.intern(part[0]) for part in parts]
