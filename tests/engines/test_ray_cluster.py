"""`--engine ray` with RAY_ADDRESS: a cluster of two machines, of which one is lost in the middle of the work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import write_images
from tests.engines.test_ray_engine import REASON, ROOT, contents


@pytest.mark.slow
def test_a_machine_of_the_cluster_is_lost(run: Path, tmp_path: Path) -> None:
    """The other one does its part again, and the outputs are those of one process."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason=REASON)
    folder = write_images(tmp_path / "in", 150, 1, (120, 120))
    words = [sys.executable, "-m", "drit", "translate", str(run), str(folder), "--to", "b", "--styles", "3"]
    words += ["--threads", "1", "--out"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([*words, str(tmp_path / "one")], cwd=ROOT, env=environment, check=True, capture_output=True)
    machine = {"num_cpus": 1, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=machine)
    try:
        lost = cluster.add_node(num_cpus=1)
        process = subprocess.Popen(
            [*words, str(tmp_path / "two"), "--engine", "ray"],
            cwd=ROOT,
            env=environment | {"RAY_ADDRESS": cluster.address},
            stderr=subprocess.PIPE,
        )
        for _ in range(1200):
            if len(list((tmp_path / "two").glob("*style*.png"))) > 20 or process.poll() is not None:
                break
            time.sleep(0.1)
        assert process.poll() is None
        cluster.remove_node(lost, allow_graceful=False)
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
    finally:
        cluster.shutdown()
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "two")) == 150 * 3 + 3
