"""Folders of shards: tar files that hold the images of a folder, and an index that finds each by its place in it.

The shards have the form of webdataset, so other programs read them in a stream (`packing.py` writes them). Here each
image is read by its offset: an image of a packed folder is the path that it had before, below the folder of shards, and
whatever takes a path of an image takes this one too. So a training reads shards as it reads the folder, in the same
order, and goes on at any place.

SHARDS/shards.json            the index: of each image its place, shard, name, offset, bytes and hashes
SHARDS/shard-000000.tar ...   image files, unchanged, with class and mask beside each
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from drit.atomic import file_state
from drit.bounded import read_bytes
from drit.errors import DataError, some

INDEX = "shards.json"
FORMAT = 1
_MAX_INDEX = 1 << 30  # bytes: of some millions of images
_SHARD = re.compile(r"[\w-][\w.-]{0,200}\.tar")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Member(NamedTuple):
    """An image file within a shard."""

    shard: Path
    name: str  # in the tar file
    offset: int  # of its first byte in the shard
    bytes: int
    sha256: str  # of its bytes
    sampled: str  # the hash of fingerprints.SAMPLED


class Shards(NamedTuple):
    """A folder of shards, as its index tells it."""

    folder: Path
    sizes: dict[str, int]  # bytes of each shard, by its name
    members: dict[str, Member]  # by the place that the image had in the folder that was packed, with slashes

    def paths(self) -> list[Path]:
        """The images as paths below the folder, in the order that a folder's have."""
        return sorted(self.folder / place for place in self.members)

    def member(self, path: Path) -> Member:
        """What one of `paths` means."""
        return self.members[path.relative_to(self.folder).as_posix()]

    def lost(self) -> dict[str, str]:
        """The shards that cannot be used, and why."""
        found = {}
        for name, size in self.sizes.items():
            path = self.folder / name
            if not path.is_file():
                found[name] = "is missing"
            elif path.stat().st_size != size:
                found[name] = f"has {path.stat().st_size} bytes, not {size}"
        return found


def shards_of(folder: Path) -> Shards | None:
    """The shards of a folder; None for a folder without an index. Raises DataError for an index that is damaged."""
    path = folder / INDEX
    state = file_state(path)
    return _loaded(folder, state) if state else None


def check_lost(shards: Shards, limit: int) -> dict[str, str]:
    """The shards that cannot be used. Raises DataError, which names them, where these are more than `limit`."""
    lost = shards.lost()
    if len(lost) > limit:
        listed = some([f"{shards.folder / name} {why}" for name, why in lost.items()])
        raise DataError(
            f"{len(lost)} of {len(shards.sizes)} shards cannot be used, more than --data.max-lost-shards {limit}: "
            f"{listed}. Put them back from a copy, or raise the limit to train without their images."
        )
    return lost


def member_of(path: Path) -> Member | None:
    """What a path that is no file means: an image of a folder of shards above it; None for none."""
    for folder in path.parents:
        if shards := shards_of(folder):
            return shards.members.get(path.relative_to(folder).as_posix())
    return None


def read_member(file: BinaryIO, member: Member) -> bytes:
    """The bytes of an image, from its shard opened for reading. Raises ValueError where they are not those that were
    packed."""
    file.seek(member.offset)
    content = file.read(member.bytes)
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise ValueError(f"its bytes in {member.shard} are not those that were packed: the shard is damaged")
    return content


class Window(io.RawIOBase):
    """An image in its shard as a file of its own, unchecked: for a look at its header."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        super().__init__()
        self._file, self._start, self._size = file, member.offset, member.bytes
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Raises ValueError for a place before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start")
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._place)
        content = self._file.read(max(0, min(len(buffer), self._size - self._place)))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


@lru_cache(maxsize=32)
def _loaded(folder: Path, state: tuple[int, ...]) -> Shards:
    """state: of the index, so that one which was written anew is read anew."""
    path = folder / INDEX
    try:
        index = json.loads(read_bytes(path, _MAX_INDEX))
        if index["format"] != FORMAT:
            raise DataError(f"{path} has the format {index['format']!r}, which a newer version of drit wrote.")
        sizes = {_shard(s["name"]): _count(s["bytes"]) for s in index["shards"]}
        members: dict[str, Member] = {}
        for m in index["members"]:
            place, shard = _place(m["place"]), _shard(m["shard"])
            member = Member(
                folder / shard,
                str(m["name"]),
                _count(m["offset"]),
                _count(m["bytes"]),
                _sha256(m["sha256"]),
                _sha256(m["sampled"]),
            )
            if member.offset + member.bytes > sizes[shard] or place in members:
                raise ValueError(f"{place!r} lies beyond its shard, or is there twice")
            members[place] = member
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} is no index of shards, or damaged ({error}). Pack the images again: drit data pack DIR --out "
            f"{folder}"
        ) from error
    return Shards(folder, sizes, members)


def _shard(value: Any) -> str:
    """A file of the folder itself."""
    if not isinstance(value, str) or not _SHARD.fullmatch(value):
        raise ValueError(f"{value!r} names no shard")
    return value


def _place(value: Any) -> str:
    """A path below the folder, and nowhere else."""
    if not isinstance(value, str) or not value or "\0" in value or "\\" in value:
        raise ValueError(f"{value!r} is no place")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != value or value == ".":
        raise ValueError(f"{value!r} is no place in the folder")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of bytes")
    return value


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{value!r} is no SHA-256")
    return value
