"""Kernel Inception distance (Binkowski et al., arXiv 1801.01401): an unbiased distance of two samples of features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Kernels(NamedTuple):
    """Kernel matrices within x (n, n), within y (m, m) and between them (n, m)."""

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray


def kernels(x: np.ndarray, y: np.ndarray) -> Kernels:
    """The cubic kernel of KID for all pairs of rows (arXiv 1801.01401, section 4).

    k(u, v) = (u . v / D + 1)^3

    x: (n, D), y: (m, D), any real values.
    """
    d = x.shape[1]

    def cubic(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (u @ v.T / d + 1) ** 3

    return Kernels(cubic(x, x), cubic(y, y), cubic(x, y))


def squared_mmd(k: Kernels, x_weights: np.ndarray | None = None, y_weights: np.ndarray | None = None) -> float:
    """Squared maximum mean discrepancy, unbiased: its mean is 0 for equal distributions, so it can be negative.

    MMD^2 = mean of k(x_i, x_j) over i != j + mean of k(y_i, y_j) over i != j - 2 mean of k(x_i, y_j)
    (Gretton et al. 2012, equation 3)

    x_weights: (n,), y_weights: (m,), not negative; 1 each without. A row that counts twice is no pair with itself.
    """
    w = np.ones(len(k.xx)) if x_weights is None else x_weights
    v = np.ones(len(k.yy)) if y_weights is None else y_weights

    def mean_within(matrix: np.ndarray, weights: np.ndarray) -> float:
        squares = weights**2
        pairs = weights.sum() ** 2 - squares.sum()
        return float((weights @ matrix @ weights - squares @ np.diag(matrix)) / pairs)

    return mean_within(k.xx, w) + mean_within(k.yy, v) - 2 * float(w @ k.xy @ v / (w.sum() * v.sum()))


def kid(x: np.ndarray, y: np.ndarray, subset: int = 1000, subsets: int = 100, seed: int = 0) -> float:
    """Kernel Inception distance: mean of the unbiased squared MMD over random subsets (arXiv 1801.01401).

    Samples of at most `subset` rows are compared whole, once. That is the value that subsets scatter around.

    x: (n, D), y: (m, D), any real values, n and m at least 2.
    """
    if max(len(x), len(y)) <= subset:
        return squared_mmd(kernels(x, y))
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        parts = [s[rng.choice(len(s), min(subset, len(s)), replace=False)] for s in (x, y)]
        values.append(squared_mmd(kernels(*parts)))
    return float(np.mean(values))
