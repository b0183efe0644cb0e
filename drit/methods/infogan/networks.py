"""Networks of InfoGAN (arXiv 1606.03657, appendix C.1): small images drawn from codes, and codes read from images.

Sides are multiples of 4: both networks change them twice by 2. The published widths are 64, 128, 1024 and 128 at 28
pixels: w, 2 w, 16 w and 2 w here. Images are in [-1, 1] outside and in [0, 1] within, as in the program: what D pads
with is the background of a digit, not a grey frame.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.layers import INITIAL_STD, draw_weights
from drit.runtime import full, full_precision

STRIDE = 4
SLOPE = 0.1  # of the leaky ReLUs (the paper's; 0.01 in its program)


class CodeGenerator(nn.Module):
    """G: a vector of codes and noise to an image; two fully connected layers, two transposed convolutions."""

    def __init__(self, inputs: int, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.side = side // STRIDE
        self.width = 2 * width
        flat = self.width * self.side**2
        self.first = nn.Sequential(nn.Linear(inputs, 16 * width), nn.BatchNorm1d(16 * width), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(16 * width, flat), nn.BatchNorm1d(flat), nn.ReLU())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.last = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1)
        _initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        """codes: (N, inputs). Returns images (N, channels, side, side) in [-1, 1], float32 or wider."""
        h = self.second(self.first(codes)).view(-1, self.width, self.side, self.side)
        return torch.tanh(full(self.last(self.up(h))) / 2)  # 2 s - 1 of the sigmoid s


class CodeDiscriminator(nn.Module):
    """D: one logit for an image; what comes before its last layer also serves Q (`features`)."""

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.second = nn.Sequential(
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.BatchNorm2d(2 * width), nn.LeakyReLU(SLOPE)
        )
        self.third = nn.Sequential(
            nn.Linear(2 * width * (side // STRIDE) ** 2, 16 * width),
            nn.BatchNorm1d(16 * width),
            nn.LeakyReLU(SLOPE),
        )
        self.logit = nn.Linear(16 * width, 1)
        _initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """x: (N, channels, side, side) in [-1, 1]. Returns (N, 16 width)."""
        h = self.second(F.leaky_relu(self.first((x + 1) / 2), SLOPE))
        return self.third(h.flatten(1))

    def judge(self, features: Tensor) -> Tensor:
        """Logits (N, 1) of features: high for real images."""
        features = full(features)
        with full_precision(features):
            return self.logit(features)


class Recogniser(nn.Module):
    """Q: the codes that an image was drawn from, read from D's features: logits of the category, and the mean of each
    continuous code, whose deviation is 1 (as in the program, whose last layer has two outputs more, unused)."""

    def __init__(self, width: int, categories: int, continuous: int) -> None:
        super().__init__()
        self.sizes = [categories, continuous]
        self.hidden = nn.Sequential(nn.Linear(16 * width, 2 * width), nn.BatchNorm1d(2 * width), nn.LeakyReLU(SLOPE))
        self.codes = nn.Linear(2 * width, sum(self.sizes))
        _initialise(self)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features: (N, 16 width). Returns logits (N, K) and means (N, C)."""
        h = full(self.hidden(features))
        with full_precision(h):
            logits, mean = self.codes(h).split(self.sizes, dim=1)
        return logits, mean


def _initialise(module: nn.Module) -> None:
    """Every weight normal(0, 0.02) and every bias 0, as in the program (which cuts the tails of D's convolutions). With
    the library's larger numbers in G's first layer and smaller ones in D's, the category stays a small detail of the
    image that only Q sees; with its biases most of D's first units never change sign at first."""
    draw_weights(module, partial(nn.init.normal_, std=INITIAL_STD))
