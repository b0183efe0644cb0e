"""Checkpoints: written whole or not at all, checked when read, readable without this program.

`weights.safetensors` (network tensors; those of the moving average with the prefix `average.`) and `meta.json` alone
suffice to translate. `state.pt` holds plain tensors and numbers and loads with weights_only=True. `meta.json` holds the
SHA-256 of both.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from drit.atomic import sha256, sync_file, sync_folder, write_atomically, write_json
from drit.errors import CheckpointError, DritError
from drit.runs import integrity
from drit.runs.folder import (
    META,
    STATE,
    WEIGHTS,
    RunFolder,
    checkpoint_name,
    checkpoints,
    find,
    instead,
    root_of,
    step_of,
)
from drit.runs.reading import DamagedError, check_inside, is_count, is_finite, open_regular, read_object, unreadable

__all__ = ["DamagedError", "checkpoint_name", "checkpoints", "find"]  # and what is defined here

FORMAT = 2  # 1: meta.json held the settings of all methods
AVERAGE = "average."
MAX_CHANNELS = 4096
MAX_POSITION = 10**15  # batches
_DAMAGED = ".damaged"  # suffix of a checkpoint that was put aside
_EXPANSION = 2  # times the size of state.pt that its parts may take; torch does not compress


class Loaded(NamedTuple):
    """All of a checkpoint, read and checked."""

    folder: Path
    meta: dict[str, Any]
    weights: dict[str, Tensor]  # by name, of any shape
    average: dict[str, Tensor]  # likewise; empty if the run keeps none
    state: dict[str, Any]


def read_json(path: Path, root: Path | None = None, remedy: str = "The run folder is not whole.") -> dict[str, Any]:
    """A JSON object of a run folder. Raises CheckpointError when it is missing, broken or leads out of `root`.

    root: the run; without it the folder that the file lies in.
    """
    return read_object(path, root or path.parent, remedy)


def save(
    run: Path,
    step: int,
    weights: dict[str, Tensor],
    average: dict[str, Tensor],
    state: dict[str, Any],
    meta: dict[str, Any],
) -> Path:
    """Write a checkpoint whole under a temporary name, sync it and rename it; then point `latest` at it.

    weights, average: tensors of any shape, by name. Raises DritError when the disk refuses; what was there before stays
    whole.
    """
    folder = RunFolder(run)
    final = folder.checkpoint(step)
    temporary = folder.checkpoints / f".{checkpoint_name(step)}.tmp"
    tensors = weights | {AVERAGE + name: t for name, t in average.items()}
    try:
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_tensors(temporary / WEIGHTS, tensors)
        torch.save(state, temporary / STATE)
        hashes = {name: sha256(temporary / name) for name in (WEIGHTS, STATE)}
        write_json(temporary / META, {"format": FORMAT, "step": step, "sha256": hashes, **meta})
        for name in (WEIGHTS, STATE):
            sync_file(temporary / name)
        shutil.rmtree(final, ignore_errors=True)  # the same step saved again: after a resume that changed nothing
        os.rename(temporary, final)
        sync_folder(folder.checkpoints)
        write_atomically(folder.latest, f"{final.name}\n".encode())
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DritError(
            f"Could not save the checkpoint of iteration {step} in {folder.checkpoints}: {error}. {last_whole(run)} "
            f"Make room or mend the disk, then go on with: drit train --resume {run}"
        ) from error
    return final


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Write tensors, of any shape by name, as a .safetensors file; about: words for its head.

    Whoever may read other new files here may read this one. The library alone makes a file that only its owner reads,
    so that a service or a colleague with another user could not open the run. Raises OSError or SafetensorError.
    """
    path.touch()
    rights = path.stat().st_mode
    # safetensors keeps no strides: a channels_last weight is stored as its values in plain order.
    safetensors.torch.save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, path, about)
    if path.stat().st_mode != rights:  # some file systems refuse any change
        path.chmod(rights)


def last_whole(run: Path) -> str:
    """A sentence that names the newest whole checkpoint of a run."""
    whole = checkpoints(run)
    return f"The last whole checkpoint is {whole[-1]}." if whole else "There is no earlier checkpoint."


def prune(run: Path, step: int, keep: int, keep_every: int) -> None:
    """Delete all but the newest `keep` checkpoints up to iteration `step`, and those at multiples of `keep_every`.

    step: of the checkpoint that was just written; later ones are of a training that went another way, and stay. Raises
    OSError when the disk refuses.
    """
    earlier = [path for path in checkpoints(run) if step_of(path) <= step]
    for path in earlier[: -max(1, keep)]:
        if not (keep_every and step_of(path) % keep_every == 0):
            shutil.rmtree(path)


def load_meta(checkpoint: Path, name: str = META) -> dict[str, Any]:
    """meta.json of a checkpoint, or the file of this name that holds the same. Raises CheckpointError when it is not
    one of this program's."""
    path = checkpoint / name
    meta = read_object(path, root_of(checkpoint), instead(checkpoint))
    if not {"format", "step", "method", "config", "channels"} <= set(meta):
        raise CheckpointError(f"{path} was not written by drit: it does not name format, method and settings.")
    if is_count(meta["format"]) and meta["format"] > FORMAT:
        raise CheckpointError(f"{path} has format {meta['format']}; this version reads up to {FORMAT}. Update drit.")
    hashes, channels = meta.get("sha256", {}), meta["channels"]
    fits = {
        "format": is_count(meta["format"]) and meta["format"] >= 1,
        "step": is_count(meta["step"]),
        "method": isinstance(meta["method"], str),
        "config": isinstance(meta["config"], dict),
        "channels": isinstance(channels, dict) and all(is_count(c, MAX_CHANNELS) and c for c in channels.values()),
        "sha256": isinstance(hashes, dict) and all(isinstance(h, str) for h in hashes.values()),
        "seconds": is_finite(meta.get("seconds", 0.0)),
    }
    for name, well in fits.items():
        if not well:
            shown = repr(meta[name])[:40]
            raise DamagedError(f"{path} is damaged: '{name}' cannot be {shown}. {instead(checkpoint)}")
    return meta


def weights_sha256(checkpoint: Path) -> str:
    """What identifies the weights of a checkpoint."""
    return sha256(checkpoint / WEIGHTS)


def weights_name(checkpoint: Path, meta: Mapping[str, Any]) -> str:
    """As `weights_sha256`, as meta.json recorded it where it did: the file is not read."""
    return str(meta.get("sha256", {}).get(WEIGHTS) or weights_sha256(checkpoint))


def load_weights(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights and moving average (empty if the run keeps none), tensors of any shape by name.

    Raises CheckpointError for a file that is broken, has another hash than meta.json records, or holds a number that is
    not finite.
    """
    tensors = load_tensors(checkpoint, WEIGHTS, META)
    average = {name.removeprefix(AVERAGE): t for name, t in tensors.items() if name.startswith(AVERAGE)}
    return {name: t for name, t in tensors.items() if not name.startswith(AVERAGE)}, average


def load_tensors(checkpoint: Path, name: str, meta: str) -> dict[str, Tensor]:
    """The tensors, of any shape by name, of a file in a folder whose file `meta` holds its hash. Raises as above."""
    path = checkpoint / name
    open_regular(path, root_of(checkpoint), instead(checkpoint)).close()  # safetensors would say that there is none
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except OSError as error:
        raise unreadable(path, error, instead(checkpoint)) from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(f"{path} is truncated or broken ({error}). {instead(checkpoint)}") from error
    if (checkpoint / meta).is_file():
        integrity.check(checkpoint, name, load_meta(checkpoint, meta))
    for key, t in tensors.items():
        # a sum is fast; where it is not finite, the numbers themselves are looked at
        if t.is_floating_point() and not t.sum().isfinite() and not t.isfinite().all():
            raise DamagedError(
                f"{path} holds numbers that are not finite, in tensor '{key}': the training had diverged. "
                f"{instead(checkpoint)}"
            )
    # A matrix product sums in another order where its matrix begins elsewhere in memory. What is used as it lies in the
    # file, at any place of a page, gets memory of its own, so that results do not depend on what else is in the file.
    return {name: t.clone() if t.dim() < 4 or t.shape[-1] == 1 else t for name, t in tensors.items()}


def load_state(checkpoint: Path) -> dict[str, Any]:
    """Optimizers and positions. Raises CheckpointError for a broken file, or one with another hash than recorded."""
    path, meta = checkpoint / STATE, load_meta(checkpoint)
    check_inside(path, root_of(checkpoint))
    integrity.check(checkpoint, STATE, meta)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > _EXPANSION * path.stat().st_size:
            raise ValueError("it unpacks to more than it can hold")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise unreadable(path, error, instead(checkpoint)) from error
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise DamagedError(f"{path} is truncated or broken. {instead(checkpoint)}") from error
    if (
        not isinstance(state, dict)
        or state.get("step") != meta["step"]
        or not is_count(state.get("position"), MAX_POSITION)
        or not isinstance(state.get("optimizers"), dict)
        or not isinstance(state.get("method", {}), dict)
    ):
        raise DamagedError(
            f"{path} is damaged: it does not hold step {meta['step']}, position, optimizers. {instead(checkpoint)}"
        )
    return state


def load(checkpoint: Path) -> Loaded:
    """All of a checkpoint. Raises CheckpointError for one that is damaged."""
    meta = load_meta(checkpoint)
    return Loaded(checkpoint, meta, *load_weights(checkpoint), load_state(checkpoint))


def load_newest(run: Path) -> tuple[Loaded, dict[Path, str]]:
    """The newest checkpoint of a run that is whole, and those after it that are damaged, each with what is wrong.

    Raises CheckpointError, of the newest, where none is whole.
    """
    newest = find(run)
    damaged: dict[Path, str] = {}
    first: DamagedError | None = None
    for checkpoint in [newest, *(p for p in reversed(checkpoints(run)) if step_of(p) < step_of(newest))]:
        try:
            return load(checkpoint), damaged
        except DamagedError as error:
            first = first or error
            damaged[checkpoint] = str(error)
    assert first is not None
    raise first


def put_aside(checkpoint: Path) -> Path:
    """Rename a damaged checkpoint, so that it is none any more; nothing of it is deleted. Returns where it is."""
    aside = checkpoint.with_name(checkpoint.name + _DAMAGED)
    number = 1
    while aside.exists():
        number += 1
        aside = checkpoint.with_name(f"{checkpoint.name}{_DAMAGED}{number}")
    os.rename(checkpoint, aside)
    return aside


def check_names(own: set[str], given: set[str], checkpoint: Path, file: str = WEIGHTS) -> None:
    """Raises CheckpointError that names a tensor that one side lacks."""
    for what, names in (("lacks", sorted(own - given)), ("has unknown", sorted(given - own))):
        if names:
            raise CheckpointError(_misfit(checkpoint / file, what, names))


def check_fit(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], checkpoint: Path, file: str = WEIGHTS) -> None:
    """Raises CheckpointError when names, shapes or types of `weights` are not those of a model's state `own`.

    own, weights: tensors of any shape, by name. file: of the checkpoint, that holds `weights`.
    """
    check_names(set(own), set(weights), checkpoint, file)
    for what, wrong in (
        ("has another shape of", [name for name in own if own[name].shape != weights[name].shape]),
        ("has another type of", [name for name in own if own[name].dtype != weights[name].dtype]),
    ):
        if wrong:
            raise CheckpointError(_misfit(checkpoint / file, what, sorted(wrong)))


def _misfit(path: Path, what: str, names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{path} {what} tensor '{names[0]}'{more}: it is of another method or other sizes."
