"""A small standard classifier: whether a translation keeps its content, and what a training set is worth.

Images are either (N, H, W, C) of uint8, converted batch by batch, or (N, C, H, W) of floats in [-1, 1]. Where the
processor computes in bfloat16, so do the convolutions.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.runtime import autocast, choose

BATCH = 128
CLASSIFIED = 500  # images classified at once
RATE = 4e-3  # at the top of the one-cycle schedule
CONFIDENT = 0.9  # probability from which a predicted class is taken for a label
STATISTICS = 10000  # unlabelled images that batch-normalisation statistics are taken from, at most
_CPU = torch.device("cpu")


class LabelledImages(NamedTuple):
    """Images (N, H, W, C) of uint8 or (N, C, H, W) in [-1, 1], and labels (N,), 0 .. K - 1."""

    images: Tensor
    labels: np.ndarray


class Classifier(nn.Module):
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
        """x: (N, C, H, W) in [-1, 1]. Returns what each convolution gives, normalised and activated: (N, C', h, w)."""
        maps = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns logits (N, classes)."""
        x = self.maps(x)[-1]
        stride = [side // 3 for side in x.shape[-2:]]  # 3 x 3 windows that cover the map
        kernel = [side - 2 * s for side, s in zip(x.shape[-2:], stride, strict=True)]
        x = F.max_pool2d(x, kernel, stride)
        return self.head(F.dropout(x.flatten(1), 0.3, self.training)).float()


@torch.random.fork_rng(devices=[])  # the caller's random numbers stay as they are
def train_classifier(
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
    beside: LabelledImages | None = None,
    share: float = 0.5,
) -> Classifier:
    """Train a classifier on images (N, H, W, C) of uint8 or (N, C, H, W) in [-1, 1], with labels (N,), 0 .. K - 1.

    AdamW, one cycle of rates, shifts by up to `shift` pixels.

    classes: K, if not the largest label + 1. channels: of the network, if not those of `images`. validation: this
    share of the images is held out, and the weights of the epoch with the best accuracy on it are returned; without,
    those of the last epoch. after_epoch: called with the number of epochs done. beside: labelled images of the same
    size, from which this `share` of each batch is drawn; an epoch then sees the less of `images`.
    """
    torch.manual_seed(seed)
    targets = torch.from_numpy(np.asarray(labels)).long()
    channels = channels or channels_of(images)
    classifier = Classifier(channels, classes or int(targets.max()) + 1, width)
    classifier = classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = torch.randperm(len(images))
    held_out, used = order[: int(validation * len(images))], order[int(validation * len(images)) :]
    size = min(len(used), BATCH, max(16, len(used) // 16))  # small sets: smaller batches, for enough iterations
    drawn = round(share * size)  # of a batch, from `beside`
    optimizer = torch.optim.AdamW(classifier.parameters(), RATE, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * (len(used) // size))
    dtype = choose("auto", _CPU)
    best, best_accuracy = classifier, -1.0
    for epoch in range(epochs):
        classifier.train()
        order = used[torch.randperm(len(used))]
        for chosen in order[: len(used) // size * size].split(size):
            if beside is not None:
                chosen = chosen[drawn:]
            x, y = _inputs(_shifted(images, chosen, shift), channels), targets[chosen]
            if beside is not None:
                others = torch.randint(len(beside.images), (drawn,))
                x = torch.cat([x, _inputs(_shifted(beside.images, others, shift), channels)])
                y = torch.cat([y, torch.from_numpy(beside.labels)[others]])
            with autocast(dtype, _CPU):
                logits = classifier(x)
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if len(held_out):
            held_out_accuracy = float((predict(classifier, images[held_out]) == targets[held_out].numpy()).mean())
            if held_out_accuracy >= best_accuracy:
                best, best_accuracy = copy.deepcopy(classifier), held_out_accuracy
        after_epoch(epoch + 1)
    return best.eval()


def channels_of(images: Tensor) -> int:
    """Channels of images (N, H, W, C) of uint8 or (N, C, H, W) of floats."""
    return images.shape[3] if images.dtype == torch.uint8 else images.shape[1]


def _shifted(images: Tensor, chosen: Tensor, shift: int) -> Tensor:
    """The images at the indices `chosen` (n,), each shifted by up to `shift` pixels; the border is repeated."""
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
def predict(classifier: Classifier, images: Tensor) -> np.ndarray:
    """The predicted class (N,), int64, of images (N, H, W, C) of uint8 or (N, C, H, W) in [-1, 1]."""
    classifier.eval()
    parts = images.split(CLASSIFIED)
    return torch.cat([classifier(_inputs(part, classifier.channels)).argmax(1) for part in parts]).numpy()


def accuracy(classifier: Classifier, images: Tensor, labels: np.ndarray) -> float:
    """Share, 0 to 1, of images, as in `predict`, that are classified as their labels (N,)."""
    return float((predict(classifier, images) == np.asarray(labels)).mean())


@torch.inference_mode()
def adapt_statistics(classifier: Classifier, images: Tensor) -> Classifier:
    """The classifier with batch-normalisation statistics of these images in place of those it was trained on.

    AdaBN (Li et al., arXiv 1603.04779); no weight is changed.

    images: (N, H, W, C) of uint8 or (N, C, H, W) in [-1, 1], unlabelled, of the domain that is tested on.
    """
    adapted = copy.deepcopy(classifier)
    for norm in adapted.norms:
        assert isinstance(norm, nn.BatchNorm2d)
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:STATISTICS]
    for part in images[chosen].split(CLASSIFIED):
        adapted(_inputs(part, classifier.channels))
    return adapted.eval()


@torch.inference_mode()
def confident(classifier: Classifier, images: Tensor) -> LabelledImages:
    """The images that a classifier is sure of, with the classes that it gives them (pseudo-labels, Lee 2013).

    images: (N, H, W, C) of uint8 or (N, C, H, W) in [-1, 1]. Sure: the probability of the class is CONFIDENT or more.
    """
    classifier.eval()
    parts = [classifier(_inputs(part, classifier.channels)).softmax(1) for part in images.split(CLASSIFIED)]
    probability, predicted = torch.cat(parts).max(1)
    sure = probability >= CONFIDENT
    return LabelledImages(images[sure], predicted[sure].numpy())


def train_and_test(
    train: LabelledImages,
    test: LabelledImages,
    classes: list[str],
    seeds: int = 3,
    epochs: int = 4,
    width: int = 32,
    validation: float = 0.0,
    unlabelled: Tensor | None = None,
    after_epoch: Callable[[int], None] = lambda epoch: None,
    self_training: int = 0,
    first_seed: int = 0,
    beside: LabelledImages | None = None,
) -> dict[str, Any]:
    """What one labelled set is worth for another: classifiers are trained on it and tested on the other.

    Their seeds are first_seed .. first_seed + seeds - 1.

    Returns accuracy (mean) and std (of the seeds, n - 1), the accuracies of each seed and of each class, and the
    confusion counts over all seeds: row true, column predicted.

    validation: as in `train_classifier`. unlabelled: images (N, H, W, C) or (N, C, H, W) for `adapt_statistics`; the
    accuracies before it go into accuracies_without_unlabelled. self_training: so many times, a new classifier is
    trained on `train` and on the `unlabelled` images that the one before is sure of; the accuracies before the first
    time go into accuracies_without_self_training, the number of those images at the last into pseudo_labelled. beside:
    a few labelled images of the domain that is tested on, a fifth of each batch; where a classifier labels others
    (self_training), a tenth of what lies beside.
    """
    count = len(classes)
    channels = max(channels_of(train.images), channels_of(test.images))
    accuracies, without_unlabelled, without_self_training, by_class = [], [], [], []
    pseudo_labelled = []
    confusion = np.zeros((count, count), np.int64)
    for seed in range(first_seed, first_seed + seeds):
        train_one = partial(
            train_classifier,
            *train,
            seed,
            epochs,
            width,
            classes=count,
            channels=channels,
            validation=validation,
            after_epoch=after_epoch,
        )
        classifier = train_one() if beside is None else train_one(beside=beside, share=0.2)
        if unlabelled is not None:
            without_unlabelled.append(accuracy(classifier, *test))
            classifier = adapt_statistics(classifier, unlabelled)
            if self_training:
                without_self_training.append(accuracy(classifier, *test))
            for _ in range(self_training):
                sure = confident(classifier, unlabelled)
                found = len(sure.labels)
                if not found:
                    break
                share = len(sure.labels) / len(unlabelled) / 2  # the surer, the more: half where it is sure of all
                if beside is not None:
                    times = max(1, len(sure.labels) // (9 * len(beside.labels)))
                    sure = LabelledImages(
                        torch.cat([sure.images, *[beside.images] * times]),
                        np.concatenate([sure.labels, *[beside.labels] * times]),
                    )
                classifier = adapt_statistics(train_one(beside=sure, share=share), unlabelled)
            if self_training:
                pseudo_labelled.append(found)
        predicted = predict(classifier, test.images)
        table = np.bincount(test.labels * count + predicted, minlength=count * count).reshape(count, count)
        confusion += table
        accuracies.append(float((predicted == test.labels).mean()))
        by_class.append(table.diagonal() / np.maximum(1, table.sum(1)))
    return {
        "accuracy": float(np.mean(accuracies)),
        "std": float(np.std(accuracies, ddof=1)) if seeds > 1 else 0.0,
        "accuracies": accuracies,
        "accuracies_without_unlabelled": without_unlabelled,
        "accuracies_without_self_training": without_self_training,
        "pseudo_labelled": pseudo_labelled,
        "classes": {name: float(share) for name, share in zip(classes, np.mean(by_class, axis=0), strict=True)},
        "confusion": confusion.tolist(),
    }
