"""A model without its run, in the layout of the Hugging Face Hub: what it needs to translate, and no more.

FOLDER/config.json         what a checkpoint's meta.json holds, and the names of the domains
FOLDER/model.safetensors   the weights that translation uses (averaged ones, if the run keeps an average)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from drit.atomic import sha256, sync_file, write_json
from drit.bounded import is_file
from drit.data.folders import source_name
from drit.errors import CheckpointError
from drit.methods.base import Method
from drit.runs import checkpoint as files
from drit.runs.record import describe
from drit.settings.common import DataSettings

CONFIG, MODEL = "config.json", "model.safetensors"


def used_networks(method: Method) -> tuple[str, ...]:
    """The networks that a model without its run keeps: those of translation; all, where it draws images instead."""
    return method.inference if method.capabilities.directions else tuple(n for n, _ in method.named_children())


def drop_unused(method: Method) -> None:
    """Take away the networks that only training needs."""
    for name, _ in list(method.named_children()):
        if name not in used_networks(method):
            delattr(method, name)


def save(folder: Path, method: Method, names: Mapping[str, str], step: int, about: Mapping[str, Any]) -> None:
    """Write the two files into a folder. names: of the domains. about: more for the record, by name.

    Where the images of the training lay is not written. Raises OSError when the disk refuses.
    """
    prefixes = tuple(f"{name}." for name in used_networks(method))
    tensors = {name: t for name, t in method.state_dict().items() if name.startswith(prefixes)}
    files.save_tensors(folder / MODEL, tensors, {"format": "pt"})
    sync_file(folder / MODEL)
    settings = replace(method.settings, data=_without_places(method.settings.data))
    hashes = {MODEL: sha256(folder / MODEL)}
    record = {"format": files.FORMAT, "step": step, "sha256": hashes, "names": dict(names)}
    write_json(folder / CONFIG, record | describe(settings, method.channels, {}, {}) | dict(about))


def weights_name(config: Mapping[str, Any]) -> str:
    """The SHA-256 of the run's file of weights, by which outputs name their run; empty where it is not known."""
    run = config.get("run")
    name = run.get("weights_sha256") if isinstance(run, dict) else ""
    return name if isinstance(name, str) else ""


def _without_places(data: DataSettings) -> DataSettings:
    """Data settings that name folders and say nothing of where they lie."""
    return replace(
        data,
        a=source_name(data.a) if data.a else "",
        b=source_name(data.b) if data.b else "",
        pairs=source_name(data.pairs) if data.pairs else "",
        domains=tuple(map(source_name, data.domains)),
    )


def load(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What config.json holds, and the weights, of any shape by name.

    Raises CheckpointError for what is no such folder, or damaged.
    """
    for name in (CONFIG, MODEL):
        if not is_file(folder / name):
            what = f"{folder} has no {name}" if folder.is_dir() else f"There is no folder {folder}"
            raise CheckpointError(
                f"{what}. Give a folder that `drit export --format hub` wrote. A model on the Hugging Face Hub is "
                "downloaded first: hf download REPO --local-dir DIR"
            )
    config = files.load_meta(folder, CONFIG)
    names = config.get("names", {})
    if not isinstance(names, dict) or not all(isinstance(v, str) for v in names.values()):
        raise files.DamagedError(f"{folder / CONFIG} is damaged: 'names' cannot be {repr(names)[:40]}.")
    return config, files.load_tensors(folder, MODEL, CONFIG)
