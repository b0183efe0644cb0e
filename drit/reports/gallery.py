"""A self-contained HTML page of images and numbers: no network, images embedded, nothing to install."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from drit.atomic import write_atomically

# Colours that people with colour-blindness tell apart: Okabe and Ito's, and a wine red.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#882255")
LINE, CHARACTER = 13, 7  # height and width of the text in drawings, at most
_STYLE = """
:root { color-scheme: light dark; --ink: #1d1f23; --soft: #62666f; --paper: #fafaf8; --line: #dcdcd6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e4; --soft: #a2a6ad; --paper: #17181b; --line: #34363b; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 62rem; padding: 2rem 1.2rem 4rem; }
h1 { font-size: 1.9rem; margin: 0 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .3rem; }
p { margin: .3rem 0 .9rem; max-width: 46rem; } .soft { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left; padding: .35rem 1.4rem .35rem 0;
  border-bottom: 1px solid var(--line); } td.number { font-variant-numeric: tabular-nums; font-weight: 600; }
.image, .wide { overflow-x: auto; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 4px; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
nav a { margin-right: 1.1rem; color: inherit; display: inline-block; }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, a sentence or two, and an image or a drawing."""

    title: str
    text: str
    image: Image.Image | None = None
    svg: str = ""


@dataclass(frozen=True)
class Number:
    """A line of the table of numbers."""

    name: str
    value: str
    expected: str  # what the reader should expect, with its tolerance


def write_gallery(
    path: Path,
    title: str,
    summary: str,
    numbers: Sequence[Number],
    sections: Sequence[Section],
    footer: str = "",
    heads: tuple[str, str, str] = ("measured", "", "to expect"),
) -> None:
    """Write the page, whole or not at all. All texts are plain and are escaped. heads: of the table of numbers."""
    e = html.escape
    rows = "".join(
        f'<tr><td>{e(n.name)}</td><td class="number">{e(n.value)}</td><td class="soft">{e(n.expected)}</td></tr>'
        for n in numbers
    )
    head = "".join(f"<th>{e(h)}</th>" for h in heads)
    table = f"<table><tr>{head}</tr>{rows}</table>" if numbers else ""
    links = "".join(f'<a href="#s{i}">{e(s.title)}</a>' for i, s in enumerate(sections))
    parts = []
    for i, s in enumerate(sections):
        image = ""
        if s.image is not None:
            image = f'<div class="image"><img alt="{e(s.title)}" src="{_data_uri(s.image)}"></div>'
        parts.append(f'<section id="s{i}"><h2>{e(s.title)}</h2><p>{e(s.text)}</p>{image}{s.svg}</section>')
    body = (
        f"<h1>{e(title)}</h1><p>{e(summary)}</p>{table}<nav>{links}</nav>{''.join(parts)}"
        f'<p class="soft">{e(footer)}</p>'
    )
    write_page(path, title, body)


def write_page(path: Path, title: str, body: str, style: str = "") -> None:
    """Write a page in the gallery's style, whole or not at all. title: plain text. body: HTML. style: more CSS."""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}{style}</style></head>'
        f"<body>{body}</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of plain texts; numbers among them are set as numbers."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td{number_class(cell)}>{_shown(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>' if body else ""


def number_class(cell: Any) -> str:
    return ' class="number"' if isinstance(cell, (int, float)) and not isinstance(cell, bool) else ""


def _shown(cell: Any) -> str:
    if isinstance(cell, bool):
        return "on" if cell else "off"
    return f"{cell:.4g}" if isinstance(cell, float) else html.escape(str(cell))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def curves_svg(
    series: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    width: int = 760,
    height: int = 260,
    level: float | None = None,
) -> str:
    """Curves (x, y) with axes, round ticks and a legend, as SVG. Points that are not finite are left out.

    A series without a name has no legend. level: a height to compare with, drawn as a dashed line."""
    finite = {n: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for n, points in series.items()}
    xs = [x for points in finite.values() for x, _ in points]
    ys = [y for points in finite.values() for _, y in points] + ([] if level is None else [level])
    if not xs:
        return (
            f'<svg viewBox="0 0 {width} 40" role="img"><text x="8" y="24">{html.escape(title)}: no points</text></svg>'
        )
    left, right, top, bottom = 52, width - 12, 30, height - 30
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(0.0, *ys), max(ys))
    x0, x1, y0, y1 = x_ticks[0], x_ticks[-1], y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">']
    parts.append(f'<text x="{left}" y="14">{html.escape(title)}</text>')
    for t in y_ticks:
        _, y = place(x0, t)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{t:g}</text>')
    for t in x_ticks:
        x, _ = place(t, y0)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{t:g}</text>')
    if level is not None:
        _, y = place(x0, level)
        dashes = 'stroke="currentColor" stroke-opacity=".55" stroke-dasharray="5 4"'
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" {dashes}/>')
    legend = right
    for (name, points), colour in reversed(list(zip(finite.items(), _cycled(len(finite)), strict=True))):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in points))
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if not name:
            continue
        legend -= 7 * len(name) + 26
        parts.append(f'<rect x="{legend}" y="6" width="12" height="8" fill="{colour}"/>')
        parts.append(f'<text x="{legend + 16}" y="14">{html.escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _cycled(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from below `low` to above `high`."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def scatter_svg(
    points: Mapping[str, tuple[float, float]],
    x_title: str,
    y_title: str,
    size: int = 460,
    spans: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Named points (x, y) with axes and round ticks, as SVG; each point has its name beside it, with a line to it where
    another point or name takes the place. spans: from where to where a point's y may lie."""
    spans = spans or {}
    xs, ys = zip(*points.values(), strict=True)
    reached = [*ys, *(y for span in spans.values() for y in span)]
    x_ticks, y_ticks = ticks(min(0.0, *xs), max(xs)), ticks(min(0.0, *reached), max(reached))
    left, right, top, bottom = 60, size + 160, 16, size - 40

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]), (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * (right - 140 - left), bottom - up * (bottom - top)

    e = html.escape
    parts = [f'<svg viewBox="0 0 {right} {size}" role="img" aria-label="{e(y_title)} against {e(x_title)}">']
    for t in y_ticks:
        x, y = place(x_ticks[0], t)
        parts.append(f'<line x1="{left}" x2="{right - 140}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{t:g}</text>')
    for t in x_ticks:
        x, _ = place(t, y_ticks[0])
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{t:g}</text>')
    parts.append(f'<text x="{(left + right - 140) / 2:.0f}" y="{bottom + 34}" text-anchor="middle">{e(x_title)}</text>')
    middle = (top + bottom) / 2
    turned = f'x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})"'
    parts.append(f"<text {turned}>{e(y_title)}</text>")
    colours = dict(zip(points, _cycled(len(points)), strict=True))
    places = {name: place(*point) for name, point in points.items()}
    for name, (low, high) in spans.items():
        x, y1, y2 = places[name][0], *(place(0.0, y)[1] for y in (low, high))
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"'
        parts.append(f'<line {ends} stroke="{colours[name]}" stroke-width="1.5" opacity="0.6"/>')
    for (name, (x, y)), line in zip(places.items(), _free_lines(places, top, bottom), strict=True):
        if line != y + 4:
            to = f'x2="{x + 8:.1f}" y2="{line - 4:.1f}"'
            parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" {to} stroke="{colours[name]}" stroke-width="1"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 9:.1f}" y="{line:.1f}">{e(name)}</text>')
    return "".join([*parts, "</svg>"])


def _free_lines(places: Mapping[str, tuple[float, float]], top: float, bottom: float) -> list[float]:
    """The base line of each name, to the right of its point: the nearest where no other point or name lies."""
    taken: list[tuple[float, float, float]] = []  # left, right, base line
    for name, (x, y) in places.items():
        begin, end, own = x + 9, x + 9 + CHARACTER * len(name), y + 4
        names = [at for left, right, at in taken if begin < right and left < end]
        dots = [down + 4 for other, (across, down) in places.items() if other != name and begin - 6 < across < end]
        tried = (own + sign * LINE * i for i in range(len(places) + 1) for sign in (1, -1))
        free = (
            line
            for line in tried
            if top < line < bottom
            and all(abs(line - at) >= LINE for at in names)
            and all(abs(line - at) >= 9 for at in dots)
        )
        taken.append((begin, end, next(free, own)))
    return [line for _, _, line in taken]
