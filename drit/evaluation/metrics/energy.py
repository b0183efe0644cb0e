"""Energy distance of two samples of features (Szekely and Rizzo 2013): all moments, and no parameter to choose."""

from __future__ import annotations

import numpy as np

from drit.evaluation.metrics.distances import squared_distances
from drit.evaluation.metrics.kid import Kernels, squared_mmd


def negative_distances(x: np.ndarray, y: np.ndarray) -> Kernels:
    """-|u - v| for all pairs of rows, the kernel whose squared maximum mean discrepancy is the energy distance.

    x: (n, D), y: (m, D), any real values.
    """
    return Kernels(*(-np.sqrt(squared_distances(u, v)) for u, v in ((x, x), (y, y), (x, y))))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|, over pairs of two different rows: unbiased, so it can be negative.

    (Szekely and Rizzo, Energy statistics: a class of statistics based on distances, 2013, equation 2.1; equal to the
    maximum mean discrepancy of its kernel: Sejdinovic et al., arXiv 1207.6076.)

    x: (n, D), y: (m, D), any real values, n and m at least 2. Its mean is 0 for equal distributions.
    """
    return squared_mmd(negative_distances(x, y))
