"""What an export needs of its extra, and how its folder is written. Imports no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drit.atomic import not_written, whole_folder
from drit.errors import UsageError

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


@contextmanager
def exported_folder(out: Path) -> Iterator[Path]:
    """`atomic.whole_folder`, with an error that says what to do.

    Raises UsageError where `out` holds something, DritError where the disk refuses.
    """
    try:
        with whole_folder(out) as folder:
            yield folder
    except OSError as error:
        raise not_written(out, error) from error
