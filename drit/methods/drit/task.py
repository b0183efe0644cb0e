"""The task that translations to b shall still serve: a classifier of the labels of domain a, trained with the
translator (PixelDA, Bousmalis et al., arXiv 1612.05424, section 3.2)."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32
GROUPS = 8  # of channels that are normalised together: batches are too small for batch normalisation


class TaskClassifier(nn.Module):
    """T: three convolutions of stride 2 with group normalisation, the maximum of each of 3 x 3 parts, one linear layer.

    It sees source images and translations alike. Sources get the channels of b: grey is repeated, colours become grey.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        widths = [channels, WIDTH, 2 * WIDTH, 4 * WIDTH]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 2, padding=1) for i, o in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, o) for o in widths[1:])
        self.head = nn.Linear(9 * widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1], with any number of channels. Returns logits (N, classes)."""
        if x.shape[1] != self.channels:
            x = x.mean(1, keepdim=True).expand(-1, self.channels, -1, -1)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self.head(F.adaptive_max_pool2d(x, 3).flatten(1))
