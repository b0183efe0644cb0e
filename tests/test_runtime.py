"""What the machine is asked for, also where it does not tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drit import runtime as machine


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # macOS and Windows have none
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert machine.cores() == 7


def test_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.free_memory() > 1 << 20

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert machine.free_memory() == 4 << 30


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library's settings are glibc's")
def test_freed_memory_is_kept() -> None:
    """A block of 256 MiB, freed and asked for again, costs page faults once only."""
    program = """
import resource, numpy
from drit.runtime import keep_freed_memory
keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    numpy.empty(1 << 28, numpy.uint8)[::4096] = 1
    print(faults() - before)
"""
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    first, second = (int(n) for n in shown.split())
    assert second < 100 < first
