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


# All in one process: it is the start of one that takes its time.
PROGRAM = """
import contextlib, io, json, pathlib, sys
import pytest
from drit.cli import main as cli
outputs = {}
for name, words in json.load(sys.stdin).items():
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            code = cli.main(words)
        except SystemExit as leaving:  # argparse, after --help
            code = leaving.code
    assert not code, (words, output.getvalue())
    outputs[name] = output.getvalue()
output = io.StringIO()
with contextlib.redirect_stdout(output):
    code = pytest.main(["-p", "no:xdist", "-p", "no:cacheprovider", "-k", "toy", "tests/methods/test_conformance.py"])
assert code == 0, output.getvalue()
outputs["conformance"] = output.getvalue()
pathlib.Path(sys.argv[1]).write_text(json.dumps(outputs))
"""


def test_every_command_and_the_conformance_suite(installed: Path, tmp_path: Path) -> None:
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
        "help": ["train", "--method", "toy", "--help"],
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "said.json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(installed), str(ROOT)))},
        cwd=ROOT,
        input=json.dumps({name: [str(word) for word in words] for name, words in commands.items()}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said = json.loads((tmp_path / "said.json").read_text())
    assert "toy" in said["methods"]
    resumed = json.loads(said["resume"])
    assert resumed["step"] == 4 and resumed["finished"]
    assert len(list(out.rglob("*_output.png"))) == 4
    assert json.loads(said["evaluate"])["to"]["b"]["cross_cycle"]["value"] > 0
    assert (tmp_path / "comparison" / "index.html").is_file()
    assert len((tmp_path / "augmented" / "labels.csv").read_text().splitlines()) == 5
    assert json.loads(said["report"])["step"] == 4
    assert "--loss.cross-cycle" in said["help"]
    suite = said["conformance"]  # all of it, with the same bits after a resume among it
    assert " passed" in suite and "failed" not in suite and int(suite.split(" passed")[0].split()[-1]) >= 8


def test_without_the_package_the_method_is_unknown() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drit", "train", "--method", "toy", "--out", "x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "There is no method 'toy'" in done.stderr
