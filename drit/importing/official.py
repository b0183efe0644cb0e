"""Published DRIT checkpoints as run folders: `drit import`.

A published checkpoint is a pickle of plain dictionaries: the states of eight networks, of their eight Adam optimizers,
and two counters. It is read by torch's restricted unpickler, which builds tensors and containers and runs nothing
else; what it is (form, channels, sizes) is told by names and shapes of its tensors.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from drit.atomic import write_json
from drit.errors import CheckpointError, DritError, UsageError
from drit.methods.base import Method
from drit.methods.drit.objective import DRIT
from drit.methods.drit.official import from_official, official_names
from drit.runs import checkpoint as files
from drit.runs.record import describe, record
from drit.settings.common import NetworkSettings, TrainSettings
from drit.settings.presets import preset
from drit.training.optimizers import make_optimizers

NETWORKS = ("disA", "disA2", "disB", "disB2", "disContent", "enc_c", "enc_a", "gen")
BATCHES_EACH = 3  # batches that the published loop draws for one update of everything
States = dict[str, Mapping[str, Tensor]]


def import_checkpoint(path: Path, out: Path) -> dict[str, Any]:
    """Write the run folder `out` from a published checkpoint; whole, or not at all.

    Optimizer moments are taken over where the file has them. Returns form, channels, sizes, iteration and the folder.
    Raises UsageError when `path` is missing or `out` is not empty, CheckpointError for a file that is truncated, holds
    anything but tensors, numbers and containers (nothing of it is run), or is not of the published layout.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}. Give a checkpoint of the published DRIT program (.pth).")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not empty. Choose another --out.")
    content = read_pickle(path)
    states = _states(content, path)
    network, channels = recognise(states, path)
    config = preset("official")
    data = replace(config.data, channels_a=channels["a"], channels_b=channels["b"])
    config = replace(config, network=network, data=data)
    with torch.device("meta"):
        method = DRIT.build(config, channels)
    weights = from_official(states, network)
    files.check_fit(method.state_dict(), weights, path)
    step = int(content["total_it"]) if isinstance(content.get("total_it"), int) else 0
    moments = _optimizers(content, states, method, config)
    state = {"step": step, "position": BATCHES_EACH * step, "optimizers": moments}
    meta = describe(config, channels, {d: 8 for d in channels}, {}) | {"imported_from": path.name}
    _write(out, config, step, weights, state, meta)
    return {
        "run": str(out),
        "generator": network.generator,
        "channels": channels,
        "style_dim": network.style_dim,
        "step": step,
        "optimizers": any(m["state"] for m in moments.values()),
    }


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
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not the dictionary of a DRIT checkpoint.")
    return content


def _states(content: dict[str, Any], path: Path) -> States:
    missing = [name for name in NETWORKS if not isinstance(content.get(name), Mapping)]
    if missing:
        keys = ", ".join(str(key) for key in list(content)[:8])
        raise CheckpointError(
            f"{path} is not a published DRIT checkpoint: it has no network {missing[0]} (its keys: {keys})."
        )
    for name in NETWORKS:
        wrong = [key for key, value in content[name].items() if not isinstance(value, Tensor)]
        if wrong:
            raise CheckpointError(f"{path}: '{wrong[0]}' of network {name} is not a tensor.")
    return {name: content[name] for name in NETWORKS}


def recognise(states: States, path: Path) -> tuple[NetworkSettings, dict[str, int]]:
    """The network settings and the channels of both domains that tensor names and shapes tell.

    Raises CheckpointError that names the first tensor that should be there and is not.
    """

    def shape(network: str, key: str) -> torch.Size:
        if key not in states[network]:
            raise CheckpointError(f"{path} has no tensor '{key}' in network {network}: it is of another layout.")
        return states[network][key].shape

    def count(network: str, pattern: str) -> int:
        """How many different numbers the pattern's group takes among the keys."""
        return len({m.group(1) for key in states[network] if (m := re.fullmatch(pattern, key))})

    form: Literal["concat", "feature"] = "feature" if "mlpA.0.weight" in states["gen"] else "concat"
    width = shape("enc_c", "convA.0.model.1.weight")[0]
    channels = {d: shape("enc_c", f"conv{letter}.0.model.1.weight")[1] for d, letter in (("a", "A"), ("b", "B"))}
    base = preset("official").network
    shared = count("enc_c", r"conv_share\.(\d+)\.model\.1\.weight")
    if form == "concat":
        style_dim = shape("enc_a", "fc_A.0.weight")[0]
        attribute_blocks = count("enc_a", r"conv_A\.(\d+)\.conv\.2\.weight")
        attribute_width = shape("enc_a", "conv_A.1.weight")[0]
        generator_blocks = count("gen", r"decA1\.(\d+)\.model\.1\.weight")
    else:
        style_dim = shape("gen", "mlpA.0.weight")[1]
        attribute_blocks = count("enc_a", r"model_a\.(\d+)\.weight") - 3  # first layer, one halving more, last layer
        attribute_width = shape("enc_a", "model_a.1.weight")[0]
        generator_blocks = count("gen", r"decA(\d+)\.conv1\.0\.1\.weight") - shared
    scales = count("disA", r"Diss\.(\d+)\.0\.model\.1\.weight")
    network = replace(
        base,
        generator=form,
        style_dim=style_dim,
        width=width,
        content_blocks=count("enc_c", r"convA\.(\d+)\.model\.5\.weight"),
        shared_blocks=shared,
        generator_blocks=generator_blocks,
        attribute_width=attribute_width,
        attribute_blocks=attribute_blocks,
        discriminator_width=shape("disA", "Diss.0.0.model.1.weight")[0],
        discriminator_layers=count("disA", r"Diss\.0\.(\d+)\.model\.1\.weight"),
        discriminator_scales=scales,
    )
    return network, channels


def _optimizers(
    content: dict[str, Any], states: States, method: Method, config: TrainSettings
) -> dict[str, dict[str, Any]]:
    """States of this program's optimizers: Adam's moments of each tensor, where the file has them for all of a network.

    The published optimizers number the parameters of a network in the order of its state.
    """
    moments: dict[tuple[str, str], dict[str, Any]] = {}
    for part in NETWORKS:
        given = content.get(f"{part}_opt")
        if not isinstance(given, Mapping) or not {"state", "param_groups"} <= set(given):
            continue
        numbers = [n for group in given["param_groups"] for n in group["params"]]
        if len(numbers) == len(states[part]):
            moments |= {(part, key): given["state"].get(n) for n, key in zip(numbers, states[part], strict=True)}
    theirs = official_names(config.network)
    found = {}
    for name, optimizer in make_optimizers(method, config.optim).items():
        own = optimizer.state_dict()
        parameters = dict(getattr(method, name).named_parameters())
        given = {i: moments.get(theirs[f"{name}.{key}"]) for i, key in enumerate(parameters)}
        if all(given.values()):
            own["state"] = {i: _moments(given[i], p.shape) for i, p in enumerate(parameters.values())}
        found[name] = own
    return found


def _moments(given: Mapping[str, Any], shape: torch.Size) -> dict[str, Tensor]:
    averages = {key: given[key].float().reshape(shape).clone() for key in ("exp_avg", "exp_avg_sq")}
    return {"step": torch.tensor(float(given["step"])), **averages}


def _write(
    out: Path, config: TrainSettings, step: int, weights: dict[str, Tensor], state: dict[str, Any], meta: dict[str, Any]
) -> None:
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        write_json(temporary / "config.json", record(config))
        write_json(temporary / "data.json", {})
        files.save(temporary, step, weights, {}, state, meta)
        if out.exists():
            out.rmdir()
        os.rename(temporary, out)
    except OSError as error:
        raise DritError(f"Could not write {out}: {error.strerror}. Nothing of it was left half-written.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
