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


COMMANDS = """
import contextlib, io, json, sys
from drit.cli import main as cli
outputs = []
for words in json.load(sys.stdin):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main(words)
    assert code == 0, (words, output.getvalue())
    outputs.append(output.getvalue())
print(json.dumps(outputs))
"""


def run(installed: Path, *words: str, given: str = "") -> str:
    """Output of a Python process that sees the installed package beside this program."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(installed), str(ROOT)))}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command(installed: Path, tmp_path: Path) -> None:
    a, b = (write_images(tmp_path / "photos" / d / "class", 4, 3, seed=i) for i, d in enumerate(("a", "b")))
    data = ["--data.a", a.parent, "--data.b", b.parent]
    small = "--data.resize 20 --data.crop 16 --batch 2 --threads 1 --log.checkpoint-every 2 --no-log.tensorboard"
    model, out = tmp_path / "run", tmp_path / "out"
    protocol = tmp_path / "protocol.json"
    protocol.write_text('{"count": 4, "learn_steps": 2, "resamples": 2}')
    measure = [*data, "--protocol", protocol, "--threads", 1]
    commands: dict[str, list[object]] = {
        "methods": ["methods"],
        "train": ["train", "--method", "toy", *data, *small.split(), "--steps", 2, "--out", model],
        "resume": ["train", "--resume", model, "--steps", 4, "--json"],
        "translate": ["translate", model, a.parent, "--to", "b", "--out", out],
        "evaluate": ["evaluate", model, *measure, "--json"],
        "compare": ["compare", model, *measure, "--out", tmp_path / "comparison"],
        "augment": ["augment", model, a.parent, "--to", "b", "--times", 1, "--out", tmp_path / "augmented"],
        "report": ["report", model, "--json"],
    }
    given = json.dumps([[str(word) for word in words] for words in commands.values()])
    outputs = json.loads(run(installed, "-c", COMMANDS, given=given).splitlines()[-1])
    said = dict(zip(commands, outputs, strict=True))
    assert "toy" in said["methods"]
    resumed = json.loads(said["resume"])
    assert resumed["step"] == 4 and resumed["finished"]
    assert len(list(out.rglob("*_output.png"))) == 4
    assert json.loads(said["evaluate"])["to"]["b"]["cross_cycle"]["value"] > 0
    assert (tmp_path / "comparison" / "index.html").is_file()
    assert len((tmp_path / "augmented" / "labels.csv").read_text().splitlines()) == 5
    assert json.loads(said["report"])["step"] == 4
    assert "--loss.cross-cycle" in run(installed, "-m", "drit", "train", "--method", "toy", "--help")


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
