"""The image pool of CycleGAN: discriminators also see older outputs (Shrivastava et al., arXiv 1612.07828)."""

from __future__ import annotations

import torch
from torch import Tensor

from drit import peers
from drit.methods.noise import Noise


class ImagePool:
    """Up to `size` outputs of the past. Its choices are a function of the noise, its content goes into checkpoints.

    Choices stay where the noise is drawn: nothing waits for a device, and memory can be predicted without numbers.
    Processes that train together each keep the whole pool, and see the outputs of all.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0  # images in it
        self.kept: Tensor | None = None  # (size, C, H, W) once the first came: its whole memory from then on

    def query(self, fake: Tensor, noise: Noise) -> Tensor:
        """For each of (N, C, H, W): itself or, half of the time once the pool is full, an older one."""
        if not self.size:
            return fake
        count, fake = len(fake), peers.whole(fake.detach())
        kept = fake.new_zeros(self.size, *fake.shape[1:]) if self.kept is None else self.kept.to(fake)
        self.kept = kept
        chances, places = noise.uniform_of_all(count, 2, like=fake).split(1, dim=1)
        given = []
        for image, chance, place in zip(fake.split(1), chances, (places * self.size).long(), strict=True):
            if self.count < self.size:
                kept[self.count] = image[0]
                self.count += 1
                given.append(image)
                continue
            old, exchanged = kept.index_select(0, place), chance < 0.5
            kept.index_copy_(0, place, torch.where(exchanged, image, old))
            given.append(torch.where(exchanged, old, image))
        return peers.share(torch.cat(given))

    def state(self) -> Tensor:
        """(n, C, H, W); n 0 at the start."""
        return torch.zeros(0) if self.kept is None else self.kept[: self.count].clone()

    def load(self, state: Tensor) -> None:
        """Take up what `state` gave, (N, C, H, W): as much of it as fits, when the size was changed."""
        self.count = min(len(state), self.size)
        self.kept = None
        if self.count:
            self.kept = state.new_zeros(self.size, *state.shape[1:])
            self.kept[: self.count] = state[: self.count]
