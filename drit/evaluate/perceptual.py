"""Perceptual distance of pictures (LPIPS: Zhang et al., arXiv 1801.03924): each picture is encoded once, pairs are
compared on the features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_EPS = 1e-10


def unit(maps: Sequence[Tensor], heads: Sequence[Tensor] = ()) -> Tensor:
    """Features of pictures at several layers as points whose squared distances are the perceptual distances: (N, P).

    Maps (N, C, h, w) are scaled to length 1 over the channels at each place, then by the root of the linear head's
    weight (C,) (1 without heads) and of 1 / (h w), and strung together. Hence for two rows u, v

    |u - v|^2 = sum over layers of the mean over places of sum_c w_c (f_c - g_c)^2    (arXiv 1801.03924, equation 1)
    """
    points = []
    for i, layer in enumerate(maps):
        f = layer.float()
        f = f / (f.pow(2).sum(1, keepdim=True).sqrt() + _EPS)
        if heads:
            f = f * heads[i].clamp(min=0).sqrt()[:, None, None]
        points.append(f.flatten(1) / (layer.shape[2] * layer.shape[3]) ** 0.5)
    return torch.cat(points, 1)


def pairwise(points: Tensor) -> Tensor:
    """Mean distance of all pairs of K pictures of each input, (N, K, P) -> (N,); K at least 2.

    sum over i < j |u_i - u_j|^2 = K sum_i |u_i - mean|^2: all pairs for the price of one pass, and exactly 0 where all
    are equal.
    """
    k = points.shape[1]
    centred = points - points[:, :1]
    centred = centred - centred.mean(1, keepdim=True)
    return 2 * centred.pow(2).sum((1, 2)) / (k - 1)


def between(points: Tensor, others: Tensor) -> Tensor:
    """Distances (N,) of rows (N, P) to the rows beside them (N, P)."""
    return (points - others).pow(2).sum(-1)
