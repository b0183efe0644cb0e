"""Faults while training writes, and states of a run that no decision may spoil."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drit.cli import main as cli
from drit.data.stream import BatchStream, LoaderEndedError
from drit.errors import DataError, DivergedError, DritError, UsageError
from drit.runs import checkpoint as files
from drit.runs import metrics
from drit.runs.record import image_changes, recorded_settings
from drit.settings.schema import to_dict
from drit.training import launch
from drit.training import trainer as trainer_module
from drit.training.trainer import Trainer
from tests.conftest import tiny, write_images


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_a_refused_resume_changes_nothing(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fewer steps than are done, with another rate and all changes allowed: the records stay byte for byte."""
    run = tmp_path / "run"
    launch.train(tiny(*folders, steps=12), run)
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    words = ["train", "--resume", str(run), "--steps", "5", "--optim.lr", "0.9", "--allow-changes"]
    assert cli.main(words) == 2
    assert "trained already: 12 of 5 iterations" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before
    assert recorded_settings(run).optim.lr == tiny(*folders).optim.lr


def test_moved_images_are_no_change(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The same images in another place train on to the same bits; the record names the new place."""
    a, run = Path(shutil.copytree(folders[0], tmp_path / "a")), tmp_path / "run"
    launch.train(tiny(a, folders[1]), run, stop_after=3)
    stayed = Path(shutil.copytree(run, tmp_path / "stayed"))
    launch.resume(stayed)
    moved = a.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=rf"no folder {a} .*moved.*--resume {run} --data.a NEW --data.b NEW"):
        launch.resume(run)
    recorded = recorded_settings(run)
    launch.resume(run, replace(recorded, data=replace(recorded.data, a=str(moved))))
    one, other = (files.load_weights(files.find(path))[0] for path in (stayed, run))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert recorded_settings(run).data.a == str(moved)


def test_changed_images_name_the_flag_for_another_place(folders: tuple[Path, Path], tmp_path: Path) -> None:
    a, run = Path(shutil.copytree(folders[0], tmp_path / "a")), tmp_path / "run"
    launch.train(tiny(a, folders[1]), run, stop_after=1)
    write_images(a, 7, 1, seed=5)
    with pytest.raises(UsageError, match=r"a: count 5 -> 7.*--data.a NEW.*--allow-changes"):
        launch.resume(run)


def test_what_counts_as_a_change() -> None:
    old = {"a": {"source": "x", "count": 3, "sha256": "1"}}
    now = {"a": {"source": "y", "count": 3, "sha256": "1", "bands": 4}}
    assert image_changes(old, now) == ""
    assert image_changes(old, {"a": now["a"] | {"sha256": "2"}}) == "a: sha256 1 -> 2"
    assert image_changes(old, {"a": now["a"] | {"sha256": "2", "hash": "other"}}) == ""  # hashes of two kinds
    assert image_changes(old, {"a": now["a"] | {"count": 4, "hash": "other"}}) == "a: count 3 -> 4"
    assert image_changes({}, now) == "a: no record of its images"


class Full:
    """A disk without room: files of these names cannot be written from the n-th write on."""

    def __init__(self, name: str, after: int) -> None:
        self.name, self.left = name, after

    def __call__(self, original: Any) -> Any:
        def write(appended: metrics.Appended, content: bytes) -> None:
            if self.name in appended._path.name:
                if self.left == 0:
                    raise OSError(errno.ENOSPC, "No space left on device", str(appended._path))
                self.left -= 1
            original(appended, content)

        return write


@pytest.mark.parametrize(("name", "after"), [("metrics.jsonl", 4), ("events", 5)])
def test_a_full_disk_names_the_last_checkpoint(
    name: str, after: int, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    config = tiny(*folders)
    config = replace(config, log=replace(config.log, tensorboard=True, sample_every=0))
    monkeypatch.setattr(metrics.Appended, "write", Full(name, after)(metrics.Appended.write))
    with pytest.raises(DritError, match=rf"iteration 5: .*{name}.*No space left.*step_00000003.*--resume {run}"):
        launch.train(config, run)
    monkeypatch.undo()
    assert not (run / "lock.json").exists()
    assert launch.resume(run).finished


@pytest.mark.parametrize("what", ["sheet", "warnings"])
def test_a_full_disk_at_samples_and_warnings(
    what: str, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if what == "sheet":
        monkeypatch.setattr(trainer_module, "save_sheet", full)
    else:
        monkeypatch.setattr(trainer_module.Watch, "judge", full)
    run = tmp_path / "run"
    config = tiny(*folders)
    config = replace(config, log=replace(config.log, sample_every=5 if what == "sheet" else 0, watch_every=5))
    with pytest.raises(DritError, match=r"iteration 5: .*No space left.*step_00000003.*--resume"):
        launch.train(config, run)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_prints_no_traceback(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A real process whose files of events stand on a full disk."""
    config = tiny(*folders)
    config = replace(config, log=replace(config.log, tensorboard=True))
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(to_dict(config)))
    program = (
        "import sys\nfrom pathlib import Path\nfrom drit.runs import metrics\nfrom drit.cli.main import main\n"
        "import os\nfresh = metrics._fresh\n"
        "class Board(metrics.Appended):\n"
        "    def __init__(self, path, mode='ab'):\n"
        "        super().__init__(Path('/dev/full') if 'events' in path.name else path, 'ab')\n"
        "metrics.Appended = Board\nsys.exit(main(sys.argv[1:]))\n"
    )
    words = ["train", "--config", str(settings), "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
    assert "No space left on device" in done.stderr and "There is no earlier checkpoint" in done.stderr


def test_an_average_that_is_not_finite_is_not_saved(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iterate = Trainer.iterate

    def poisoned(self: Trainer) -> dict[str, torch.Tensor]:
        terms = iterate(self)
        if self.step == 5:
            next(iter(self.average.tensors.values())).view(-1)[0] = float("nan")
        return terms

    monkeypatch.setattr(Trainer, "iterate", poisoned)
    config = tiny(*folders)
    config = replace(config, log=replace(config.log, sample_every=0, watch_every=0))
    with pytest.raises(DivergedError, match=r"average of .*not a finite number.*step_00000003"):
        launch.train(config, tmp_path / "run")
    assert [p.name for p in files.checkpoints(tmp_path / "run")] == ["step_00000003"]


@pytest.mark.parametrize("error", [LoaderEndedError("It ended."), RuntimeError("DataLoader worker (pid 7) is killed")])
def test_a_loader_that_ends_names_the_last_checkpoint(
    error: Exception, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noticed where a batch is asked for, or by the signal that the system sends in the middle of anything."""
    run = tmp_path / "run"
    launch.train(tiny(*folders), run, stop_after=3)

    def ended(stream: BatchStream) -> None:
        raise error

    monkeypatch.setattr(BatchStream, "__next__", ended)
    with pytest.raises(DritError, match=r"The last whole checkpoint is .*step_00000003.* --data.workers 0"):
        launch.resume(run)
