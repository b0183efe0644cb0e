"""Reads hostile files in a process of its own, whose memory and time have limits: `python -m tests.trial FOLDER`.

Prints what became of each as JSON: its name to what reads it, READ or REFUSED, the error, and the shape.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drit.data.folders import open_domain
from drit.data.images import decode, read_header
from drit.data.labelled import open_labelled
from drit.data.packing import pack
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests import hostile
from tests.conftest import write_images

MEMORY = 1 << 30  # bytes that the process may have more than at its start; bombs claim 3 GiB and more
SECONDS = 60  # of one file: far more than any takes, on a busy machine too


def attempt(read: Callable[[Path], Any], path: Path) -> tuple[str, str]:
    """READ and what is known of the result, or REFUSED and the error. All else, slowness too, ends the process."""
    signal.alarm(SECONDS)
    try:
        return hostile.READ, str(read(path))
    except DataError as error:
        return hostile.REFUSED, str(error)
    finally:
        signal.alarm(0)


def trials(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """What became of every file, by its kind and name."""
    found: dict[str, list[tuple[str, str]]] = {}

    def put(name: str, content: bytes) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def as_domain(path: Path) -> int:
        return len(open_domain(str(path), DataSettings(resize=0, crop=16), "a"))

    for image in hostile.images():
        path = put(image.name, image.content)
        found[image.name] = [attempt(read_header, path), attempt(lambda p: decode(p)[0].shape, path)]
    for array in hostile.arrays():
        path = put(array.name, array.content)
        found[array.name] = [attempt(as_domain, path), attempt(lambda p: len(open_labelled(str(p))), path)]
    images = write_images(folder / "images", 6, 1)
    for table in hostile.labels([p.name for p in sorted(images.iterdir())]):
        path = put(table.name, table.content)
        found[table.name] = [attempt(lambda p: len(open_labelled(str(images), str(p))), path)]
    pack(images, folder / "packed")
    for i, index in enumerate(hostile.indexes(json.loads((folder / "packed" / "shards.json").read_text()))):
        path = put(f"index/{i}/shards.json", index.content)
        found[f"index {index.name}"] = [attempt(as_domain, path.parent)]
    return found


def peak() -> int:
    """The most bytes that this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    before = peak()
    results = trials(Path(sys.argv[1]))
    print(json.dumps({"results": results, "bytes": peak() - before}))
