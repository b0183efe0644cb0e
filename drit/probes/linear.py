"""Linear probes: what a linear function can tell from a code. Domain probe accuracy is measured with two of them.

| function | used by | domains | fitted on | ridge strength |
|---|---|---|---|---|
| `probe_accuracy` | the watch of training | any number | each half, tested on the other | features F |
| `domain_probe_correct` | evaluation | two | all folds but the tested one | 0.01 x fitted codes |

Their numbers are not comparable with each other. Both formulas are kept as they are, since their numbers are stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from drit.runtime import full


def pooled(content: Tensor) -> Tensor:
    """Mean and standard deviation of each channel over the places: codes (N, C, ...), any values, to (N, 2C)."""
    flat = full(content).flatten(2) if content.dim() > 2 else full(content)[:, :, None]
    return torch.cat([flat.mean(2), flat.std(2, correction=0)], 1)


def probe_accuracy(codes: Sequence[Tensor]) -> float:
    """Domain probe accuracy of the watch: share of codes, 0 to 1, whose domain a linear probe tells.

    Ridge regression of the domain (one of D indicators) on standardised codes, in closed form and dual form:

    scores(z) = z Z^T (Z Z^T + F I)^-1 (Y - 1/D),   Z (n, F) the standardised codes, Y (n, D) the indicators

    Fitted on the first half and tested on the second, then the other way round. Chance is 1 / D.

    codes: (n, F) for each of the D domains, equally many, any real values.
    """
    x = torch.stack([c.double() for c in codes])  # (D, n, F)
    domains, count, features = x.shape
    halves = x[:, : count // 2], x[:, count // 2 :]
    correct = 0.0
    for fitted, tested in (halves, halves[::-1]):
        rows = fitted.reshape(-1, features)
        mean, std = rows.mean(0), rows.std(0, correction=0)
        scale = torch.where(std > 1e-6 * std.max(), std, math.inf)  # inf: a channel that never changes
        rows, others = (rows - mean) / scale, (tested.reshape(-1, features) - mean) / scale
        indicators = torch.eye(domains, dtype=x.dtype, device=x.device).repeat_interleave(fitted.shape[1], 0)
        kernel = rows @ rows.T + features * torch.eye(len(rows), dtype=x.dtype, device=x.device)
        scores = others @ (rows.T @ torch.linalg.solve(kernel, indicators - 1 / domains))
        true_domains = torch.arange(domains, device=x.device).repeat_interleave(tested.shape[1])
        correct += float((scores.argmax(1) == true_domains).sum())
    return correct / (domains * count)


def domain_probe_correct(a: np.ndarray, b: np.ndarray, seed: int, folds: int = 5) -> np.ndarray:
    """Domain probe of the evaluation: for each code 1 where a linear probe tells its domain, else 0: (2 n,).

    Ridge regression onto y = -1 (a) and 1 (b) of standardised codes Z (n, D), in closed form:

    w = (Z^T Z + 0.01 n I)^-1 Z^T y,   correct where (z . w) y > 0

    Each code is tested with the weights of all folds but its own. The mean is the domain probe accuracy; chance is one
    half.

    a, b: (n, D) codes of the two domains, as many of each, any real values.
    """
    n = len(a)
    x, y = np.concatenate([a, b]), np.repeat([-1.0, 1.0], n)
    rng = np.random.default_rng(seed)
    fold = np.concatenate([rng.permutation(n) % min(folds, n) for _ in range(2)])
    correct = np.zeros(2 * n)
    for f in range(min(folds, n)):
        tested, fitted = fold == f, fold != f
        mean, std = x[fitted].mean(0), x[fitted].std(0) + 1e-8
        z = (x - mean) / std
        gram = z[fitted].T @ z[fitted] + 0.01 * fitted.sum() * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, z[fitted].T @ y[fitted])
        correct[tested] = (z[tested] @ weights) * y[tested] > 0
    return correct
