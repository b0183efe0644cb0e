"""Beginning a new training with the weights of another one, or of some of its networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from drit.bounded import resolved
from drit.errors import UsageError, nearest
from drit.methods.base import Method
from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder, run_of
from drit.settings.common import TrainSettings


class Start(NamedTuple):
    """The weights that a training begins with, in place of random ones."""

    weights: dict[str, Tensor]  # by name, of any shape
    average: dict[str, Tensor]  # likewise; empty if that run kept none
    record: dict[str, Any]  # whose they are, for config.json


def skeleton(method: type[Method], settings: TrainSettings, channels: dict[str, int]) -> Method:
    """A method with the shapes of its weights and without their numbers: it takes no memory.

    Weights are compared with it, so that a file which asks for other sizes is refused before they are allocated.
    """
    with torch.device("meta"):
        return method(settings, channels)


def starting_weights(source: Path, networks: Sequence[str], method: Method) -> Start:
    """The weights of a run or checkpoint for these networks of a method; none named: for all that it has.

    Raises CheckpointError for what cannot be read, UsageError for a network that is not there or does not fit.
    """
    checkpoint = files.find(source)
    meta = files.load_meta(checkpoint)
    weights, average = files.load_weights(checkpoint)
    own = method.state_dict()
    known = [name for name, module in method.named_children() if any(True for _ in module.state_dict())]
    chosen = list(dict.fromkeys(networks)) or known
    for name in chosen:
        if name not in known:
            raise UsageError(f"There is no network '{name}'.{nearest(name, known)} Networks: {', '.join(known)}.")
    misfits = {name: why for name in chosen if (why := _misfit(_of(name, own), _of(name, weights)))}
    if misfits:
        fitting = [name for name in chosen if name not in misfits]
        leave = f"Leave it out: --start-networks {' '.join(fitting)}. Or give" if fitting else "Give"
        run = run_of(checkpoint)
        config = f" with --config {RunFolder(run).config}" if run else ""
        name, why = next(iter(misfits.items()))
        others = f" (nor do {', '.join(list(misfits)[1:])})" if len(misfits) > 1 else ""
        raise UsageError(
            f"The network '{name}' of {checkpoint} does not fit{others}: {why}. {leave} the sizes and channels of that "
            f"run{config}."
        )
    return Start(
        {name: t for network in chosen for name, t in _of(network, weights).items()},
        {name: t for network in chosen for name, t in _of(network, average).items()},
        {
            "run": resolved(run_of(checkpoint) or checkpoint).name,
            "method": meta["method"],
            "step": meta["step"],
            "weights_sha256": files.weights_sha256(checkpoint),
            "networks": chosen,
        },
    )


def _of(network: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one network, by their whole names."""
    return {name: t for name, t in tensors.items() if name.startswith(f"{network}.")}


def _misfit(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Why tensors do not fit those of a network; empty if they do."""
    if not given:
        return "there is no such network there"
    for name in sorted({*own, *given}):
        if name not in given:
            return f"there is no tensor '{name}' there"
        if name not in own:
            return f"the new one has no tensor '{name}'"
        if own[name].shape != given[name].shape:
            return f"'{name}' has shape {tuple(given[name].shape)} there and {tuple(own[name].shape)} here"
    return ""
