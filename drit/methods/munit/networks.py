"""Networks of MUNIT (arXiv 1804.04732, section 5.1 and appendix B.2): a style sets mean and std of every channel.

AdaIN(x, gain, bias) = gain (x - mean(x)) / std(x) + bias   (section 5.1)

Mean and std are over the pixels of a channel of one image; gains and biases come from the style through an MLP.

All that follows the first AdaIN depends on the style, upsampling included. `prepare` computes what comes before it: the
first 3 x 3 convolution and its instance normalisation. `render` does the rest, as in `drit.networks.decoders`: styles
(M, S), M a multiple of N, style j for image j mod N. Maps and codes have any real values.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.init import draw_weights
from drit.networks.layers import Conv, ResidualBlock, instance_norm, k_major, modulate, style_mlp
from drit.networks.upsample import UpsampleConv
from drit.runtime import full, full_precision

Prepared = tuple[Tensor, ...]


class NormalisedEncoder(nn.Module):
    """E^c of one domain: instance normalisation after every convolution, which removes what makes a style."""

    def __init__(self, channels: int, width: int, downsamplings: int, blocks: int) -> None:
        super().__init__()
        self.first = Conv(channels, width, 7, padding=3)
        self.down = nn.ModuleList(
            Conv(width << i, width << (i + 1), 4, stride=2, padding=1) for i in range(downsamplings)
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width << downsamplings) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns the content code (N, width 2^d, H / 2^d, W / 2^d), d downsamplings.

        Sides are rounded down.
        """
        h = instance_norm(self.first(x))
        for layer in self.down:
            h = instance_norm(layer(h, 0.0))
        return self.blocks(F.relu(h))


class AdaINBlock(nn.Module):
    """x + AdaIN(conv(ReLU(AdaIN(conv(x))))), 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=1)
        self.conv2 = Conv(channels, channels, 3, padding=1)

    def start(self, x: Tensor) -> Tensor:
        """The part before the style enters: convolution and normalisation. x: (N, C, h, w) -> the same shape."""
        return instance_norm(self.conv1(x))

    def finish(self, x: Tensor, started: Tensor, codes: Tensor) -> Tensor:
        """The rest of the block. x: (N, C, h, w), its input; started: the same shape, what `start` gave for it.

        codes: (M, 2, 2, C), gain and bias of each of the two AdaIN; M is a multiple of N. Returns (M, C, h, w).
        """
        h = modulate(started, *codes[:, 0].unbind(1))
        return k_major(x, len(codes)) + modulate(instance_norm(self.conv2(h, 0.0)), *codes[:, 1].unbind(1))


class AdaINDecoder(nn.Module):
    """One domain's decoder: residual blocks with AdaIN, upsamplings, 7 x 7, tanh."""

    def __init__(self, channels: int, content: int, style_dim: int, blocks: int, upsamplings: int) -> None:
        super().__init__()
        self.shape = (blocks, 2, 2, content)  # gain and bias of the two AdaIN of each block
        self.codes = style_mlp(style_dim, content, blocks * 4 * content)
        self.blocks = nn.ModuleList(AdaINBlock(content) for _ in range(blocks))
        self.up = nn.Sequential(*(UpsampleConv(content >> i, content >> (i + 1)) for i in range(upsamplings)))
        self.last = Conv(content >> upsamplings, channels, 7, padding=3)

    def gains_and_biases(self, style: Tensor) -> Tensor:
        """Gains and biases that the MLP gives for styles: (M, S) -> (M, blocks, 2, 2, C), any real values.

        The axes of 2 are the AdaIN of a block, then gain and bias. Float32 or wider.
        """
        with full_precision(style):  # a handful of numbers
            return self.codes(style.to(self.codes[0].weight.dtype)).unflatten(1, self.shape)

    def prepare(self, content: Tensor) -> Prepared:
        """What no style changes. content: (N, C, h, w). Returns content, and what the first block's `start` gives."""
        return content, self.blocks[0].start(content)

    def render(self, prepared: Prepared, style: Tensor) -> Tensor:
        """prepared: of N images; style: (M, S), M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        h, started = prepared
        codes = self.gains_and_biases(style)
        for i, block in enumerate(self.blocks):
            h = block.finish(h, started if i == 0 else block.start(h), codes[:, i])
        return torch.tanh(full(self.last(self.up(h))))


def kaiming(module: nn.Module) -> None:
    """Fill the initial weights of MUNIT's encoders and decoders: He's std for ReLUs, biases 0 (arXiv 1502.01852)."""
    draw_weights(module, nn.init.kaiming_normal_)
