"""Files and folders written whole or not at all; files known by their hash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drit.errors import DritError, UsageError

_PART = 16 << 20  # bytes hashed at once: so many that another thread is seldom waited for


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, sync, rename: readers see the old or the new one whole.

    Raises OSError when the disk refuses; nothing temporary is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # of this process: another may write the same file
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def not_written(path: Path | str, error: Exception, again: str = "run again") -> DritError:
    """The error for a file or folder that the disk refuses: what it says, and the next thing to do.

    error: an OSError, or one of a library. again: what the person does after that.
    """
    why = getattr(error, "strerror", None) or str(error)
    number = getattr(error, "errno", None)
    if isinstance(error, PermissionError) or number == errno.EROFS:
        first = "Choose another place, or allow writing there"
    elif number in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG):
        first = "Make room"
    else:
        first = "Choose another place"
    return DritError(f"Could not write {path}: {why}. {first}, and {again}.")


@contextmanager
def no_leftovers(out: Path, names: Iterable[str]) -> Iterator[None]:
    """After the block, however it ends, nothing half-written is left of files of these names under `out`.

    A process that was killed leaves the temporary file of what it was writing.
    """
    try:
        yield
    finally:
        of_folder: dict[Path, set[str]] = {}
        for name in names:
            path = out / name
            of_folder.setdefault(path.parent, set()).add(path.name)
        for folder, files in of_folder.items():
            for name in os.listdir(folder) if folder.is_dir() else ():
                parts = name[1:].rsplit(".", 2)  # as in write_atomically
                if name.startswith(".") and len(parts) == 3 and parts[2] == "tmp" and parts[0] in files:
                    (folder / name).unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all. Raises OSError when the disk refuses."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def is_taken(out: Path) -> bool:
    """Whether a folder to write to holds something, or is none."""
    return out.exists() and (not out.is_dir() or any(out.iterdir()))


def check_empty(out: Path) -> None:
    """Raises UsageError for a folder to write to that holds something."""
    if is_taken(out):
        raise UsageError(f"{out} exists and is not empty. Choose another --out.")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `out` at the end; nothing is left of it after an error.

    Raises UsageError where `out` holds something, OSError where the disk refuses.
    """
    check_empty(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            out.rmdir()
        os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Have what was written to a file reach the disk. Raises OSError when the disk refuses.

    The file is opened for writing: Windows refuses to sync one that is opened for reading.
    """
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Have the names in a folder reach the disk, where the system can: Windows opens no folders."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def file_state(path: Path) -> tuple[int, ...]:
    """What tells a file from another that took its place; empty where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError for one that cannot be read."""
    digest, part = hashlib.sha256(), memoryview(bytearray(_PART))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(part):
            digest.update(part[:count])
    return digest.hexdigest()
