"""What an evaluation keeps of the outputs: feature vectors, distances, and the few images that the page shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np
from torch import Tensor

SHOWN = 8  # images of each kind on the page

Strip = list[np.ndarray]  # images (H, W, C) of uint8 beside each other


@dataclass
class Extremes:
    """The extremes of a stream of images by a score: the `SHOWN` lowest and highest, each with its strip of images."""

    lowest: list[tuple[float, Strip]] = field(default_factory=list)
    highest: list[tuple[float, Strip]] = field(default_factory=list)

    def add(self, score: float, draw: Callable[[], Strip]) -> None:
        """Take note of a strip (images (H, W, C) of uint8), which is only drawn when it is kept."""
        strip: Strip | None = None
        for kept, sign in ((self.lowest, 1), (self.highest, -1)):
            if len(kept) == SHOWN and sign * score >= sign * kept[-1][0]:
                continue
            strip = strip or draw()
            kept.append((score, strip))
            kept.sort(key=lambda item: sign * item[0])
            del kept[SHOWN:]

    def extend(self, later: Extremes) -> None:
        """Take note of the extremes of what follows in the stream: the result is that of one stream."""
        for kept, more, sign in ((self.lowest, later.lowest, 1), (self.highest, later.highest, -1)):
            kept.extend(more)
            kept.sort(key=lambda item: sign * item[0])
            del kept[SHOWN:]


@dataclass
class Direction:
    """What was gathered of the translations to one domain: arrays in the order of the inputs, to be joined.

    N inputs at a time, d outputs of each that are compared with real images, D features. Differences between images
    are means over all pixels, in levels of 255.
    """

    vectors: list[np.ndarray] = field(default_factory=list)  # (N, d, D), features of outputs
    classes: list[np.ndarray] = field(default_factory=list)  # (N, d), class index that the classifier predicts
    diversity: list[np.ndarray] = field(default_factory=list)  # (N,), perceptual, of all pairs of outputs
    to_input: list[np.ndarray] = field(default_factory=list)  # (N,), perceptual, from outputs to their input
    reconstruction: list[np.ndarray] = field(default_factory=list)  # (N,), self-reconstruction from the input
    cycle: list[np.ndarray] = field(default_factory=list)  # (N,), output translated back from the input
    style: list[np.ndarray] = field(default_factory=list)  # (N,), style recovered from the output from the sampled one
    grid: list[np.ndarray] = field(default_factory=list)  # (N, 2), energy of a grid in outputs relative to real images
    visible: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # (N, K, F), (N, K, S): seen features, styles
    codes: list[np.ndarray] = field(default_factory=list)  # (N, F), pooled content codes of the inputs
    truth: list[np.ndarray] = field(default_factory=list)  # (N,), nearest output from the image of the same name
    by_realism: Extremes = field(default_factory=Extremes)
    by_diversity: Extremes = field(default_factory=Extremes)

    def extend(self, later: Direction) -> None:
        """Take up what was gathered of the inputs that follow."""
        for part in fields(self):
            getattr(self, part.name).extend(getattr(later, part.name))
