"""Intervals against the law of the mean."""

from __future__ import annotations

import numpy as np
import pytest

from drit.evaluation import bootstrap


def test_intervals() -> None:
    """Of a mean: value +- 1.96 s / sqrt(n), as the law has it; they hold the true mean about 95 times in 100."""
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, 400)
    low, high = bootstrap.mean_interval(x, 2000, seed=0)
    assert (high - low) / 2 == pytest.approx(1.96 * x.std() / 20, rel=0.06)
    assert (low + high) / 2 == pytest.approx(x.mean(), abs=0.02)
    assert bootstrap.mean_interval(x, 50, seed=3) == bootstrap.mean_interval(x, 50, seed=3)
    held = [low < 3 < high for low, high in (bootstrap.mean_interval(rng.normal(3, 2, 60), 200, 1) for _ in range(200))]
    assert 0.88 < np.mean(held) < 0.99
    assert all(w.sum() == 7 for w in bootstrap.draws(7, 5, 0))
    assert [sorted(w) for w in bootstrap.draws(2, 20, 0)] == [[1, 1]] * 20
    assert bootstrap.mean_interval(np.array([4.0]), 5, 0) == (4, 4)
    assert bootstrap.normal_interval(5.0, [1.0, 3.0]) == pytest.approx((5 - 1.96 * 2**0.5, 5 + 1.96 * 2**0.5), abs=1e-4)
