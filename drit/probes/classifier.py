"""A small standard classifier: it tells whether a translation still shows the same thing, and what a set is worth.

Images are either uint8 (N, H, W, C), converted batch by batch, or float (N, C, H, W) in [-1, 1]. Where the processor
computes in bfloat16, so do the convolutions.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.runtime import autocast, choose

BATCH = 128
READ = 500  # images read at once
RATE = 4e-3  # at the top of the one-cycle schedule
STATISTICS = 10000  # unlabelled images that batch-normalisation statistics are taken from, at most
_CPU = torch.device("cpu")


class Probe(nn.Module):
    """Three convolutions with batch normalisation, two of stride 2, pooling, one linear layer; from 12 pixels.

    Strides in place of pooling after full-size convolutions: 1.8 times as fast at 28 pixels, and as accurate
    (docs/results.md).
    """

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.classes = classes
        widths = [channels, width, 2 * width, 4 * width]
        sizes = ((5, 2), (3, 2), (3, 1))  # kernel, stride
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, k, stride, padding=k // 2)
            for (i, o), (k, stride) in zip(itertools.pairwise(widths), sizes, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])
        self.head = nn.Linear(widths[-1] * 9, classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        """x: (N, C, H, W) in [-1, 1]. Returns what each convolution gives, normalised and activated."""
        found = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns logits (N, classes)."""
        x = self.maps(x)[-1]
        stride = [side // 3 for side in x.shape[-2:]]  # 3 x 3 windows that cover the map
        kernel = [side - 2 * s for side, s in zip(x.shape[-2:], stride, strict=True)]
        x = F.max_pool2d(x, kernel, stride)
        return self.head(F.dropout(x.flatten(1), 0.3, self.training)).float()


@torch.random.fork_rng(devices=[])  # the caller's random numbers stay as they are
def train_probe(
    images: Tensor,
    labels: np.ndarray,
    seed: int = 0,
    epochs: int = 15,
    width: int = 32,
    shift: int = 2,
    classes: int = 0,
    channels: int = 0,
    validation: float = 0.0,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> Probe:
    """Train a probe on images with labels 0 .. K - 1: AdamW, one cycle of rates, shifts by up to `shift` pixels.

    classes: K, if not the largest label + 1. channels: of the images to read, if not those of `images`. validation:
    this share of the images is held out, and the weights of the epoch that reads most of it are returned; without,
    those of the last.
    """
    torch.manual_seed(seed)
    targets = torch.from_numpy(np.asarray(labels)).long()
    channels = channels or channels_of(images)
    probe = Probe(channels, classes or int(targets.max()) + 1, width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = torch.randperm(len(images))
    held, used = order[: int(validation * len(images))], order[int(validation * len(images)) :]
    size = min(len(used), BATCH, max(16, len(used) // 16))  # small sets: smaller batches, for enough iterations
    optimizer = torch.optim.AdamW(probe.parameters(), RATE, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * (len(used) // size))
    dtype = choose("auto", _CPU)
    best, best_share = probe, -1.0
    for epoch in range(epochs):
        probe.train()
        order = used[torch.randperm(len(used))]
        for chosen in order[: len(used) // size * size].split(size):
            with autocast(dtype, _CPU):
                logits = probe(_inputs(_moved(images, chosen, shift), channels))
            loss = F.cross_entropy(logits, targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if len(held):
            share = float((predict(probe, images[held]) == targets[held].numpy()).mean())
            if share >= best_share:
                best, best_share = copy.deepcopy(probe), share
        after_epoch(epoch + 1)
    return best.eval()


def channels_of(images: Tensor) -> int:
    return images.shape[3] if images.dtype == torch.uint8 else images.shape[1]


def _moved(images: Tensor, chosen: Tensor, shift: int) -> Tensor:
    """The chosen images, each moved by up to `shift` pixels; what moves in repeats the border."""
    if not shift:
        return images[chosen]
    channels_last = images.dtype == torch.uint8
    height, width = images.shape[1:3] if channels_last else images.shape[2:4]
    by = torch.randint(-shift, shift + 1, (2, len(chosen), 1))
    rows = (torch.arange(height) + by[0]).clamp_(0, height - 1)[:, :, None]
    columns = (torch.arange(width) + by[1]).clamp_(0, width - 1)[:, None, :]
    which = chosen[:, None, None]
    if channels_last:
        return images[which, rows, columns]
    return images.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2)


def _inputs(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, H, W, C) or float (N, C, H, W) to float (N, channels, H, W) in [-1, 1]; grey is repeated."""
    x = images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1) if images.dtype == torch.uint8 else images
    return x.expand(-1, channels, -1, -1) if x.shape[1] == 1 else x


@torch.inference_mode()
def predict(probe: Probe, images: Tensor) -> np.ndarray:
    """The class that the probe reads in each image: (N,) int64."""
    probe.eval()
    return torch.cat([probe(_inputs(part, probe.channels)).argmax(1) for part in images.split(READ)]).numpy()


def accuracy(probe: Probe, images: Tensor, labels: np.ndarray) -> float:
    """Share of images that the probe classifies correctly."""
    return float((predict(probe, images) == np.asarray(labels)).mean())


@torch.inference_mode()
def adapt_statistics(probe: Probe, images: Tensor) -> Probe:
    """The probe with batch-normalisation statistics of these images in place of those it was trained on.

    AdaBN (Li et al., arXiv 1603.04779): unlabelled images of the domain that it is tested on; no weight is changed.
    """
    adapted = copy.deepcopy(probe)
    for norm in adapted.norms:
        assert isinstance(norm, nn.BatchNorm2d)
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for part in images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:STATISTICS]].split(
        READ
    ):
        adapted(_inputs(part, probe.channels))
    return adapted.eval()


class Labelled(NamedTuple):
    """Images and labels: images as in the module, labels (N,) 0 .. K - 1."""

    images: Tensor
    labels: np.ndarray


def worth(
    train: Labelled,
    test: Labelled,
    classes: list[str],
    seeds: int = 3,
    epochs: int = 4,
    width: int = 32,
    validation: float = 0.0,
    unlabelled: Tensor | None = None,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> dict[str, Any]:
    """Train probes on one set with seeds 0 .. seeds - 1 and test them on another.

    Returns accuracy (mean) and deviation (of the seeds, n - 1), those of each class, and the confusion counts over all
    seeds: row true, column read. validation: as in `train_probe`. unlabelled: as in `adapt_statistics`; what the same
    probes read before goes into accuracies_without_unlabelled.
    """
    count = len(classes)
    channels = max(channels_of(train.images), channels_of(test.images))
    shares, plain, by_class = [], [], []
    confusion = np.zeros((count, count), np.int64)
    for seed in range(seeds):
        probe = train_probe(
            *train,
            seed,
            epochs,
            width,
            classes=count,
            channels=channels,
            validation=validation,
            after_epoch=after_epoch,
        )
        if unlabelled is not None:
            plain.append(accuracy(probe, *test))
            probe = adapt_statistics(probe, unlabelled)
        read = predict(probe, test.images)
        table = np.bincount(test.labels * count + read, minlength=count * count).reshape(count, count)
        confusion += table
        shares.append(float((read == test.labels).mean()))
        by_class.append(table.diagonal() / np.maximum(1, table.sum(1)))
    return {
        "accuracy": float(np.mean(shares)),
        "deviation": _deviation(shares),
        "accuracies": shares,
        "accuracies_without_unlabelled": plain,
        "classes": {name: float(share) for name, share in zip(classes, np.mean(by_class, axis=0), strict=True)},
        "confusion": confusion.tolist(),
    }


def _deviation(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
