"""SqueezeNet 1.1 as LPIPS takes it, in the layout of its published weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.evaluation.features.imagenet import imagenet, maps_after


class Fire(nn.Module):
    """SqueezeNet's block: squeeze to few channels, expand by 1 x 1 and 3 x 3 side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 2 expanded, H, W), not negative."""
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 (Iandola et al., arXiv 1602.07360), without its classifier; torchvision's tensor names. Maps: the
    seven that LPIPS takes."""

    widths = (64, 128, 256, 384, 384, 512, 512)
    unused = ("classifier.",)
    # Its activations go into the hundreds, by a few places and channels that a distance would be made of alone.
    normalised = True

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, 3, H, W) in [-1, 1]. Returns maps (N, C, h, w), C as in `widths`."""
        return maps_after(self.features, imagenet(x), (1, 4, 7, 9, 10, 11, 12))
