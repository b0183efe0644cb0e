"""Energy distance by hand, and by what it is of equal samples."""

from __future__ import annotations

import numpy as np
import pytest

from drit.evaluation.metrics.energy import energy_distance


def test_by_hand() -> None:
    # |x - y|: 3, 4, 1, 2 and a mean of 2.5; |x - x'| = 2, |y - y'| = 1
    x, y = np.array([[0.0], [2.0]]), np.array([[3.0], [4.0]])
    assert energy_distance(x, y) == pytest.approx(2 * 2.5 - 2 - 1)
    plane = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert energy_distance(plane, plane) == pytest.approx(2 * 2.5 - 5 - 5)  # unbiased: a sample is no pair with itself


def test_it_is_near_zero_for_equal_distributions_and_sees_more_than_means() -> None:
    rng = np.random.default_rng(0)
    one, other, wide = rng.normal(size=(400, 3)), rng.normal(size=(400, 3)), 2 * rng.normal(size=(400, 3))
    assert abs(energy_distance(one, other)) < 0.02 < 0.2 < energy_distance(one, wide)
