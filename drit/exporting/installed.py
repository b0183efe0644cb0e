"""What an export needs of its extra, and how its folder is written. Imports no torch."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drit.errors import DritError, UsageError

FORMATS = ("onnx", "safetensors", "hub", "web")
UNKNOWN = "unknown"  # the licence of weights that nobody named


def check_installed(packages: tuple[str, ...], what: str) -> None:
    """Raises UsageError, with the line that installs them, where packages of the extra are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{what} needs packages that are not installed: {', '.join(missing)}. Install them: pip install "
            "'drit[export]'"
        )


def check_empty(out: Path) -> None:
    """Raises UsageError for a folder that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not empty. Choose another --out.")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `out` at the end; nothing is left of it after an error.

    Raises UsageError where `out` holds something, DritError where the disk refuses.
    """
    check_empty(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        if out.exists():
            out.rmdir()
        os.rename(temporary, out)
    except OSError as error:
        raise DritError(f"{out} could not be written: {error.strerror or error}. Choose another --out.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
