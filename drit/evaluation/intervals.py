"""The numbers of a result: each with its 95 % interval, its count, and the network that it comes from.

Distances of samples take the features of outputs (n d, D), d outputs of each of n inputs beside each other, and of real
images (m, D), both float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from drit.evaluation import bootstrap
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.metrics.energy import negative_distances
from drit.evaluation.metrics.frechet import frechet_distance, gaussian
from drit.evaluation.metrics.k_means import assign, k_means
from drit.evaluation.metrics.kid import Kernels, kernels, kid, squared_mmd
from drit.evaluation.metrics.ndb_jsd import different_bins, jensen_shannon
from drit.evaluation.protocol import Protocol

_MANY_FEATURES = 1024  # from here on the Fréchet distance's resamples are few: each takes seconds
_KERNEL_ROWS = 2000  # outputs and real images, at most, that the energy distance and KID's interval come from
_PER_BIN = 10  # real images, on average, in a bin


def number(
    value: float, interval: tuple[float, float], count: int, network: FeatureNetwork | None = None
) -> dict[str, Any]:
    """A number as it stands in a result; count: of how many outputs or inputs it is."""
    entry: dict[str, Any] = {"value": rounded(value), "interval": [rounded(v) for v in interval], "count": count}
    return entry | ({"network": network.label} if network is not None else {})


def rounded(value: float | None) -> float | None:
    """Six significant digits, as JSON holds them; None for what is not a finite number."""
    return float(f"{value:.6g}") if value is not None and np.isfinite(value) else None


def mean_number(parts: list[np.ndarray], p: Protocol, network: FeatureNetwork | None = None) -> dict[str, Any]:
    """The mean over inputs; `parts` (n,) each, joined, hold a value for each input."""
    values = np.concatenate(parts)
    return number(float(values.mean()), bootstrap.mean_interval(values, p.resamples, p.seed), len(values), network)


def _weights(outputs: int, d: int, real: int, p: Protocol) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Resamples: how often each output (n d,), all d of an input together, and each real image (m,) counts."""
    of_inputs = bootstrap.draws(outputs // d, p.resamples, 2 * p.seed)
    of_real = bootstrap.draws(real, p.resamples, 2 * p.seed + 1)
    return ((np.repeat(w, d), v) for w, v in zip(of_inputs, of_real, strict=True))


def frechet_number(
    outputs: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork
) -> dict[str, Any]:
    """Fréchet distance of outputs (n d, D) and real images (m, D).

    Beside it stands the distance between two halves of the real images: what the count alone makes of equal
    distributions.
    """
    value = frechet_distance(gaussian(real), gaussian(outputs))
    resamples = p.resamples if outputs.shape[1] < _MANY_FEATURES else min(20, p.resamples)
    pairs = zip(range(resamples), _weights(len(outputs), d, len(real), p), strict=False)
    resampled = [frechet_distance(gaussian(real, v), gaussian(outputs, w)) for _, (w, v) in pairs]
    halves = [gaussian(real[i::2]) for i in range(2)]
    entry = number(value, bootstrap.normal_interval(value, resampled, lowest=0), len(outputs), network)
    return entry | {"real_halves": rounded(frechet_distance(*halves)), "resamples": resamples}


def kid_number(outputs: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork) -> dict[str, Any]:
    """KID of outputs (n d, D) and real images (m, D); its interval comes from the first rows of both."""
    rows, real_rows = outputs[: max(1, _KERNEL_ROWS // d) * d], real[:_KERNEL_ROWS]
    value = kid(outputs, real, p.kid_subset, seed=p.seed)
    return number(value, _kernel_interval(value, kernels(rows, real_rows), d, p), len(outputs), network)


def energy_number(
    outputs: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork
) -> dict[str, Any]:
    """Energy distance of outputs (n d, D) and real images (m, D), of the first rows of both."""
    rows, real_rows = outputs[: max(1, _KERNEL_ROWS // d) * d], real[:_KERNEL_ROWS]
    of_rows = negative_distances(rows, real_rows)
    value = squared_mmd(of_rows)
    return number(value, _kernel_interval(value, of_rows, d, p), len(rows), network)


def _kernel_interval(value: float, of_rows: Kernels, d: int, p: Protocol) -> tuple[float, float]:
    """Interval of a distance by its kernel matrices: outputs (n d, n d), real images (m, m), between them (n d, m)."""
    n, m = of_rows.xy.shape
    return bootstrap.normal_interval(value, [squared_mmd(of_rows, w, v) for w, v in _weights(n, d, m, p)])


def bin_numbers(outputs: np.ndarray, real: np.ndarray, d: int, p: Protocol, network: FeatureNetwork) -> dict[str, Any]:
    """NDB and JSD, by name, of outputs (n d, D) and real images (m, D); nothing where these do not fill two bins."""
    count = min(p.bins, len(real) // _PER_BIN)
    if count < 2:
        return {}
    centres = k_means(real, count, p.seed)
    bins_of_real, bins_of_outputs = assign(real, centres), assign(outputs, centres)

    def histograms(w: np.ndarray | None = None, v: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        return np.bincount(bins_of_real, v, count).astype(float), np.bincount(bins_of_outputs, w, count).astype(float)

    resampled = [histograms(w, v) for w, v in _weights(len(outputs), d, len(real), p)]
    entries = {}
    measures: dict[str, Callable[..., float]] = {"ndb": different_bins, "jsd": jensen_shannon}
    for name, measure in measures.items():
        value = float(measure(*histograms()))
        interval = bootstrap.normal_interval(value, [measure(*pair) for pair in resampled], lowest=0)
        entries[name] = number(value, interval, len(outputs), network) | {"bins": count}
    return entries
