"""Checkpoints of the official implementation of DRIT: recognised by names and shapes of their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from drit.errors import CheckpointError
from drit.methods.drit.official import from_official, official_names
from drit.methods.drit.settings import DRITNetwork, DRITSettings
from drit.methods.imported import Imported

NETWORKS = ("disA", "disA2", "disB", "disB2", "disContent", "enc_c", "enc_a", "gen")
BATCHES_EACH = 3  # batches that the official loop draws for one update of everything
States = dict[str, Mapping[str, Tensor]]


def imported(content: Mapping[str, Any], path: Path) -> Imported:
    """A checkpoint's settings, channels, weights, and Adam's moments where the file has them for a whole network.

    content: what torch.save wrote. Raises CheckpointError for what is not of the official layout.
    """
    states = _states(content, path)
    network, channels = recognise(states, path)
    settings = DRITSettings.from_preset("official")
    data = replace(settings.data, channels_a=channels["a"], channels_b=channels["b"])
    settings = replace(settings, network=network, data=data)
    step = int(content["total_it"]) if isinstance(content.get("total_it"), int) else 0
    weights = from_official(states, network)
    return Imported(
        settings, channels, weights, step, BATCHES_EACH * step, _moments_of(content, states, network, weights)
    )


def _states(content: dict[str, Any], path: Path) -> States:
    missing = [name for name in NETWORKS if not isinstance(content.get(name), Mapping)]
    if missing:
        keys = ", ".join(str(key) for key in list(content)[:8])
        raise CheckpointError(
            f"{path} is not a checkpoint of the official implementation of DRIT: it has no network {missing[0]} (its "
            f"keys: {keys})."
        )
    for name in NETWORKS:
        wrong = [key for key, value in content[name].items() if not isinstance(value, Tensor)]
        if wrong:
            raise CheckpointError(f"{path}: '{wrong[0]}' of network {name} is not a tensor.")
    return {name: content[name] for name in NETWORKS}


def recognise(states: States, path: Path) -> tuple[DRITNetwork, dict[str, int]]:
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
    base = DRITSettings.from_preset("official").network
    shared = count("enc_c", r"conv_share\.(\d+)\.model\.1\.weight")
    if form == "concat":
        style_dim = shape("enc_a", "fc_A.0.weight")[0]
        attribute_blocks = count("enc_a", r"conv_A\.(\d+)\.conv\.2\.weight")
        attribute_width = shape("enc_a", "conv_A.1.weight")[0]
        generator_blocks = count("gen", r"decA1\.(\d+)\.model\.1\.weight")
    else:
        style_dim = shape("gen", "mlpA.0.weight")[1]
        attribute_blocks = (
            count("enc_a", r"model_a\.(\d+)\.weight") - 3
        )  # first layer, one downsampling more, last layer
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


def _moments_of(
    content: Mapping[str, Any], states: States, network: DRITNetwork, weights: Mapping[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Adam's moments by the names of weights. The official optimizers number the weights of a network in the order of
    its state."""
    given: dict[tuple[str, str], Any] = {}
    for part in NETWORKS:
        optimizer = content.get(f"{part}_opt")
        if not isinstance(optimizer, Mapping) or not {"state", "param_groups"} <= set(optimizer):
            continue
        numbers = [n for group in optimizer["param_groups"] for n in group["params"]]
        if len(numbers) == len(states[part]):
            moments = optimizer["state"]
            given |= {(part, key): moments.get(n) for n, key in zip(numbers, states[part], strict=True)}
    theirs = official_names(network)
    return {
        name: _moments(given[theirs[name]], weight.shape) for name, weight in weights.items() if given.get(theirs[name])
    }


def _moments(given: Mapping[str, Any], shape: torch.Size) -> dict[str, Tensor]:
    averages = {key: given[key].float().reshape(shape).clone() for key in ("exp_avg", "exp_avg_sq")}
    return {"step": torch.tensor(float(given["step"])), **averages}
