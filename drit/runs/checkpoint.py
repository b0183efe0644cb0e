"""Checkpoints and the run folder: written whole or not at all, readable without this program.

    RUN/config.json  data.json  metrics.jsonl  events.*  samples/
    RUN/checkpoints/step_00012000/{weights.safetensors, state.pt, meta.json}
    RUN/checkpoints/latest          the name of the newest whole one

`weights.safetensors` (network tensors; those of the moving average with the prefix `average.`) and `meta.json` alone
suffice to translate. `state.pt` holds plain tensors and numbers and loads with weights_only=True.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from drit.atomic import sha256, write_atomically, write_json
from drit.errors import CheckpointError, DritError

FORMAT = 2  # 1: meta.json held the settings of all methods
AVERAGE = "average."


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder. Raises CheckpointError when it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): the run folder is not whole.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not one of a drit run.")
    return value


def checkpoint_name(step: int) -> str:
    return f"step_{step:08d}"


def checkpoints(run: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first."""
    return sorted(p for p in (run / "checkpoints").glob("step_*") if (p / "meta.json").is_file())


def save(
    run: Path,
    step: int,
    weights: dict[str, Tensor],
    average: dict[str, Tensor],
    state: dict[str, Any],
    meta: dict[str, Any],
) -> Path:
    """Write a checkpoint whole under a temporary name, sync it and rename it; then point `latest` at it.

    Raises DritError when the disk refuses; what was there before stays whole.
    """
    folder = run / "checkpoints"
    final, temporary = folder / checkpoint_name(step), folder / f".{checkpoint_name(step)}.tmp"
    tensors = weights | {AVERAGE + name: t for name, t in average.items()}
    # safetensors keeps no strides: a channels_last weight is stored as its values in plain order.
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        safetensors.torch.save_file(tensors, temporary / "weights.safetensors")
        torch.save(state, temporary / "state.pt")
        write_json(temporary / "meta.json", {"format": FORMAT, "step": step, **meta})
        for part in ("weights.safetensors", "state.pt"):
            _sync(temporary / part)
        shutil.rmtree(final, ignore_errors=True)  # the same step saved again: after a resume that changed nothing
        os.rename(temporary, final)
        _sync(folder)
        write_atomically(folder / "latest", f"{final.name}\n".encode())
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        whole = checkpoints(run)
        last = f"The last whole checkpoint is {whole[-1]}." if whole else "There is no earlier checkpoint."
        raise DritError(
            f"Could not save the checkpoint of iteration {step} in {folder}: {error}. {last} "
            f"Make room or mend the disk, then go on with: drit train --resume {run}"
        ) from error
    return final


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prune(run: Path, keep: int, keep_every: int) -> None:
    """Delete all but the newest `keep` checkpoints and those at multiples of `keep_every`."""
    for path in checkpoints(run)[: -max(1, keep)]:
        step = int(path.name.removeprefix("step_"))
        if not (keep_every and step % keep_every == 0):
            shutil.rmtree(path)


def find(path: Path) -> Path:
    """The checkpoint folder that `path` means: itself, or the newest of a run folder.

    Raises CheckpointError, saying what is there instead, when there is none.
    """
    if (path / "meta.json").is_file():
        return path
    if not path.exists():
        raise CheckpointError(f"There is no run at {path}. Give the folder that `drit train --out` wrote.")
    if not path.is_dir() or not ((path / "checkpoints").is_dir() or (path / "config.json").is_file()):
        raise CheckpointError(
            f"{path} is not a run: it has no folder 'checkpoints'. Give the folder that `drit train --out` wrote, "
            "or one of its checkpoints."
        )
    latest = path / "checkpoints" / "latest"
    if latest.is_file():
        named = path / "checkpoints" / latest.read_text().strip()
        if (named / "meta.json").is_file():
            return named
    whole = checkpoints(path)
    if not whole:
        raise CheckpointError(
            f"The run {path} has no whole checkpoint yet. If nothing is training it, remove the folder and start again."
        )
    return whole[-1]


def load_meta(checkpoint: Path) -> dict[str, Any]:
    """meta.json of a checkpoint. Raises CheckpointError when it is not one of this program's."""
    path = checkpoint / "meta.json"
    try:
        meta = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}). {_instead(checkpoint)}") from error
    if not isinstance(meta, dict) or not {"format", "step", "method", "config", "channels"} <= set(meta):
        raise CheckpointError(f"{path} was not written by drit: it does not name format, method and settings.")
    if meta["format"] > FORMAT:
        raise CheckpointError(f"{path} has format {meta['format']}; this version reads up to {FORMAT}. Update drit.")
    return meta


def weights_sha256(checkpoint: Path) -> str:
    """What identifies the weights of a checkpoint."""
    return sha256(checkpoint / "weights.safetensors")


def load_weights(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights and moving average (empty if the run keeps none). Raises CheckpointError for a broken file."""
    path = checkpoint / "weights.safetensors"
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is truncated or broken ({error}). {_instead(checkpoint)}") from error
    average = {name.removeprefix(AVERAGE): t for name, t in tensors.items() if name.startswith(AVERAGE)}
    return {name: t for name, t in tensors.items() if not name.startswith(AVERAGE)}, average


def load_state(checkpoint: Path) -> dict[str, Any]:
    """Optimizers and positions. Raises CheckpointError for a broken file."""
    path = checkpoint / "state.pt"
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise CheckpointError(f"{path} is truncated or broken. {_instead(checkpoint)}") from error


def check_names(own: set[str], given: set[str], checkpoint: Path) -> None:
    """Raises CheckpointError that names a tensor that one side lacks."""
    for what, names in (("lacks", sorted(own - given)), ("has unknown", sorted(given - own))):
        if names:
            raise CheckpointError(_misfit(checkpoint, what, names))


def check_fit(own: dict[str, Tensor], weights: dict[str, Tensor], checkpoint: Path) -> None:
    """Raises CheckpointError when names or shapes of `weights` are not those of a model's state `own`."""
    check_names(set(own), set(weights), checkpoint)
    wrong = sorted(name for name in own if own[name].shape != weights[name].shape)
    if wrong:
        raise CheckpointError(_misfit(checkpoint, "has another shape of", wrong))


def _misfit(checkpoint: Path, what: str, names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{checkpoint}/weights.safetensors {what} tensor '{names[0]}'{more}: it is of another method or other sizes."


def _instead(checkpoint: Path) -> str:
    """What to do when a checkpoint cannot be read."""
    run = checkpoint.parent.parent
    others = [p for p in checkpoints(run) if p != checkpoint]
    if not others:
        return "There is no other checkpoint beside it."
    return (
        f"There is another: {others[-1]}. Use that, or remove {checkpoint} to go on from it: drit train --resume {run}"
    )
