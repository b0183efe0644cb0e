"""The Fréchet distance against closed forms and a second implementation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from drit.evaluation.metrics.frechet import Gaussian, frechet_distance, gaussian
from tests.evaluation.metrics.samples import sample


def test_frechet_of_known_gaussians() -> None:
    """Diagonal: |m - n|^2 + sum (s - t)^2; commuting or not: as SciPy's matrix square root has it."""
    p = Gaussian(np.array([1.0, 2.0]), np.diag([4.0, 9.0]))
    q = Gaussian(np.array([0.0, 4.0]), np.diag([1.0, 1.0]))
    assert frechet_distance(p, q) == pytest.approx(1 + 4 + 1 + 4, abs=1e-12)
    p, q = gaussian(sample(50, 6, 0)), gaussian(sample(40, 6, 1, 0.5))
    root = scipy.linalg.sqrtm(p.covariance @ q.covariance).real
    by_scipy = ((p.mean - q.mean) ** 2).sum() + np.trace(p.covariance + q.covariance - 2 * root)
    assert frechet_distance(p, q) == pytest.approx(by_scipy, rel=1e-9)
    assert frechet_distance(p, q) == pytest.approx(frechet_distance(q, p), rel=1e-9)


@pytest.mark.parametrize("count", [5, 100])
def test_frechet_of_itself_is_nothing(count: int) -> None:
    """Also with fewer rows than features: a singular covariance gives neither NaN nor a complex number."""
    g = gaussian(sample(count, 20, 0))
    assert frechet_distance(g, g) == pytest.approx(0, abs=1e-6 * np.trace(g.covariance))


def test_weights_of_a_gaussian_are_repeated_rows() -> None:
    x, w = sample(6, 3, 0), np.array([2.0, 0, 1, 1, 0, 2])
    whole = gaussian(np.repeat(x, w.astype(int), axis=0))
    weighted = gaussian(x, w)
    np.testing.assert_allclose(weighted.mean, whole.mean)
    np.testing.assert_allclose(weighted.covariance, whole.covariance)
