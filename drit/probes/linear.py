"""Linear probes: what can be read from a code by a linear function of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from drit.runtime import full


def pooled(content: Tensor) -> Tensor:
    """Mean and deviation of each channel of codes (N, C, ...) over the places: (N, 2C)."""
    flat = full(content).flatten(2) if content.dim() > 2 else full(content)[:, :, None]
    return torch.cat([flat.mean(2), flat.std(2, correction=0)], 1)


def probe_accuracy(codes: Sequence[Tensor]) -> float:
    """Share of held-out codes whose domain a linear probe reads. codes: (n, F) for each domain, equally many.

    Ridge regression of the domain on standardised codes, in closed form, strength F; learnt on the first half and tried
    on the second, then the other way round. Chance is 1 / domains.
    """
    x = torch.stack([c.double() for c in codes])  # (D, n, F)
    domains, count, features = x.shape
    halves = x[:, : count // 2], x[:, count // 2 :]
    right = 0.0
    for learnt, tried in (halves, halves[::-1]):
        rows = learnt.reshape(-1, features)
        mean, deviation = rows.mean(0), rows.std(0, correction=0)
        scale = torch.where(deviation > 1e-6 * deviation.max(), deviation, math.inf)  # a channel that never changes
        rows, others = (rows - mean) / scale, (tried.reshape(-1, features) - mean) / scale
        wanted = torch.eye(domains, dtype=x.dtype, device=x.device).repeat_interleave(learnt.shape[1], 0)
        kernel = rows @ rows.T + features * torch.eye(len(rows), dtype=x.dtype, device=x.device)
        scores = others @ (rows.T @ torch.linalg.solve(kernel, wanted - 1 / domains))
        truth = torch.arange(domains, device=x.device).repeat_interleave(tried.shape[1])
        right += float((scores.argmax(1) == truth).sum())
    return right / (domains * count)


def guessed_domain(a: np.ndarray, b: np.ndarray, seed: int, folds: int = 5) -> np.ndarray:
    """Whether a linear probe tells the domain of each code, with codes it was not fitted on: (2 n,) of 0 and 1.

    A ridge regression onto -1 and 1 of standardised features, fitted on all folds but the one asked about. a, b: (n, D)
    codes, as many of each: chance is one half.
    """
    n = len(a)
    x, y = np.concatenate([a, b]), np.repeat([-1.0, 1.0], n)
    rng = np.random.default_rng(seed)
    fold = np.concatenate([rng.permutation(n) % min(folds, n) for _ in range(2)])
    right = np.zeros(2 * n)
    for f in range(min(folds, n)):
        asked, fitted = fold == f, fold != f
        mean, deviation = x[fitted].mean(0), x[fitted].std(0) + 1e-8
        z = (x - mean) / deviation
        gram = z[fitted].T @ z[fitted] + 0.01 * fitted.sum() * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, z[fitted].T @ y[fitted])
        right[asked] = (z[asked] @ weights) * y[asked] > 0
    return right
