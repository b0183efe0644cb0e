"""The images of one domain, checked when opened (`folders.py`), decoded and resized when read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from drit import peers
from drit.data.fingerprints import FULL, KINDS, NAMES, SAMPLED, ArrayDigest, Digest, PartDigest
from drit.data.images import convert_channels, decode, fit_channels, from_units
from drit.data.names import without_ending
from drit.data.ranges import Reading
from drit.data.transforms import resize, resized_shape
from drit.errors import DataError
from drit.runtime import free_memory
from drit.settings.common import DataSettings

Half = Literal["", "left", "right"]  # of an image that shows both domains side by side
MEMORY_SHARE = 4  # cached images may fill a fourth of the memory that is free, of all processes together


class ImageSet:
    """The images of one domain, by index. `get` gives them resized and with the domain's channels.

    skipped: unreadable files and why. labels: (N,) or None. depth: 8 or 16 bits. reading: how the files are read (with
    a range, arrays are mapped too). notes: sentences for the person who opened the set: what was left out or converted.
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
        digest: Digest | None = None,
        half: Half = "",
        reading: Reading | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.source = source
        self.channels = channels
        self.depth = depth
        self.skipped = skipped
        self.labels = labels
        self._images = images
        self._shapes = shapes
        self._config = config
        self._digest = digest or ArrayDigest("")
        self._hashes: dict[str, str] = {}  # by kind, once they were asked for
        self._half = half
        self.reading = reading or Reading(config.alpha)
        self.notes = list(notes)
        pixels = sum(h * w for h, w in (resized_shape(s[0], s[1], config.resize, config.resize_mode) for s in shapes))
        room = free_memory() // MEMORY_SHARE // peers.local_count()
        self.cached = config.cache and pixels * channels * depth // 8 < room
        self._cache: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """The file of an image, its slice in a volume (`scan.nii.gz[37]`), or its place in the array."""
        image = self._images[index]
        return str(image) if isinstance(image, Path) else f"{self.source}[{index}]"

    def skip(self, unreadable: dict[str, str]) -> None:
        """Note unreadable images and why. Raises DataError, which lists them, beyond `max_unreadable`."""
        self.skipped |= unreadable
        check_skipped(self.skipped, self._config.max_unreadable)

    def get(self, index: int) -> np.ndarray:
        """Image `index` as (H, W, C) of uint8 or uint16, resized as the settings say.

        One that turns out unreadable is noted in `skipped` and the next readable one given instead; beyond
        `max_unreadable` a DataError lists them.
        """
        return self.read(index)[1]

    def readable(self, index: int) -> int:
        """The first place from `index` on (round the end) whose image can be read. Raises as `get` does."""
        return self.read(index)[0]

    def read(self, index: int) -> tuple[int, np.ndarray]:
        """What `get` gives, and the place that it really is of. Raises as `get` does."""
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
        if isinstance(image, Path):
            array, image_format = decode(image, *self.reading)
            array = fit_channels(array, self.channels, image_format.extra, image_format.alpha)
        else:
            array = image if self.reading.value_range is None else from_units(image, self.reading.value_range)
        if self._half:
            middle = array.shape[1] // 2
            array = array[:, :middle] if self._half == "left" else array[:, middle : 2 * middle]
        array = convert_channels(array, self.channels)
        if self.depth == 16 and array.dtype == np.uint8:
            array = array.astype(np.uint16) * 257  # 255 becomes 65535
        height, width = array.shape[:2]
        return resize(array, *resized_shape(height, width, self._config.resize, self._config.resize_mode))

    def folder(self, index: int) -> str:
        """The first folder below the set's own that image `index` lies in; "" for none, and for arrays."""
        image = self._images[index]
        parts = image.relative_to(self.source).parts if isinstance(image, Path) else ()
        return parts[0] if len(parts) > 1 else ""

    def key(self, index: int) -> str:
        """What pairs an image with one of another domain: its path below the folder without suffix; its place."""
        image = self._images[index]
        return str(without_ending(image.relative_to(self.source))) if isinstance(image, Path) else str(index)

    def shape(self, index: int) -> tuple[int, int]:
        """Height and width of image `index` as it is stored."""
        return self._shapes[index]

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
            PartDigest(self._digest, list(indices)),
            self._half,
            self.reading,
            self.notes,
        )

    def fingerprint(self, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What identifies the images, for data.json: count, channels, sizes, and a hash of names and contents (of the
        values, for arrays).

        like: a recorded fingerprint to compare with; the answer has its kind of hash, where that is known.
        """
        heights, widths = zip(*self._shapes, strict=True)
        kind = FULL if self._config.full_hash else SAMPLED
        if like and like.get("hash", NAMES) in KINDS:
            kind = like.get("hash", NAMES)
        if kind not in self._hashes:
            self._hashes[kind] = self._digest(kind)
        prints = {
            "source": Path(self.source).name,
            "kind": "array" if isinstance(self._images, np.ndarray) else "folder",
            "count": len(self),
            "channels": self.channels,
            "depth": self.depth,
            "smallest": [min(heights), min(widths)],
            "largest": [max(heights), max(widths)],
            "sha256": self._hashes[kind],
        }
        return prints | {"hash": kind} if kind else prints


def check_skipped(skipped: dict[str, str], limit: int) -> None:
    """Raises DataError, which lists the images, when more than `limit` cannot be read."""
    if len(skipped) > limit:
        listed = "; ".join(list(skipped.values())[:20])
        raise DataError(
            f"{len(skipped)} images cannot be read, more than --data.max-unreadable {limit}: {listed} "
            "Mend or remove them, or raise the limit."
        )
