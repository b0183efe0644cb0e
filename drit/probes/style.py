"""Visible style: how much of a style a linear function reads from outputs whose finest details are taken away.

A generator can hide the style in a grid of the pixels, where an encoder finds it and no one sees it: latent regression
then rewards the grid. Upsampling by 2, twice, makes grids of 2 and 4 pixels; means over 4 x 4 pixels have neither.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drit.runtime import full

LOW_PASS = 4  # pixels
_PLACES = 4  # of a side, whose means are features
_SEEN = 1 / 127.5  # a level of 255: a feature that varies by much less is not seen
_RIDGE = 0.1  # strength, for each fitted output


def visible_features(images: Tensor) -> Tensor:
    """What is seen of images from afar: means of 4 x 4 places of each channel, and the channels' standard deviations.

    All of them of the means over 4 x 4 pixels.

    images: (N, C, H, W) in [-1, 1], H and W at least 4. Returns (N, 17 C), float32 or wider.
    """
    means = F.avg_pool2d(full(images), LOW_PASS)
    places = F.adaptive_avg_pool2d(means, _PLACES).flatten(1)
    return torch.cat([places, means.std(dim=(2, 3), correction=0)], dim=1)


def visible_style(features: Tensor, styles: Tensor) -> Tensor:
    """Coefficients of determination, R^2, of styles read from features of outputs by linear regression.

    R^2 = 1 - sum |z - read(y)|^2 / sum |z - mean(z)|^2

    y: features less their mean over the styles of an input, which leaves what styles make of it. Ridge regression in
    closed form, read(y) = y W with W = (Y^T Y + 0.1 n I)^-1 Y^T Z of n features Y (n, F), each divided by the root of
    its variance and that of a level of 255: fitted on every other style of each input and tested on those between, then
    the other way round.

    features: (N, K, F), styles: (N, K, S), K at least 2: K outputs of each of N inputs. Returns (N,), one value for
    each input, whose mean is R^2 of all: 1 where styles are read exactly, 0 or a little below where nothing is.
    """
    y, z = (t.double() - t.double().mean(dim=1, keepdim=True) for t in (features, styles))
    error = torch.zeros(len(z), dtype=z.dtype, device=z.device)
    halves = slice(0, None, 2), slice(1, None, 2)
    for fitted, tested in (halves, halves[::-1]):
        rows, targets = y[:, fitted].flatten(0, 1), z[:, fitted].flatten(0, 1)
        scale = (rows.square().mean(dim=0) + _SEEN**2).sqrt()
        rows = rows / scale
        gram = rows.T @ rows + _RIDGE * len(rows) * torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        read = (y[:, tested] / scale) @ torch.linalg.solve(gram, rows.T @ targets)
        error += (z[:, tested] - read).square().sum(dim=(1, 2))
    return 1 - error / z.square().sum(dim=(1, 2)).mean()
