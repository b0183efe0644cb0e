"""The image pool of CycleGAN: discriminators also see older outputs (Shrivastava et al., arXiv 1612.07828)."""

from __future__ import annotations

import torch
from torch import Tensor

from drit.methods.base import Noise


class ImagePool:
    """Up to `size` outputs of the past. Its choices are a function of the noise, its content goes into checkpoints."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pictures: list[Tensor] = []

    def query(self, made: Tensor, noise: Noise) -> Tensor:
        """For each of (N, C, H, W): itself or, half of the time once the pool is full, an older one."""
        if not self.size:
            return made
        given = []
        for picture, (old, place) in zip(made, noise.uniform(len(made), 2, like=made).tolist(), strict=True):
            if len(self.pictures) < self.size:
                self.pictures.append(picture.detach().clone())
                given.append(picture)
            elif old < 0.5:
                i = int(place * self.size)
                given.append(self.pictures[i].to(picture))
                self.pictures[i] = picture.detach().clone()
            else:
                given.append(picture)
        return torch.stack(given)

    def state(self) -> Tensor:
        """(n, C, H, W); n 0 at the start."""
        return torch.stack(self.pictures) if self.pictures else torch.zeros(0)

    def load(self, state: Tensor) -> None:
        self.pictures = list(state.unbind()) if state.numel() else []
