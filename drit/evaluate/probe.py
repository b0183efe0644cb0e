"""A small standard classifier, trained on real pictures: it tells whether a translation still shows the same thing."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 100


class Probe(nn.Module):
    """Three convolutions with batch normalisation and pooling, then one linear layer; for 28 to 64 pixels."""

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        widths = [channels, width, 2 * width, 4 * width]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])
        self.head = nn.Linear(widths[-1] * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns logits (N, classes)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.max_pool2d(F.relu(norm(conv(x))), 2)
        return self.head(F.dropout(F.adaptive_avg_pool2d(x, 4).flatten(1), 0.3, self.training))


def train_probe(images: Tensor, labels: np.ndarray, seed: int = 0, epochs: int = 15) -> Probe:
    """Train a probe on pictures (N, C, H, W) in [-1, 1] with labels 0 .. K - 1; shifts by up to two pixels."""
    torch.manual_seed(seed)
    targets = torch.from_numpy(np.asarray(labels)).long()
    probe = Probe(images.shape[1], int(targets.max()) + 1)
    size = min(BATCH, len(images))
    steps = epochs * (len(images) // size)
    optimizer = torch.optim.AdamW(probe.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for chosen in order[: len(images) // size * size].split(size):
            shift = [int(s) for s in torch.randint(-2, 3, (2,))]
            x = images[chosen].roll(shift, dims=(2, 3))
            loss = F.cross_entropy(probe(x), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return probe.eval()


@torch.inference_mode()
def accuracy(probe: Probe, images: Tensor, labels: np.ndarray) -> float:
    """Share of pictures (N, C, H, W) in [-1, 1] that the probe reads rightly."""
    found = torch.cat([probe(part).argmax(1) for part in images.split(500)])
    return float((found.numpy() == np.asarray(labels)).mean())
