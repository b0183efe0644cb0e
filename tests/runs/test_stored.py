"""Runs that an earlier version wrote still translate to the same bytes and resume to the same bits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drit.runs.checkpoint import find, load_meta
from drit.runs.record import recorded_settings, settings_of_meta

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests" / "stored" / "format1"
METHODS = ("drit", "munit")
# The instructions that the stored numbers were computed with: others give other last bits.
SAME_BITS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": str(ROOT),
}
EXACT = torch.__version__.partition("+")[0] == "2.13.0"  # other versions may sum up in another order

PROGRAM = """
import hashlib, json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from drit.inference.translator import Translator
from drit.runs import checkpoint
from drit.runs.record import recorded_settings
from drit.training.launch import resume, train

def translate(method):
    translator = Translator.load(method, precision="float32", threads=1)
    sources = {"b": np.load("a.npz")["images"][0][..., None], "a": np.load("b.npz")["images"][0]}
    made = {f"to_{to}": np.stack(translator.translate(x, to, styles=3, seed=5)) for to, x in sources.items()}
    np.savez(f"found_{method}.npz", **made)

def digest(tensors):
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].numpy().tobytes())
    return found.hexdigest()

def train_on(method):
    assert resume(Path(method)).finished
    done = checkpoint.find(Path(method))
    weights, average = checkpoint.load_weights(done)
    state = checkpoint.load_state(done)
    sums = {k: float(v.double().abs().sum()) for k, v in weights.items()}
    found = {"weights": digest(weights), "average": digest(average), "weight_sums": sums}
    found |= {"step": state["step"], "position": state["position"]}
    Path(f"found_{method}.json").write_text(json.dumps(found))

def train_anew(method):
    settings = replace(recorded_settings(Path(method)), steps=2)
    assert train(settings, Path(f"new_{method}")).finished
    weights, average = checkpoint.load_weights(checkpoint.find(Path(f"new_{method}")))
    sums = {k: float(v.double().abs().sum()) for k, v in weights.items()}
    found = {"weights": digest(weights), "average": digest(average), "weight_sums": sums}
    Path(f"seed_{method}.json").write_text(json.dumps(found, indent=1) + "\\n")

for method in sys.argv[1:]:
    translate(method)
    train_anew(method)
    train_on(method)
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the stored runs, in a folder whose name says nothing; each translated with, then resumed, in a process
    whose instructions are those of the stored numbers."""
    folder = shutil.copytree(STORED, tmp_path_factory.mktemp("old") / "stored")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *METHODS],
        cwd=folder,
        env=os.environ | SAME_BITS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same bits. Where sums may be rounded otherwise, about the same sums of weights. Biases before a normalisation
    do not count then: their gradient is rounding alone, and Adam's first steps are as long for them as for others."""
    for name, value in expected["weight_sums"].items():
        if EXACT or not name.endswith(".bias"):
            assert found["weight_sums"][name] == pytest.approx(value, rel=1e-4 if EXACT else 5e-3), name
    if EXACT:
        assert (found["weights"], found["average"]) == (expected["weights"], expected["average"])


@pytest.mark.parametrize("method", METHODS)
def test_an_old_run_translates_to_the_same_bytes(method: str, stored: Path) -> None:
    found, expected = np.load(stored / f"found_{method}.npz"), np.load(stored / f"expected_{method}.npz")
    for name in ("to_a", "to_b"):
        difference = np.abs(found[name].astype(int) - expected[name])
        assert difference.max() <= (0 if EXACT else 1), name


@pytest.mark.parametrize("method", METHODS)
def test_an_old_run_resumes_to_the_same_bits(method: str, stored: Path) -> None:
    found = json.loads((stored / f"found_{method}.json").read_text())
    expected = json.loads((stored / f"expected_{method}.json").read_text())
    assert (found["step"], found["position"]) == (expected["step"], expected["position"])
    assert_same(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_gives_the_same_bits_as_in_earlier_versions(method: str, stored: Path) -> None:
    """A new training of two iterations: weights, images, crops and noise all come from the seed."""
    found = json.loads((stored / f"seed_{method}.json").read_text())
    expected = json.loads((ROOT / "tests" / "stored" / f"seed_{method}.json").read_text())
    assert_same(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_old_settings_are_those_of_the_method_alone(method: str) -> None:
    """Format 1 recorded the settings of all methods: what the run's own method has is kept, the rest dropped."""
    record = json.loads((STORED / method / "config.json").read_text())["settings"]
    settings = recorded_settings(STORED / method)
    assert settings.method == method and settings.network.width == record["network"]["width"] == 2  # type: ignore[attr-defined]
    assert "identity" in record["loss"] and not hasattr(settings.loss, "identity")
    assert settings.loss.latent_regression == record["loss"]["latent_regression"]  # type: ignore[attr-defined]
    checkpoint = find(STORED / method)
    meta = load_meta(checkpoint)
    assert meta["format"] == 1 and settings_of_meta(checkpoint, meta) == settings
