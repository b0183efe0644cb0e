"""A method of another package, installed as any package is: it gets every command and passes the conformance suite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import write_images

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy package, installed by pip into a folder of its own, from a copy: building leaves files behind."""
    import shutil

    source, target = tmp_path_factory.mktemp("plugin") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "tests" / "plugin", source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*command, "--no-deps", "--no-build-isolation", "--target", target, source], check=True)
    return target


def run(installed: Path, *words: object, cwd: Path = ROOT) -> str:
    """Output of a Python process that sees the installed package beside this program."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(installed), str(ROOT)))}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command(installed: Path, tmp_path: Path) -> None:
    a, b = (write_images(tmp_path / "photos" / d / "class", 4, 3, seed=i) for i, d in enumerate(("a", "b")))
    data = ["--data.a", a.parent, "--data.b", b.parent]
    small = "--data.resize 20 --data.crop 16 --batch 2 --threads 1 --log.checkpoint-every 2 --no-log.tensorboard"
    drit = ("-m", "drit")
    assert "toy" in run(installed, *drit, "methods")
    assert "--loss.cross-cycle" in run(installed, *drit, "train", "--method", "toy", "--help")
    model = tmp_path / "run"
    run(installed, *drit, "train", "--method", "toy", *data, *small.split(), "--steps", 2, "--out", model)
    trained = json.loads(run(installed, *drit, "train", "--resume", model, "--steps", 4, "--json"))
    assert trained["step"] == 4 and trained["finished"]
    run(installed, *drit, "translate", model, a.parent, "--to", "b", "--out", tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*_output.png"))) == 4
    protocol = tmp_path / "protocol.json"
    protocol.write_text('{"count": 4, "learn_steps": 2, "resamples": 2}')
    measured = run(installed, *drit, "evaluate", model, *data, "--protocol", protocol, "--threads", 1, "--json")
    assert json.loads(measured)["to"]["b"]["cross_cycle"]["value"] > 0
    out = tmp_path / "comparison"
    run(installed, *drit, "compare", model, *data, "--protocol", protocol, "--threads", 1, "--out", out)
    assert (out / "index.html").is_file()
    run(installed, *drit, "augment", model, a.parent, "--to", "b", "--times", 1, "--out", tmp_path / "augmented")
    assert len((tmp_path / "augmented" / "labels.csv").read_text().splitlines()) == 5
    assert json.loads(run(installed, *drit, "report", model, "--json"))["step"] == 4


def test_the_conformance_suite(installed: Path) -> None:
    """All of it, with the same bits after a resume among it."""
    shown = run(installed, "-m", "pytest", "-p", "no:xdist", "-k", "toy", "tests/methods/test_conformance.py")
    assert " passed" in shown and "failed" not in shown and int(shown.split(" passed")[0].split()[-1]) >= 8


def test_without_the_package_the_method_is_unknown() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drit", "train", "--method", "toy", "--out", "x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "There is no method 'toy'" in done.stderr
