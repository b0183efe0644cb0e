"""NDB and JSD: how differently two samples fill the same bins (Richardson and Weiss, arXiv 1805.12462).

The bins are the cells of k-means centres of the real images (`k_means`).
"""

from __future__ import annotations

import numpy as np

_SIGNIFICANT = 1.959964  # |z| of a two-sided test at 5 %


def different_bins(reference: np.ndarray, sample: np.ndarray) -> int:
    """NDB: in how many bins the shares of two samples differ significantly (two-proportion z-test, 5 %).

    z = (p - q) / sqrt(s (1 - s) (1/n + 1/m)), s the pooled share; different where |z| > 1.96
    (arXiv 1805.12462, section 2). Equal distributions differ in about 5 % of the bins.

    reference, sample: (K,) counts, which sum to n and m. Returns 0 .. K.
    """
    n, m = reference.sum(), sample.sum()
    pooled = (reference + sample) / (n + m)
    standard_error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    difference = np.abs(reference / n - sample / m)
    return int((difference > _SIGNIFICANT * standard_error).sum())


def jensen_shannon(reference: np.ndarray, sample: np.ndarray) -> float:
    """JSD: Jensen-Shannon divergence of two histograms, in nats: 0 for equal ones, log 2 for disjoint ones.

    JSD = (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2   (Lin 1991)

    reference, sample: (K,) counts, not all 0.
    """
    p, q = reference / reference.sum(), sample / sample.sum()
    m = (p + q) / 2

    def divergence(u: np.ndarray) -> float:
        own = u > 0
        return float((u[own] * np.log(u[own] / m[own])).sum())

    return (divergence(p) + divergence(q)) / 2
