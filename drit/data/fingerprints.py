"""Hashes that tell images apart: of contents, sampled so that a large folder takes seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from drit.data.names import file_of
from drit.errors import DataError

HASH = "sampled-v2"  # the kind of hash, as data.json names it
BLOCK = 64 << 10  # bytes at the start, in the middle and at the end; smaller files are hashed whole
_known: dict[tuple[str, int, int], bytes] = {}  # by path, size and time of change: for this process


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file's size and sampled blocks; of its volume's, for a slice. Raises DataError where it cannot be
    read."""
    try:
        path = file_of(path)
        status = path.stat()
        key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        if key not in _known:
            _known[key] = _sampled(path, status.st_size)
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


def folder_digest(folder: Path, paths: Iterable[Path], what: str = "") -> str:
    """The hash of images of a folder: of their places below it and their contents. what: the part of each image that
    is meant, where it is not all."""
    digest = hashlib.sha256(what.encode())
    for path in paths:
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + file_digest(path))
    return digest.hexdigest()


def folder_digest_v1(folder: Path, paths: Iterable[Path], what: str = "") -> str:
    """The hash that runs recorded before `HASH`: of names and file sizes. For comparison with their records alone."""
    digest = hashlib.sha256(what.encode())
    for path in paths:
        digest.update(f"{path.relative_to(folder)}\0{file_of(path).stat().st_size}\n".encode())
    return digest.hexdigest()


def part_digest(digest: str, indices: list[int]) -> str:
    """The hash of some of a set's images, in this order."""
    return hashlib.sha256(f"{digest} {indices}".encode()).hexdigest()
