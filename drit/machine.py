"""What this machine has, asked in ways that work on every system."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # numbers of malloc.h


def cores() -> int:
    """CPU cores that this process may use; all of them where the system does not tell (macOS, Windows)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor in words, with its cores; no name of the machine itself."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    count = cores()
    return f"{name}, {count} core{'s' if count > 1 else ''}, {platform.system()}"


def free_memory() -> int:
    """Bytes of memory that are free or can be freed; 4 GiB where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next tensor, in place of giving it back to the system.

    glibc returns blocks of more than 32 MiB at once, and the next tensor of that size then costs a page fault for every
    4 KiB: a fifth of the time of many styles (docs/performance.md). Does nothing where the C library is another.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, -1)
            mallopt(_M_TOP_PAD, 64 << 20)
