"""Losses and gradients that are not finite: the step is skipped, the learning rate backs off, and too many end it.

An update whose total or gradients overflow or become NaN moves no weight and no moment of its optimizer. That is
decided on the device, without waiting for it; the loop reads later what was skipped. A skip halves the learning rates;
every RECOVERY iterations without one double them again, up to what the settings say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MAX_HALVINGS = 5  # skips that lie so close together that the learning rates did not recover: the training has diverged
RECOVERY = 100  # iterations


class Safety:
    """What was skipped, and how far the learning rates are backed off. `state` is all that a checkpoint keeps of it."""

    def __init__(self) -> None:
        self.skipped = 0  # updates, in all
        self.halvings = 0  # of the learning rates, at present
        self.clean = 0  # iterations since the last skip or recovery
        self._iterations = 0  # since the last reading
        self._flags: dict[str, Tensor] = {}  # updates skipped since the last reading, scalars, by their networks

    @property
    def factor(self) -> float:
        """What the learning rates are multiplied with."""
        return 0.5**self.halvings

    @property
    def diverged(self) -> bool:
        """Whether so much was skipped that going on is in vain."""
        return self.halvings >= MAX_HALVINGS

    def judge(self, networks: Sequence[str], total: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
        """1 for an update that must be skipped, else 0: a scalar, as the optimizers take it.

        total: the loss, a scalar. parameters: of any shape, with their gradients. The norm of a gradient overflows
        before its numbers do: that is skipped too.
        """
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients)) if gradients else total.detach()
        flag = (~(norms.isfinite().all() & total.detach().isfinite().all())).float()
        name = " and ".join(networks)
        self._flags[name] = self._flags[name] + flag if name in self._flags else flag
        return flag

    def iterated(self) -> None:
        """Note that an iteration is done."""
        self._iterations += 1

    def read(self) -> list[str]:
        """The networks whose updates were skipped since the last reading, which back the learning rates off."""
        names = [name for name, count in self._flags.items() if (number := int(count)) and self._count(number)]
        if names:
            self.halvings, self.clean = self.halvings + 1, 0
        else:
            self.clean += self._iterations
            while self.clean >= RECOVERY:
                self.halvings, self.clean = max(0, self.halvings - 1), self.clean - RECOVERY
        self._iterations = 0
        self._flags.clear()
        return names

    def _count(self, number: int) -> int:
        self.skipped += number
        return number

    def state(self) -> dict[str, int]:
        """Plain numbers for a checkpoint. What was not read yet is lost: read first."""
        return {"skipped": self.skipped, "halvings": self.halvings, "clean": self.clean}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave; nothing, of a checkpoint from before. Raises ValueError for other values."""
        numbers = [int(state.get(name, 0)) for name in ("skipped", "halvings", "clean")]
        if min(numbers) < 0 or numbers[1] >= MAX_HALVINGS:
            raise ValueError(f"skips {numbers}")
        self.skipped, self.halvings, self.clean = numbers


def weight_of(terms: Sequence[str], weights: Sequence[str]) -> str:
    """The weight that all these terms have, if it is one: the longest name that a term begins with. Else "".

    terms: as in the metrics, UPDATE/TERM. weights: names of `settings.loss`.
    """
    names = [term.rpartition("/")[2] for term in terms]
    owners = {max((w for w in weights if name.startswith(w)), key=len, default="") for name in names}
    return owners.pop() if len(owners) == 1 else ""
