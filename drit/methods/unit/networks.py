"""Generators of UNIT (arXiv 1703.00848, appendix A): the mirror of its encoders, from a latent code to an image.

Codes and maps have any real values, images are in [-1, 1].
"""

from __future__ import annotations

from torch import Tensor, nn

from drit.networks.decoder_layers import OutputConv, UpsampleBlock, initialise_generator
from drit.networks.layers import ResidualBlock


class LatentDecoder(nn.Module):
    """One domain's generator after the shared blocks: residual blocks, upsamplings with leaky ReLUs, 1 x 1, tanh."""

    def __init__(self, channels: int, content: int, blocks: int, upsamplings: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(content) for _ in range(blocks)))
        self.up = nn.ModuleList(
            UpsampleBlock(content >> i, 0, content >> (i + 1), norm=False) for i in range(upsamplings)
        )
        self.last = OutputConv(content >> upsamplings, 0, channels)

    def forward(self, h: Tensor) -> Tensor:
        """h: (N, content, h, w) from the shared blocks. Returns images (N, channels, 2^u h, 2^u w) in [-1, 1].

        u: the upsamplings. The images are float32 or wider.
        """
        h = self.blocks(h)
        for up in self.up:
            h = up.activate(up.upsample(h))
        return self.last(h, h.new_zeros(len(h), 0))


class LatentGenerator(nn.Module):
    """G of both domains: shared residual blocks, then one decoder for each domain."""

    def __init__(
        self,
        channels: dict[str, int],
        content: int,
        shared_blocks: int,
        blocks: int,
        upsamplings: int,
        smooth: bool = False,
    ) -> None:
        """smooth: the transposed convolutions start as bilinear upsampling."""
        super().__init__()
        self.shared = nn.Sequential(*(ResidualBlock(content) for _ in range(shared_blocks)))
        self.own = nn.ModuleDict({d: LatentDecoder(c, content, blocks, upsamplings) for d, c in channels.items()})
        initialise_generator(self, smooth)

    def forward(self, code: Tensor, domain: str) -> Tensor:
        """code: (N, content, h, w). Returns images of `domain`, (N, channels, 2^u h, 2^u w) in [-1, 1].

        u: the upsamplings. Raises KeyError for a domain that the generator does not have.
        """
        return self.own[domain](self.shared(code))
