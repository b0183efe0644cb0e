"""One interface for all feature networks: images in, a feature vector and the maps of several layers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-10  # beside a mean square: a place where no channel answers stays 0
_AT_ONCE = 64  # images in one pass, at most
_PIXELS = 1 << 19  # in one pass, at most: the maps of more leave the processor's caches


class Features(NamedTuple):
    """vectors: (N, D), the means of the last map, as the network has them. maps: (N, C, h, w) of each layer."""

    vectors: Tensor
    maps: list[Tensor]


class FeatureNetwork:
    """A network and what it is.

    body: takes images (N, channels, H, W) in [-1, 1] and gives the maps of several layers, from early to late.
    heads: LPIPS's linear weights (C,) of each layer, if there are any. normalised: the vectors are means of a map whose
    channels have a mean square of 1 at each place. record: goes into every result. It holds the
    SHA-256; of networks trained here also recipe, seed and the fingerprints of the training images.
    """

    def __init__(
        self,
        name: str,
        body: nn.Module,
        channels: int,
        record: Mapping[str, Any],
        heads: tuple[Tensor, ...] = (),
        normalised: bool = False,
    ) -> None:
        self.name = name
        self.channels = channels
        self.heads = heads
        self.normalised = normalised
        self.record = {"name": name, **record}
        self.body = body.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def label(self) -> dict[str, str]:
        """What each number carries: the network's name and hash."""
        return {"name": self.name, "sha256": self.record["sha256"]}

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Features:
        """Features of images x (N, C, H, W) in [-1, 1], of any number of channels."""
        size = min(_AT_ONCE, max(1, _PIXELS // (x.shape[2] * x.shape[3])))
        parts = [self.body(part) for part in as_channels(x, self.channels).split(size)]
        maps = [torch.cat(layer) for layer in zip(*parts, strict=True)]
        last = maps[-1].float()
        if self.normalised:
            last = last * (last.square().mean(1, keepdim=True) + _EPS).rsqrt()
        return Features(last.mean((2, 3)), maps)

    def to(self, device: torch.device) -> FeatureNetwork:
        """The network itself, moved to a device."""
        self.body.to(device)
        self.heads = tuple(h.to(device) for h in self.heads)
        return self


def as_channels(x: Tensor, channels: int) -> Tensor:
    """Images (N, C, H, W), any values, with 1 or 3 channels: (N, channels, H, W).

    Grey is repeated, colour weighed to grey (BT.601). Of more than 3 channels the first three are taken.
    """
    if x.shape[1] == channels:
        return x.contiguous(memory_format=torch.channels_last)
    colour = x[:, :1].expand(-1, 3, -1, -1) if x.shape[1] < 3 else x[:, :3]
    if channels == 1:
        colour = (colour * colour.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return colour.contiguous(memory_format=torch.channels_last)


def downscaled(x: Tensor, max_side: int) -> Tensor:
    """Images (N, C, H, W), any values, shrunk without aliasing so that no side is longer than `max_side`."""
    long_side = max(x.shape[2:])
    if long_side <= max_side:
        return x
    size = [max(8, round(s * max_side / long_side)) for s in x.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
