"""A training that a cluster or a time limit stops is saved and says 'resume me'; so does a clock that is set back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drit.cli import main as cli
from drit.errors import CheckpointError, DritError, UsageError
from drit.runs import checkpoint as files
from drit.runs.metrics import read_metrics
from drit.settings.schema import to_dict
from drit.training import launch
from drit.training.interrupt import HURRIED, RESUME_ME, Interrupt, StoppedError, seconds_of
from drit.training.trainer import Trainer
from tests.conftest import as_another_user, tiny, write_images
from tests.training.test_resume import same

needs_main_thread = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread alone"
)


def settings_file(folders: tuple[Path, Path], tmp_path: Path, **values: object) -> Path:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(to_dict(tiny(*folders, **values))), encoding="utf-8")
    return path


def after(monkeypatch: pytest.MonkeyPatch, step: int, do: Callable[[], object]) -> None:
    """Do something at the end of an iteration."""
    iterate = Trainer.iterate

    def then(self: Trainer) -> object:
        terms = iterate(self)
        if self.step == step:
            do()
        return terms

    monkeypatch.setattr(Trainer, "iterate", then)


def test_a_real_process_that_a_cluster_ends(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """SIGUSR1 as a warning and SIGTERM behind it: one whole checkpoint, exit code 75, the way on, no traceback."""
    out, settings = tmp_path / "run", settings_file(folders, tmp_path, steps=100_000)
    command = [sys.executable, "-m", "drit", "train", "--config", str(settings), "--out", str(out), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "checkpoints" / "latest").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGTERM)
    words, errors = process.communicate(timeout=120)
    assert process.returncode == RESUME_ME == 75 and "Traceback" not in errors, errors
    result = json.loads(words)
    assert (result["finished"], result["stopped"], result["report"]) == (False, "signal", "")
    assert files.load_meta(files.find(out))["step"] == result["step"]
    assert "saving after this iteration" in errors and not (out / "lock.json").exists()


@needs_main_thread
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_of_clusters(
    number: int,
    run: Path,
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sent again and again, it still saves; without a sample sheet or report: time is short."""

    def send() -> None:
        for _ in range(3):
            os.kill(os.getpid(), number)

    after(monkeypatch, 2, send)
    out, settings = tmp_path / "run", settings_file(folders, tmp_path)
    assert cli.main(["train", "--config", str(settings), "--out", str(out)]) == RESUME_ME
    assert f"drit train --resume {out}" in capsys.readouterr().out
    assert files.find(out).name == "step_00000002"
    assert not (out / "samples").exists() and not (out / "report.html").exists()
    monkeypatch.undo()
    if number == signal.SIGTERM:  # the others are handled by the same lines
        launch.resume(out)
        assert same(*(files.load_weights(files.find(path)) for path in (out, run)))


@needs_main_thread
def test_a_signal_while_samples_are_drawn_still_saves(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after the iteration decided what to write: one more iteration, then the checkpoint."""
    monkeypatch.setattr(Trainer, "write_samples", lambda self: os.kill(os.getpid(), signal.SIGTERM))
    config = tiny(*folders)
    config = replace(config, log=replace(config.log, sample_every=1, checkpoint_every=100))
    outcome = launch.train(config, tmp_path / "run")
    assert (outcome.step, outcome.stopped) == (2, "signal")
    assert files.find(tmp_path / "run").name == "step_00000002"


@needs_main_thread
def test_a_signal_before_the_first_iteration(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell began the tests in the background
    monkeypatch.setattr(launch, "open_sets", lambda *_: os.kill(os.getpid(), signal.SIGUSR1))
    words = ["train", "--config", str(settings_file(folders, tmp_path)), "--out", str(tmp_path / "run")]
    assert cli.main(words) == RESUME_ME
    assert "SIGUSR1 before the first iteration" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(KeyboardInterrupt), Interrupt():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert issubclass(StoppedError, DritError)


@needs_main_thread
def test_ctrl_c_twice_stops_at_once() -> None:
    with Interrupt() as interrupt:
        interrupt.begin()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.cause == "interrupt" not in HURRIED
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_time_limits() -> None:
    for text, seconds in (("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("45s", 45), ("1d", 86400), ("0.5h", 1800)):
        assert seconds_of(text) == seconds
    for text in ("", "90", "m", "2 h", "-1h", "0m", "1h x", "1e9h", "infs"):
        with pytest.raises(UsageError, match="is no time"):
            seconds_of(text)


def test_a_time_limit_keeps_time_back_for_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1000 s, 50 s are kept, and an iteration of 10 s and a save of 20 s: it stops at 920 s."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    interrupt = Interrupt(1000)
    interrupt.saved(20)
    now = 1019.0
    interrupt.iterated(10)
    assert not interrupt.asked
    now = 1020.0
    interrupt.iterated(10)
    assert interrupt.cause == "time limit" in HURRIED


def test_a_time_limit_stops_and_saves(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, ahead = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead)

    def hours_pass() -> None:
        nonlocal ahead
        ahead = 7000.0

    after(monkeypatch, 4, hours_pass)
    out = tmp_path / "run"
    words = ["train", "--config", str(settings_file(folders, tmp_path)), "--out", str(out), "--time-limit", "2h"]
    assert cli.main([*words, "--json"]) == RESUME_ME
    result = json.loads(capsys.readouterr().out)
    assert (result["step"], result["stopped"], result["finished"]) == (4, "time limit", False)
    assert cli.main([*words[:-1], "soon"]) == 2
    assert "Give hours, minutes or seconds" in capsys.readouterr().err


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(
    run: Path,
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """To the same bits. Where it began with the weights of another run, these are not there: it says so."""
    whole, short = run, tmp_path / "short"

    def dies() -> None:
        raise MemoryError

    after(monkeypatch, 2, dies)
    with pytest.raises(MemoryError):
        launch.train(tiny(*folders), short)
    assert not files.checkpoints(short) and len(read_metrics(short)) == 1
    monkeypatch.undo()
    (short / "data.json").unlink()  # it may have died even sooner
    with pytest.raises(UsageError, match="--allow-changes"):
        launch.resume(short, tiny(*folders, batch=3))
    assert cli.main(["train", "--resume", str(short)]) == 0
    assert "ended before its first checkpoint: it begins anew" in capsys.readouterr().err
    assert same(*(files.load_weights(files.find(path)) for path in (whole, short)))
    assert read_metrics(whole) == read_metrics(short)

    after(monkeypatch, 2, dies)
    with pytest.raises(MemoryError):
        launch.train(tiny(*folders), tmp_path / "other", start_from=whole)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"began with the weights of another run. Remove the folder"):
        launch.resume(tmp_path / "other")


def test_a_clock_that_is_set_back(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a year, in the middle of a training: it ends with the same bits, and no time is negative."""
    real = time.time
    after(monkeypatch, 2, lambda: monkeypatch.setattr(time, "time", lambda: real() - 365 * 86400))
    launch.train(tiny(*folders), tmp_path / "set_back", stop_after=4)
    assert launch.resume(tmp_path / "set_back").finished
    assert same(*(files.load_weights(files.find(path)) for path in (run, tmp_path / "set_back")))
    seconds = [files.load_meta(path)["seconds"] for path in files.checkpoints(tmp_path / "set_back")]
    assert seconds == sorted(seconds) and 0 <= seconds[0] and seconds[-1] < 3600


@pytest.fixture
def unprivileged(open_folder: Path) -> Iterator[Path]:
    """A folder, with the rights of a user whom the system refuses something; root is refused nothing."""
    with as_another_user():
        yield open_folder


@pytest.mark.skipif(os.name == "nt", reason="rights of folders are others there")
def test_folders_that_cannot_be_written(unprivileged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new run, one to go on with, and one whose folder of checkpoints loses the right while it trains."""
    a, b = (write_images(unprivileged / d, 4, 3, seed=i) for i, d in enumerate("ab"))
    settings = settings_file((a, b), unprivileged)
    run, shut = unprivileged / "run", unprivileged / "shut"
    shut.mkdir()
    shut.chmod(0o555)
    assert cli.main(["train", "--config", str(settings), "--out", str(shut / "run")]) == 1
    assert f"{shut / 'run'} cannot be used: Permission denied" in capsys.readouterr().err
    launch.train(tiny(a, b), run, stop_after=4)
    (run / "checkpoints").chmod(0o555)
    assert cli.main(["train", "--resume", str(run)]) == 1
    errors = capsys.readouterr().err
    assert "Permission denied" in errors and f"The last whole checkpoint is {files.find(run)}" in errors, errors
    run.chmod(0o555)
    assert cli.main(["train", "--resume", str(run)]) == 1
    assert "lock.json cannot be written (Permission denied)" in capsys.readouterr().err
    for path in (run, run / "checkpoints"):
        path.chmod(0o777)
    assert cli.main(["train", "--resume", str(run)]) == 0
