"""Whoever may read new files may read those of a run; a file that this user may not read is named, and left alone."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from drit.cli import main as cli
from drit.errors import CheckpointError
from drit.runs import checkpoint as files
from drit.runs.lock import holder
from drit.runs.reading import DamagedError, unreadable
from drit.training import launch
from tests.conftest import as_another_user, tiny

needs_users = pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
COMMANDS = {
    "translate": ["translate", "RUN", "IMAGES", "--to", "b", "--styles", "1", "--out", "OUT"],
    "resume": ["train", "--resume", "RUN", "--steps", "8"],
    "report": ["report", "RUN"],
    "export": ["export", "RUN", "--format", "hub", "--out", "OUT"],
}


def rights(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.rglob("*"))}


@needs_users
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_have_the_rights_that_new_files_have(mask: int, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Of a run, of both kinds of export, and of translations: a container or a colleague has another user."""
    before = os.umask(mask)
    try:
        run = tmp_path / "out" / "run"
        launch.train(tiny(*folders, steps=3), run)
        for words in (
            ["export", run, "--format", "hub", "--out", tmp_path / "out" / "hub"],
            ["export", run, "--format", "safetensors", "--out", tmp_path / "out" / "weights"],
            ["translate", run, folders[0], "--to", "b", "--out", tmp_path / "out" / "images"],
        ):
            assert cli.main(list(map(str, words))) == 0
    finally:
        os.umask(before)
    found = rights(tmp_path / "out")
    assert sum(name.endswith(".safetensors") for name in found) == 3
    wrong = {n: oct(r) for n, r in found.items() if r != (0o777 if (tmp_path / "out" / n).is_dir() else 0o666) & ~mask}
    assert not wrong


@pytest.fixture
def closed(run: Path, folders: tuple[Path, Path], open_folder: Path) -> Path:
    """A run and images that another user may use, but for what a test closes."""
    shutil.copytree(run, open_folder / "run")
    shutil.copytree(folders[0], open_folder / "images")
    for path in open_folder.rglob("*"):
        path.chmod(0o777)
    return open_folder


def words(command: str, folder: Path, out: str) -> list[str]:
    places = {"RUN": folder / "run", "IMAGES": folder / "images", "OUT": folder / out}
    return [str(places.get(word, word)) for word in COMMANDS[command]]


@needs_users
@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("checkpoints/step_00000006/weights.safetensors", ["translate", "resume", "export"]),
        ("checkpoints/step_00000006/state.pt", ["resume"]),
        ("checkpoints/step_00000006/meta.json", ["translate", "resume", "export"]),
        ("checkpoints/step_00000006", ["translate", "resume", "export", "report"]),
        ("checkpoints/latest", ["translate", "resume", "export"]),
        ("checkpoints", ["translate", "resume", "export", "report"]),
        ("config.json", ["resume", "report"]),
        ("data.json", ["resume"]),
        ("metrics.jsonl", ["resume", "report"]),
        ("", ["translate", "resume", "export", "report"]),
    ],
)
def test_what_this_user_may_not_read(
    name: str, commands: list[str], closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command that needs it says so, and what gives the right; no checkpoint is taken for damaged."""
    good = shutil.copytree(closed, closed / "good")
    for command in commands:  # loads what the other user may not load
        assert cli.main(words(command, good, f"out_{command}")) == 0
    capsys.readouterr()
    run = closed / "run"
    before = sorted(run.rglob("*"))
    (run / name).chmod(0)
    with as_another_user():
        for command in commands:
            code, errors = cli.main(words(command, closed, f"out_{command}")), capsys.readouterr().err
            assert code == 1, command
            assert "Permission denied" in errors and "owner" in errors and str(run / name) in errors, errors
            assert "damaged" not in errors and "Traceback" not in errors and "remove" not in errors, errors
            assert not (closed / f"out_{command}").exists()
    (run / name).chmod(0o777)
    assert sorted(run.rglob("*")) == before


@needs_users
def test_a_lock_that_this_user_may_not_read_names_nobody(closed: Path) -> None:
    lock = closed / "run" / "lock.json"
    lock.write_text("{}", encoding="utf-8")
    lock.chmod(0)
    with as_another_user():
        assert holder(closed / "run") is None


def test_a_system_short_of_handles_makes_no_checkpoint_damaged(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another error of the disk does: the checkpoint before is used."""
    path = files.find(run) / "weights.safetensors"

    def refused(number: int) -> None:
        def hashed(_: Path) -> str:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("drit.runs.integrity.sha256", hashed)

    refused(errno.EMFILE)
    with pytest.raises(CheckpointError, match=r"safetensors cannot be read now \(Too many open files\)") as short:
        files.load_newest(run)
    assert not isinstance(short.value, DamagedError)
    refused(errno.EIO)
    with pytest.raises(DamagedError, match=r"weights.safetensors cannot be read \(Input/output error\)"):
        files.load(files.find(run))
    assert isinstance(unreadable(path, FileNotFoundError(errno.ENOENT, "gone"), ""), DamagedError)
