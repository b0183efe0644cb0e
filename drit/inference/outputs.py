"""What may be written where, the same for every command: nothing that this program did not make is overwritten.

    OUT/outputs.json      {FILE: {"input": ..., "style": ..., "domain": ...}} of every file that a command wrote there

An output folder does not lie within a folder that the command reads. A file that is there already is overwritten when
outputs.json names it, or with --overwrite; an input never is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drit.atomic import not_written, write_json
from drit.bounded import read_json, resolved
from drit.errors import UsageError, some
from drit.runs.folder import refuse_run_folder

OUTPUTS = "outputs.json"
SHEET = "sheet.png"
STYLES = "styles.json"
MAPS = "maps"  # the folder of maps of invention
_MAX_OUTPUTS = 1 << 30  # bytes of outputs.json: of some millions of outputs


def read_outputs(out: Path) -> dict[str, dict[str, Any]] | None:
    """What outputs.json of a folder says; None where there is none, or none of this program's."""
    try:
        content = read_json(out / OUTPUTS, _MAX_OUTPUTS)
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not all(isinstance(v, dict) and "domain" in v for v in content.values()):
        return None
    return content


def own_files(out: Path) -> set[str]:
    """The files under `out` that this program wrote, by their names there; outputs.json among them, and what lies
    beside translations."""
    written = read_outputs(out)
    if written is None:
        return set()
    translations = any(value.get("input") for value in written.values())
    return {OUTPUTS, *written} | ({SHEET, STYLES} if translations else set())


def map_name(place: Path) -> str:
    """The name under the output folder of the map of invention of the input with this place there."""
    return (MAPS / place.with_name(f"{place.name}.png")).as_posix()


def maps_in(folder: Path) -> set[Path]:
    """The maps of invention of a folder of translations, resolved."""
    written = read_outputs(folder) or {}
    return {resolved(folder / name) for name, value in written.items() if value.get("map")}


def is_sheet(path: Path) -> bool:
    """Whether an image is the contact sheet of a folder of translations."""
    return path.name == SHEET and SHEET in own_files(path.parent)


def check_free(out: Path, names: Sequence[str], overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raises UsageError where files of these names under `out` are there that this program did not write.

    overwrite: such files may be overwritten. inputs: files that may not, ever.
    """
    refuse_run_folder(out)
    read = {resolved(path) for path in inputs}
    at_risk = [name for name in names if resolved(out / name) in read]
    if at_risk:
        raise UsageError(f"--out {out}: the outputs would overwrite inputs ({some(at_risk)}). Choose another folder.")
    if overwrite:
        return
    own = own_files(out)
    foreign = [name for name in (*names, OUTPUTS) if name not in own and os.path.lexists(out / name)]
    if foreign:
        raise UsageError(
            f"--out {out} holds files that would be overwritten and that {OUTPUTS} there does not name as outputs: "
            f"{some(foreign)}. Choose another folder, or give --overwrite."
        )


def note(out: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write outputs.json: these files and those that it names already, as far as they are there.

    Raises DritError where the disk refuses.
    """
    earlier = {name: value for name, value in (read_outputs(out) or {}).items() if os.path.isfile(out / name)}
    write(out / OUTPUTS, earlier | {name: dict(value) for name, value in files.items()})


def write(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all. Raises DritError where the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, value)
    except OSError as error:
        raise not_written(path, error) from error


def check_pages(out: Path, names: Sequence[str], known_by: str, overwrite: bool) -> None:
    """As `check_free`, for pages and results that a command writes into `out`.

    known_by: a key of the JSON file among them. A version without outputs.json may have written it: such a folder is
    this program's too.
    """
    own = any(known_by in _object(out / name) for name in names if name.endswith(".json"))
    check_free(out, names, overwrite or own)


def note_pages(out: Path, names: Sequence[str]) -> None:
    """As `note`, for pages and results, which are no translation of an input."""
    note(out, {name: {"input": None, "style": None, "domain": None} for name in names})


def _object(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
