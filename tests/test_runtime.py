"""What the machine is asked for, also where it does not tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from drit import runtime as machine
from drit.errors import UsageError


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


@pytest.mark.parametrize(
    ("name", "gpus", "words"),
    [
        ("auto", 1, "2 processes were started on a machine with 1 GPU: start no more .* or use --device cpu"),
        ("cuda", 0, "2 processes were started on a machine with 0 GPUs"),
        ("cuda:1", 2, "cuda:1 would be the GPU of 2 processes: use --device cuda or cpu"),
    ],
)
def test_each_process_has_a_gpu_of_its_own(name: str, gpus: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UsageError, match=words):
        machine.choose_device(name)
    assert machine.choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: torch.ones(1))
    assert machine.choose_device("cuda") == machine.choose_device("auto") == torch.device("cuda:1")
