"""The generator of CycleGAN (arXiv 1703.10593, appendix 7.2), after Johnson et al. (1603.08155).

c7s1-64, d128, d256, residual blocks, u128, u64, c7s1-C, with instance normalisation and ReLUs; tanh at the end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.init import bilinear_init, initialise
from drit.networks.layers import Conv, ResidualBlock, instance_norm, k_major
from drit.runtime import full, full_precision


class ResNetGenerator(nn.Module):
    """Downsamplings, residual blocks, upsamplings.

    style_dim: numbers of a code that is added before the ReLU that precedes the blocks; 0: no code. smooth: the
    transposed convolutions start as bilinear upsampling.
    """

    # Code planes that are concatenated to the image or to the features, as noise usually is, would change nothing: a
    # convolution makes constants of them, which the instance normalisation after it removes (docs/architecture.md).

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        downsamplings: int,
        blocks: int,
        style_dim: int = 0,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        widths = [width << i for i in range(downsamplings + 1)]
        self.first = Conv(inputs, width, 7, padding=3)
        self.down = nn.ModuleList(Conv(w, 2 * w, 3, stride=2, padding=1) for w in widths[:-1])
        self.code = nn.Linear(style_dim, widths[-1], bias=False) if style_dim else None
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 3, stride=2, padding=1, output_padding=1) for w in reversed(widths[:-1])
        )
        self.last = Conv(width, outputs, 7, padding=3)
        initialise(self)
        if smooth:
            for layer in self.up:
                bilinear_init(layer)

    def encode(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns features before their ReLU: (N, width 2^d, H / 2^d, W / 2^d).

        d: the downsamplings. Sides that 2^d does not divide are rounded up.
        """
        h = instance_norm(self.first(x))
        for layer in self.down:
            h = instance_norm(layer(h, 0.0))
        return h

    def decode(self, h: Tensor, style: Tensor | None = None) -> Tensor:
        """h: (N, width 2^d, h, w), what `encode` gives; style: (M, S), any real values, or None for no code.

        M is a multiple of N; style j is for image j mod N. Returns (M, outputs, 2^d h, 2^d w) in [-1, 1], float32 or
        wider; M = N without a style.
        """
        if self.code is not None and style is not None:
            with full_precision(style):
                shift = self.code(style.to(self.code.weight.dtype))[:, :, None, None].to(h.dtype)
            h = k_major(h, len(style)) + shift
        h = self.blocks(F.relu(h))
        for i, layer in enumerate(self.up):
            h = instance_norm(layer(F.relu(h) if i else h))
        return torch.tanh(full(self.last(h, 0.0)))

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]; style: (M, S), any real values, M a multiple of N; or None.

        Returns (M, outputs, H, W) in [-1, 1], float32 or wider, with sides rounded up to multiples of 2^d.
        """
        return self.decode(self.encode(x), style)
