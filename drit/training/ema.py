"""The exponential moving average of the weights that translation uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from drit.methods.base import Method


class MovingAverage:
    """average <- decay average + (1 - decay) weights after each iteration; of no weights with decay 0."""

    def __init__(self, method: Method, decay: float) -> None:
        self._decay = decay
        self._weights = {
            f"{network}.{name}": p
            for network in method.inference
            for name, p in getattr(method, network).named_parameters()
        }
        self.tensors: dict[str, Tensor] = {}  # by name, each of the shape of its weight; empty with decay 0
        if decay:
            self.reset()

    def reset(self) -> None:
        """Start from the weights as they are."""
        self.tensors = {name: p.detach().clone() for name, p in self._weights.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up an average, of all weights or of some.

        It gets the memory format of its weights, which a file does not keep: another one would give other last bits on
        a GPU, and be slower.

        tensors: by name, each of the shape of its weight, any values.
        """
        for name, kept in self.tensors.items():
            if name in tensors:
                kept.copy_(tensors[name])

    def update(self, step: int) -> None:
        """Take in the weights after iteration `step`. The decay is less at first: a young average follows at once."""
        if self.tensors:
            decay = min(self._decay, (1 + step) / (10 + step))
            averages = [self.tensors[name] for name in self._weights]
            torch._foreach_lerp_(averages, [p.detach() for p in self._weights.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While open, the method computes with the average in place of its weights, if there is one."""
        kept = {name: p.data for name, p in self._weights.items()}
        self._place(self.tensors)
        try:
            yield
        finally:
            self._place(kept)

    def _place(self, tensors: dict[str, Tensor]) -> None:
        for name, data in tensors.items():
            self._weights[name].data = data
