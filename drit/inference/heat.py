"""The map of invention as an image: outputs, and heat maps under them on one scale, with its legend.

    input       output 1      output 2 ...
    style std   cycle error   cycle error ...
    legend: the colours of 0 to `TOP` levels of 255

The scale is the same for every image, so that two maps can be compared.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drit.sheets import BACKGROUND, FONT_SIZE, INK, MARGIN, sheet

TOP = 64  # levels of 255 that have the brightest colour, and all above
CELL = 256  # pixels of the long side of a cell, at most
COLUMNS = 8  # outputs of an image that are shown
_TICKS = (0, 16, 32, 48, TOP)
_BAR = (256, 14)  # width and height of the legend's colours
_ROW_TITLES = ("images", "maps")


def heat_map(levels: np.ndarray) -> np.ndarray:
    """A map (H, W) in levels of 255, at least 0, as colours (H, W, 3) of uint8: black at 0, pale yellow from TOP on."""
    places = np.rint(np.clip(levels / TOP, 0, 1) * 255).astype(np.uint8)
    return _colours()[places]


@functools.cache
def _colours() -> np.ndarray:
    """256 colours that get lighter evenly, also for people with colour-blindness: (256, 3) of uint8."""
    import matplotlib  # half a second that only maps cost

    return np.rint(255 * matplotlib.colormaps["inferno"](np.arange(256))[:, :3]).astype(np.uint8)


def map_image(
    source: np.ndarray,
    outputs: Sequence[np.ndarray],
    titles: Sequence[str],
    style_std: np.ndarray | None,
    cycle_errors: Sequence[np.ndarray],
) -> Image.Image:
    """The table of one image, with the legend under it.

    source, outputs: K + 1 images (H, W, C) of uint8 or uint16. titles: of the outputs. style_std: (H, W) or None;
    cycle_errors: K of (H, W), or none; levels of 255. Returns an RGB image.
    """
    maps: list[np.ndarray | None] = [None if style_std is None else heat_map(style_std)]
    maps += [heat_map(error) for error in cycle_errors]
    side = max(source.shape[:2])
    table = sheet(
        [[source, *outputs], maps],
        column_titles=["input", *titles],
        row_titles=_ROW_TITLES,
        cell=min(CELL, side * -(-128 // side)),
    )
    lines = [
        "under the input: std over the styles" if style_std is not None else "",
        "under an output: cycle error, |translated back - input|" if cycle_errors else "",
        "mean over channels, levels of 255",
    ]
    return _with_legend(table, [line for line in lines if line])


def _with_legend(table: Image.Image, lines: Sequence[str]) -> Image.Image:
    """The table above a bar of colours with its levels, and lines of text beside or under it."""
    font = ImageFont.load_default(FONT_SIZE)
    line_height = FONT_SIZE + 5
    right = _BAR[0] + 6 * MARGIN
    text_width = int(max(font.getlength(line) for line in lines))
    beside = 2 * MARGIN + right + text_width <= table.width
    bar_height = _BAR[1] + line_height
    height = MARGIN + (max(bar_height, len(lines) * line_height) if beside else bar_height + len(lines) * line_height)
    width = max(table.width, 2 * MARGIN + (right + text_width if beside else max(right, text_width)))
    canvas = Image.new("RGB", (width, table.height + height + MARGIN), BACKGROUND)
    canvas.paste(table, (0, 0))
    draw = ImageDraw.Draw(canvas)
    left, top = 2 * MARGIN, table.height + MARGIN
    colours = Image.fromarray(np.tile(_colours(), (_BAR[1], 1, 1))).resize(_BAR, Image.Resampling.NEAREST)
    canvas.paste(colours, (left, top))
    for level in _TICKS:
        x = left + round(level / TOP * (_BAR[0] - 1))
        draw.line((x, top + _BAR[1], x, top + _BAR[1] + 3), INK)
        draw.text((x, top + _BAR[1] + 4), f"{level}+" if level == TOP else str(level), INK, font, anchor="ma")
    x, y = (left + right, top - 2) if beside else (MARGIN, top + bar_height)
    for i, line in enumerate(lines):
        draw.text((x, y + i * line_height), line, INK, font)
    return canvas
