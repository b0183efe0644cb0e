"""Random numbers of a training step, without state."""

from __future__ import annotations

import random

import torch
from torch import Tensor


class Noise:
    """Random numbers of one training step: a pure function of seed and step, so that resuming needs no state."""

    def __init__(self, seed: int, step: int, part: int = 0, parts: int = 1, rank: int = 0, ranks: int = 1) -> None:
        """part of parts: the share of a batch that is worked on; all of them together draw what the whole would. rank
        of ranks: the process that has every ranks-th image of a part (drit/peers.py)."""
        # An odd multiplier keeps (seed, step) pairs apart; torch's generator mixes the bits itself.
        self._seed = (seed * 0x9E3779B1 + step * 0x85EBCA6B + 1) % (1 << 63)
        self._part, self._parts = part, parts
        self._rank, self._ranks = rank, ranks
        self._generators: dict[torch.device, torch.Generator] = {}  # numbers are drawn where they are needed
        self._places = random.Random(self._seed)  # of numbers that no tensor holds

    def normal(self, count: int, *shape: int, like: Tensor) -> Tensor:
        """Standard normals (N, ...), N = count images and `shape` after it, of which every part has as many.

        They have device and dtype of `like` (float32 where that is narrower).
        """
        dtype, generator = torch.promote_types(like.dtype, torch.float32), self._generator(like.device)
        whole = torch.randn((self._all(count), *shape), generator=generator, dtype=dtype, device=like.device)
        return self._own(whole)

    def uniform(self, count: int, *shape: int, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1), (N, ...), as `normal` gives them."""
        return self.uniform_of_all(count, *shape, like=like)[self._rank :: self._ranks]

    def uniform_of_all(self, count: int, *shape: int, like: Tensor) -> Tensor:
        """As `uniform`, for the images of every process: (N R, ...) where R processes have N each."""
        dtype, generator = torch.promote_types(like.dtype, torch.float32), self._generator(like.device)
        whole = torch.rand((self._all(count), *shape), generator=generator, dtype=dtype, device=like.device)
        return self._of_part(whole)

    def integers(self, count: int, end: int, like: Tensor) -> Tensor:
        """Integers from 0 to end - 1: (N,), N = count, int64 on the device of `like`."""
        generator = self._generator(like.device)
        return self._own(torch.randint(end, (self._all(count),), generator=generator, device=like.device))

    def places(self, count: int, end: int) -> list[int]:
        """`count` integers from 0 to end - 1, for slices: numbers of Python, so that nothing waits for a device."""
        whole = [int(self._places.random() * end) for _ in range(self._all(count))]
        size = count * self._ranks
        return whole[self._part * size : (self._part + 1) * size][self._rank :: self._ranks]

    def _all(self, count: int) -> int:
        """Images of a whole batch of which every part of each process has `count`."""
        return count * self._parts * self._ranks

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]

    def _own(self, whole: Tensor) -> Tensor:
        """The share of this part and process."""
        return self._of_part(whole)[self._rank :: self._ranks]

    def _of_part(self, whole: Tensor) -> Tensor:
        """The share of this part, of all processes."""
        count = len(whole) // self._parts
        return whole[self._part * count : (self._part + 1) * count]

    def copy(self) -> Noise:
        """The same numbers that this one gives from now on."""
        other = Noise(0, 0, self._part, self._parts, self._rank, self._ranks)
        other._seed = self._seed
        other._places.setstate(self._places.getstate())
        for device, generator in self._generators.items():
            other._generators[device] = torch.Generator(device)
            other._generators[device].set_state(generator.get_state())
        return other
