"""Which translations show their label."""

from __future__ import annotations

import numpy as np
import torch

from drit.errors import DataError
from drit.probes.classifier import BATCH, predict, train_probe

FILTER_IMAGES = 60000  # translations that each of the filter's two classifiers learns from, at most


FILTER_STEPS = 1500  # iterations of each, at least


def readable(images: np.ndarray, labels: np.ndarray, source: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which translations show their label: (M,) bool, read by a classifier that never saw their source.

    The sources are halved, class by class; a classifier trained on the translations of one half reads those of the
    other. No label of the target domain is needed, and what is judged is what can be seen: translating back and reading
    there would also pass what only the model itself can decode. A fault that all translations of a class share is not
    found. images: (M, H, W, C) uint8; labels, source: (M,). Raises DataError for a class of one image.
    """
    rng = np.random.default_rng(seed)
    half = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = np.unique(source[labels == label])
        if len(of_class) < 2:
            raise DataError("--filter needs at least two images of each class: one to learn from, one to read.")
        half |= np.isin(source, rng.permutation(of_class)[: len(of_class) // 2])
    kept = np.zeros(len(labels), bool)
    for mine in (half, ~half):
        learnt = np.flatnonzero(~mine)
        learnt = rng.permutation(learnt)[:FILTER_IMAGES]
        epochs = max(1, min(30, FILTER_STEPS * BATCH // len(learnt)))
        probe = train_probe(torch.from_numpy(images[learnt]), labels[learnt], seed, epochs)
        read = predict(probe, torch.from_numpy(images[mine]))
        kept[mine] = read == labels[mine]
    return kept
