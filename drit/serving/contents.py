"""Images that were encoded: kept for further styles, as long as they fit into a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple
from weakref import WeakValueDictionary

from torch import Tensor

from drit.data.images import Header
from drit.methods.base import Prepared


class Key(NamedTuple):
    """What an encoded image depends on."""

    image: str  # SHA-256 of the upload, and the size it was scaled to
    weights: str  # SHA-256 of the run's weights
    to: str  # domain it is prepared for


@dataclass
class Content:
    """An image on its way to outputs: its pixels until it is encoded, then what no style changes."""

    key: Key
    header: Header  # of the image as translated
    image: Tensor | None = field(default=None, repr=False)  # (1, C, H, W) in [-1, 1]
    prepared: Prepared | None = field(default=None, repr=False)  # of this one image

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.header.height, self.header.width

    @property
    def bytes(self) -> int:
        """Memory that what is prepared takes."""
        return sum(part.untyped_storage().nbytes() for part in self.prepared or ())


class Contents:
    """The least recently used go first. Requests of one image at one time share its `Content`. Thread-safe."""

    def __init__(self, limit: int) -> None:
        """limit: bytes."""
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._limit = limit
        self._kept: OrderedDict[Key, Content] = OrderedDict()
        self._alive: WeakValueDictionary[Key, Content] = WeakValueDictionary()  # in a request
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key) -> Content | None:
        """The content of a key, if it is kept or on its way."""
        with self._lock:
            content = self._kept.get(key) or self._alive.get(key)
            if key in self._kept:
                self._kept.move_to_end(key)
            self.hits += content is not None
            self.misses += content is None
            return content

    def share(self, content: Content) -> Content:
        """The content of this key that others use already, else this one."""
        with self._lock:
            return self._kept.get(content.key) or self._alive.setdefault(content.key, content)

    def keep(self, content: Content) -> None:
        """Keep what was prepared; what was not used for longest makes room. One larger than the limit is not kept."""
        with self._lock:
            if content.key in self._kept or content.bytes > self._limit:
                return
            self._kept[content.key] = content
            self.bytes += content.bytes
            while self.bytes > self._limit:
                _, oldest = self._kept.popitem(last=False)
                self.bytes -= oldest.bytes

    def forget(self, weights: str) -> None:
        """Drop what was encoded with these weights."""
        with self._lock:
            for key in [k for k in self._kept if k.weights == weights]:
                self.bytes -= self._kept.pop(key).bytes
