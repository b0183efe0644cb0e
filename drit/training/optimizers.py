"""The optimizer of each network of a method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from drit.methods.base import Method
from drit.networks.fast import is_channels_last


class DenseAdam(torch.optim.Adam):
    """torch's fused Adam, given the weights as they lie in memory.

    On a CPU it copies what is not contiguous, twice: weights in channels_last cost 2.8 times as much. Adam treats each
    number alone, so a view with the axes in the order of memory gives the same bits. The state keeps the weights' own
    axes, in memory and in checkpoints.
    """

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Any] | None = None, skip: Tensor | None = None
    ) -> None:
        """One step of the weights that have a gradient. skip: a scalar; where it is 1, nothing moves."""
        if closure is not None:
            raise NotImplementedError("Gradients are computed before the step.")
        for group in self.param_groups:
            moved: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
                    for name in ("exp_avg", "exp_avg_sq"):
                        state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
                moved.append((*_dense(p, p.grad, state["exp_avg"], state["exp_avg_sq"]), state["step"]))
            if not moved:
                continue
            parameters, gradients, means, squares, steps = (list(tensors) for tensors in zip(*moved, strict=True))
            adam(
                parameters,
                gradients,
                means,
                squares,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
                found_inf=skip,
            )


def _dense(*same: Tensor) -> tuple[Tensor, ...]:
    """Tensors of one shape, with their axes in the order of memory where all are in channels_last."""
    if all(is_channels_last(t) for t in same):
        return tuple(t.permute(0, 2, 3, 1) for t in same)
    return same


def make_optimizers(method: Method) -> dict[str, DenseAdam]:
    """One Adam for each network of a method that has weights."""
    optim, rates = method.settings.optim, method.learning_rates()
    betas = (optim.beta1, optim.beta2)
    return {
        name: DenseAdam(module.parameters(), lr=rates[name], betas=betas, weight_decay=optim.weight_decay, fused=True)
        for name, module in method.named_children()
        if any(True for _ in module.parameters())
    }


def restore_optimizer(optimizer: DenseAdam, state: dict[str, Any]) -> None:
    """Take up the moments of a checkpoint; settings and learning rate stay the optimizer's own.

    state: as `state_dict` gives it; each moment has the shape of its weight. Raises ValueError or what torch raises for
    one that does not fit.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    own = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group.update(own)
        group["lr"] = rate
        for p in group["params"]:
            kept = optimizer.state[p]
            for name in ("exp_avg", "exp_avg_sq") if kept else ():
                if kept[name].shape != p.shape:
                    raise ValueError(f"a moment has shape {tuple(kept[name].shape)}, its weight {tuple(p.shape)}")
                # a GPU's Adam refuses moments that lie in memory in another order than their weight
                kept[name] = torch.empty_like(p, requires_grad=False).copy_(kept[name])
