"""OUT/augment.json: what work a folder holds, so that the same command goes on with it and no other one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drit.atomic import not_written, write_atomically, write_json
from drit.bounded import read_json
from drit.errors import UsageError

RECORD = "augment.json"
_ELSEWHERE = ("run", "data")  # where model and set lie may differ; what they are has a hash
_OLD_NAMES = {"pictures": "images"}  # of an earlier version's augment.json


def claim(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Note the record of a work in OUT/augment.json, or check it against the one there. Returns what is noted.

    Raises UsageError when the folder holds something else, or work with other settings, which are listed.
    """
    path = out / RECORD
    if path.is_file():
        try:
            content: Any = read_json(path)
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}. Remove the folder, or choose another --out.") from error
        if not isinstance(content, dict):
            raise UsageError(f"{path} is not a JSON object. Remove the folder, or choose another --out.")
        noted: dict[str, Any] = {str(_OLD_NAMES.get(name, name)): value for name, value in content.items()}
        changed = [
            f"{name} ({noted.get(name)} before, {value} now)"
            for name, value in record.items()
            if noted.get(name) != value and name not in _ELSEWHERE
        ]
        if changed:
            raise UsageError(
                f"{out} holds an augmentation with other settings: {', '.join(changed)}. Give the same ones to go on, "
                "or another --out."
            )
        return noted
    if out.exists() and (not out.is_dir() or any(not p.name.startswith(".") for p in out.iterdir())):
        raise UsageError(f"--out {out} is not empty and holds no augmentation to go on with. Choose another.")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    return record


def write_output(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises DritError where the disk refuses."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise not_written(path, error, "give the command again") from error
