"""A domain: the images of a folder or of an array file, checked when opened, resized when read."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from drit.data.arrays import array_file, read_arrays
from drit.data.images import SUFFIXES, Header, convert_channels, decode, read_header
from drit.data.transforms import resize, resized_shape
from drit.errors import DataError
from drit.runtime import free_memory
from drit.settings.common import MIN_CROP, DataSettings

Half = Literal["", "left", "right"]  # of an image that shows both domains side by side
HALVES: dict[str, Half] = {"a": "left", "b": "right"}
MIN_IMAGES = 2
MEMORY_SHARE = 4  # cached images may fill a fourth of the memory that is free
_ADVICE = "Give a folder with .jpg, .png, .webp, .tif or .bmp files, or an .npz file."


def list_images(folder: Path) -> list[Path]:
    """All images under a folder, sorted by path; hidden files and folders are left out."""
    paths: list[Path] = []
    for directory, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(directory)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not _holds(Path(directory, f), here))
        paths += [Path(directory, n) for n in names if not n.startswith(".") and Path(n).suffix.lower() in SUFFIXES]
    return sorted(paths)


def _holds(folder: Path, inner: str) -> bool:
    """Whether `folder` is `inner` or one that holds it: a link back, which would be followed for ever."""
    return folder.is_symlink() and Path(inner).is_relative_to(os.path.realpath(folder))


def source_name(path: str) -> str:
    """What a domain is called by: the name of its folder, or of its array file without the suffix."""
    file = array_file(path)
    return file[0].stem if file else Path(path).name


class ImageSet:
    """The images of one domain, by index. `get` gives them resized and with the domain's channels.

    skipped: unreadable files and why. labels: (N,) or None. depth: 8 or 16 bits.
    """

    def __init__(
        self,
        source: str,
        images: Sequence[Path] | np.ndarray,
        shapes: list[tuple[int, int]],
        config: DataSettings,
        channels: int,
        depth: int,
        skipped: dict[str, str],
        labels: np.ndarray | None = None,
        digest: str = "",
        half: Half = "",
    ) -> None:
        self.source = source
        self.channels = channels
        self.depth = depth
        self.skipped = skipped
        self.labels = labels
        self._images = images
        self._shapes = shapes
        self._config = config
        self._digest = digest
        self._half = half
        pixels = sum(h * w for h, w in (resized_shape(s[0], s[1], config.resize, config.resize_mode) for s in shapes))
        self.cached = config.cache and pixels * channels * depth // 8 < free_memory() // MEMORY_SHARE
        self._cache: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """The file of an image, or its place in the array."""
        image = self._images[index]
        return str(image) if isinstance(image, Path) else f"{self.source}[{index}]"

    def skip(self, unreadable: dict[str, str]) -> None:
        """Note unreadable images and why. Raises DataError, which lists them, beyond `max_unreadable`."""
        self.skipped |= unreadable
        _check_skipped(self.skipped, self._config.max_unreadable)

    def get(self, index: int) -> np.ndarray:
        """Image `index` as (H, W, C) of uint8 or uint16, resized as the settings say.

        One that turns out unreadable is noted in `skipped` and the next readable one given instead; beyond
        `max_unreadable` a DataError lists them.
        """
        return self._readable(index)[1]

    def readable(self, index: int) -> int:
        """The first place from `index` on (round the end) whose image can be read. Raises as `get` does."""
        return self._readable(index)[0]

    def _readable(self, index: int) -> tuple[int, np.ndarray]:
        for offset in range(len(self)):
            i = (index + offset) % len(self)
            if i in self._cache:
                return i, self._cache[i]
            try:
                array = self._read(i)
            except DataError as error:
                self.skip({self.name(i): str(error)})
                continue
            if self.cached:
                self._cache[i] = array
            return i, array
        raise DataError(f"None of the images of {self.source} can be read.")

    def _read(self, i: int) -> np.ndarray:
        image = self._images[i]
        array = decode(image, self._config.alpha)[0] if isinstance(image, Path) else image
        if self._half:
            middle = array.shape[1] // 2
            array = array[:, :middle] if self._half == "left" else array[:, middle : 2 * middle]
        array = convert_channels(array, self.channels)
        if self.depth == 16 and array.dtype == np.uint8:
            array = array.astype(np.uint16) * 257  # 255 becomes 65535
        height, width = array.shape[:2]
        return resize(array, *resized_shape(height, width, self._config.resize, self._config.resize_mode))

    def key(self, index: int) -> str:
        """What pairs an image with one of another domain: its path below the folder without suffix; its place."""
        image = self._images[index]
        return str(image.relative_to(self.source).with_suffix("")) if isinstance(image, Path) else str(index)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index` as `get` gives it."""
        height, width = self._shapes[index]
        return resized_shape(height, width, self._config.resize, self._config.resize_mode)

    def select(self, indices: Sequence[int]) -> ImageSet:
        """The images at these places, in this order, as a set of its own."""
        images = self._images
        return ImageSet(
            self.source,
            images[list(indices)] if isinstance(images, np.ndarray) else [images[i] for i in indices],
            [self._shapes[i] for i in indices],
            self._config,
            self.channels,
            self.depth,
            dict(self.skipped),
            None if self.labels is None else self.labels[list(indices)],
            hashlib.sha256(f"{self._digest} {list(indices)}".encode()).hexdigest(),
            self._half,
        )

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the images, for data.json: count, channels, sizes, and a hash of names and file sizes (of
        the values, for arrays)."""
        heights, widths = zip(*self._shapes, strict=True)
        return {
            "source": Path(self.source).name,
            "kind": "array" if isinstance(self._images, np.ndarray) else "folder",
            "count": len(self),
            "channels": self.channels,
            "depth": self.depth,
            "smallest": [min(heights), min(widths)],
            "largest": [max(heights), max(widths)],
            "sha256": self._digest,
        }


def open_domain(path: str, config: DataSettings, domain: str) -> ImageSet:
    """Open a folder, `file.npz` or `file.npz:KEY` as a domain and check it. Of `data.pairs`, domain a is the left
    half of each image, b the right one.

    Arrays are (N, H, W) or (N, H, W, C) of uint8, uint16 or float in [0, 1]. Raises DataError, saying what to do, for
    everything that training would stumble over: missing, empty, too few, too small, unreadable, mixed channels.
    """
    file = array_file(path)
    half = HALVES.get(domain, "") if path == config.pairs else ""
    images = _open_array(*file, config, domain) if file else _open_folder(Path(path), config, domain, half)
    if len(images) < MIN_IMAGES:
        raise DataError(
            f"{path} has {len(images)} readable image{'s' if len(images) != 1 else ''}; "
            f"domain {domain} needs at least {MIN_IMAGES} (hundreds, to learn from)."
        )
    return images


def _open_folder(folder: Path, config: DataSettings, domain: str, half: Half) -> ImageSet:
    if not folder.exists():
        raise DataError(f"There is no folder {folder} (domain {domain}). {_ADVICE}")
    if not folder.is_dir():
        raise DataError(f"{folder} (domain {domain}) is a file. {_ADVICE}")
    paths = list_images(folder)
    if not paths:
        others = Counter(p.suffix.lower() or "without suffix" for p in folder.rglob("*") if p.is_file())
        if not others:
            raise DataError(f"The folder {folder} (domain {domain}) is empty. {_ADVICE}")
        kinds = ", ".join(sorted(others))
        count = sum(others.values())
        raise DataError(f"No images in {folder} ({count} file{'s' if count > 1 else ''}: {kinds}). {_ADVICE}")
    digest = hashlib.sha256(half.encode())
    readable: list[Path] = []
    headers: list[Header] = []
    skipped: dict[str, str] = {}
    for path in paths:
        try:
            headers.append(read_header(path, config.alpha))
        except DataError as error:
            skipped[str(path)] = str(error)
            _check_skipped(skipped, config.max_unreadable)
            continue
        readable.append(path)
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\n".encode())
    if not readable:
        raise DataError(f"None of the {len(paths)} images of {folder} can be read: {next(iter(skipped.values()))}")
    channels = _settle_channels(Counter(h.channels for h in headers), config, domain, str(folder))
    shapes = [(h.height, h.width // 2 if half else h.width) for h in headers]
    for path, (height, width) in zip(readable, shapes, strict=True):
        _check_size(str(path), height, width, config)
    depth = max(h.depth for h in headers)
    return ImageSet(
        str(folder), readable, shapes, config, channels, depth, skipped, digest=digest.hexdigest(), half=half
    )


def _open_array(path: Path, key: str, config: DataSettings, domain: str) -> ImageSet:
    if not path.is_file():
        raise DataError(f"There is no file {path} (domain {domain}). {_ADVICE}")
    arrays = read_arrays(path, key)
    array, where = arrays.images, f"{path}:{arrays.key}"
    if len(array):
        _check_size(where, array.shape[1], array.shape[2], config)
    channels = _settle_channels(Counter({array.shape[3]: len(array)}), config, domain, where)
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    sizes = [array.shape[1:3]] * len(array)
    return ImageSet(where, array, sizes, config, channels, 8 * array.dtype.itemsize, {}, arrays.labels, digest)


def _settle_channels(counts: Counter[int], config: DataSettings, domain: str, where: str) -> int:
    """The channels of a domain: as set, else the maximum of its images.

    Raises DataError where images cannot be converted.
    """
    channels = config.channels(domain) or max(counts)
    for have in counts:
        try:
            convert_channels(np.zeros((1, 1, have), np.uint8), channels)
        except DataError as error:
            raise DataError(
                f"{where}: {counts[have]} images have {have} channels, domain {domain} takes {channels}. "
                f"Convert them, or set --data.channels-{domain if domain in 'ab' else 'a'}."
            ) from error
    return channels


def _check_size(name: str, height: int, width: int, config: DataSettings) -> None:
    h, w = resized_shape(height, width, config.resize, config.resize_mode)
    if min(h, w) < config.crop:
        resized = f", {w} x {h} after --data.resize {config.resize}" if config.resize else ""
        smaller = f"--data.crop {min(h, w)} or less, or " if min(h, w) >= MIN_CROP else ""
        raise DataError(
            f"{name} is {width} x {height} pixels{resized}: smaller than the crop of {config.crop}. "
            f"Set {smaller}--data.resize {config.crop} or more."
        )


def _check_skipped(skipped: dict[str, str], limit: int) -> None:
    if len(skipped) > limit:
        listed = "; ".join(list(skipped.values())[:20])
        raise DataError(
            f"{len(skipped)} images cannot be read, more than --data.max-unreadable {limit}: {listed} "
            "Mend or remove them, or raise the limit."
        )
