"""The run folder: its files are named in one place, hashes are computed ahead, Windows' habits do no harm."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drit import atomic
from drit.errors import CheckpointError
from drit.inference.translator import Translator
from drit.runs import checkpoint as files
from drit.runs import integrity
from drit.runs.record import settings_of_record
from drit.settings.schema import to_dict
from drit.training import launch
from tests.conftest import tiny

DRIT = Path(__file__).resolve().parents[2] / "drit"
NAMES = re.compile(
    r"(config|data|meta|lock)\.json\b|(metrics|warnings)\.jsonl|state\.pt|weights\.safetensors|step_\{|\bcheckpoints/"
    r"|^(checkpoints|latest|samples|report\.html)$"
)
ALLOWED = {("reports/run.py", "checkpoints")}  # a key of its result


def test_files_of_a_run_are_named_in_one_place() -> None:
    named = []
    for path in sorted(DRIT.rglob("*.py")):
        place = path.relative_to(DRIT).as_posix()
        if place.startswith(("runs/", "cli/", "settings/")):  # settings: help of flags
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                if NAMES.search(node.value) and (place, node.value) not in ALLOWED:
                    named.append(f"{place}:{node.lineno}: {node.value!r}")
    assert [line for line in named if "All settings are in" not in line] == []


def test_checkpoints_are_saved_where_only_files_opened_for_writing_sync(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows has it: neither a folder nor a file opened for reading can be synced, and no folder be opened."""
    opened: dict[int, int] = {}
    open_file, sync = os.open, os.fsync

    def refuse_folders(path: Any, flags: int, *more: Any, **others: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        descriptor = open_file(path, flags, *more, **others)
        opened[descriptor] = flags
        return descriptor

    def refuse_reading(descriptor: int) -> None:
        import fcntl

        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        sync(descriptor)

    monkeypatch.setattr(os, "open", refuse_folders)
    monkeypatch.setattr(os, "fsync", refuse_reading)
    assert launch.train(tiny(*folders, steps=1), tmp_path / "run").finished


def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    atomic.sync_folder(tmp_path)


def test_paths_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny("C:\\data\\summer", "data\\winter.npz:images")
    data = settings_of_record(to_dict(settings), 2).data
    assert (data.a, data.b) == ("C:/data/summer", "data/winter.npz:images")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd\\name").mkdir()
    assert settings_of_record(to_dict(tiny("odd\\name", "x")), 2).data.a == "odd\\name"  # a letter like others here


def test_a_run_of_windows_knows_its_domains(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    path = files.find(copy) / "meta.json"
    meta = files.load_meta(path.parent)
    meta["config"]["data"] |= {"a": "C:\\data\\summer", "b": "D:\\winter"}
    atomic.write_json(path, meta)
    translator = Translator.load(copy)
    assert translator.names == {"a": "summer", "b": "winter"} and translator.domain("winter") == "b"


def test_hashes_computed_ahead_are_those_of_the_file(run: Path, tmp_path: Path) -> None:
    """One that was begun before the file changed is not believed."""
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    checkpoint = files.find(copy)
    integrity.start(copy)
    files.load_weights(checkpoint)
    integrity.start(copy)
    path = checkpoint / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: its SHA-256"):
        files.load_weights(checkpoint)
    assert not integrity._ahead
    integrity.start(tmp_path / "nothing")  # said by who reads it


def test_what_needs_no_torch() -> None:
    program = "import sys, drit.runs.integrity, drit.runs.lock, drit.runs.folder\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
