"""k-means: clusters that are there, no empty bins, the same each time."""

from __future__ import annotations

import numpy as np

from drit.evaluation.metrics.distances import nearest_distance
from drit.evaluation.metrics.k_means import assign, k_means


def test_k_means_finds_clusters_and_fills_all_bins() -> None:
    rng = np.random.default_rng(0)
    places = np.array([[0, 0], [10, 0], [0, 10], [10, 10.0]])
    x = np.repeat(places, [5, 50, 20, 3], axis=0) + 0.1 * rng.standard_normal((78, 2))
    bins = assign(x, k_means(x, 4, seed=1))
    assert sorted(np.bincount(bins)) == [3, 5, 20, 50]
    np.testing.assert_array_equal(k_means(x, 7, seed=2), k_means(x, 7, seed=2))
    same = np.ones((5, 3))
    assert np.isfinite(k_means(same, 2)).all()
    assert nearest_distance(x[:3], x).max() < 1e-6
