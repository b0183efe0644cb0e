"""One run, one writer: while a training writes a run, no other one may.

The operating system's lock on RUN/lock.json is what counts: it is gone with the process that held it, however that
ended. The file's content says for people who holds it. Systems of files that are shared between machines may not pass
the lock on: what another machine wrote is believed until it shows no sign of life for a day.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from drit.errors import CheckpointError, DritError, UsageError
from drit.runs.folder import RunFolder
from drit.runs.reading import is_count, parsed, read_bytes

STALE_HOURS = 24  # without a sign of life, after which another machine's lock counts as left over
LEFT_SECONDS = 12.0  # for which loader processes outlive a training that was killed; torch's look every 5 seconds
_PAUSE = 0.2  # seconds between tries
_LOCKED_BYTE = 1 << 20  # far behind the content, which others read: Windows refuses to read what is locked
_MAX_BYTES = 1 << 12


class Holder(NamedTuple):
    """The process that trains a run."""

    host: str
    pid: int
    started: str  # as a clock on the wall says it

    @classmethod
    def this(cls) -> Holder:
        """The process that asks."""
        return cls(socket.gethostname(), os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"))

    @property
    def gone(self) -> bool:
        """Whether it is a process of this machine that has ended."""
        return self.host == socket.gethostname() and not _is_alive(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which started at {self.started}"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """While open, this process alone trains the run, whose folder must be there.

    Raises UsageError, which names the other process, where one trains it. A lock that a process left which is gone is
    taken over, and this is told on standard error.
    """
    path = RunFolder(run).lock
    descriptor = _taken(run)
    try:
        yield
    finally:
        _release(descriptor, path)


def holder(run: Path) -> Holder | None:
    """Who trains a run, as its lock says; None where nobody does. A process of this machine that is gone is nobody."""
    content = _content(run)
    return None if content is None or content.gone else content


def _content(run: Path) -> Holder | None:
    """Who the file of the lock names; None for none, and for one that says nothing readable."""
    try:
        value = parsed(read_bytes(RunFolder(run).lock, run, _MAX_BYTES, ""))
        named = Holder(value["host"], value["pid"], value["started"])
    except (CheckpointError, ValueError, KeyError, TypeError):
        return None
    well = isinstance(named.host, str) and isinstance(named.started, str) and is_count(named.pid, 1 << 31)
    return named if well else None


def _taken(run: Path) -> int:
    """The file of the lock, open and locked."""
    path, deadline = RunFolder(run).lock, time.monotonic() + LEFT_SECONDS
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise DritError(
                f"{path} cannot be written ({error.strerror}): a training writes into its run's folder. Choose another "
                "place, or make this one writable."
            ) from error
        before = _content(run)
        held = _try(descriptor)
        if held and not _is_file(descriptor, path):  # the one before removed it as it ended: lock the new one
            os.close(descriptor)
            continue
        if held is None:  # the system knows no locks here: what the file says has to do
            held = before is None or before.gone
        if held and before is not None and before.host != socket.gethostname() and not _is_stale(run):
            _unlock(descriptor)
            raise UsageError(
                f"{run} is being trained by {before}. Wait for it or stop it there. If it is gone, remove {path}."
            )
        if held:
            _write(descriptor, Holder.this())
            if before is not None:
                print(f"Took over the lock of {run} from {before}: it is gone.", file=sys.stderr, flush=True)
            return descriptor
        os.close(descriptor)
        # loader processes of a training that was killed keep the system's lock until they notice
        if before is not None and before.gone and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            continue
        raise UsageError(f"{run} is being trained by {before or 'another process'}. Wait for it, or stop it.")


def _write(descriptor: int, content: Holder) -> None:
    text = json.dumps(content._asdict()).encode()
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text)


def _release(descriptor: int, path: Path) -> None:
    """Remove the file, then the lock: whoever waits for the lock sees that the file is another."""
    try:
        if os.name != "nt":  # Windows removes no open file
            path.unlink(missing_ok=True)
        _unlock(descriptor)
        path.unlink(missing_ok=True) if os.name == "nt" else None
    except OSError:  # the lock itself is gone all the same
        pass


def _try(descriptor: int) -> bool | None:
    """Take the system's lock on an open file: whether this succeeded; None where there are no locks."""
    if os.name == "nt":
        import msvcrt

        try:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _unlock(descriptor: int) -> None:
    """Give the lock up, also where processes that were forked hold the same open file."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    """Whether a process of this machine runs. Where that cannot be asked, it does."""
    if os.name == "nt":  # there, a signal of 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_stale(run: Path) -> bool:
    """Whether a run's lock and metrics have not been written for STALE_HOURS, by the clock of their file system.

    A time further ahead than that is of before that clock was set back: no sign of life either.
    """
    folder = RunFolder(run)
    now = _time_of_files(run)
    times = [path.stat().st_mtime for path in (folder.lock, folder.metrics) if path.is_file()]
    return all(abs(now - written) > 3600 * STALE_HOURS for written in times)


def _time_of_files(run: Path) -> float:
    """The time that a file written now gets: of the machine that holds the disk, whatever the clock here says."""
    path = run / f".{RunFolder(run).lock.name}.{os.getpid()}.tmp"
    try:
        path.touch()
        return path.stat().st_mtime
    finally:
        path.unlink(missing_ok=True)
