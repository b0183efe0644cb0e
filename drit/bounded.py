"""Files that strangers or accidents may have written, read in bounded time and memory.

A file may be a pipe that never ends, as long as the disk, of another encoding, or JSON that is nested so deeply that a
parser overflows. Each of these raises OSError or ValueError here; the caller names the file and what to do.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

MAX_JSON = 16 << 20  # bytes; what is written has thousands
MAX_DEPTH = 32  # objects within objects


def resolved(path: Path) -> Path:
    """Where a path leads, links followed. Of links that lead to each other it is one of them, where `Path.resolve`
    would raise."""
    return Path(os.path.realpath(path))


def is_file(path: Path) -> bool:
    """Whether a regular file is at a path, links followed. Raises PermissionError where this user may not look.

    It may be there then, and who asked is told. `Path.is_file` and its kin say that nothing is, from Python 3.14 on.
    """
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether a folder is at a path. As `is_file`."""
    return stat.S_ISDIR(_mode(path))


def is_there(path: Path) -> bool:
    """Whether anything is at a path. As `is_file`."""
    return _mode(path) != 0


def _mode(path: Path) -> int:
    try:
        return os.stat(path).st_mode
    except PermissionError:
        raise
    except (OSError, ValueError):  # nothing, a link to itself, a name that no file can have
        return 0


@contextmanager
def regular(path: Path) -> Iterator[BinaryIO]:
    """A file opened for reading. Raises ValueError for what is no regular file, which may never end; OSError as
    `open`."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is a folder, pipe, socket or device, not a regular file")
    # The check above spares devices; opening without waiting and the check below spare one put there since.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        yield file


def read_bytes(path: Path, limit: int = MAX_JSON) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises ValueError for any other, OSError as `open`."""
    with regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= limit else b""  # asked for `limit`, it would take so much memory
    if size > limit or len(content) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return content


def read_json(path: Path, limit: int = MAX_JSON) -> Any:
    """The value of a JSON file of at most `limit` bytes. Raises ValueError for what is none, or too large or nested too
    deeply; OSError as `open`."""
    return parsed(read_bytes(path, limit))


def parsed(content: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError, also for one that is nested deeper than MAX_DEPTH."""
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        level = [inner for outer in level for inner in _inner(outer) if isinstance(inner, (dict, list))]
    return value


def _inner(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
