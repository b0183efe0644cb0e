"""The map of invention: where the outputs of an image show what the image does not determine.

x is an image, y_k its output in style k, x_k = G(E^c(y_k), z_x) that output translated back in the style z_x of x
itself. Two maps, in levels of 255, and a number for each output:

    style std      s(h, w)   = mean over channels of std_k y_k
    cycle error    e_k(h, w) = mean over channels of |x_k - x|
    invention      i_k       = |E^c(x_k) - E^c(x)|^2 / |E^c(x) - mean E^c(x)|^2

i_k is the share of the content code's variance that does not come back: 0 where all of it does, 1 where a constant map
would do as well. Both codes are of one encoder, so it exists for each method that translates back. Of the numbers that
were tried it ranks wrong translations first most often (docs/results.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from drit.errors import UsageError
from drit.methods.base import Method
from drit.runtime import full

if TYPE_CHECKING:
    from drit.inference.translator import Translator

LEVELS = 127.5  # of 255, for a difference of 1 between values in [-1, 1]


@dataclass(frozen=True)
class InventionMap:
    """Translations of one image, and what of them is invented. K outputs of H x W pixels; maps are float32."""

    outputs: list[Any]  # K, of the image's kind
    style_std: np.ndarray | None  # (H, W), levels of 255; None where there is one output
    cycle_error: np.ndarray | None  # (K, H, W), levels of 255; None where the method does not translate back
    invention: np.ndarray | None  # (K,), at least 0; None with `cycle_error`


class Cycle(NamedTuple):
    """Outputs of N images, translated back: see the module."""

    error: Tensor  # (N, H, W), levels of 255
    invention: Tensor  # (N,)


def translates_back(method: Method, source: str) -> bool:
    """Whether outputs can be translated back to domain `source` in the style of their own image."""
    return source in method.capabilities.directions and method.capabilities.knows_own_style


def missing_notes(method: Method, source: str) -> list[str]:
    """Which of the maps a method does not have, in sentences. Raises UsageError where it has neither."""
    back, styles = translates_back(method, source), bool(method.capabilities.style_dim)
    if not back and not styles:
        raise UsageError(
            "There is nothing to map: this method gives one output for each image and does not translate back."
        )
    if not styles:
        return ["The map shows the cycle error alone: this method gives one output for each image."]
    if not back:
        return [f"The map shows the std over styles alone, without a number: {_no_way_back(method, source)}."]
    return []


def check_translates_back(method: Method, source: str, flag: str) -> None:
    """Raises UsageError where a flag needs outputs translated back and the method cannot."""
    if not translates_back(method, source):
        raise UsageError(f"{flag} needs the way back, and {_no_way_back(method, source)}. Leave it out.")


def _no_way_back(method: Method, source: str) -> str:
    if source not in method.capabilities.directions:
        return f"this method does not translate to {source}"
    return "this method does not take the style of an image, which the way back needs"


class WayBack:
    """Translates outputs of N images back, in the images' own styles.

    x: (N, C, H, W) in [-1, 1], of domain `source`; its outputs are of domain `to`.
    """

    def __init__(self, translator: Translator, x: Tensor, source: str, to: str) -> None:
        self.translator = translator
        self.x = x.to(translator.device)
        self.source = source
        self.to = to
        self._code = full(translator.encode_batch(self.x, source))
        self._style = translator.style_batch(self.x, source)

    def __call__(self, outputs: Tensor) -> Cycle:
        """Cycle error and invention of one output (N, C', H, W) in [-1, 1] of each image; on the CPU."""
        codes = self.translator.encode_batch(outputs, self.to)
        size = (self.x.shape[-2], self.x.shape[-1])
        back = self.translator.decode_batch(codes, self._style[:, None], self.source, size)[:, 0]
        error = LEVELS * (back - self.x).abs().mean(1)
        lost = full(self.translator.encode_batch(back, self.source)) - self._code
        varied = self._code - self._code.mean((2, 3), keepdim=True)
        squares = [d.double().square().mean((1, 2, 3)) for d in (lost, varied)]
        # an image of one colour has nothing that could be lost
        invention = squares[0] / squares[1].clamp_min(torch.finfo(torch.float32).eps)
        return Cycle(error.cpu(), invention.cpu())


class InventionMeter:
    """Gathers the maps of one image while its outputs are made, one by one.

    x: (1, C, H, W) in [-1, 1], of domain `source`; outputs are of domain `to`. Raises UsageError where the method has
    neither map.
    """

    def __init__(self, translator: Translator, x: Tensor, source: str, to: str) -> None:
        missing_notes(translator.method, source)
        self._back = WayBack(translator, x, source, to) if translates_back(translator.method, source) else None
        self._styles = bool(translator.method.capabilities.style_dim)
        self._count = 0
        self._mean: Tensor | float = 0.0  # of the outputs so far: (C', H, W)
        self._squares: Tensor | float = 0.0  # sum of squared differences from it
        self.invention: list[float] = []  # of each output

    def add(self, output: Tensor) -> Tensor | None:
        """Take up the next output (C', H, W) in [-1, 1]; returns its cycle error (H, W), if there is one."""
        if self._styles:  # Welford's running variance: no output is kept
            self._count += 1
            before = output - self._mean
            self._mean = self._mean + before / self._count
            self._squares = self._squares + before * (output - self._mean)
        if self._back is None:
            return None
        cycle = self._back(output[None])
        self.invention.append(float(cycle.invention))
        return cycle.error[0]

    def style_std(self) -> Tensor | None:
        """The std over the outputs so far (H, W), in levels of 255; None with fewer than two, or without styles."""
        if self._count < 2 or not isinstance(self._squares, Tensor):
            return None
        return LEVELS * (self._squares / self._count).sqrt().mean(0)
