"""Initial weights of convolutions and linear layers, as the papers and their official implementations have them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

INITIAL_STD = 0.02  # of convolution weights (published value)


def initialise(module: nn.Module, scaled: bool = False) -> None:
    """Fill the weights of all convolutions of `module`; biases and other layers keep the library's values.

    By default normal(0, 0.02), as published (DRIT). `scaled`: normal, with the std that keeps the size of activations
    through leaky ReLUs (He et al., arXiv 1502.01852, section 2.2). It is for networks without normalisation.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            if scaled:
                nn.init.kaiming_normal_(layer.weight, a=0.2)
            else:
                nn.init.normal_(layer.weight, 0.0, INITIAL_STD)


def zero_biases(module: nn.Module) -> None:
    """Set the biases of all convolutions of `module` to 0.

    So start the official implementations of CycleGAN and Pix2Pix, and the discriminators of MUNIT's.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def draw_weights(module: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Fill the weights of all convolutions and linear layers of `module` by `draw`; set their biases to 0.

    draw: fills a weight in place, (O, I, k, k) or (I, O, k, k) of convolutions, (O, I) of linear layers.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def bilinear_init(layer: nn.ConvTranspose2d | nn.Conv2d) -> None:
    """Make a transposed convolution of stride 2 start as bilinear upsampling; or a convolution after nearest-neighbour
    upsampling, which becomes a bilinear one by it.

    Its weight (I, O, k, k) with k = 3 or 4 becomes one number for each pair of channels times a kernel. The number is
    the middle tap that was drawn; the kernel is the outer product of (1/2, 1, 1/2) or (1/4, 3/4, 3/4, 1/4) with itself.
    """
    # Independent numbers draw a grid from the start: neighbours differ however smooth the input is. With a kernel of 3
    # even their std differs, as an even row is the sum of one tap, an odd row of two.
    ramp = torch.tensor([0.5, 1.0, 0.5] if layer.kernel_size[0] == 3 else [0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:, :, 1:2, 1:2] * torch.outer(ramp, ramp))
