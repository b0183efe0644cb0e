"""Tensors in files: read without running anything in them, checked by name and shape, known by their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from drit.atomic import write_atomically
from drit.errors import DataError, DritError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors, of any shape such as (C, D), of a .safetensors file or of a torch state dict.

    Nothing in the file is run. Raises DataError for a file that holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each library raises its own for a damaged or foreign file
        raise DataError(
            f"{path} cannot be read as weights: it is no torch state dict or .safetensors file, damaged, or holds more "
            "than tensors, which is not read."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(f"{path} is not a state dict: it must hold tensors by name and nothing else.")
    return content


def check_tensors(own: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    """Raises DataError where `given`, of the file at `path`, has not the names and shapes (C, ...) of `own`."""
    lacking, unknown = sorted(set(own) - set(given)), sorted(set(given) - set(own))
    wrong = [k for k in own if k in given and own[k].shape != given[k].shape]
    for what, names in (("lacks", lacking), ("has the unknown", unknown), ("has another shape of", wrong)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise DataError(f"{path} {what} tensor '{names[0]}'{more}: it holds another network. Check --features.")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors (any shape, such as (C, D)) by name, shape and values, in hexadecimal."""
    result = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        result.update(f"{name}{tuple(values.shape)}\0".encode())
        result.update(values.numpy().tobytes())
    return result.hexdigest()


def keep(body: nn.Module, record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Write a network trained here with its record, whole or not at all. Returns the record with the hash added.

    Raises DritError where the file cannot be written.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in body.state_dict().items()}
    full_record = {**record, "sha256": digest(tensors)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.torch.save(tensors, {"record": json.dumps(full_record)}))
    except OSError as error:
        raise DritError(f"Could not keep the feature network {path}: {error.strerror}.") from error
    return full_record


def load_kept(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (any shape, such as (C, D)) and record of a network that `keep` wrote.

    Raises DataError for any other or a changed file.
    """
    tensors = read_tensors(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            record = json.loads((file.metadata() or {})["record"])
        recorded_digest = record["sha256"]
    except Exception as error:
        raise DataError(f"{path} is no feature network that `drit evaluate` trained: it has no record.") from error
    if recorded_digest != digest(tensors):
        raise DataError(f"{path} does not hold the tensors of its record: it was changed. Remove it, to train anew.")
    return tensors, record
