"""Hashes that tell images apart: of contents, sampled so that a large folder takes seconds, or whole on request."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drit.bounded import resolved
from drit.data.names import file_of
from drit.data.shards import member_of
from drit.errors import DataError

# Kinds of hash, as data.json names them.
SAMPLED = "sampled-v2"
FULL = "full-v1"
NAMES = ""  # of names and file sizes alone: of runs before the others
KINDS = (SAMPLED, FULL, NAMES)
BLOCK = 64 << 10  # bytes at the start, in the middle and at the end; smaller files are hashed whole
# By kind, path, size and time of change: for this process.
_known: dict[tuple[str, str, int, int], bytes] = {}


def file_digest(path: Path, kind: str = SAMPLED) -> bytes:
    """SHA-256 of a file's size and contents: of sampled blocks, or (FULL) of every byte; for a slice of its volume's.
    Raises DataError where it cannot be read."""
    try:
        path = file_of(path)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if member := member_of(path):  # packed: the index has its hashes, which are compared when it is read
                return _of_size(member.bytes, member.sha256) if kind == FULL else bytes.fromhex(member.sampled)
            raise
        key = (kind, str(resolved(path)), status.st_size, status.st_mtime_ns)
        if key not in _known:
            _known[key] = (_whole if kind == FULL else _sampled)(path, status.st_size)
        return _known[key]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _sampled(path: Path, size: int) -> bytes:
    digest = hashlib.sha256(size.to_bytes(8, "big"))
    with open(path, "rb") as file:
        if size <= 3 * BLOCK:
            digest.update(file.read(3 * BLOCK))
        else:
            for place in (0, (size - BLOCK) // 2, size - BLOCK):
                file.seek(place)
                digest.update(file.read(BLOCK))
    return digest.digest()


def _whole(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        contents = hashlib.file_digest(file, "sha256").digest()
    return _of_size(size, contents.hex())


def _of_size(size: int, sha256: str) -> bytes:
    return hashlib.sha256(size.to_bytes(8, "big") + bytes.fromhex(sha256)).digest()


def _size(path: Path) -> int:
    """Bytes of a file, or of an image in a shard."""
    path = file_of(path)
    member = None if path.exists() else member_of(path)
    return member.bytes if member else path.stat().st_size


class Digest(Protocol):
    """The hash of a set's images, of the kind that is asked for. Hashing waits until then."""

    def __call__(self, kind: str) -> str: ...


@dataclass(frozen=True)
class FolderDigest:
    """The hash of images of a folder: of their places below it and their contents.

    what: the part of each image that is meant, where it is not all. Raises DataError where a file cannot be read.
    """

    folder: Path
    paths: Sequence[Path]
    what: str = ""

    def __call__(self, kind: str) -> str:
        digest = hashlib.sha256(self.what.encode())
        for path in self.paths:
            place = path.relative_to(self.folder)
            if kind == NAMES:
                digest.update(f"{place}\0{_size(path)}\n".encode(errors="surrogateescape"))
            else:
                digest.update(f"{place.as_posix()}\0".encode(errors="surrogateescape") + file_digest(path, kind))
        return digest.hexdigest()


@dataclass(frozen=True)
class ArrayDigest:
    """The hash of an array's values, of every kind the same: all of them are read anyway."""

    sha256: str

    def __call__(self, kind: str) -> str:
        return self.sha256


@dataclass(frozen=True)
class PartDigest:
    """The hash of some of a set's images, in this order."""

    whole: Digest
    indices: Sequence[int]

    def __call__(self, kind: str) -> str:
        return hashlib.sha256(f"{self.whole(kind)} {list(self.indices)}".encode()).hexdigest()
