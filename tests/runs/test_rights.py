"""Whoever may read new files may read those of a run; a file that this user may not read is named, and left alone."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from drit.atomic import not_written
from drit.cli import main as cli
from drit.errors import CheckpointError
from drit.runs import checkpoint as files
from drit.runs.lock import holder
from drit.runs.reading import DamagedError, unreadable
from drit.training import launch
from tests.conftest import as_another_user, tiny, write_images

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
@pytest.mark.parametrize(
    "command",
    [
        ["translate", "RUN", "IMAGES", "--to", "b", "--styles", "1", "--out", "SHUT"],
        ["export", "RUN", "--format", "hub", "--out", "SHUT"],
        ["report", "RUN", "--out", "SHUT"],
        ["augment", "RUN", "CLASSES", "--to", "b", "--times", "1", "--out", "SHUT"],
        ["data", "pack", "IMAGES", "--out", "SHUT"],
    ],
    ids=lambda command: command[0],
)
def test_places_that_this_user_may_not_write_to(
    command: list[str], closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place is named, and that another is the next thing to try: there is no lack of room."""
    (closed / "shut").mkdir()
    shutil.copytree(closed / "images", closed / "classes" / "one")
    places = {"RUN": closed / "run", "IMAGES": closed / "images", "CLASSES": closed / "classes"}

    def run_with(out: Path) -> int:
        return cli.main([str(places.get(word, out if word == "SHUT" else word)) for word in command])

    assert run_with(closed / "open" / "out") == 0  # loads what the other user may not load
    capsys.readouterr()
    (closed / "shut").chmod(0o555)
    with as_another_user():
        code, errors = run_with(closed / "shut" / "out"), capsys.readouterr().err
    assert code == 1 and str(closed / "shut" / "out") in errors and "Permission denied" in errors, errors
    assert "another" in errors and "Make room" not in errors and "Traceback" not in errors, errors


@needs_users
def test_a_run_whose_images_this_user_may_not_read(open_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It translates and is exported all the same: only their names are needed. Going on says what is missing."""
    a, b = (write_images(open_folder / "theirs" / d, 4, 3, seed=i) for i, d in enumerate("ab"))
    launch.train(tiny(a, b, steps=3), open_folder / "run")
    shutil.copytree(a, open_folder / "images")
    for path in open_folder.rglob("*"):
        path.chmod(0o777)
    assert cli.main(words("translate", open_folder, "o1")) == cli.main(words("export", open_folder, "o2")) == 0
    (open_folder / "theirs").chmod(0)
    with as_another_user():
        assert cli.main(words("translate", open_folder, "o3")) == cli.main(words("export", open_folder, "o4")) == 0
        capsys.readouterr()
        assert cli.main(words("resume", open_folder, "o5")) == 2
        errors = capsys.readouterr().err
    assert f"{a} (domain a) may not be read by this user (Permission denied)" in errors, errors
    assert f"name their place: drit train --resume {open_folder / 'run'} --data.a" in errors, errors
    here = {p.name: p.read_bytes() for p in (open_folder / "o1").glob("*.png")}
    assert here == {p.name: p.read_bytes() for p in (open_folder / "o3").glob("*.png")} and len(here) == 5


@needs_users
def test_a_folder_within_that_this_user_may_not_read(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its images are not left out without a word."""
    images, inner = closed / "images", write_images(closed / "images" / "inner", 3, 1)
    train = ["train", "--data.a", images, "--data.b", images, "--out", closed / "new", "--preset", "digits"]
    train += ["--data.resize", 20, "--data.crop", 16, "--steps", 1]
    doctor = ["doctor", "--data.a", images, "--data.b", images]
    commands = [train, doctor, words("translate", closed, "out")]
    assert cli.main(list(map(str, doctor))) in (0, 1)  # loads what the other user may not load
    assert cli.main(words("translate", closed, "before")) == 0
    capsys.readouterr()
    inner.chmod(0)
    with as_another_user():
        for command in commands:
            assert cli.main(list(map(str, command))) == 2
            errors = capsys.readouterr().err
            assert f"The folder {inner} cannot be read (Permission denied)" in errors, errors
    assert not (closed / "new").exists() and not (closed / "out").exists()


def test_what_to_do_about_a_place_that_refuses() -> None:
    for number, words in (
        (errno.ENOSPC, "No space left on device. Make room, and run again."),
        (errno.EROFS, "Read-only file system. Choose another place, or allow writing there, and run again."),
        (errno.ENAMETOOLONG, "File name too long. Choose another place, and run again."),
    ):
        assert str(not_written(Path("x"), OSError(number, os.strerror(number)))) == f"Could not write x: {words}"
    assert str(not_written("x", ValueError("no"), "stop")) == "Could not write x: no. Choose another place, and stop."


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

    def unmapped(_: Path) -> None:
        raise OSError(errno.ENOMEM, "full")

    monkeypatch.setattr("safetensors.torch.load_file", unmapped)
    with pytest.raises(CheckpointError, match=r"safetensors cannot be read now \(full\)"):
        files.load_newest(run)
    monkeypatch.undo()
    refused(errno.EIO)
    with pytest.raises(DamagedError, match=r"weights.safetensors cannot be read \(Input/output error\)"):
        files.load(files.find(run))
    assert isinstance(unreadable(path, FileNotFoundError(errno.ENOENT, "gone"), ""), DamagedError)
