"""AlexNet as LPIPS takes it, in the layout of its published weights."""

from __future__ import annotations

from torch import Tensor, nn

from drit.evaluation.features.imagenet import imagenet, maps_after


class AlexNet(nn.Module):
    """AlexNet (Krizhevsky, arXiv 1404.5997), convolutions only; torchvision's tensor names. Maps: after each ReLU, as
    LPIPS takes them."""

    widths = (64, 192, 384, 256, 256)
    unused = ("classifier.",)  # tensors of the published file that features do not need

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, 1, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, 3, H, W) in [-1, 1]. Returns maps (N, C, h, w), C as in `widths`."""
        return maps_after(self.features, imagenet(x), (1, 4, 7, 9, 11))
