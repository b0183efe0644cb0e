"""A map of the styles of a domain: those of training images, in two dimensions by principal components.

    x = (s - m) . v1,  y = (s - m) . v2        s: a style (S,); m: the mean; v1, v2: the first two right singular
    s = m + x v1 + y v2                        vectors of the centred styles (N, S). Other components are at their mean.

The training images are found by the settings that the checkpoint records. Where they are gone, or the method takes no
style from an image, the map is of random styles. A map is computed when it is first asked for, image by image between
the requests of others, and kept in memory.
"""

from __future__ import annotations

import base64
import io
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from drit.data.folders import ImageSet, open_domain, source_name
from drit.data.images import to_tensor
from drit.errors import DritError
from drit.inference.translator import Translator
from drit.serving.batching import Worker
from drit.serving.served import ServedRun
from drit.sheets import as_image

POINTS = 60  # images or random styles of a map
THUMBNAIL = 72  # pixels of a side
MAPS = 16  # that are kept
_COLUMNS = 10  # of the sheet of thumbnails


@dataclass
class StyleMap:
    """A map, or how far it is. Written by one thread; read when `ready`, or for `done`."""

    ready: bool = False
    done: int = 0  # images whose style is known
    count: int = POINTS
    note: str = ""  # why it is of random styles
    names: list[str] = field(default_factory=list)  # of the points
    files: list[str] = field(default_factory=list)  # of the images; of random styles empty
    styles: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (N, S)
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (S,)
    axes: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))  # (2, S), of length 1, or 0 where there is none
    shares: np.ndarray = field(default_factory=lambda: np.zeros(2))  # of the variance, in [0, 1]
    thumbnails: bytes = b""  # a WebP file, ten thumbnails a row; empty for random styles

    def body(self) -> dict[str, Any]:
        """What the page gets."""
        if not self.ready:
            return {"ready": False, "done": self.done, "count": self.count}
        places = (self.styles - self.mean) @ self.axes.T
        points = [
            {"name": name, "file": file, "style": style.tolist(), "x": float(x), "y": float(y)}
            for name, file, style, (x, y) in zip(self.names, self.files, self.styles, places, strict=True)
        ]
        return {
            "ready": True,
            "note": self.note,
            "points": points,
            "mean": self.mean.tolist(),
            "axes": self.axes.tolist(),
            "shares": self.shares.tolist(),
            "thumbnails": base64.b64encode(self.thumbnails).decode("ascii"),
            "columns": _COLUMNS,
        }


def principal(styles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean (S,), the first two principal axes (2, S) and their shares of the variance (2,) of styles (N, S).

    An axis without variance is zero. The sign of each is such that its largest number is positive.
    """
    mean = styles.mean(0)
    _, lengths, rows = np.linalg.svd(styles - mean, full_matrices=False)
    axes, shares = np.zeros((2, styles.shape[1])), np.zeros(2)
    total = float((lengths**2).sum())
    for i in range(min(2, len(lengths))):
        if lengths[i] > 1e-6 * max(1.0, float(np.abs(styles).max())):
            axes[i] = rows[i] * np.sign(rows[i][np.abs(rows[i]).argmax()])
            shares[i] = lengths[i] ** 2 / total
    return mean, axes, shares


class StyleMaps:
    """The maps that were asked for. Thread-safe."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._maps: dict[tuple[str, str], StyleMap] = {}  # by weights and domain
        self._lock = threading.Lock()

    def get(self, run: ServedRun, to: str) -> StyleMap:
        """The map of domain `to`, a letter; its computation starts where nobody asked before."""
        key = run.weights, to
        with self._lock:
            if key not in self._maps:
                while len(self._maps) >= MAPS:
                    self._maps.pop(next(iter(self._maps)))
                found = self._maps[key] = StyleMap()
                threading.Thread(
                    target=self._compute, args=(found, run.translator, to), name="map", daemon=True
                ).start()
            return self._maps[key]

    def _compute(self, found: StyleMap, translator: Translator, to: str) -> None:
        try:
            try:
                self._of_images(found, translator, to)
            except DritError as error:
                self._of_random(found, translator, to, str(error))
        except RuntimeError:  # the service ends: the worker takes nothing more
            return
        found.mean, found.axes, found.shares = principal(found.styles)
        found.ready = True

    def _of_images(self, found: StyleMap, translator: Translator, to: str) -> None:
        """Styles of training images. Raises DritError where there are none."""
        if not translator.method.capabilities.exemplar:
            raise DritError("This method takes no style from an image.")
        images = _training_images(translator, to)
        places = np.unique(np.linspace(0, len(images) - 1, min(POINTS, len(images))).astype(int))
        found.count = len(places)
        styles, thumbnails = [], []
        for place in places:
            index = images.readable(int(place))
            array = images.get(index)
            styles.append(self._worker.call(partial(translator.style, to_tensor(array), to)).result())
            found.files.append(images.name(index))
            found.names.append(Path(images.name(index)).name)
            thumbnails.append(_thumbnail(array))
            found.done += 1
        found.styles = np.concatenate([_numbers(style) for style in styles])
        found.thumbnails = _sheet(thumbnails)

    def _of_random(self, found: StyleMap, translator: Translator, to: str, why: str) -> None:
        found.note = f"These are random styles, without images. {why}"
        found.names, found.files = [f"Style {i + 1} of seed 0" for i in range(POINTS)], [""] * POINTS
        found.styles = _numbers(translator.sample(POINTS, to, 0))


def _training_images(translator: Translator, to: str) -> ImageSet:
    """The images that a run was trained on. Raises DritError where they are not found."""
    data = translator.method.settings.data
    path = data.sources().get(to, "")
    if not path:
        raise DritError("The run does not say where its training images are.")
    try:
        return open_domain(path, data, to)
    except DritError as error:
        raise DritError(f"The training images of '{source_name(path)}' cannot be read: {error}") from error


def _numbers(styles: Tensor) -> np.ndarray:
    return styles.double().numpy()


def _thumbnail(array: np.ndarray) -> Image.Image:
    """(H, W, C) of uint8 or uint16 as a small square, cut from its middle."""
    image = as_image(array)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)


def _sheet(thumbnails: list[Image.Image]) -> bytes:
    rows = -(-len(thumbnails) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * THUMBNAIL, rows * THUMBNAIL))
    for i, image in enumerate(thumbnails):
        sheet.paste(image, (i % _COLUMNS * THUMBNAIL, i // _COLUMNS * THUMBNAIL))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()
