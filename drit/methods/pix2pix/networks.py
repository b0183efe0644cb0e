"""The generator of Pix2Pix (arXiv 1611.07004, appendix 6.1.1)."""

from __future__ import annotations

from torch import Tensor

from drit.networks.layers import ImageBatchNorm
from drit.networks.unet import UNet, unet_widths


class Pix2PixUNet(UNet):
    """The U-Net of Pix2Pix: batch normalisation of single images, dropout in the innermost layers on the way up."""

    Norm = ImageBatchNorm
    first_dropped = 0

    def __init__(
        self, channels: int, outputs: int, width: int, levels: int, dropout: float = 0.0, smooth: bool = False
    ) -> None:
        widths = unet_widths(width, levels)
        super().__init__([channels, *widths[:-1]], widths, outputs, dropout, smooth)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns (N, outputs, H, W) in [-1, 1], float32 or wider."""
        h, skips = x, []
        for level in range(len(self.down)):
            skips.append(h)
            h = self.down_step(h, level)
        return self.ascend(h, skips)
