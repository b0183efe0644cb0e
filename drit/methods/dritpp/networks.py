"""The discriminator of DRIT++ (arXiv 1905.01270), which also classifies the domain of an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.discriminators import MAX_WIDENING, SLOPE, MultiScaleDiscriminator, image_pyramid
from drit.runtime import full, full_precision


class ClassifyingDiscriminator(MultiScaleDiscriminator):
    """A multi-scale discriminator that also classifies the domain of an image.

    The auxiliary classifier of ACGAN (arXiv 1610.09585): at every scale, the mean of the features over the patches goes
    through one linear layer; the logits of all scales are summed.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int,
        scales: int,
        classes: int,
        spectral: bool = False,
        scaled: bool = False,
    ) -> None:
        super().__init__(channels, width, layers, scales, spectral, scaled)
        features = width * min(1 << (layers - 1), MAX_WIDENING)
        self.classes = nn.ModuleList(nn.Linear(features, classes) for _ in range(scales))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:  # type: ignore[override]
        """x: (N, C, H, W) in [-1, 1]. Returns logits of real or fake, and logits of the K domains, any real values.

        The first are one map (N, 1, h, w) for each scale, finest first; the second are (N, K), float32 or wider.
        """
        logits, class_logits = [], []
        for scale, head, image in zip(self.scales, self.classes, image_pyramid(x, len(self.scales)), strict=True):
            h = scale.features(image)
            logits.append(scale.judge(h))
            h = full(F.leaky_relu(h, SLOPE)).mean(dim=(2, 3))
            with full_precision(h):
                class_logits.append(head(h))
        return logits, torch.stack(class_logits).sum(0)
