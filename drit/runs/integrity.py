"""SHA-256 of the files of a checkpoint: recorded when written, compared when read. Imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drit.atomic import file_state, sha256
from drit.errors import CheckpointError
from drit.runs.folder import WEIGHTS, find, instead, root_of
from drit.runs.reading import DamagedError, check_inside, unreadable


class _Ahead:
    """The hash of one file, computed by a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = file_state(path)
        self._digest = ""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._digest = sha256(self._path)
        except OSError:  # who needs the hash computes it again, and says so
            pass

    def result(self) -> str:
        """The hash; empty if the file cannot be read, or is another by now."""
        self._thread.join()
        return self._digest if file_state(self._path) == self._state else ""


_ahead: dict[Path, _Ahead] = {}  # by file; used once, and one at a time


def start(run: Path) -> None:
    """Begin to hash the weights that translation with `run` will read, while other things are loaded."""
    try:
        checkpoint = find(run)
        check_inside(checkpoint / WEIGHTS, root_of(checkpoint))
    except CheckpointError:  # said by who reads the checkpoint
        return
    path = checkpoint / WEIGHTS
    _ahead.clear()  # of one that nobody asked for
    if path.is_file():
        _ahead[path] = _Ahead(path)


def check(checkpoint: Path, name: str, meta: Mapping[str, Any]) -> None:
    """Raises DamagedError where a file of a checkpoint is not the one whose hash its meta.json holds.

    Checkpoints of earlier versions hold none: there is nothing to compare.
    """
    recorded = meta.get("sha256", {}).get(name)
    if recorded is None:
        return
    path = checkpoint / name
    ahead = _ahead.pop(path, None)
    try:
        digest = (ahead.result() if ahead else "") or sha256(path)
    except OSError as error:
        raise unreadable(path, error, instead(checkpoint)) from error
    if digest != recorded:
        raise DamagedError(
            f"{path} is damaged: its SHA-256 is {digest[:12]}..., not {recorded[:12]}... as recorded when it was "
            f"written. {instead(checkpoint)}"
        )
