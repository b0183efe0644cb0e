"""The tensor names of the official implementation of DRIT, as names of this program's networks.

Layout as published: networks enc_c, enc_a, gen, disA, disA2, disB, disB2, disContent, each a flat state of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from drit.errors import CheckpointError
from drit.methods.drit.settings import DRITNetwork

_LETTERS = {"a": "A", "b": "B"}


def official_names(network: DRITNetwork) -> dict[str, tuple[str, str]]:
    """This program's parameter names, each with its (network, tensor name) in the published layout.

    `network` may have other sizes than the published ones; the feature-wise form must share no layer.
    """
    names: dict[str, tuple[str, str]] = {}

    def add(ours: str, part: str, theirs: str) -> None:
        for kind in ("weight", "bias"):
            names[f"{ours}.{kind}"] = (part, f"{theirs}.{kind}")

    down, blocks = network.downsamplings, network.content_blocks
    for i in range(network.shared_blocks):
        _residual(add, f"content_encoder.shared.{i}", "enc_c", f"conv_share.{i}")
    for d, letter in _LETTERS.items():
        own = f"content_encoder.own.{d}"
        add(f"{own}.first", "enc_c", f"conv{letter}.0.model.1")
        for i in range(down):
            add(f"{own}.down.{i}", "enc_c", f"conv{letter}.{1 + i}.model.1")
        for i in range(blocks):
            _residual(add, f"{own}.blocks.{i}", "enc_c", f"conv{letter}.{1 + down + i}")
        for ours, suffix in (("discriminator", ""), ("random_discriminator", "2")):
            for s in range(network.discriminator_scales):
                for i in range(network.discriminator_layers):
                    add(f"{ours}.{d}.scales.{s}.down.{i}", f"dis{letter}{suffix}", f"Diss.{s}.{i}.model.1")
                last = network.discriminator_layers
                add(f"{ours}.{d}.scales.{s}.logit", f"dis{letter}{suffix}", f"Diss.{s}.{last}")
        if network.generator == "concat":
            _concat(add, network, d, letter)
        else:
            _feature(add, network, d, letter)
    if network.generator == "concat":
        for i in range(network.shared_blocks):
            _residual(add, f"generator.shared.{i}", "gen", f"dec_share.{i}")
    for i in range(3):
        add(f"content_discriminator.down.{i}", "disContent", f"model.{i}.model.1")
    add("content_discriminator.last", "disContent", "model.3.model.1")
    add("content_discriminator.logit", "disContent", "model.4")
    return names


def _residual(add, ours: str, part: str, theirs: str) -> None:  # type: ignore[no-untyped-def]
    add(f"{ours}.conv1", part, f"{theirs}.model.1")
    add(f"{ours}.conv2", part, f"{theirs}.model.5")


def _concat(add, network: DRITNetwork, d: str, letter: str) -> None:  # type: ignore[no-untyped-def]
    style = f"attribute_encoder.{d}"
    add(f"{style}.first", "enc_a", f"conv_{letter}.1")
    for i in range(network.attribute_blocks):
        add(f"{style}.blocks.{i}.conv1", "enc_a", f"conv_{letter}.{2 + i}.conv.2")
        add(f"{style}.blocks.{i}.conv2", "enc_a", f"conv_{letter}.{2 + i}.conv.4.1")
        add(f"{style}.blocks.{i}.shortcut", "enc_a", f"conv_{letter}.{2 + i}.shortcut.1")
    add(f"{style}.mean", "enc_a", f"fc_{letter}.0")
    add(f"{style}.log_variance", "enc_a", f"fcVar_{letter}.0")
    own = f"generator.own.{d}"
    for i in range(network.generator_blocks):
        _residual(add, f"{own}.blocks.{i}", "gen", f"dec{letter}1.{i}")
    for i in range(network.downsamplings):
        add(f"{own}.up.{i}.conv", "gen", f"dec{letter}{2 + i}.0.model.0")
        add(f"{own}.up.{i}.norm", "gen", f"dec{letter}{2 + i}.0.model.1")
    add(f"{own}.last", "gen", f"dec{letter}{2 + network.downsamplings}.0")


def _feature(add, network: DRITNetwork, d: str, letter: str) -> None:  # type: ignore[no-untyped-def]
    style = f"attribute_encoder.{d}"
    add(f"{style}.first", "enc_a", f"model_{letter.lower()}.1")
    for i in range(network.attribute_blocks + 1):
        add(f"{style}.down.{i}", "enc_a", f"model_{letter.lower()}.{4 + 3 * i}")
    add(f"{style}.mean", "enc_a", f"model_{letter.lower()}.{4 + 3 * (network.attribute_blocks + 1)}")
    own = f"generator.own.{d}"
    blocks = network.generator_blocks + network.shared_blocks
    for i in range(blocks):
        theirs = f"dec{letter}{1 + i}"
        for j in (1, 2):
            add(f"{own}.blocks.{i}.conv{j}", "gen", f"{theirs}.conv{j}.0.1")
            add(f"{own}.blocks.{i}.mix{j}.0", "gen", f"{theirs}.blk{j}.0")
            add(f"{own}.blocks.{i}.mix{j}.1", "gen", f"{theirs}.blk{j}.2")
    for i in range(3):
        add(f"{own}.codes.{2 * i}", "gen", f"mlp{letter}.{2 * i}")
    for i in range(network.downsamplings):
        add(f"{own}.up.{i}.conv", "gen", f"dec{letter}{1 + blocks}.{i}.model.0")
        add(f"{own}.up.{i}.norm", "gen", f"dec{letter}{1 + blocks}.{i}.model.1")
    add(f"{own}.last", "gen", f"dec{letter}{1 + blocks}.{network.downsamplings}")


def from_official(states: Mapping[str, Mapping[str, Tensor]], network: DRITNetwork) -> dict[str, Tensor]:
    """This program's state from official states (network name to tensors of any shape).

    Layer-norm gains and biases lose their two axes of length 1. Raises CheckpointError that names a missing tensor.
    """
    state = {}
    for ours, (part, theirs) in official_names(network).items():
        if part not in states or theirs not in states[part]:
            raise CheckpointError(f"The checkpoint has no tensor '{theirs}' in network '{part}'.")
        tensor = states[part][theirs]
        state[ours] = tensor.reshape(-1) if ".norm." in ours else tensor
    return state
