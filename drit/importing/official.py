"""Checkpoints of official implementations become run folders of this program: `drit import FILE.pth --out RUN`.

Nothing of a file is run: it may hold tensors, numbers and containers alone. Which method it is of, that method's own
importer tells.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch

from drit.atomic import check_empty, not_written, whole_folder, write_json
from drit.bounded import is_file
from drit.errors import CheckpointError, UsageError
from drit.methods.imported import Imported
from drit.methods.registry import entries, method_class
from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder
from drit.runs.record import describe, record
from drit.settings.schema import to_dict
from drit.training.optimizers import make_optimizers


def import_checkpoint(path: Path, out: Path) -> dict[str, Any]:
    """Write the run folder `out` from a checkpoint of an official implementation; whole, or not at all.

    Optimizer moments are taken over where the file has them. Returns method, network settings, channels, iteration and
    the folder. Raises UsageError when `path` is missing or `out` is not empty, CheckpointError for a file that is
    truncated, holds anything but tensors, numbers and containers, or is of no layout that is known.
    """
    if not is_file(path):
        raise UsageError(f"There is no file {path}. Give a checkpoint of an official implementation (.pth).")
    check_empty(out)
    imported = recognised(read_pickle(path), path)
    with torch.device("meta"):
        method = method_class(imported.settings.method)(imported.settings, imported.channels)
    files.check_fit(method.state_dict(), imported.weights, path)
    optimizers = {}
    for name, optimizer in make_optimizers(method).items():
        state = optimizer.state_dict()
        moments = [imported.moments.get(f"{name}.{key}") for key, _ in getattr(method, name).named_parameters()]
        if all(moments):
            state["state"] = dict(enumerate(moments))
        optimizers[name] = state
    _write(out, path, imported, {"step": imported.step, "position": imported.position, "optimizers": optimizers})
    return {
        "run": str(out),
        "method": imported.settings.method,
        "network": to_dict(imported.settings.network),
        "channels": imported.channels,
        "step": imported.step,
        "optimizers": any(state["state"] for state in optimizers.values()),
    }


def recognised(content: dict[str, Any], path: Path) -> Imported:
    """The checkpoint as the first method reads it that knows its layout. Raises CheckpointError where none does."""
    errors = []
    for entry in entries().values():
        if entry.importer:
            try:
                imported: Imported = entry.load_importer()(content, path)
                return imported
            except CheckpointError as error:
                errors.append(error)
    raise errors[0]


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a file of torch.save, by the restricted unpickler. Raises CheckpointError; runs nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle protocols, for torch's own developers
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle each raise their own for a damaged file
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise CheckpointError(
                f"{path} holds more than tensors, numbers and containers ({code.group(1)}): it could run code when "
                "loaded, and was not. Ask its author for a checkpoint of plain state dictionaries."
            ) from error
        raise CheckpointError(f"{path} is truncated, or no checkpoint that torch.save wrote.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not the dictionary of a checkpoint.")
    return content


def _write(out: Path, source: Path, imported: Imported, state: dict[str, Any]) -> None:
    settings = imported.settings
    meta = describe(settings, imported.channels, dict.fromkeys(imported.channels, 8), {})
    try:
        with whole_folder(out) as folder:
            write_json(RunFolder(folder).config, record(settings))
            write_json(RunFolder(folder).data, {})
            files.save(folder, imported.step, imported.weights, {}, state, meta | {"imported_from": source.name})
    except OSError as error:
        raise not_written(out, error) from error
