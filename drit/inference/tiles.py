"""Translation of images that do not fit into memory: networks in strips (`drit.networks.strips`), no seams.

Normalisations have the statistics of the whole image, so the result is that of the whole image but for rounding. The
maps between the layers lie in files. Memory holds a strip of them, the image and its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from drit.data.images import to_tensor
from drit.errors import UsageError
from drit.inference import memory
from drit.networks.strip_layers import striped
from drit.networks.strips import Scratch, Strips
from drit.runtime import autocast

if TYPE_CHECKING:
    from drit.inference.translator import Translator

MIN_TILE = 64
_COUNTED = 64  # pixels of the side of the image on which a network's products are counted


def check_tile(tile: int) -> None:
    """Raises UsageError for a tile that is too small; 0 is none."""
    if tile and tile < MIN_TILE:
        raise UsageError(f"A tile of {tile} pixels is too small: give at least {MIN_TILE}, say 512.")


class TiledImage:
    """One image, translated in strips.

    image: (H, W, C) of uint8 or uint16, or a tensor (C, H, W) in [-1, 1], of domain `source`. tile: a strip has at most
    tile x tile pixels. folder: where maps are kept meanwhile; "" is the system's folder for temporary files. advance:
    called with each share that is done of all work for `count` styles. Raises DritError where the disk refuses,
    UsageError for a method that does something to whole maps that strips cannot.
    """

    def __init__(
        self,
        translator: Translator,
        image: np.ndarray | Tensor,
        source: str,
        to: str,
        tile: int,
        count: int = 1,
        folder: str = "",
        advance: Callable[[float], None] | None = None,
    ) -> None:
        check_tile(tile)
        self.translator = translator
        self.to = to
        self.size = (image.shape[1], image.shape[2]) if isinstance(image, Tensor) else image.shape[:2]
        rows, columns = (translator.padded_places(side) for side in self.size)
        self.scratch = Scratch(tile * tile, folder)
        if advance is not None:
            whole = _products(translator, source, to, count) * len(rows) * len(columns)
            self.scratch.advance = lambda products: advance(products / whole)

        def give(begin: int, end: int) -> Tensor:
            places = rows[begin:end]
            part = image[:, places] if isinstance(image, Tensor) else to_tensor(image[places.numpy()])
            return _batch(part[:, :, columns], translator.device)

        method = translator.method
        with self._computing():
            content = method.content(cast(Tensor, striped(self.scratch, len(rows), give)), source)
            self._prepared = method.prepare(content, to)

    def output(self, style: Tensor) -> Iterator[Tensor]:
        """The translation in one style (S,), from top to bottom: strips (C', h, W) in [-1, 1], float32 on the CPU."""
        with self._computing():
            image = self.translator.method.render(self._prepared, style[None].to(self.translator.device), self.to)
        strips = cast(Strips, image)
        height, width = self.size
        for begin, end in self.scratch.strips(height, strips.shape[3]):
            with self._computing():
                rows = strips.rows(begin, end)[0, :, :, :width].float().cpu()
            yield rows

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with memory.named_size(*self.size), torch.no_grad(), autocast(self.translator.dtype, self.translator.device):
            yield


def _batch(x: Tensor, device: torch.device) -> Tensor:
    return x[None].to(device).contiguous(memory_format=torch.channels_last)


def _products(translator: Translator, source: str, to: str, count: int) -> float:
    """Products of a translation in `count` styles for each pixel of its image, counted on a small one."""
    method, found = translator.method, 0.0

    def add(products: float) -> None:
        nonlocal found
        found += products

    side = len(translator.padded_places(_COUNTED))
    scratch = Scratch(side * side, advance=add)
    blank = torch.zeros(1, method.channels[source], side, side, device=translator.device)
    with translator.computing(side, side):
        x = striped(scratch, side, lambda begin, end: blank[:, :, begin:end].clone())
        prepared = method.prepare(method.content(cast(Tensor, x), source), to)
        once, found = found, 0.0
        style = torch.zeros(1, method.capabilities.style_dim, device=translator.device)
        image = cast(Strips, method.render(prepared, style, to))
        image.rows(0, 1)
    return max(1.0, once + count * found) / side**2


def joined(strips: Iterable[np.ndarray], height: int) -> np.ndarray:
    """Strips (h, W, C) of one type, from top to bottom, as one array (height, W, C)."""
    whole, begin = np.empty(0), 0
    for strip in strips:
        if not begin:
            whole = np.empty((height, *strip.shape[1:]), strip.dtype)
        whole[begin : begin + len(strip)] = strip
        begin += len(strip)
    return whole
