"""Images that are too large to be translated as a whole: in strips, one image at a time, in a thread of their own.

The outputs are those of the whole image but for rounding (`drit/inference/tiles.py`). The thread that computes other
requests goes on meanwhile. A client that gives a token can ask how far its translation is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

from drit.data.images import Metadata, encoded
from drit.inference.formats import OutputFormat
from drit.inference.tiles import TiledImage, joined
from drit.inference.translator import Translator

TILE = 512  # a strip has at most so many pixels, squared


class _StoppedError(Exception):
    """The client left, or the time is over."""


class LargeImages:
    """Owns the thread. `close` finishes what was given before."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "strips")
        self._shares: dict[str, float] = {}  # of what is being done, by token

    def translate(
        self,
        translator: Translator,
        image: np.ndarray,
        source: str,
        to: str,
        styles: Tensor,
        form: OutputFormat,
        states: Sequence[str],
        token: str,
        stop: threading.Event,
    ) -> Future[list[bytes]]:
        """Files of an image (H, W, C) of domain `source`, a letter, in styles (K, S), each with its state.

        token: under which `share` tells how far it is; empty: none. stop: set it to have the rest left out.
        """
        if token:
            self._shares[token] = 0.0

        def advance(share: float) -> None:
            if stop.is_set():
                raise _StoppedError
            if token:
                self._shares[token] += share

        def work() -> list[bytes]:
            try:
                tiled = TiledImage(translator, image, source, to, TILE, len(styles), advance=advance)
                files = []
                for style, state in zip(styles, states, strict=True):
                    whole = joined((form.array(strip) for strip in tiled.output(style)), len(image))
                    files.append(encoded(whole, f"output{form.suffix}", form.alpha, Metadata(note=state)))
                return files
            finally:
                self._shares.pop(token, None)

        return self._thread.submit(work)

    def share(self, token: str) -> float | None:
        """How much of a translation is done, in [0, 1]; None for one that is not known, or done."""
        share = self._shares.get(token)
        return None if share is None else min(1.0, share)

    def close(self) -> None:
        """Finish what was given, and end the thread."""
        self._thread.shutdown()
