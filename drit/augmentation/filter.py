"""Which translations are kept: those that show their label, and those that invent the least."""

from __future__ import annotations

import numpy as np
import torch

from drit.errors import DataError
from drit.probes.classifier import BATCH, predict, train_classifier

FILTER_IMAGES = 60000  # translations that each of the filter's two classifiers learns from, at most
FILTER_STEPS = 1500  # iterations of each, about


def classified_correctly(images: np.ndarray, labels: np.ndarray, source: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which translations are classified as their label (M,) bool, by a classifier that never saw their source.

    The sources are halved, class by class. A classifier trained on the translations of one half judges those of the
    other. No label of the target domain is needed, and what is judged is what can be seen. Translating back and
    classifying there would also pass what only the model itself can decode. A fault that all translations of a class
    share is not found.

    images: (M, H, W, C) of uint8. labels: (M,), 0 .. K - 1. source: (M,), which image each was translated from.
    Raises DataError for a class of one image.
    """
    rng = np.random.default_rng(seed)
    in_first_half = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = np.unique(source[labels == label])
        if len(of_class) < 2:
            raise DataError("--filter needs at least two images of each class: one to learn from, one to judge.")
        in_first_half |= np.isin(source, rng.permutation(of_class)[: len(of_class) // 2])
    correct = np.zeros(len(labels), bool)
    for judged in (in_first_half, ~in_first_half):
        training = rng.permutation(np.flatnonzero(~judged))[:FILTER_IMAGES]
        epochs = max(1, min(30, FILTER_STEPS * BATCH // len(training)))
        classifier = train_classifier(torch.from_numpy(images[training]), labels[training], seed, epochs)
        correct[judged] = predict(classifier, torch.from_numpy(images[judged])) == labels[judged]
    return correct


def kept_outputs(
    images: np.ndarray, labels: np.ndarray, source: np.ndarray, repetition: np.ndarray, seed: int
) -> np.ndarray:
    """Which outputs are kept (M,) bool: `classified_correctly` of the translations; the sources (0) are not judged.

    images, labels, source: as there, of all outputs. repetition: (M,), 0 for a source.
    """
    kept = np.ones(len(labels), bool)
    judged = np.flatnonzero(repetition > 0)
    kept[judged] = classified_correctly(images[judged], labels[judged], source[judged], seed)
    return kept


def kept_by_invention(invention: np.ndarray, quantile: float) -> tuple[np.ndarray, float]:
    """Which outputs are kept (M,) bool, and the most invention that is: the quantile of all translations of the set.

    invention: (M,), NaN for a source, which is kept. quantile: 0 to 1; translations of exactly the quantile are kept.
    """
    limit = float(np.nanquantile(invention, quantile))
    return ~(invention > limit), limit


def dropped_by_class(kept: np.ndarray, labels: np.ndarray, classes: list[str]) -> dict[str, int]:
    """How many outputs of each class are not kept. kept: (M,) bool. labels: (M,), places in `classes`."""
    return {name: int((~kept & (labels == k)).sum()) for k, name in enumerate(classes)}
