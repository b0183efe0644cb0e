"""KID against a slow loop, and the laws of an unbiased estimate."""

from __future__ import annotations

import numpy as np
import pytest

from drit.evaluation.metrics.kid import kernels, kid, squared_mmd
from tests.evaluation.metrics.samples import sample


def test_kid_as_a_slow_loop_has_it() -> None:
    x, y = sample(7, 4, 0), sample(9, 4, 1, 0.3)

    def kernel(u: np.ndarray, v: np.ndarray) -> float:
        return (float(u @ v) / 4 + 1) ** 3

    slow = sum(kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    slow += sum(kernel(y[i], y[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    slow -= 2 * sum(kernel(u, v) for u in x for v in y) / (7 * 9)
    assert kid(x, y) == pytest.approx(slow, rel=1e-10)


def test_kid_of_equal_distributions_is_unbiased() -> None:
    """The mean over repetitions is 0 within four standard errors, and subsets scatter around the whole."""
    rng = np.random.default_rng(0)
    found = [kid(rng.standard_normal((20, 3)), rng.standard_normal((20, 3))) for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 300**0.5
    x, y = sample(120, 4, 0), sample(150, 4, 1, 0.5)
    assert kid(x, y, subset=60, subsets=200) == pytest.approx(kid(x, y), rel=0.1)


def test_weights_of_kid_are_repeated_rows() -> None:
    x, y, w = sample(6, 3, 0), sample(5, 3, 1), np.array([2.0, 0, 1, 1, 0, 2])
    k = kernels(x, y)
    pairs = [(w[i] * w[j], k.xx[i, j]) for i in range(6) for j in range(6) if i != j]
    within = sum(a * b for a, b in pairs) / sum(a for a, _ in pairs)
    others = sum(k.yy[i, j] for i in range(5) for j in range(5) if i != j) / 20
    expected = within + others - 2 * float((w[:, None] * k.xy).sum() / (6 * 5))
    assert squared_mmd(k, w) == pytest.approx(expected, rel=1e-12)
