"""Contact sheets: rows and columns of images with titles."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from drit.atomic import write_atomically

BACKGROUND = (250, 250, 248)
INK = (60, 60, 66)
FONT_SIZE = 13
MARGIN = 8
MAX_TITLE = 22  # characters of a row title


def sheet(
    rows: Sequence[Sequence[np.ndarray | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    cell: int = 0,
    gap: int = 3,
) -> Image.Image:
    """Images as a table.

    rows: of arrays (H, W, C), uint8 in 0..255 or uint16 in 0..65535, or None for an empty cell; rows may differ in
    length. cell: pixels of a cell's width (a row is as high as its highest image); 0 chooses the largest image's side,
    at least 64. Images are scaled to their cell: upsampled by whole factors without smoothing, downsampled smoothly.
    Titles that are too long are cut. Returns an RGB image.
    """
    largest = max((max(c.shape[:2]) for row in rows for c in row if c is not None), default=64)
    if not cell:
        cell = largest * -(-64 // largest) if largest < 64 else largest
    font = ImageFont.load_default(FONT_SIZE)
    row_titles = [t if len(t) <= MAX_TITLE else t[: MAX_TITLE - 1] + "\u2026" for t in row_titles]
    left = MARGIN + (int(max(font.getlength(t) for t in row_titles)) + MARGIN if any(row_titles) else 0)
    top = MARGIN + (FONT_SIZE + MARGIN if any(column_titles) else 0)
    columns = max((len(row) for row in rows), default=0)
    scaled = [[None if c is None else _scaled(as_image(c), cell) for c in row] for row in rows]
    heights = [max((c.height for c in row if c is not None), default=0) for row in scaled]
    size = (left + columns * (cell + gap) - gap + MARGIN, top + sum(heights) + gap * (len(rows) - 1) + MARGIN)
    canvas = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for j, title in enumerate(column_titles[:columns]):
        draw.text((left + j * (cell + gap) + cell // 2, MARGIN), _cut(title, font, cell), INK, font, anchor="ma")
    y = top
    for i, (row, height) in enumerate(zip(scaled, heights, strict=True)):
        if i < len(row_titles):
            draw.text((left - MARGIN, y + height // 2), row_titles[i], INK, font, anchor="rm")
        for j, image in enumerate(row):
            if image is not None:
                x = left + j * (cell + gap)
                canvas.paste(image, (x + (cell - image.width) // 2, y + (height - image.height) // 2))
        y += height + gap
    return canvas


def _cut(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """A title of at most that many pixels."""
    if font.getlength(title) <= width:
        return title
    while title and font.getlength(title + "\u2026") > width:
        title = title[:-1]
    return title + "\u2026"


def as_image(array: np.ndarray) -> Image.Image:
    """(H, W, C), uint8 in 0..255 or uint16 in 0..65535, as an RGB image: grey of 1 or 2 channels, else the first 3."""
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.shape[2] < 3:
        array = np.repeat(array[:, :, :1], 3, axis=2)
    return Image.fromarray(np.ascontiguousarray(array[:, :, :3]))


def _scaled(image: Image.Image, cell: int) -> Image.Image:
    side = max(image.size)
    if side == cell:
        return image
    if side < cell:
        factor = cell // side
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    width, height = (max(1, round(s * cell / side)) for s in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def save_sheet(image: Image.Image, path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write a PNG, whole or not at all. texts: by keyword, what it says beside its pixels. Raises OSError when the disk
    refuses."""
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_itxt(keyword, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)  # a search for the smallest file takes 5 times as long for 5 %
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
