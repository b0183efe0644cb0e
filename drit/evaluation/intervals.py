"""Numbers of a result, each with its 95 % interval, count, and the network that made it.

Distances of samples take outputs (n d, D), d of each of n inputs beside each other, and real images (m, D).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from drit.evaluation import bootstrap
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.metrics import distances
from drit.evaluation.protocol import Protocol

_LARGE = 1024  # features from which the Fréchet distance's resamples are few: each takes seconds
_KID_ROWS = 2000  # outputs and real images, at most, that KID's interval comes from
_PER_BIN = 10  # real images, on average, in a bin


def number(
    value: float, interval: tuple[float, float], count: int, network: FeatureNetwork | None = None
) -> dict[str, Any]:
    """A number as it stands in a result; count: of how many outputs or inputs it is."""
    found: dict[str, Any] = {"value": rounded(value), "interval": [rounded(v) for v in interval], "count": count}
    return found | ({"network": network.label} if network is not None else {})


def rounded(value: float | None) -> float | None:
    """Six significant digits, as JSON holds them; None for what is not a finite number."""
    return float(f"{value:.6g}") if value is not None and np.isfinite(value) else None


def mean(parts: list[np.ndarray], p: Protocol, network: FeatureNetwork | None = None) -> dict[str, Any]:
    """The mean over inputs, of which `parts` hold a value each."""
    values = np.concatenate(parts)
    return number(float(values.mean()), bootstrap.mean_interval(values, p.resamples, p.seed), len(values), network)


def _weights(outputs: int, d: int, real: int, p: Protocol) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Resamples: how often each output (all d of an input together) and each real image counts."""
    of_inputs = bootstrap.draws(outputs // d, p.resamples, 2 * p.seed)
    of_real = bootstrap.draws(real, p.resamples, 2 * p.seed + 1)
    return ((np.repeat(w, d), v) for w, v in zip(of_inputs, of_real, strict=True))


def frechet(made: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork) -> dict[str, Any]:
    """With the distance between two halves of the real images: what the count alone makes of equal distributions."""
    value = distances.frechet(distances.gaussian(real), distances.gaussian(made))
    resamples = p.resamples if made.shape[1] < _LARGE else min(20, p.resamples)
    pairs = zip(range(resamples), _weights(len(made), d, len(real), p), strict=False)
    resampled = [distances.frechet(distances.gaussian(real, v), distances.gaussian(made, w)) for _, (w, v) in pairs]
    halves = [distances.gaussian(real[i::2]) for i in range(2)]
    found = number(value, bootstrap.normal_interval(value, resampled, least=0), len(made), network)
    return found | {"real_halves": rounded(distances.frechet(*halves)), "resamples": resamples}


def kid(made: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork) -> dict[str, Any]:
    rows, reals = made[: max(1, _KID_ROWS // d) * d], real[:_KID_ROWS]
    kernels = distances.kernels(rows, reals)
    value = distances.kid(made, real, p.kid_subset, seed=p.seed)
    resampled = [distances.mmd(kernels, w, v) for w, v in _weights(len(rows), d, len(reals), p)]
    return number(value, bootstrap.normal_interval(value, resampled), len(made), network)


def bins(made: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork) -> dict[str, Any]:
    """NDB and JSD; nothing where the real images do not fill two bins."""
    count = min(p.bins, len(real) // _PER_BIN)
    if count < 2:
        return {}
    centres = distances.k_means(real, count, p.seed)
    of_real, of_made = distances.assign(real, centres), distances.assign(made, centres)

    def histograms(w: np.ndarray | None = None, v: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        return np.bincount(of_real, v, count).astype(float), np.bincount(of_made, w, count).astype(float)

    resampled = [histograms(w, v) for w, v in _weights(len(made), d, len(real), p)]
    results = {}
    measures: dict[str, Callable[..., float]] = {"ndb": distances.different_bins, "jsd": distances.jensen_shannon}
    for name, measure in measures.items():
        value = float(measure(*histograms()))
        interval = bootstrap.normal_interval(value, [measure(*pair) for pair in resampled], least=0)
        results[name] = number(value, interval, len(made), network) | {"bins": count}
    return results
