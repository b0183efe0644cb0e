"""The optimizer of each network of a method."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from drit.methods.base import Method
from drit.networks.fast import is_channels_last
from drit.settings.common import OptimSettings


class DenseAdam(torch.optim.Adam):
    """torch's fused Adam, given the weights as they lie in memory.

    On a CPU it copies what is not contiguous, twice: weights in channels_last cost 2.8 times as much. Adam treats each
    number alone, so a view with the axes in the order of memory gives the same bits. The state keeps the weights' own
    axes, in memory and in checkpoints.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        found: bool = super()._init_group(group, *lists)
        parameters, gradients, means, squares = lists[:4]
        for i, same in enumerate(zip(parameters, gradients, means, squares, strict=True)):
            if all(is_channels_last(t) for t in same):
                parameters[i], gradients[i], means[i], squares[i] = (t.permute(0, 2, 3, 1) for t in same)
        return found


def make_optimizers(method: Method, optim: OptimSettings) -> dict[str, DenseAdam]:
    """One Adam for each network of a method that has weights."""
    rates = method.learning_rates(optim)
    betas = (optim.beta1, optim.beta2)
    return {
        name: DenseAdam(module.parameters(), lr=rates[name], betas=betas, weight_decay=optim.weight_decay, fused=True)
        for name, module in method.named_children()
        if any(True for _ in module.parameters())
    }
