"""Several processes train one model on the shares of every batch: what one process does with the whole batch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drit.data.stream import BatchStream
from drit.methods.noise import Noise
from drit.methods.registry import entries
from drit.runs import checkpoint as files
from drit.runs.metrics import read_metrics
from drit.settings.schema import changed, to_dict
from tests.conftest import opened, tiny, write_images
from tests.methods.test_conformance import case

ROOT = Path(__file__).resolve().parents[2]
# What couples the images of a batch, or draws for them, on top of each method's preset.
COUPLED: dict[str, dict[str, Any]] = {
    "network.dropout": 0.5,
    "loss.mode_seeking": 1.0,
    "optim.pool": 6,
    "optim.clip": 0.5,
    "network.content_noise": 0.5,
}
FORMS: dict[str, list[dict[str, Any]]] = {
    "drit": [
        {"optim.split_batch": True, "optim.separate_random_step": True},
        {"accumulate": 2},
        {
            "network.generator": "film",
            "network.spectral_norm": True,
            "network.discriminator_shift": 3,
            "data.crop": 20,
            "loss.gan": "relativistic",
            "loss.gradient_penalty": 0.3,
            "loss.lecam": 0.1,
        },
    ],
    "infogan": [{"accumulate": 2}],
    "cyclegan": [{"accumulate": 2}],
}
NAMES = [f"{name} {i}" for name in entries() for i in range(1 + len(FORMS.get(name, [])))]


def results(root: Path, count: int) -> list[dict[str, dict[str, Any]]]:
    """What one process came to, and what `count` did, for every method."""
    images = {name: write_images(root / name, 5, 3, seed=i) for i, name in enumerate(("a", "b", "c", "negative"))}
    cases = []
    for name in NAMES:
        method, i = name.split()
        form = ({}, *FORMS.get(method, []))[int(i)]
        settings = changed(
            case(method, images), COUPLED | {"batch": 4 * count, "device": "cpu"} | form, ignore_unknown=True
        )
        cases.append((name, settings))
    torch.save(cases, root / "cases.pt")
    command = [sys.executable, "-m", "tests.training.shared", "cases", str(root), str(count)]
    subprocess.run(command, check=True, timeout=500)
    return [torch.load(root / f"{n}.pt") for n in (1, count)]


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_as_one_process(count: int, tmp_path: Path) -> None:
    """Every method: weights, moving average, pools, statistics and losses after several iterations, in float64."""
    alone, shared = results(tmp_path, count)
    assert list(alone) == list(shared) == NAMES
    for name in NAMES:
        one, several = alone[name], shared[name]
        assert one["skipped"] == several["skipped"] == []
        assert one["state"].keys() == several["state"].keys()
        for kind in ("weights", "average", "state", "losses"):
            for key, expected in one[kind].items():
                assert difference(several[kind][key], expected) < 1e-9, (name, kind, key)


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, of the largest number where that is above 1."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if not expected.numel():
        return 0.0
    scale = max(1.0, float(expected.abs().max()))
    return float((found.double() - expected.double()).abs().max()) / scale


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what commands by two processes came to, of which one failed."""
    out = tmp_path_factory.mktemp("faults")
    subprocess.run([sys.executable, "-m", "tests.training.shared", "faults", str(out)], check=True, timeout=500)
    return out


def codes(faults: Path, name: str) -> list[int]:
    """Exit codes of both processes."""
    found: list[int] = json.loads((faults / "codes.json").read_text())[name]
    return found


def written(faults: Path, name: str) -> list[str]:
    """What both processes wrote on their standard outputs and errors."""
    return [(faults / f"{name}.{rank}").read_text() for rank in range(2)]


def test_a_killed_process_ends_the_others_and_a_restart_goes_on(faults: Path) -> None:
    """The same command, as the launcher gives it again: from the last checkpoint to the end, no line twice."""
    assert codes(faults, "killed") == [1, -signal.SIGKILL]
    said = written(faults, "killed")[0]
    assert "at iteration 5: another of its 2 processes ended" in said and "Traceback" not in said
    assert "step_00000003" in said and f"drit train --resume {faults / 'killed'}" in said
    assert codes(faults, "restarted") == [0, 0]
    assert "iterations 3 to 8" in written(faults, "restarted")[0]
    assert [line["step"] for line in read_metrics(faults / "killed")] == list(range(1, 9))
    assert files.find(faults / "killed").name == "step_00000008"


def test_a_process_that_does_not_answer(faults: Path) -> None:
    """The other one waits for --peer-timeout, and says so."""
    assert codes(faults, "halted") == [1, -signal.SIGKILL]
    assert "did not answer for 2 s (--peer-timeout)" in written(faults, "halted")[0]


def test_a_signal_to_one_process_stops_all_after_one_iteration(faults: Path) -> None:
    """It is saved; the exit code is 0, for a launcher would start the training again; --or-resume goes on."""
    assert codes(faults, "ended") == [0, 0]
    assert "SIGTERM" in written(faults, "ended")[1]
    assert "Stopped at iteration 5" in written(faults, "ended")[0]
    assert codes(faults, "continued") == [0, 0]
    assert "iterations 5 to 8" in written(faults, "continued")[0]
    assert [line["step"] for line in read_metrics(faults / "ended")] == list(range(1, 9))


def test_wrong_use_is_told_once(faults: Path) -> None:
    """By the process that finds it; all end, and nothing waits for a timeout."""
    for name, words in (
        ("taken", "is another run"),
        ("different", "do not have the same settings"),
        ("odd", "Give --batch 4 or --batch 6, or start 1 or 5 processes."),
    ):
        assert codes(faults, name) == [2, 2]
        first, second = written(faults, name)
        assert words in first and not second


def test_another_number_of_processes_goes_on(faults: Path) -> None:
    """Two processes, then one, then two: as one process from start to end, in float64."""
    whole, parts = (files.find(faults / name) for name in ("whole", "parts"))
    assert whole.name == parts.name == "step_00000008"
    for one, other in zip(files.load_weights(whole), files.load_weights(parts), strict=True):
        assert one and max(difference(other[name], expected) for name, expected in one.items()) < 1e-9


def test_a_step_is_skipped_by_all_or_none(faults: Path) -> None:
    """One process's images are no numbers: both skip, and have the same finite weights afterwards."""
    assert codes(faults, "spoilt") == [0, 0]
    first, second = (torch.load(faults / f"spoilt.{rank}.pt") for rank in range(2))
    assert first["skipped"] == second["skipped"] != []
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]) and bool(weight.isfinite().all())


@pytest.mark.slow
def test_the_launcher_starts_lost_processes_again(tmp_path: Path) -> None:
    """torchrun itself: one process is killed at iteration 5, and all go on from iteration 3 by themselves."""
    folders = write_images(tmp_path / "a", 4, 3, seed=1), write_images(tmp_path / "b", 4, 3, seed=2)
    settings = changed(tiny(*folders, steps=8), {"log.sample_every": 0, "log.watch_every": 0})
    (tmp_path / "settings.json").write_text(json.dumps(to_dict(settings)), encoding="utf-8")
    program = (
        "import os, signal, sys\n"
        "from drit import peers\n"
        "from drit.cli.main import main\n"
        "from tests.training.shared import at\n"
        "if peers.launched_rank() == 1 and peers.restarts() == 0:\n"
        "    at(5, lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    words = ["train", "--config", str(tmp_path / "settings.json"), "--out", str(tmp_path / "run")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    done = subprocess.run(
        [*launcher, str(tmp_path / "program.py"), *words],
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stderr
    assert "iterations 3 to 8" in done.stderr
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == list(range(1, 9))


def test_shares_of_noise_are_those_of_the_whole() -> None:
    """Two parts by three processes: together the numbers of the whole batch, in its order."""
    like = torch.zeros(1)
    whole = Noise(3, 5)
    expected = whole.normal(12, 2, like=like), whole.uniform(12, like=like), whole.places(12, 100)
    found = [torch.zeros(12, 2), torch.zeros(12), [0] * 12]
    for part in range(2):
        for rank in range(3):
            share = Noise(3, 5, part, 2, rank, 3)
            place = slice(6 * part + rank, 6 * (part + 1), 3)
            found[0][place], found[1][place] = share.normal(2, 2, like=like), share.uniform(2, like=like)
            found[2][place] = share.places(2, 100)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1]) and found[2] == expected[2]


def test_shares_of_batches_are_those_of_the_whole(folders: tuple[Path, Path]) -> None:
    settings = tiny(*folders, batch=6)

    def batch(process: tuple[int, int]) -> Any:
        stream = BatchStream(opened(settings), settings.data, 6, 1, start=4, process=process)
        try:
            return next(stream)
        finally:
            stream.close()

    whole = batch((0, 1))
    for rank in range(3):
        share = batch((rank, 3))
        for d, images in whole.images.items():
            assert torch.equal(share.images[d], images[rank::3])
            assert torch.equal(share.places[d], whole.places[d][rank::3])
