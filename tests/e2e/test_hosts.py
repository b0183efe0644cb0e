"""Two machines with a network between them: network namespaces with names and addresses of their own, one disk."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drit.runs import checkpoint as files
from drit.runs.metrics import read_metrics
from tests.conftest import write_images
from tests.engines.test_ray_engine import REASON, contents

ROOT = Path(__file__).resolve().parents[2]


class Hosts:
    """The two machines, first and second, and the cable between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = [f"drit-{os.getpid()}-{i}" for i in (1, 2)]
        self.addresses = ["10.99.0.1", "10.99.0.2"]
        self.cables = [f"drit{os.getpid() % 10**6}-{i}" for i in (1, 2)]
        self.table = folder / "hosts"
        lines = ["127.0.0.1 localhost", *map(" ".join, zip(self.addresses, self.names, strict=True))]
        self.table.write_text("\n".join(lines) + "\n")
        self._started: list[subprocess.Popen[str]] = []

    def set_up(self) -> None:
        """Raises CalledProcessError where this user may not."""
        for name in self.names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        one, two = zip(self.cables, self.names, strict=True)
        ip("link", "add", one[0], "netns", one[1], "type", "veth", "peer", "name", two[0], "netns", two[1])
        for (cable, name), address in zip((one, two), self.addresses, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")

    def cut(self, whole: bool) -> None:
        """Cut the cable, or mend it."""
        ip("-n", self.names[1], "link", "set", self.cables[1], "up" if whole else "down")

    def start(self, i: int, words: list[object], **environment: str) -> subprocess.Popen[str]:
        """A command on machine i."""
        inside = f"mount --bind {shlex.quote(str(self.table))} /etc/hosts && hostname {self.names[i]} && "
        inside += f"exec {shlex.join(map(str, words))}"
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.names[i], "unshare", "--uts", "--mount", "sh", "-c", inside],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def tear_down(self) -> None:
        for name in self.names:
            for pid in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split():
                subprocess.run(["kill", "-9", pid], check=False)
            subprocess.run(["ip", "netns", "del", name], check=False)
        for process in self._started:
            if process.stdout and not process.stdout.closed:
                process.communicate()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    if os.name != "posix" or not (shutil.which("ip") and shutil.which("unshare") and shutil.which("hostname")):
        pytest.skip("needs iproute2, unshare and hostname")
    hosts = Hosts(tmp_path)
    try:
        try:
            hosts.set_up()
        except subprocess.CalledProcessError:
            pytest.skip("needs the right to make network namespaces")
        yield hosts
    finally:
        hosts.tear_down()


def train(hosts: Hosts, run: Path, steps: int) -> list[subprocess.Popen[str]]:
    """The same command on both machines."""
    words: list[object] = [sys.executable, "-m", "torch.distributed.run", "--nnodes", 2, "--nproc-per-node", 1]
    words += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{hosts.names[0]}:29500", "-m", "drit", "train"]
    words += ["--data.a", hosts.folder / "a", "--data.b", hosts.folder / "b", "--preset", "digits", "--batch", 4]
    words += ["--steps", steps, "--data.resize", 20, "--data.crop", 16, "--network.width", 4, "--threads", 1]
    words += ["--network.discriminator-width", 4, "--log.checkpoint-every", 5, "--log.sample-every", 0]
    words += ["--log.watch-every", 0, "--log.metrics-every", 1, "--peer-timeout", 10, "--out", run, "--or-resume"]
    return [hosts.start(i, words) for i in range(2)]


@pytest.mark.slow
def test_a_cable_is_cut_while_two_machines_train(hosts: Hosts) -> None:
    """Both end by themselves, and name the last checkpoint; once it is mended the same command goes on to the end."""
    for seed, name in enumerate("ab"):
        write_images(hosts.folder / name, 6, 3, seed=seed)
    run = hosts.folder / "run"
    both = train(hosts, run, 100_000)
    for _ in range(1200):
        if (files.checkpoints(run) and len(list(read_metrics(run))) > 20) or both[0].poll() is not None:
            break
        time.sleep(0.1)
    hosts.cut(whole=False)
    assert both[0].wait(100) == 1
    hosts.cut(whole=True)  # the second machine's launcher waits for the first one's
    assert both[1].wait(150) == 1
    told = [process.communicate()[0] for process in both]
    assert all("another of its 2 processes ended, or did not answer for 10 s (--peer-timeout)" in t for t in told)
    last = files.load_meta(files.find(run))["step"]
    assert all(files.find(run).name in t for t in told)
    again = train(hosts, run, last + 3)
    assert [process.wait(150) for process in again] == [0, 0]
    assert f"iterations {last} to {last + 3}" in again[0].communicate()[0]
    assert [line["step"] for line in read_metrics(run)] == list(range(1, last + 4))


@pytest.mark.slow
def test_two_machines_translate_as_one_process(hosts: Hosts, run: Path) -> None:
    """A cluster of Ray whose machines see each other by the network alone, but for the disk."""
    pytest.importorskip("ray", reason=REASON)
    folder = write_images(hosts.folder / "in", 24, 1, (60, 60))
    out = hosts.folder / "out"
    words: list[object] = [sys.executable, "-m", "drit", "translate", run, folder, "--to", "b", "--styles", 2]
    words += ["--threads", 1, "--out"]
    subprocess.run([*map(str, words), str(out / "one")], cwd=ROOT, check=True, capture_output=True)
    ray: list[object] = [Path(sys.executable).parent / "ray", "start", "--block", "--num-cpus", 1, "--node-ip-address"]
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    head = [*ray, hosts.addresses[0], "--head", "--port", 6379, "--include-dashboard", "false"]
    cluster = f"{hosts.addresses[0]}:6379"
    started = [hosts.start(0, head, **quiet)]
    time.sleep(10)
    started.append(hosts.start(1, [*ray, hosts.addresses[1], "--address", cluster], **quiet))
    time.sleep(10)
    for process in started:
        assert process.poll() is None, process.communicate()[0]
    process = hosts.start(0, [*words, out / "two", "--engine", "ray"], RAY_ADDRESS=cluster, **quiet)
    assert process.wait(300) == 0, process.communicate()[0]
    assert contents(out / "one") == contents(out / "two")
