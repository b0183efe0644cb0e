"""The units of an augmentation, batches of images of one size, and rendering one of them.

What a unit gives depends on the model, the set, the seed and the unit alone. Interrupted, resumed or split over
processes, the files are the same, byte for byte (on one kind of machine).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from drit.augmentation.settings import AugmentSettings
from drit.data.images import convert_channels, from_tensor, to_tensor
from drit.data.labelled import LabelledSet
from drit.errors import DataError
from drit.inference.formats import FormatChoice, to_depth
from drit.inference.memory import TooLargeError
from drit.inference.reading import decode_image
from drit.inference.translator import Translator


class RenderedUnit(NamedTuple):
    """The outputs of one unit, R of each of its n images, and their styles (n, R, S)."""

    places: list[int]  # the images' places in the set
    images: list[list[np.ndarray]]  # n times R images (H, W, C) of uint8 or uint16
    styles: Tensor  # (n, R, S); zeros for the image itself


def cut_units(translator: Translator, data: LabelledSet) -> list[list[int]]:
    """The places of all images of a set, cut into batches of one size that the translator renders at once."""
    by_shape: dict[tuple[int, int], list[int]] = {}
    for i, shape in enumerate(data.shapes):
        by_shape.setdefault(shape, []).append(i)
    units = []
    for (height, width), places in by_shape.items():
        size = translator.batch_size(height, width)
        units += [places[k : k + size] for k in range(0, len(places), size)]
    return units


def styles_of(translator: Translator, to: str, image: int, times: int, seed: int) -> Tensor:
    """K = `times` random styles of one image (K, S): a function of seed and image; more of them keep the first ones.

    (K, 0) for a method without styles.
    """
    if not translator.method.capabilities.style_dim:
        return torch.zeros(times, 0)
    # Odd multipliers keep (seed, image) pairs apart; torch's generator mixes the bits itself.
    generator = torch.Generator().manual_seed((seed * 0x9E3779B1 + image * 0x85EBCA6B + 1) % (1 << 63))
    return torch.cat([translator.method.sample_style(1, to, generator) for _ in range(times)])


class Renderer:
    """Renders the units of one augmentation. skipped: names of images that could not be read, translated or written,
    and why; filled while rendering and writing."""

    def __init__(self, translator: Translator, data: LabelledSet, settings: AugmentSettings) -> None:
        self.translator = translator
        self.data = data
        self.settings = settings
        self.to = translator.domain(settings.to)
        self.choice = FormatChoice(settings.format, settings.depth)
        self.skipped: dict[str, str] = {}

    def styles(self, image: int, times: int) -> Tensor:
        """The first K = `times` styles of an image (K, S), as in `styles_of`."""
        return styles_of(self.translator, self.to, image, times, self.settings.seed)

    def read(self, i: int) -> np.ndarray:
        """Image i (H, W, C) of uint8 or uint16, transparency treated as training did. Raises DataError for a damaged
        file."""
        if self.data.array is not None:
            return self.data.array[i]
        return decode_image(self.data.paths[i], self.translator.method)

    def depth(self, i: int, source: np.ndarray) -> int:
        """Bits of the outputs of image i, which `source` (H, W, C) holds."""
        depth = 8 * source.dtype.itemsize
        if self.data.array is not None:
            return self.settings.depth or depth
        channels = self.translator.method.channels[self.to]
        return self.choice.of(self.data.paths[i].suffix, channels, depth).depth

    def render(self, unit: list[int]) -> RenderedUnit | None:
        """The outputs of the images of a unit, without damaged ones; None where all are, or are too large.

        Raises TooLargeError where the images of an array are, which are all of one size.
        """
        sources, places = [], []
        for i in unit:
            try:
                sources.append(self.read(i))
                places.append(i)
            except DataError as error:
                self.skipped[self.data.name(i)] = str(error)
        if not places:
            return None
        channels, times = self.translator.method.channels, self.settings.times
        source_channels, target_channels = channels[self.translator.source(self.to)], channels[self.to]
        x = torch.stack([to_tensor(convert_channels(s, source_channels)) for s in sources])
        styles = torch.stack([self.styles(i, times) for i in places], 1)  # (times, n, S)
        try:
            outputs = self.translator.batch(x, styles.flatten(0, 1), self.to).unflatten(0, (times, len(places)))
        except TooLargeError as error:
            if self.data.array is not None:
                raise
            self.skipped |= {self.data.name(i): f"{self.data.name(i)}: {error}" for i in places}
            return None
        depths = [self.depth(i, s) for i, s in zip(places, sources, strict=True)]
        pixels = {depth: from_tensor(outputs, depth) for depth in set(depths)}  # (times, n, H, W, C)
        images = [list(pixels[depth][:, j]) for j, depth in enumerate(depths)]
        if self.settings.keep_source:
            kept = [to_depth(convert_channels(s, target_channels), d) for s, d in zip(sources, depths, strict=True)]
            images = [[source, *row] for source, row in zip(kept, images, strict=True)]
            styles = torch.cat([torch.zeros_like(styles[:1]), styles])
        return RenderedUnit(places, images, styles.transpose(0, 1))
