"""Fréchet distance between the features of two samples; of Inception's features it is FID."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Gaussian(NamedTuple):
    """Mean (D,) and covariance (D, D) of a sample."""

    mean: np.ndarray
    covariance: np.ndarray


def gaussian(x: np.ndarray, weights: np.ndarray | None = None) -> Gaussian:
    """Mean and unbiased covariance of a sample.

    m = sum_i w_i x_i / W,   S = sum_i w_i (x_i - m)(x_i - m)^T / (W - 1),   W = sum_i w_i

    x: (n, D), any real values, n at least 2. weights: (n,), not negative; 1 each without.
    """
    w = np.ones(len(x)) if weights is None else weights
    total = w.sum()
    mean = w @ x / total
    centred = x - mean
    return Gaussian(mean, (centred * w[:, None]).T @ centred / (total - 1))


def frechet_distance(p: Gaussian, q: Gaussian) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians, at least 0.

    d^2 = |m_p - m_q|^2 + tr(S_p + S_q - 2 (S_p^1/2 S_q S_p^1/2)^1/2)
    (Dowson and Landau 1982; Heusel et al., arXiv 1706.08500, equation 6)

    S_p^1/2 S_q S_p^1/2 has the eigenvalues of S_p S_q but is symmetric. Its eigenvalues are real even where a
    covariance is singular (fewer images than features). What rounding makes negative is taken as 0.
    """
    root = matrix_root(p.covariance)
    eigenvalues = np.linalg.eigvalsh(root @ q.covariance @ root)
    trace_of_root = np.sqrt(eigenvalues.clip(min=0)).sum()
    of_covariances = np.trace(p.covariance) + np.trace(q.covariance) - 2 * trace_of_root
    return float(max(0.0, ((p.mean - q.mean) ** 2).sum() + of_covariances))


def matrix_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric positive root (D, D) of a symmetric positive matrix (D, D), by its eigenvectors."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
