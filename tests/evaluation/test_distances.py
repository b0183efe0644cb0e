"""Distances against closed forms, second implementations and known laws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from drit.evaluation import bootstrap
from drit.evaluation.metrics import distances, perceptual
from drit.evaluation.metrics.distances import Gaussian
from drit.probes.linear import guessed_domain


def sample(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + shift


def test_frechet_of_known_gaussians() -> None:
    """Diagonal: |m - n|^2 + sum (s - t)^2; commuting or not: as SciPy's matrix square root has it."""
    p = Gaussian(np.array([1.0, 2.0]), np.diag([4.0, 9.0]))
    q = Gaussian(np.array([0.0, 4.0]), np.diag([1.0, 1.0]))
    assert distances.frechet(p, q) == pytest.approx(1 + 4 + 1 + 4, abs=1e-12)
    p, q = distances.gaussian(sample(50, 6, 0)), distances.gaussian(sample(40, 6, 1, 0.5))
    root = scipy.linalg.sqrtm(p.covariance @ q.covariance).real
    by_scipy = ((p.mean - q.mean) ** 2).sum() + np.trace(p.covariance + q.covariance - 2 * root)
    assert distances.frechet(p, q) == pytest.approx(by_scipy, rel=1e-9)
    assert distances.frechet(p, q) == pytest.approx(distances.frechet(q, p), rel=1e-9)


@pytest.mark.parametrize("count", [5, 100])
def test_frechet_of_itself_is_nothing(count: int) -> None:
    """Also with fewer rows than features: a singular covariance gives neither NaN nor a complex number."""
    g = distances.gaussian(sample(count, 20, 0))
    assert distances.frechet(g, g) == pytest.approx(0, abs=1e-6 * np.trace(g.covariance))


def test_weights_are_repeated_rows() -> None:
    x, y, w = sample(6, 3, 0), sample(5, 3, 1), np.array([2.0, 0, 1, 1, 0, 2])
    whole = distances.gaussian(np.repeat(x, w.astype(int), axis=0))
    weighted = distances.gaussian(x, w)
    np.testing.assert_allclose(weighted.mean, whole.mean)
    np.testing.assert_allclose(weighted.covariance, whole.covariance)
    k = distances.kernels(x, y)
    pairs = [(w[i] * w[j], k.xx[i, j]) for i in range(6) for j in range(6) if i != j]
    within = sum(a * b for a, b in pairs) / sum(a for a, _ in pairs)
    others = sum(k.yy[i, j] for i in range(5) for j in range(5) if i != j) / 20
    expected = within + others - 2 * float((w[:, None] * k.xy).sum() / (6 * 5))
    assert distances.mmd(k, w) == pytest.approx(expected, rel=1e-12)


def test_kid_as_a_slow_loop_has_it() -> None:
    x, y = sample(7, 4, 0), sample(9, 4, 1, 0.3)

    def kernel(u: np.ndarray, v: np.ndarray) -> float:
        return (float(u @ v) / 4 + 1) ** 3

    slow = sum(kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    slow += sum(kernel(y[i], y[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    slow -= 2 * sum(kernel(u, v) for u in x for v in y) / (7 * 9)
    assert distances.kid(x, y) == pytest.approx(slow, rel=1e-10)


def test_kid_of_equal_distributions_is_unbiased() -> None:
    """The mean over repetitions is 0 within four standard errors, and subsets scatter around the whole."""
    rng = np.random.default_rng(0)
    found = [distances.kid(rng.standard_normal((20, 3)), rng.standard_normal((20, 3))) for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 300**0.5
    x, y = sample(120, 4, 0), sample(150, 4, 1, 0.5)
    assert distances.kid(x, y, subset=60, subsets=200) == pytest.approx(distances.kid(x, y), rel=0.1)


def test_bins_of_equal_samples_differ_at_the_level() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(50) * 5)
    found = [distances.different_bins(rng.multinomial(5000, shares), rng.multinomial(3000, shares)) for _ in range(100)]
    assert np.mean(found) / 50 == pytest.approx(0.05, abs=0.012)
    whole = np.array([500, 500])
    assert distances.different_bins(whole, whole) == 0
    # by hand: p = 0.5, q = 0.6, pooled 0.55: z = 0.1 / sqrt(0.2475 * 2 / 1000) = 4.49; at n = 100: 1.42
    assert distances.different_bins(whole, np.array([600, 400])) == 2
    assert distances.different_bins(whole // 10, np.array([60, 40])) == 0


def test_divergence() -> None:
    p, q = np.array([1, 3, 0, 4]), np.array([2, 2, 2, 0])
    assert distances.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-12)
    assert distances.jensen_shannon(p, 5 * p) == pytest.approx(0, abs=1e-15)
    assert distances.jensen_shannon(np.array([1, 0]), np.array([0, 3])) == pytest.approx(np.log(2))


def test_k_means_finds_clusters_and_fills_all_bins() -> None:
    rng = np.random.default_rng(0)
    places = np.array([[0, 0], [10, 0], [0, 10], [10, 10.0]])
    x = np.repeat(places, [5, 50, 20, 3], axis=0) + 0.1 * rng.standard_normal((78, 2))
    bins = distances.assign(x, distances.k_means(x, 4, seed=1))
    assert sorted(np.bincount(bins)) == [3, 5, 20, 50]
    np.testing.assert_array_equal(distances.k_means(x, 7, seed=2), distances.k_means(x, 7, seed=2))
    same = np.ones((5, 3))
    assert np.isfinite(distances.k_means(same, 2)).all()
    assert distances.nearest_distance(x[:3], x).max() < 1e-6


def test_a_linear_probe_guesses_what_is_there() -> None:
    """Equal codes: chance. Shifted ones: known. Labels of the asked fold never help: noise stays at chance."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200, 30))
    assert guessed_domain(a, b, 0).mean() == pytest.approx(0.5, abs=0.08)
    assert guessed_domain(a, b + 2, 0).mean() > 0.99
    assert len(guessed_domain(a[:3], b[:3], 0)) == 6


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


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_perceptual_distance_of_pairs(seed: int, k: int) -> None:
    """The short cut over all pairs equals equation 1 of LPIPS, pair by pair and layer by layer."""
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.rand(k, c, s, s + 1, generator=generator) for c, s in ((3, 4), (5, 2))]
    heads = [torch.rand(3, generator=generator), torch.rand(5, generator=generator)]
    expected = []
    for i in range(k):
        for j in range(i):
            total = torch.zeros(())
            for f, w in zip(maps, heads, strict=True):
                u, v = (torch.nn.functional.normalize(f[n], dim=0) for n in (i, j))
                total += (w[:, None, None] * (u - v) ** 2).sum(0).mean()
            expected.append(total)
    points = perceptual.unit(maps, heads)
    assert perceptual.pairwise(points[None]).item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)
    assert perceptual.between(points[1:2], points[:1]).item() == pytest.approx(expected[0].item(), rel=1e-4)
    assert perceptual.pairwise(points[:1, None].expand(1, k, -1)).item() == 0
