"""One run has one writer: the second is refused with the first one's name, what a dead one left is taken over."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drit.cli import main as cli
from drit.errors import DritError, UsageError
from drit.methods.drit.objective import DRIT
from drit.runs import checkpoint as files
from drit.runs import lock
from drit.runs.lock import Holder, holder, locked
from drit.runs.record import recorded_settings
from drit.settings.schema import to_dict
from drit.training import launch
from tests.conftest import tiny
from tests.training.shared import state_of


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def leave(run: Path, host: str = "", pid: int = 0, hours: float = 0.0) -> None:
    """A lock file that a process left behind."""
    path = run / "lock.json"
    path.write_text(json.dumps(Holder(host or socket.gethostname(), pid, "2026-01-02 03:04:05")._asdict()))
    for file in (path, run / "metrics.jsonl"):
        os.utime(file, (time.time() - 3600 * hours,) * 2)


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        content = json.loads((tmp_path / "lock.json").read_text())
        assert (content["host"], content["pid"]) == (socket.gethostname(), os.getpid())
        assert holder(tmp_path) == Holder(**content)
        with pytest.raises(UsageError, match=rf"being trained by process {os.getpid()} on {socket.gethostname()}"):
            with locked(tmp_path):
                pass
        assert (tmp_path / "lock.json").is_file()
    assert not (tmp_path / "lock.json").exists() and holder(tmp_path) is None
    with locked(tmp_path):
        pass


def test_released_at_errors(tmp_path: Path) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), locked(tmp_path):
            raise error
        assert not (tmp_path / "lock.json").exists()


def test_a_process_that_is_gone_leaves_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid = ended()
    leave(copy, pid=pid)
    assert holder(copy) is None
    assert launch.resume(copy, replace(recorded_settings(copy), steps=7)).finished
    assert f"Took over the lock of {copy} from process {pid}" in capsys.readouterr().err
    assert not (copy / "lock.json").exists()


@pytest.mark.parametrize("content", [b"", b"\0\0", b"[]", b'{"host": 1}', b"{" * 5000])
def test_a_lock_that_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_bytes(content)
    assert holder(tmp_path) is None
    with locked(tmp_path):
        assert holder(tmp_path) is not None


def test_another_machine_is_believed_for_a_day(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    longer = replace(recorded_settings(copy), steps=7)
    leave(copy, host="elsewhere", pid=77, hours=23)
    with pytest.raises(UsageError, match=r"process 77 on elsewhere, .*remove .*lock.json"):
        launch.resume(copy, longer)
    leave(copy, host="elsewhere", pid=77, hours=25)
    assert launch.resume(copy, longer).finished
    assert "Took over the lock" in capsys.readouterr().err


def test_without_locks_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says has to do."""
    monkeypatch.setattr(lock, "_try", lambda _: None)
    (tmp_path / "metrics.jsonl").touch()
    leave(tmp_path, pid=os.getppid())
    with pytest.raises(UsageError, match=f"process {os.getppid()} on "), locked(tmp_path):
        pass
    leave(tmp_path, pid=ended())
    with locked(tmp_path):
        assert holder(tmp_path) is not None


def test_a_link_in_place_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    (run / "lock.json").symlink_to(tmp_path / "victim")
    with pytest.raises(DritError, match="lock.json cannot be written"), locked(run):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_folder_that_is_no_run_gets_no_lock(tmp_path: Path) -> None:
    with pytest.raises(DritError, match="is not a run"):
        launch.resume(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_fails_gives_its_lock_up(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = DRIT.render
    monkeypatch.setattr(DRIT, "render", lambda *inputs: render(*inputs) * float("nan"))
    with pytest.raises(DritError, match="diverged"):
        launch.train(tiny(*folders), tmp_path / "run")
    assert not (tmp_path / "run" / "lock.json").exists()


def started(folders: tuple[Path, Path], tmp_path: Path, **changes: object) -> tuple[subprocess.Popen[str], Path]:
    """A real process that trains, with its first checkpoint written."""
    out, settings = tmp_path / "run", tmp_path / "settings.json"
    config = tiny(*folders, steps=100_000)
    config = replace(config, data=replace(config.data, **changes))
    settings.write_text(json.dumps(to_dict(config)), encoding="utf-8")
    command = [sys.executable, "-m", "drit", "train", "--config", str(settings), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "checkpoints" / "latest").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    return process, out


def test_two_trainings_of_one_run(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused, by --resume and by --out, and changes nothing; killed, the first one's run goes on."""
    process, out = started(folders, tmp_path, workers=1)
    try:
        before = (out / "config.json").read_bytes()
        for words in (("--resume", out), ("--config", tmp_path / "settings.json", "--out", out)):
            assert cli.main(["train", *map(str, words)]) == 2
            errors = capsys.readouterr().err
            assert f"is being trained by process {process.pid} on {socket.gethostname()}" in errors, errors
        assert (out / "config.json").read_bytes() == before and process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    step = files.load_meta(files.find(out))["step"]
    settings = recorded_settings(out)  # its loader process may live for some seconds; another is not needed
    settings = replace(settings, data=replace(settings.data, workers=0))
    assert launch.resume(out, settings, stop_after=1).step == step + 1
    assert "Took over the lock" in capsys.readouterr().err


def loaders_of(process: subprocess.Popen[str]) -> list[int]:
    """The two loader processes of a training; the test is skipped where the system does not list them."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("this system does not list the children of a process")
    loaders = [
        int(pid)
        for pid in children.read_text().split()
        if b"drit" in Path(f"/proc/{pid}/cmdline").read_bytes()
        and b"tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(loaders) == 2
    return loaders


def test_a_killed_training_leaves_no_loader_process(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """They look for it every few seconds, and end."""
    process, _ = started(folders, tmp_path, workers=2)
    loaders = loaders_of(process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while left := [pid for pid in loaders if state_of(pid) not in ("", "Z")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    process.communicate()


def test_a_killed_loader_process(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """As the system kills it for want of memory: the last checkpoint and the way on are named, without a traceback."""
    process, out = started(folders, tmp_path, workers=2)
    loaders = loaders_of(process)
    os.kill(loaders[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in errors, errors
    assert f"The last whole checkpoint is {files.find(out)}" in errors
    assert f"drit train --resume {out} --data.workers 0" in errors
    assert not (out / "lock.json").exists()


@pytest.mark.parametrize(("hours", "stale"), [(-1, False), (-23, False), (-25, True), (-9000, True)])
def test_a_clock_that_was_set_back(
    hours: float, stale: bool, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Times of files ahead of the clock: a day is believed, more is left over from before. The clock that counts is
    that of the files."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 365 * 86400)
    leave(copy, host="elsewhere", pid=77)
    for file in (copy / "lock.json", copy / "metrics.jsonl"):
        os.utime(file, (real() - 3600 * hours,) * 2)
    longer = replace(recorded_settings(copy), steps=7)
    if stale:
        assert launch.resume(copy, longer).finished
        assert "Took over the lock" in capsys.readouterr().err
    else:
        with pytest.raises(UsageError, match="process 77 on elsewhere"):
            launch.resume(copy, longer)
    assert not list(copy.glob("*.tmp")) and not list(copy.glob(".*tmp"))
