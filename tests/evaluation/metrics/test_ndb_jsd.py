"""Bins that differ and the divergence of histograms: by hand, by law, and by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from drit.evaluation.metrics.ndb_jsd import different_bins, jensen_shannon


def test_bins_of_equal_samples_differ_at_the_level() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(50) * 5)
    found = [different_bins(rng.multinomial(5000, shares), rng.multinomial(3000, shares)) for _ in range(100)]
    assert np.mean(found) / 50 == pytest.approx(0.05, abs=0.012)
    whole = np.array([500, 500])
    assert different_bins(whole, whole) == 0
    # by hand: p = 0.5, q = 0.6, pooled 0.55: z = 0.1 / sqrt(0.2475 * 2 / 1000) = 4.49; at n = 100: 1.42
    assert different_bins(whole, np.array([600, 400])) == 2
    assert different_bins(whole // 10, np.array([60, 40])) == 0


def test_divergence() -> None:
    p, q = np.array([1, 3, 0, 4]), np.array([2, 2, 2, 0])
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-12)
    assert jensen_shannon(p, 5 * p) == pytest.approx(0, abs=1e-15)
    assert jensen_shannon(np.array([1, 0]), np.array([0, 3])) == pytest.approx(np.log(2))
