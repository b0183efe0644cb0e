"""Energy of images at the periods of upsampling by 2 and by 4: a grid of the pixels has it, real images hardly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from drit.runtime import full

PERIODS = (2, 4)  # pixels
# Of rounding to 255 levels, about: where images have less, none is seen, and ratios of two such energies say nothing.
ROUNDING = 1e-7
_WINDOW, _STEP = 16, 8  # pixels


def grid_energy(images: Tensor) -> Tensor:
    """Energy of waves whose periods are 2 or 4 pixels: the mean square of their local amplitudes.

    E_p = mean over windows of sum_{(a, b)} ( sum_{m, n} h(m) a(m) h(n) b(n) x(m, n) )^2

    h: a Hann window of 16 pixels with sum 1, every 8 pixels, so that slopes of an image hardly count and a grid counts
    wherever it is. Waves a, b of the two axes: 1, cos(pi/2 m), sin(pi/2 m), cos(pi m). Pairs of the first and the last
    have period 2, all others period 4; (1, 1) is left out. +1 and -1 as on a checkerboard have E_2 = 1.

    images: (N, C, H, W) in [-1, 1], H and W at least 16. Returns (N, 2): E_2 and E_4, a mean over channels too.
    """
    place = torch.arange(_WINDOW, dtype=torch.float64)
    hann = (1 - torch.cos(2 * math.pi * place / _WINDOW)) / _WINDOW
    waves = torch.stack([torch.ones_like(place), *(f(math.pi / 2 * place) for f in (torch.cos, torch.sin))])
    bank = (hann * torch.cat([waves, torch.cos(math.pi * place)[None]])).to(full(images))  # frequencies 0, pi/2, pi
    of_rows = full(images).unfold(3, _WINDOW, _STEP) @ bank.T  # (N, C, H, w, 4)
    energy = (of_rows.unfold(2, _WINDOW, _STEP) @ bank.T).square().mean(dim=(1, 2, 3))  # (N, 4, 4)
    both = energy.sum(dim=(1, 2)) - energy[:, 0, 0]
    shortest = energy[:, 0, 3] + energy[:, 3, 0] + energy[:, 3, 3]
    return torch.stack([shortest, both - shortest], dim=1)


def relative_grid_energy(outputs: Tensor, real: Tensor) -> Tensor:
    """Energy of outputs relative to the mean of real images: (N, 2) and (M, 2), as `grid_energy` gives, to (N, 2).

    (E + r) / (mean E_real + r), r the energy of rounding to 255 levels. 1: as real images.
    """
    return (outputs + ROUNDING) / (real.mean(dim=0) + ROUNDING)
