"""Distances between two samples of feature vectors: Fréchet distance, KID, NDB, JSD.

Samples are (n, D) float64 arrays, a row for each image. Optional weights (n,) say how often each row counts, for the
bootstrap; without, each counts once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Weights = np.ndarray | None


class Gaussian(NamedTuple):
    """Mean (D,) and covariance (D, D) of a sample."""

    mean: np.ndarray
    covariance: np.ndarray


def gaussian(x: np.ndarray, weights: Weights = None) -> Gaussian:
    """Mean and unbiased covariance of a sample (n, D), n at least 2."""
    w = np.ones(len(x)) if weights is None else weights
    total = w.sum()
    mean = w @ x / total
    centred = x - mean
    return Gaussian(mean, (centred * w[:, None]).T @ centred / (total - 1))


def frechet(p: Gaussian, q: Gaussian) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians; of Inception's features it is FID.

    d^2 = |m_p - m_q|^2 + tr(S_p + S_q - 2 (S_p^1/2 S_q S_p^1/2)^1/2)
    (Dowson and Landau 1982; Heusel et al., arXiv 1706.08500, equation 6)

    S_p^1/2 S_q S_p^1/2 has the eigenvalues of S_p S_q but is symmetric: real eigenvalues even where a covariance is
    singular (fewer images than features); what rounding makes negative is 0.
    """
    root = matrix_root(p.covariance)
    eigenvalues = np.linalg.eigvalsh(root @ q.covariance @ root)
    trace = np.sqrt(eigenvalues.clip(min=0)).sum()
    spread = np.trace(p.covariance) + np.trace(q.covariance) - 2 * trace
    return float(max(0.0, ((p.mean - q.mean) ** 2).sum() + spread))


def matrix_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric positive root of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


class Kernels(NamedTuple):
    """Kernel matrices within x (n, n), within y (m, m) and between them (n, m)."""

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray


def kernels(x: np.ndarray, y: np.ndarray) -> Kernels:
    """The cubic kernel k(u, v) = (u . v / D + 1)^3 of KID (Binkowski et al., arXiv 1801.01401, section 4)."""
    d = x.shape[1]

    def cubic(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return (u @ v.T / d + 1) ** 3

    return Kernels(cubic(x, x), cubic(y, y), cubic(x, y))


def mmd(k: Kernels, x_weights: Weights = None, y_weights: Weights = None) -> float:
    """Squared maximum mean discrepancy, unbiased: it can be negative, and is 0 in the mean for equal distributions.

    mean of k(x_i, x_j) over i != j + mean of k(y_i, y_j) over i != j - 2 mean of k(x_i, y_j)
    (Gretton et al. 2012, equation 3). A row that a weight counts twice is no pair with itself.
    """
    w = np.ones(len(k.xx)) if x_weights is None else x_weights
    v = np.ones(len(k.yy)) if y_weights is None else y_weights

    def within(matrix: np.ndarray, weights: np.ndarray) -> float:
        squares = weights**2
        pairs = weights.sum() ** 2 - squares.sum()
        return float((weights @ matrix @ weights - squares @ np.diag(matrix)) / pairs)

    return within(k.xx, w) + within(k.yy, v) - 2 * float(w @ k.xy @ v / (w.sum() * v.sum()))


def kid(x: np.ndarray, y: np.ndarray, subset: int = 1000, subsets: int = 100, seed: int = 0) -> float:
    """Kernel Inception distance: mean of the unbiased squared MMD over random subsets (arXiv 1801.01401).

    Samples of at most `subset` rows are compared whole, once, which is the value that subsets scatter around.
    """
    if max(len(x), len(y)) <= subset:
        return mmd(kernels(x, y))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        parts = [s[rng.choice(len(s), min(subset, len(s)), replace=False)] for s in (x, y)]
        found.append(mmd(kernels(*parts)))
    return float(np.mean(found))


def k_means(x: np.ndarray, count: int, seed: int = 0, rounds: int = 50) -> np.ndarray:
    """Centres (count, D) of a sample by Lloyd's iterations from k-means++ starts (Arthur and Vassilvitskii 2007).

    A centre that loses all its rows moves to the row farthest from its own centre.
    """
    rng = np.random.default_rng(seed)
    centres = np.empty((count, x.shape[1]))
    centres[0] = x[rng.integers(len(x))]
    nearest = _squared(x, centres[:1])[:, 0]
    for i in range(1, count):
        total = nearest.sum()
        chosen = rng.choice(len(x), p=nearest / total) if total > 0 else rng.integers(len(x))
        centres[i] = x[chosen]
        nearest = np.minimum(nearest, _squared(x, centres[i : i + 1])[:, 0])
    bins = np.full(len(x), -1)
    for _ in range(rounds):
        distances = _squared(x, centres)
        moved = distances.argmin(1)
        if (moved == bins).all():
            break
        bins = moved
        far = distances[np.arange(len(x)), bins]
        for i in range(count):
            own = bins == i
            if own.any():
                centres[i] = x[own].mean(0)
            else:
                centres[i] = x[far.argmax()]
                far[far.argmax()] = 0
    return centres


def assign(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre of each row: (n,)."""
    return _squared(x, centres).argmin(1)


def _squared(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (n, K); rounding never makes one negative."""
    products = x @ centres.T
    return ((x**2).sum(1)[:, None] - 2 * products + (centres**2).sum(1)).clip(min=0)


def different_bins(reference: np.ndarray, sample: np.ndarray) -> int:
    """NDB: how many bins the two samples fill in significantly different shares (two-proportion z-test, 5 %).

    z = (p - q) / sqrt(s (1 - s) (1/n + 1/m)), s the pooled share; different where |z| > 1.96
    (Richardson and Weiss, arXiv 1805.12462, section 2). Equal distributions differ in about 5 % of the bins.

    reference, sample: (K,) counts.
    """
    n, m = reference.sum(), sample.sum()
    pooled = (reference + sample) / (n + m)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    difference = np.abs(reference / n - sample / m)
    return int((difference > 1.959964 * deviation).sum())


def jensen_shannon(reference: np.ndarray, sample: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms (K,) of counts, in nats: 0 equal, log 2 disjoint.

    JSD = (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2
    """
    p, q = reference / reference.sum(), sample / sample.sum()
    m = (p + q) / 2

    def divergence(u: np.ndarray) -> float:
        own = u > 0
        return float((u[own] * np.log(u[own] / m[own])).sum())

    return (divergence(p) + divergence(q)) / 2


def nearest_distance(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row of x (n, D) to the nearest of `reference` (m, D): (n,)."""
    return np.sqrt(_squared(x, reference).min(1))
