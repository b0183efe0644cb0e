"""Reading the files of a run when anything may be wrong with them: in bounded time and memory, by name.

A file of a run may be truncated, of another encoding, huge, deeply nested, a pipe, or a link that leads elsewhere. Each
is an error that names the file and what to do. Nothing outside the run is followed.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from drit.bounded import MAX_JSON, parsed
from drit.errors import CheckpointError

MAX_LINE = 1 << 20  # bytes of one line of JSON
MAX_STEP = 10**12  # iterations
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the system has no more of something


class DamagedError(CheckpointError):
    """A file of a run that is not as it was written."""


def unreadable(path: Path, error: OSError, remedy: str) -> CheckpointError:
    """The error for a file that the system does not read: a DamagedError, unless the file itself may be whole.

    It may be where this user has no right to it, or the system is short of handles or memory: then a training that
    goes on must not take another checkpoint in its place.
    """
    why = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return CheckpointError(
            f"{path} may not be read by this user ({why}). Its owner can allow it: chmod -R a+rX {path.parent}"
        )
    if error.errno in _SHORT:
        return CheckpointError(f"{path} cannot be read now ({why}). Close other programs or files, and try again.")
    return DamagedError(f"{path} cannot be read ({why}). {remedy}")


def check_inside(path: Path, root: Path) -> None:
    """Raises DamagedError where a link takes `path` out of the folder `root`."""
    try:
        target, home = path.resolve(), root.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise DamagedError(f"{path} cannot be read ({error}). Replace it by the file itself.") from error
    if not target.is_relative_to(home):
        raise DamagedError(f"{path} is a link that leads out of {root}, to {target}. Replace it by the file itself.")


def open_regular(path: Path, root: Path, remedy: str) -> Any:
    """A regular file inside `root`, opened for reading bytes. Raises as `unreadable` for anything else."""
    check_inside(path, root)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is not a regular file")
        return open(path, "rb")
    except OSError as error:
        raise unreadable(path, error, remedy) from error


def read_bytes(path: Path, root: Path, limit: int, remedy: str) -> bytes:
    """The content of a regular file inside `root`, of at most `limit` bytes. Raises as `unreadable`."""
    with open_regular(path, root, remedy) as file:
        try:
            content: bytes = file.read(limit + 1)
        except OSError as error:
            raise unreadable(path, error, remedy) from error
    if len(content) > limit:
        raise DamagedError(f"{path} cannot be read (it has more than {limit} bytes). {remedy}")
    return content


def read_object(path: Path, root: Path, remedy: str) -> dict[str, Any]:
    """A JSON object of a run. Raises DamagedError when it is missing or broken, else as `unreadable`."""
    content = read_bytes(path, root, MAX_JSON, remedy)
    try:
        value = parsed(content)
    except ValueError as error:
        raise DamagedError(f"{path} cannot be read ({error}). {remedy}") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{path} cannot be read (it is not a JSON object). {remedy}")
    return value


def is_count(value: Any, largest: int = MAX_STEP) -> bool:
    """Whether a value is a whole number from 0 to `largest`."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float holds; NaN and infinities are."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return isinstance(float(value), float)
    except OverflowError:
        return False


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number."""
    return is_number(value) and math.isfinite(value)


Line = tuple[bytes, dict[str, Any] | None]  # the bytes of a line, and its object; None: damaged


def json_lines(path: Path, root: Path, fits: Callable[[dict[str, Any]], bool]) -> Iterator[Line]:
    """The lines of a file of JSON lines, each with its object where that is whole and `fits`.

    No file is one without lines. Raises DamagedError for a file that cannot be read or has a line without an end.
    """
    if not path.exists() and not path.is_symlink():
        return
    remedy = f"Move it away: the run goes on without it, and what {path.name} held is missing from its report."
    with open_regular(path, root, remedy) as file:
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise DamagedError(f"{path} cannot be read (a line has more than {MAX_LINE} bytes). {remedy}")
            try:
                value = parsed(line)
            except ValueError:
                value = None
            yield line, value if isinstance(value, dict) and fits(value) else None
