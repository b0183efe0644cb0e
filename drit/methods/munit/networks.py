"""Decoder of MUNIT (arXiv 1804.04732, section 5.1 and appendix B.2): a style sets mean and deviation of every channel.

AdaIN(x, gain, bias) = gain (x - mean(x)) / deviation(x) + bias, mean and deviation over the pixels of a channel of one
image; gains and biases come from the style through an MLP.

All that follows the first AdaIN depends on the style, upsampling included. `prepare` computes what comes before it: the
first 3 x 3 convolution and its instance normalisation. `render` does the rest, as in `generators.py`: styles (M, S), M
a multiple of N, style j for image j mod N.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drit.networks.layers import Conv, draw_weights, instance_norm, k_major
from drit.networks.upsample import UpsampleConv
from drit.runtime import full, full_precision

Prepared = tuple[Tensor, ...]


def modulate(normed: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """AdaIN of what `instance_norm` gave: (M, C, h, w), with gain and bias (M, C)."""
    gain, bias = (p[:, :, None, None].to(normed.dtype) for p in (gain, bias))
    return torch.addcmul(bias, normed, gain)


class AdaINBlock(nn.Module):
    """x + AdaIN(conv(ReLU(AdaIN(conv(x))))), 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=1)
        self.conv2 = Conv(channels, channels, 3, padding=1)

    def start(self, x: Tensor) -> Tensor:
        """The part before the first AdaIN sees the style: (N, C, h, w), normalised."""
        return instance_norm(self.conv1(x))

    def finish(self, x: Tensor, started: Tensor, codes: Tensor) -> Tensor:
        """x, started: of N or M images. codes: (M, 2, 2, C), gain and bias of either AdaIN. Returns (M, C, h, w)."""
        count = len(codes)
        h = modulate(k_major(started, count), *codes[:, 0].unbind(1))
        return k_major(x, count) + modulate(instance_norm(self.conv2(h, 0.0)), *codes[:, 1].unbind(1))


class AdaINDecoder(nn.Module):
    """One domain's decoder: residual blocks with AdaIN, enlargements, 7 x 7, tanh."""

    def __init__(self, channels: int, content: int, style_dim: int, blocks: int, upsamplings: int) -> None:
        super().__init__()
        self.shape = (blocks, 2, 2, content)  # gain and bias of the two AdaIN of each block
        self.codes = nn.Sequential(
            nn.Linear(style_dim, content),
            nn.ReLU(),
            nn.Linear(content, content),
            nn.ReLU(),
            nn.Linear(content, blocks * 4 * content),
        )
        self.blocks = nn.ModuleList(AdaINBlock(content) for _ in range(blocks))
        self.up = nn.Sequential(*(UpsampleConv(content >> i, content >> (i + 1)) for i in range(upsamplings)))
        self.last = Conv(content >> upsamplings, channels, 7, padding=3)

    def gains_and_biases(self, style: Tensor) -> Tensor:
        """What the MLP asks for with a style: (M, S) -> (M, blocks, 2, 2, C)."""
        with full_precision(style):  # a handful of numbers
            return self.codes(style.to(self.codes[0].weight.dtype)).unflatten(1, self.shape)

    def prepare(self, content: Tensor) -> Prepared:
        """content: (N, C, h, w). Returns it with the first convolution of the first block, normalised."""
        return content, self.blocks[0].start(content)

    def render(self, prepared: Prepared, style: Tensor) -> Tensor:
        """prepared of N images, style (M, S). Returns (M, channels, H, W) in [-1, 1], float32 or wider."""
        h, started = prepared
        codes = self.gains_and_biases(style)
        for i, block in enumerate(self.blocks):
            h = block.finish(h, started if i == 0 else block.start(h), codes[:, i])
        return torch.tanh(full(self.last(self.up(h))))


def kaiming(module: nn.Module) -> None:
    """Initial weights of MUNIT's encoders and decoders: He's deviation for ReLUs, biases 0 (1502.01852)."""
    draw_weights(module, nn.init.kaiming_normal_)
