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
from drit.data.images import Metadata, convert_channels, to_tensor
from drit.data.labelled import LabelledSet
from drit.data.names import suffix_of
from drit.errors import DataError
from drit.inference.formats import FormatChoice, OutputFormat, samples_of, to_depth
from drit.inference.invention import WayBack
from drit.inference.memory import TooLargeError
from drit.inference.reading import read_image
from drit.inference.translator import Translator


class RenderedUnit(NamedTuple):
    """The outputs of one unit, R of each of its n images, and their styles (n, R, S)."""

    places: list[int]  # the images' places in the set
    images: list[list[np.ndarray]]  # n times R images (H, W, C) of uint8 or uint16
    styles: Tensor  # (n, R, S); zeros for the image itself
    metadata: list[Metadata]  # what the n files say beside their pixels
    invention: np.ndarray | None = None  # (n, R) if it is measured; NaN for the image itself


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
    """Renders the units of one augmentation."""

    def __init__(self, translator: Translator, data: LabelledSet, settings: AugmentSettings) -> None:
        self.translator = translator
        self.data = data
        self.settings = settings
        self.to = translator.domain(settings.to)
        self.source = translator.source(settings.to, settings.source)
        self.samples = samples_of(translator.method, self.source, self.to)
        self.choice = FormatChoice(settings.format, settings.depth)
        self._formats: dict[int, OutputFormat] = {}

    def styles(self, image: int, times: int) -> Tensor:
        """The first K = `times` styles of an image (K, S), as in `styles_of`."""
        return styles_of(self.translator, self.to, image, times, self.settings.seed)

    def read(self, i: int) -> tuple[np.ndarray, Metadata]:
        """Image i (H, W, C) of uint8 or uint16, as training read it, and what its file says beside its pixels.

        Raises DataError for a damaged file.
        """
        if self.data.array is not None:
            return convert_channels(self.data.array[i], self.translator.method.channels[self.source]), Metadata()
        return read_image(self.data.paths[i], self.translator.method, self.source)

    def format(self, i: int) -> OutputFormat:
        """How the outputs of image i are written."""
        if i not in self._formats:
            self._formats[i] = self._format_of(i)
        return self._formats[i]

    def _format_of(self, i: int) -> OutputFormat:
        if self.data.array is not None:
            dtype = "" if self.settings.depth else self.samples.dtype(self.data.dtype)
            depth = self.settings.depth or 8 * self.data.array.dtype.itemsize
            return OutputFormat("", depth, dtype=dtype, value_range=self.samples.value_range)
        return self.choice.of(suffix_of(self.data.paths[i]), self.data.headers[i], self.samples)

    def render(self, unit: list[int], skipped: dict[str, str]) -> RenderedUnit | None:
        """The outputs of the images of a unit, without damaged ones; None where all are, or are too large.

        skipped: gets the names of images that could not be read or translated, and why.

        Raises TooLargeError where the images of an array are, which are all of one size.
        """
        sources, places, metadata = [], [], []
        for i in unit:
            try:
                source, beside = self.read(i)
                sources.append(source)
                metadata.append(beside)
                places.append(i)
            except DataError as error:
                skipped[self.data.name(i)] = str(error)
        if not places:
            return None
        times = self.settings.times
        x = torch.stack([to_tensor(s) for s in sources])
        styles = torch.stack([self.styles(i, times) for i in places], 1)  # (times, n, S)
        invention = None
        try:
            outputs = self.translator.batch(x, styles.flatten(0, 1), self.to).unflatten(0, (times, len(places)))
            if self.settings.max_invention is not None:
                way_back = WayBack(self.translator, x, self.source, self.to)
                invention = torch.stack([way_back(of_style).invention for of_style in outputs], 1)  # (n, times)
        except TooLargeError as error:
            if self.data.array is not None:
                raise
            skipped |= {self.data.name(i): f"{self.data.name(i)}: {error}" for i in places}
            return None
        formats = [self.format(i) for i in places]
        arrays = {form: form.array(outputs) for form in set(formats)}  # (times, n, H, W, C)
        images = [list(arrays[form][:, j]) for j, form in enumerate(formats)]
        if self.settings.keep_source:
            kept = [self._kept(s, form) for s, form in zip(sources, formats, strict=True)]
            images = [[source, *row] for source, row in zip(kept, images, strict=True)]
            styles = torch.cat([torch.zeros_like(styles[:1]), styles])
            if invention is not None:
                invention = torch.cat([torch.full_like(invention[:, :1], torch.nan), invention], 1)
        measured = None if invention is None else invention.numpy()
        return RenderedUnit(places, images, styles.transpose(0, 1), metadata, measured)

    def _kept(self, source: np.ndarray, form: OutputFormat) -> np.ndarray:
        """An image (H, W, C) as training read it, written as its translations are, in the units it came in."""
        array = convert_channels(source, self.samples.channels)
        value_range = self.data.reading.value_range
        if not form.dtype or value_range is None:
            return to_depth(array, form.depth)
        return form._replace(value_range=value_range).array(to_tensor(array))
