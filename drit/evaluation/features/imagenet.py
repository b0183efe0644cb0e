"""What networks trained on ImageNet share: how their images are scaled, and taking the maps of chosen layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_MEAN = (0.485, 0.456, 0.406)  # of images in [0, 1], as these networks were trained
_STD = (0.229, 0.224, 0.225)
MIN_SIDE = 64  # below it, AlexNet and SqueezeNet have too few places left


def imagenet(x: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [-1, 1] with ImageNet's mean 0 and std 1; smaller ones are enlarged to MIN_SIDE."""
    short_side = min(x.shape[2:])
    if short_side < MIN_SIDE:
        size = [max(MIN_SIDE, round(s * MIN_SIDE / short_side)) for s in x.shape[2:]]
        x = F.interpolate(x, size, mode="bilinear", align_corners=False)
    mean, std = (x.new_tensor(v)[:, None, None] for v in (_MEAN, _STD))
    return (x - (2 * mean - 1)).div_(2 * std)  # of ((x + 1) / 2 - mean) / std


def maps_after(layers: nn.Sequential, x: Tensor, places: tuple[int, ...]) -> list[Tensor]:
    """What the layers at `places` give for x (N, 3, H, W): a map (N, C, h, w) of each, from early to late."""
    maps = []
    for i, layer in enumerate(layers):
        x = layer(x)
        if i in places:
            maps.append(x)
    return maps
