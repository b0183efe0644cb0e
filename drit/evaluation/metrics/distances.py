"""Euclidean distances between the rows of two samples.

By the products of rows, as one matrix product: stored numbers depend on this order of rounding.
"""

from __future__ import annotations

import numpy as np


def squared_distances(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Squared distances (n, m) of each row of x (n, D) to each of `reference` (m, D); rounding makes none negative.

    |u - v|^2 = |u|^2 - 2 u . v + |v|^2
    """
    products = x @ reference.T
    return ((x**2).sum(1)[:, None] - 2 * products + (reference**2).sum(1)).clip(min=0)


def nearest_distance(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distance (n,) of each row of x (n, D) to the nearest row of `reference` (m, D)."""
    return np.sqrt(squared_distances(x, reference).min(1))
