"""The benchmarks run: two small cases of `make bench`, and what the GPU's says where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_quick_benchmark(tmp_path: Path) -> None:
    shown = run("benchmarks.run", "--quick", "--out", str(tmp_path / "x.json"))
    assert "| official iteration, batch 2, 64 px |" in shown and "| 10 styles, 64 px |" in shown
    found = json.loads((tmp_path / "x.json").read_text())
    assert {"machine", "rows", "shares", "cold", "loader", "evaluation"} == set(found)
    assert all(row["drit"]["seconds"] > 0 and row["speedup"] > 0 for row in found["rows"])
    assert all(x["evaluating"] > 0 and x["translating"] > 0 for x in found["evaluation"].values())


@pytest.mark.slow
def test_shards_beside_a_folder() -> None:
    found = json.loads(run("benchmarks.shards", "1"))
    assert set(found) == {"folder", "shards", "ratio"} and min(found.values()) > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would measure")
def test_without_a_gpu_it_says_what_it_would_do() -> None:
    assert "No GPU here" in run("benchmarks.gpu")
