"""What a process and its children hold: memory, handles, threads. And whether memory grows: a line through samples.

Linux: read from /proc.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

MB = 1e6
SPANS = 30  # equal parts of the time, whose means the line goes through


class Held(NamedTuple):
    """What a process and all its descendants hold together."""

    rss: float  # MB in memory
    anonymous: float  # MB of it that no file backs: what a leak of memory grows
    peak: float  # MB, sum of the most that each had in memory so far
    files: int  # open descriptors: files, pipes, sockets
    threads: int
    processes: int
    shared: int  # files in /dev/shm named after one of them


class Line(NamedTuple):
    """A line of least squares."""

    slope: float
    low: float  # its 95 % interval
    high: float


def descendants(root: int) -> list[int]:
    """The process and those that it started, and so on, as far as they live."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it ended meanwhile
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [root] if Path(f"/proc/{root}").exists() else []
    for pid in found:
        found += children.get(pid, [])
    return found


def held(root: int) -> Held | None:
    """What the process and its descendants hold now; None where it has ended."""
    sums = dict.fromkeys(("VmRSS", "RssAnon", "VmHWM", "Threads"), 0)
    pids, files = [], 0
    for pid in descendants(root):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            count = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:  # it ended meanwhile
            continue
        status = dict(line.split(":", 1) for line in lines)
        if "VmRSS" not in status:  # it has ended, and waits for its parent
            continue
        for name in sums:
            sums[name] += int(status[name].split()[0])
        pids.append(pid)
        files += count
    if not pids:
        return None
    mb = {name: 1024 * kib / MB for name, kib in sums.items()}
    return Held(mb["VmRSS"], mb["RssAnon"], mb["VmHWM"], files, sums["Threads"], len(pids), len(shared_files(pids)))


def shared_files(pids: Sequence[int]) -> list[Path]:
    """Files in /dev/shm whose name holds the number of one of these processes, as those of torch do."""
    names = {str(pid) for pid in pids}
    return [path for path in Path("/dev/shm").iterdir() if names & set(path.name.replace("-", "_").split("_"))]


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line of least squares through the means of `SPANS` equal parts of the range of x, and its 95 % interval.

    Memory a second later is nearly the same: the samples themselves are not independent, and the interval of a line
    through them would be far too narrow. x: increasing. Raises ValueError where fewer than three parts hold samples.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    place = np.minimum(((xs - xs[0]) / max(xs[-1] - xs[0], 1e-9) * SPANS).astype(int), SPANS - 1)
    parts = np.unique(place)
    if len(parts) < 3:
        raise ValueError(f"A line needs samples in three parts of the time, not in {len(parts)}.")
    found = stats.linregress([xs[place == part].mean() for part in parts], [ys[place == part].mean() for part in parts])
    error = 0.0 if np.isnan(found.stderr) else float(found.stderr)  # all y the same: SciPy divides 0 by 0
    half = float(stats.t.ppf(0.975, len(parts) - 2)) * error
    return Line(float(found.slope), float(found.slope) - half, float(found.slope) + half)
