"""The task that translations to b shall still serve: a classifier of the labels of domain a, or a segmenter of their
masks, trained with the translator (PixelDA, Bousmalis et al., arXiv 1612.05424, section 3.2)."""

from __future__ import annotations

import itertools

import torch
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
        x = _with_channels(x, self.channels)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self.head(_largest(x, 3).flatten(1))


class TaskSegmenter(nn.Module):
    """T for masks: three convolutions, the last two of stride 2, then what the last found, enlarged, beside what the
    first did, and two convolutions more. It sees sources as `TaskClassifier` does.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        widths = [channels, WIDTH, 2 * WIDTH, 4 * WIDTH]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride, padding=1)
            for (i, o), stride in zip(itertools.pairwise(widths), (1, 2, 2), strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, o) for o in widths[1:])
        self.joined = nn.Conv2d(widths[-1] + WIDTH, WIDTH, 3, padding=1)
        self.joined_norm = nn.GroupNorm(GROUPS, WIDTH)
        self.head = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1], with any number of channels. Returns logits (N, classes, H, W)."""
        x = _with_channels(x, self.channels)
        maps = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
            maps.append(x)
        x = F.interpolate(x, maps[0].shape[2:], mode="bilinear")
        return self.head(F.relu(self.joined_norm(self.joined(torch.cat([x, maps[0]], 1)))))


def _largest(x: Tensor, parts: int) -> Tensor:
    """The maximum of each of parts x parts, which overlap where they do not divide a side, as in the library's adaptive
    pooling, whose gradient is not deterministic on a GPU. x: (N, C, H, W). Returns (N, C, parts, parts)."""
    rows, columns = ([slice(i * n // parts, -(-(i + 1) * n // parts)) for i in range(parts)] for n in x.shape[2:])
    return torch.stack([torch.stack([x[:, :, r, c].amax((2, 3)) for c in columns], 2) for r in rows], 2)


def _with_channels(x: Tensor, channels: int) -> Tensor:
    """(N, C, H, W) with so many channels: grey is repeated, colours become grey first."""
    return x if x.shape[1] == channels else x.mean(1, keepdim=True).expand(-1, channels, -1, -1)
