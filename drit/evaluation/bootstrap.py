"""How sure a number is: 95 % intervals by the bootstrap (Efron 1979), seeded.

What is drawn again is inputs, not outputs: the outputs of one input resemble each other and are no new evidence. A draw
is a vector of weights: how often each of the n inputs was drawn (they sum to n).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LEVEL = 0.95
_NORMAL = 1.959964  # the 97.5 % point of N(0, 1)


def draws(count: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """`resamples` times: how often each of `count` inputs was drawn, (count,) float64. A draw of one input alone,
    likely among two or three, is drawn again: distances need two."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < resamples:
        drawn = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        if drawn.max() < count or count == 1:
            made += 1
            yield drawn


def mean_interval(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval of the mean of `values` (n,), one for each input: the percentiles of the resampled means."""
    means = [float(w @ values) / len(values) for w in draws(len(values), resamples, seed)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def normal_interval(value: float, resampled: list[float], least: float = float("-inf")) -> tuple[float, float]:
    """95 % interval value +- 1.96 x the deviation of its resamples, cut at `least`, the least that the number can be.

    For distances between samples, which resampling itself makes larger (a draw holds fewer different images): their
    spread tells how sure the value is, their place does not.
    """
    half = _NORMAL * float(np.std(resampled, ddof=1)) if len(resampled) > 1 else float("nan")
    return max(least, value - half), value + half
