"""Networks of InfoGAN (arXiv 1606.03657, appendix C.1): images from codes, and codes from images.

Sides are multiples of 4: both networks change them twice by 2. The published widths are 64, 128, 1024 and 128 at 28
pixels: w, 2 w, 16 w and 2 w here. Images are in [-1, 1] outside and in [0, 1] within, as in the official
implementation. So D pads with the background of a digit, not with a grey frame.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.init import INITIAL_STD, draw_weights
from drit.networks.layers import BatchNorm1d, BatchNorm2d
from drit.runtime import full, full_precision

STRIDE = 4
SLOPE = 0.1  # of the leaky ReLUs (the paper's; 0.01 in the official implementation)


class CodeGenerator(nn.Module):
    """G: a vector of codes and noise to an image; two fully connected layers, two transposed convolutions."""

    def __init__(self, inputs: int, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.side = side // STRIDE
        self.width = 2 * width
        flat = self.width * self.side**2
        self.first = nn.Sequential(nn.Linear(inputs, 16 * width), BatchNorm1d(16 * width), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(16 * width, flat), BatchNorm1d(flat), nn.ReLU())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1), BatchNorm2d(width), nn.ReLU()
        )
        self.last = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1)
        _initialise(self)

    def forward(self, codes: Tensor) -> Tensor:
        """codes: (N, inputs), any real values. Returns images (N, channels, side, side) in [-1, 1], float32 or wider.

        In training mode N is 2 or more: batch normalisation of one vector raises ValueError.
        """
        h = self.second(self.first(codes)).view(-1, self.width, self.side, self.side)
        return torch.tanh(full(self.last(self.up(h))) / 2)  # 2 s - 1 of the sigmoid s


class CodeDiscriminator(nn.Module):
    """D: one logit for an image. What comes before its last layer, `features`, also serves Q."""

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.second = nn.Sequential(
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), BatchNorm2d(2 * width), nn.LeakyReLU(SLOPE)
        )
        self.third = nn.Sequential(
            nn.Linear(2 * width * (side // STRIDE) ** 2, 16 * width),
            BatchNorm1d(16 * width),
            nn.LeakyReLU(SLOPE),
        )
        self.logit = nn.Linear(16 * width, 1)
        _initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """What D and Q share. x: (N, channels, side, side) in [-1, 1]. Returns (N, 16 width), any real values.

        In training mode N is 2 or more: batch normalisation of one vector raises ValueError.
        """
        h = self.second(F.leaky_relu(self.first((x + 1) / 2), SLOPE))
        return self.third(h.flatten(1))

    def judge(self, features: Tensor) -> Tensor:
        """features: (N, 16 width), any real values. Returns logits (N, 1), high for real images, float32 or wider."""
        features = full(features)
        with full_precision(features):
            return self.logit(features)


class Recogniser(nn.Module):
    """Q: an estimate, from D's features, of the codes that an image was generated from (section 6).

    Logits of the category, and the mean of each continuous code, whose std is 1. So does the official implementation,
    whose last layer has two outputs more, unused.
    """

    def __init__(self, width: int, categories: int, continuous: int) -> None:
        super().__init__()
        self.sizes = [categories, continuous]
        self.hidden = nn.Sequential(nn.Linear(16 * width, 2 * width), BatchNorm1d(2 * width), nn.LeakyReLU(SLOPE))
        self.codes = nn.Linear(2 * width, sum(self.sizes))
        _initialise(self)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features: (N, 16 width), any real values. Returns logits (N, K) and means (N, C), float32 or wider.

        K: categories; C: continuous codes. In training mode N is 2 or more, as for `CodeDiscriminator.features`.
        """
        h = full(self.hidden(features))
        with full_precision(h):
            logits, mean = self.codes(h).split(self.sizes, dim=1)
        return logits, mean


def _initialise(module: nn.Module) -> None:
    """Every weight normal(0, 0.02) and every bias 0, as in the official implementation.

    (That one also cuts the tails of D's convolutions.) The library's weights are larger in G's first layer and smaller
    in D's: with them the category stays a small detail of the image that only Q sees. With the library's biases most
    of D's first units never change sign at first.
    """
    draw_weights(module, partial(nn.init.normal_, std=INITIAL_STD))
