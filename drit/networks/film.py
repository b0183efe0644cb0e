"""The third form of DRIT's generator: styles as scale and shift after the normalisations of the upsampling path.

    h = ReLU((1 + g(z)) LN(up(h)) + s(z))   (FiLM, Perez et al., arXiv 1709.07871, equation 2)

for each upsampling `up`; g(z) and s(z) are a number for each channel, from an MLP. LN is layer normalisation without
gain and bias, which g and s make up for. The residual blocks see the content alone, and so do the convolutions.

The first normalised map depends on no style and belongs to `prepare`: one more style costs a scale and a shift of it,
and the layers after it. `prepare` and `render` are those of `drit.networks.decoders`: styles (M, S), M a multiple of N,
style j for image j mod N.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.decoder_layers import UPSAMPLE_BLOCKS, OutputConv, initialise_generator
from drit.networks.decoders import Prepared
from drit.networks.fast import group_norm
from drit.networks.init import draw_weights
from drit.networks.layers import ResidualBlock, layer_norm, modulate, style_mlp
from drit.networks.rendering import each_style, one_by_one
from drit.runtime import full_precision
from drit.settings.groups import Upsample


class FilmDecoder(nn.Module):
    """One domain's generator after the shared blocks: residual blocks, upsamplings with scale and shift, last layer."""

    def __init__(
        self, channels: int, content: int, style_dim: int, blocks: int, upsamplings: int, upsample: Upsample
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(content) for _ in range(blocks)))
        block = UPSAMPLE_BLOCKS[upsample]
        self.up = nn.ModuleList(block(content >> i, 0, content >> (i + 1), norm=False) for i in range(upsamplings))
        self.widths = [content >> (i + 1) for i in range(upsamplings)]  # channels that each style scales and shifts
        self.codes = style_mlp(style_dim, content, 2 * sum(self.widths))
        self.last = OutputConv(self.widths[-1], 0, channels)

    def prepare(self, h: Tensor) -> Prepared:
        """The blocks, and the first upsampling with its normalisation.

        h: (N, content, h, w) from the shared blocks, any real values. Returns one map (N, content / 2, 2 h, 2 w).
        """
        return (layer_norm(self.up[0].upsample(self.blocks(h))),)

    def render(self, prepared: Prepared, style: Tensor) -> Tensor:
        """prepared: of N images; style: (M, S), any real values, M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        (h,) = prepared
        with full_precision(style):  # a handful of numbers: full precision costs nothing
            codes = self.codes(style.to(self.codes[0].weight.dtype)).split([2 * w for w in self.widths], dim=1)
        if one_by_one(h):
            return each_style(
                lambda own, j: self._render(own[0], [code[j : j + 1] for code in codes], style[j : j + 1]),
                prepared,
                len(style),
            )
        return self._render(h, codes, style)

    def _render(self, h: Tensor, codes: Sequence[Tensor], style: Tensor) -> Tensor:
        """The upsampling path: h (N, content / 2, 2 h, 2 w), a code (M, 2 C) for each upsampling to C channels."""
        for i, (up, code) in enumerate(zip(self.up, codes, strict=True)):
            gain, shift = code.chunk(2, dim=1)
            if i == 0:
                h = modulate(h, 1 + gain, shift)
            elif len(h) == 1 and one_by_one(h):  # one style: gain and bias of the normalisation itself
                h = group_norm(up.upsample(h), 1, 1 + gain[0], shift[0])
            else:
                h = modulate(layer_norm(up.upsample(h)), 1 + gain, shift)
            h = F.relu_(h)
        return self.last(h, style)


class FilmGenerator(nn.Module):
    """G of all domains with scale and shift: shared residual blocks, then one decoder for each domain.

    smooth: the upsamplings start as bilinear ones.
    """

    def __init__(
        self,
        channels: dict[str, int],
        content: int,
        style_dim: int,
        shared_blocks: int,
        blocks: int,
        upsamplings: int,
        smooth: bool = False,
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        self.shared = nn.Sequential(*(ResidualBlock(content) for _ in range(shared_blocks)))
        self.own = nn.ModuleDict(
            {d: FilmDecoder(c, content, style_dim, blocks, upsamplings, upsample) for d, c in channels.items()}
        )
        initialise_generator(self, smooth)
        # He's std, as MUNIT: two styles differ by 10 of 255 at the start, as in the concatenating form. By the
        # library's weights, which the feature-wise form has, they would by 1.
        for decoder in self.own.values():
            draw_weights(decoder.codes, nn.init.kaiming_normal_)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        """What no style of `domain` changes. content: (N, C, h, w), any real values. Returns a tuple of one map.

        Raises KeyError for a domain that the generator does not have; so does `render`.
        """
        return self.own[domain].prepare(self.shared(content))

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        """prepared: of N images; style: (M, S), any real values, M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        return self.own[domain].render(prepared, style)
