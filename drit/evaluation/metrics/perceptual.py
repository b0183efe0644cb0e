"""Perceptual distance of images (LPIPS: Zhang et al., arXiv 1801.03924).

Each image is encoded once to one point; pairs of images are compared as pairs of points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_EPS = 1e-10  # as in the official implementation


def feature_points(maps: Sequence[Tensor], heads: Sequence[Tensor] = ()) -> Tensor:
    """Images as points (N, P) whose squared distances are their perceptual distances.

    Features (N, C, h, w) of each layer are scaled to length 1 over the channels at each place. Then they are scaled
    by the root of the linear head's weight (C,) and of 1 / (h w), and strung together. Hence for two rows u, v

    |u - v|^2 = sum over layers of the mean over places of sum_c w_c (f_c - g_c)^2    (arXiv 1801.03924, equation 1)

    maps: the features of each layer, any real values. heads: a weight (C,) for each layer; 1 without.
    """
    sizes = [layer[0].numel() for layer in maps]
    points = torch.empty(len(maps[0]), sum(sizes), device=maps[0].device)
    for i, (layer, part) in enumerate(zip(maps, points.split(sizes, 1), strict=True)):
        f = layer.float().permute(0, 2, 3, 1)  # (N, h, w, C); in channels_last this is the order in memory
        length = (torch.linalg.vector_norm(f, dim=-1, keepdim=True) + _EPS) * (f.shape[1] * f.shape[2]) ** 0.5
        into = part.unflatten(1, f.shape[1:])
        torch.div(f, length, out=into)
        if heads:
            into *= heads[i].clamp(min=0).sqrt()
    return points


def mean_pairwise_distance(points: Tensor) -> Tensor:
    """Mean distance of all pairs of K images of each input: (N, K, P) -> (N,), at least 0; K at least 2.

    sum over i < j |u_i - u_j|^2 = K sum_i |u_i|^2 - |sum_i u_i|^2

    All pairs for the price of one pass. Seen from the first of them, it is exactly 0 where all are equal.
    """
    k = points.shape[1]
    seen = points[:, 1:] - points[:, :1]
    squares = torch.linalg.vector_norm(seen, dim=(1, 2)).square()
    return 2 * (squares - torch.linalg.vector_norm(seen.sum(1), dim=1).square() / k) / (k - 1)


def distance(points: Tensor, others: Tensor) -> Tensor:
    """Distances (N,) of points (N, P) to the points beside them (N, P); leading shapes broadcast."""
    return (points - others).pow(2).sum(-1)
