"""How sure a number is: 95 % intervals by the bootstrap (Efron 1979), seeded.

What is drawn again is inputs, not outputs: the outputs of one input resemble each other and are no new evidence. A draw
is a vector of weights: how often each of the n inputs was drawn. They sum to n.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LEVEL = 0.95
_NORMAL = 1.959964  # the 97.5 % point of N(0, 1)


def draws(count: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """`resamples` times: how often each of `count` inputs was drawn, (count,) float64, whole numbers that sum to count.

    A draw of one input alone, likely among two or three, is drawn again: distances need two.
    """
    rng = np.random.default_rng(seed)
    accepted = 0
    while accepted < resamples:
        weights = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        if weights.max() < count or count == 1:
            accepted += 1
            yield weights


def mean_interval(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval of the mean of `values` (n,), one for each input: the percentiles of the resampled means."""
    means = [float(w @ values) / len(values) for w in draws(len(values), resamples, seed)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def normal_interval(value: float, resampled: list[float], lowest: float = float("-inf")) -> tuple[float, float]:
    """95 % interval value +- 1.96 x the standard deviation of its resamples, cut at `lowest`, which it cannot pass.

    For distances between samples. Resampling itself makes them larger, as a draw holds fewer different images. So
    the resamples' standard deviation tells how sure the value is; their mean tells nothing of where it lies.
    """
    half = _NORMAL * float(np.std(resampled, ddof=1)) if len(resampled) > 1 else float("nan")
    return max(lowest, value - half), value + half
