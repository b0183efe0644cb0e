"""Random samples for the metrics."""

from __future__ import annotations

import numpy as np


def sample(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Rows (n, d) of a normal distribution of some covariance."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + shift
