"""What docs/machines.md and examples/ say is understood by torchrun and by drit; the files are well formed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed.run import get_args_parser

from drit.cli.main import build_parser
from tests.conftest import write_images
from tests.e2e.test_docs import small

ROOT = Path(__file__).resolve().parents[2]
SLURM, KUBERNETES = ROOT / "examples" / "slurm.sbatch", ROOT / "examples" / "kubernetes.yaml"
DOCUMENT = ROOT / "docs" / "machines.md"


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(KUBERNETES.read_text("utf-8")))


def commands() -> list[list[str]]:
    """The words behind `torchrun` of each command."""
    document = DOCUMENT.read_text("utf-8").replace("\\\n", " ")
    found = [shlex.split(line)[1:] for line in re.findall(r"^ *(torchrun --.*)$", document, re.M)]
    assert len(found) == 3
    script = re.sub(r"\$\w+|\"\$(\w+)[^\"]*\"", "2", SLURM.read_text("utf-8").replace("\\\n", " "))
    found += [shlex.split(line.partition(" > ")[0])[1:] for line in re.findall(r"torchrun .*", script)]
    found.append(objects()[1]["spec"]["template"]["spec"]["containers"][0]["command"][1:])
    assert len(found) == 5
    return found


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[0])
def test_torchrun_and_drit_know_the_flags(words: list[str]) -> None:
    launcher = get_args_parser().parse_args(words)
    assert launcher.module and launcher.training_script == "drit"
    values = build_parser().parse_all(launcher.training_script_args)
    assert values.out or values.resume
    assert not launcher.max_restarts or launcher.rdzv_backend == "c10d" or launcher.nnodes == "1:1"


def test_the_script_for_slurm_is_well_formed() -> None:
    bash = shutil.which("bash")
    assert bash
    subprocess.run([bash, "-n", str(SLURM)], check=True)


def test_the_objects_for_kubernetes_belong_together() -> None:
    service, job = objects()
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert service["spec"]["clusterIP"] == "None" and pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    machines = job["spec"]["completions"]
    assert machines == job["spec"]["parallelism"] and f"--nnodes={machines}" in container["command"]
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert f"--rdzv-endpoint={first}:29500" in container["command"]
    assert f"--nproc-per-node={container['resources']['limits']['nvidia.com/gpu']}" in container["command"]
    assert {v["name"] for v in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


@pytest.mark.slow
def test_the_first_command_trains(tmp_path: Path) -> None:
    """Word for word, with the flags of a short training behind it."""
    for seed, season in enumerate(("summer", "winter")):
        write_images(tmp_path / "photos" / season, 4, 3, (40, 50), seed)
    flags = small("drit")
    flags[flags.index("--batch") + 1] = "4"
    command = re.search(r"^torchrun (.*)$", DOCUMENT.read_text("utf-8"), re.M)
    assert command
    words = [sys.executable, "-m", "torch.distributed.run", *shlex.split(command[1]), *flags]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr and "Done at iteration 2: runs/seasons" in done.stdout
