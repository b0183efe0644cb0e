"""The sample sheets of a run as frames of a film, small enough for a page."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from drit.reports.pages import encoded

MAX_SHEETS = 24  # on the page, spread over the training
MAX_WIDTH = 1100  # pixels
SMALL_FILE = 150_000  # bytes: a PNG of at most so many is embedded as it is


@dataclass(frozen=True)
class Frame:
    """One sample sheet. uri: an address that holds the image."""

    step: int
    uri: str


def frames(sheets: Mapping[int, Path]) -> tuple[list[Frame], list[str]]:
    """At most MAX_SHEETS of the sheets, spread evenly, and of those that are no images, what to say.

    sheets: image files by iteration.
    """
    steps = list(sheets)
    count = min(MAX_SHEETS, len(steps))
    chosen = [steps[round(i * (len(steps) - 1) / max(1, count - 1))] for i in range(count)]
    shown, unread = [], []
    for step in chosen:
        try:
            shown.append(Frame(step, _embedded(sheets[step])))
        except OSError:
            unread.append(f"{sheets[step].name}: not an image")
    return shown, unread


def _embedded(path: Path) -> str:
    """A small sheet as it is; a larger one as JPEG of at most MAX_WIDTH pixels. Raises OSError for what is no image."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
        image = opened.convert("RGB")
    if len(content) < SMALL_FILE and image.width <= MAX_WIDTH:
        return encoded(content, "image/png")
    if image.width > MAX_WIDTH:
        height = round(image.height * MAX_WIDTH / image.width)
        image = image.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0)
    return encoded(buffer.getvalue(), "image/jpeg")
