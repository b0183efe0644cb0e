"""k-means with a seed: the bins of NDB and JSD.

Our own rather than a library's: the stored numbers depend on each draw, and empty bins must not occur.
"""

from __future__ import annotations

import numpy as np

from drit.evaluation.metrics.distances import squared_distances


def k_means(x: np.ndarray, count: int, seed: int = 0, rounds: int = 50) -> np.ndarray:
    """Centres (count, D) of a sample x (n, D), any real values, by Lloyd's iterations from k-means++ starts.

    k-means++ draws each start with a chance in proportion to the squared distance from those before
    (Arthur and Vassilvitskii 2007). A centre that loses all its rows moves to the row farthest from its own centre.
    """
    rng = np.random.default_rng(seed)
    centres = np.empty((count, x.shape[1]))
    centres[0] = x[rng.integers(len(x))]
    nearest = squared_distances(x, centres[:1])[:, 0]
    for i in range(1, count):
        total = nearest.sum()
        chosen = rng.choice(len(x), p=nearest / total) if total > 0 else rng.integers(len(x))
        centres[i] = x[chosen]
        nearest = np.minimum(nearest, squared_distances(x, centres[i : i + 1])[:, 0])
    bins = np.full(len(x), -1)
    for _ in range(rounds):
        distances = squared_distances(x, centres)
        new_bins = distances.argmin(1)
        if (new_bins == bins).all():
            break
        bins = new_bins
        to_own_centre = distances[np.arange(len(x)), bins]
        for i in range(count):
            own = bins == i
            if own.any():
                centres[i] = x[own].mean(0)
            else:
                farthest = to_own_centre.argmax()
                centres[i] = x[farthest]
                to_own_centre[farthest] = 0
    return centres


def assign(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index (n,), 0 .. K - 1, of the nearest of the centres (K, D) of each row of x (n, D)."""
    return squared_distances(x, centres).argmin(1)
