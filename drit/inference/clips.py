"""Translation of the frames of a clip: one style, and normalisation statistics that are those of the clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from drit.inference import memory
from drit.inference.translator import Translator
from drit.networks.statistics import FrozenStatistics

MAX_SAMPLE = 16  # frames that statistics are taken of, at most
_SHARE = 4  # they may take a fourth of the memory that is free


def sample_size(translator: Translator, height: int, width: int, to: str) -> int:
    """How many frames of this size statistics are taken of: as many as a part of the free memory holds, at least 1."""
    free = memory.available(translator.device)
    if free is None or height * width * MAX_SAMPLE <= memory.CHECKED_PIXELS:
        return MAX_SAMPLE
    return max(1, min(MAX_SAMPLE, free // (_SHARE * translator.memory_needed(height, width, to))))


class ClipTranslator:
    """Translates frames of one size, with the statistics of some of them.

    sample: frames spread over the clip, (M, C, H, W) in [-1, 1], of domain `source`. styles: of these, (M, S). to: a
    letter. Every normalisation of every frame uses the mean and variance over the sample, layer by layer.
    Raises memory.TooLargeError where memory does not suffice.
    """

    def __init__(self, translator: Translator, sample: Tensor, styles: Tensor, source: str, to: str) -> None:
        self.translator = translator
        self.source = source
        self.to = to
        self._statistics = FrozenStatistics()
        self._pass(sample, styles)
        self._statistics.freeze()

    def frame(self, x: Tensor, style: Tensor) -> Tensor:
        """One frame (C, H, W) in [-1, 1] in one style (S,): (C', H, W) in [-1, 1], float32 on the CPU."""
        return self._pass(x[None], style[None])[0]

    def _pass(self, x: Tensor, styles: Tensor) -> Tensor:
        """Images (N, C', H, W) of x (N, C, H, W) and styles (N, S)."""
        method, device = self.translator.method, self.translator.device
        height, width = x.shape[-2:]
        rows, columns = (self.translator.padded_places(side) for side in (height, width))
        padded = x[:, :, rows][:, :, :, columns].to(device).contiguous(memory_format=torch.channels_last)
        self._statistics.begin()
        with self.translator.computing(height, width), self._statistics:
            prepared = method.prepare(method.content(padded, self.source), self.to)
            images = method.render(prepared, styles.to(device), self.to)
        return images[:, :, :height, :width].float().cpu()


def styles_over_time(styles: Tensor, count: int) -> Tensor:
    """The style of each of `count` frames (count, S): the only one of `styles` (K, S), or a walk through all of them on
    straight lines, ends included."""
    if len(styles) == 1:
        return styles.expand(count, -1)
    return Translator.interpolate(styles, max(2, count))[:count]


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the places 0 .. count - 1, evenly spread, ends not preferred."""
    wanted = min(count, wanted)
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def stacked(frames: Sequence[Tensor]) -> Tensor:
    """Frames (C, H, W) of one size as (M, C, H, W)."""
    return torch.stack(list(frames))
