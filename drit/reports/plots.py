"""Every plot of the project, drawn by matplotlib: inline SVG for pages, PNG for documents.

matplotlib is imported when a plot is drawn, not with this module: its import takes half a second.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drit.atomic import write_atomically
from drit.reports.svg import CURRENT_COLOUR, inline_svg, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with colour-blindness tell apart: without black and yellow, which vanish on
# dark and on light paper, and with a grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
FONT_SIZE = 12  # all lengths are points of matplotlib; in a page, pixels of an unscaled drawing
CHARACTER, LINE = 7.2, 15  # mean width of a character and height of a line of text
_PRINTED = "#3c3c42"  # of text and axes in a PNG


@dataclass(frozen=True)
class Curves:
    """Curves over one axis.

    series: points (x, y) by name, any real values; points that are not finite are left out. A series without a name
    has no legend. level: a height to compare with, drawn as a dashed line. markers: whether each point is marked.
    from_zero: whether the x axis begins at 0; the y axis always holds 0.
    """

    title: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    level: float | None = None
    x_title: str = ""
    y_title: str = ""
    markers: bool = False
    from_zero: bool = False


@dataclass(frozen=True)
class Scatter:
    """Named points (x, y). spans: from where to where a point's y may lie, by the same names."""

    points: Mapping[str, tuple[float, float]]
    x_title: str
    y_title: str
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Box:
    """Where a plot lies in its figure, from the figure's left and upper edges."""

    left: float
    top: float
    width: float
    height: float


# What callers use


def curves_svg(curves: Curves, width: int = 500, height: int = 210) -> str:
    """Curves as inline SVG of that aspect; it fills the width of what it stands in."""
    with _style(CURRENT_COLOUR):
        figure = _figure(width, height if any(map(_finite, curves.series.values())) else 40)
        _draw_curves(figure, curves, _Box(0, 0, width, height))
        return inline_svg(figure, curves.title)


def scatter_svg(scatter: Scatter, width: int = 640, height: int = 460) -> str:
    """Named points as inline SVG, each with its name beside it. A name moves up or down where another name or point
    takes its place, and a line leads to its point."""
    with _style(CURRENT_COLOUR):
        figure = _figure(width, height)
        _draw_scatter(figure, scatter, _Box(0, 0, width, height))
        return inline_svg(figure, f"{scatter.y_title} against {scatter.x_title}")


def save_curves_png(path: Path, rows: Sequence[Sequence[Curves]], width: int = 360, height: int = 220) -> None:
    """Write a table of plots as one PNG, whole or not at all. width, height: of each plot, in points of 1/72 inch.

    Raises OSError when the disk refuses.
    """
    columns = max((len(row) for row in rows), default=1)
    with _style(_PRINTED):
        figure = _figure(columns * width, len(rows) * height)
        for i, row in enumerate(rows):
            for j, curves in enumerate(row):
                _draw_curves(figure, curves, _Box(j * width, i * height, width, height))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, facecolor="white", metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


# Drawing


@contextmanager
def _style(ink: str) -> Iterator[None]:
    """matplotlib's own defaults with the project's changes, whatever the user's matplotlibrc says."""
    import matplotlib

    changes = {
        "axes.axisbelow": True,
        "axes.edgecolor": ink,
        "axes.facecolor": "none",
        "axes.labelcolor": ink,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.spines.bottom": False,
        "axes.xmargin": 0,
        "axes.ymargin": 0,
        "figure.facecolor": "none",
        "figure.dpi": 72,
        "font.size": FONT_SIZE,
        "grid.alpha": 0.22,
        "grid.color": ink,
        "path.simplify_threshold": 0.3,
        "svg.fonttype": "none",
        "svg.hashsalt": "drit",
        "text.color": ink,
        "text.parse_math": False,  # a name with two dollar signs is no formula
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.major.pad": 6,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # text stays text: the reader's own fonts draw it
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(changes)
        yield


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72))
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, box: _Box) -> Axes:
    from matplotlib.ticker import FuncFormatter

    width, height = 72 * figure.get_figwidth(), 72 * figure.get_figheight()
    bottom = height - box.top - box.height
    axes = figure.add_axes((box.left / width, bottom / height, box.width / width, box.height / height))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(axis="y")
    return axes


def _draw_curves(figure: Figure, curves: Curves, box: _Box) -> None:
    series = {name: _finite(points) for name, points in curves.series.items()}
    title = printable(curves.title)
    width, height = 72 * figure.get_figwidth(), 72 * figure.get_figheight()
    if not any(series.values()):
        figure.text((box.left + 8) / width, 1 - (box.top + 24) / height, f"{title}: no points")
        return
    left = 56 + (LINE if curves.y_title else 0)
    inner = box.width - left - 20
    named = [printable(name) for name in series if name]
    rows, columns, beside = _legend_shape(title, named, inner)
    top = LINE + 10 + (0 if beside else rows * (LINE + 2))
    bottom = LINE + 14 + (LINE if curves.x_title else 0)
    axes = _axes(figure, _Box(box.left + left, box.top + top, inner, box.height - top - bottom))
    handles = []
    for i, (name, points) in enumerate(series.items()):
        (line,) = axes.plot(
            *(zip(*points, strict=True) if points else ([], [])),
            color=COLOURS[i % len(COLOURS)],
            linestyle="solid" if i < len(COLOURS) else (0, (1, 1.2)),
            linewidth=1.6,
            marker="o" if curves.markers or len(points) == 1 else "",
            markersize=4,
            clip_on=False,
            solid_capstyle="round",
            gid="curve",
        )
        if name:
            handles.append(line)
    if curves.level is not None:
        dashes = (0, (5, 4))
        axes.axhline(curves.level, color=axes.xaxis.label.get_color(), alpha=0.7, lw=1, ls=dashes, gid="level")
    extent = axes.dataLim
    _scale(axes, "y", min(0.0, extent.y0), max(0.0, extent.y1))
    _scale(axes, "x", 0.0 if curves.from_zero else extent.x0, extent.x1, to_a_tick=False)
    axes.set_xlabel(curves.x_title)
    axes.set_ylabel(curves.y_title)
    figure.text((box.left + left) / width, 1 - (box.top + LINE) / height, title)
    if handles:
        place = (1, 1 + 5 / axes.bbox.height) if beside else (0, 1 + 5 / axes.bbox.height)
        axes.legend(
            handles,
            named,
            loc="lower right" if beside else "lower left",
            bbox_to_anchor=place,
            ncols=columns,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.1,
            handletextpad=0.4,
            columnspacing=1.1,
            labelspacing=0.25,
        )


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [point for point in points if all(map(math.isfinite, point))]


def _legend_shape(title: str, names: Sequence[str], width: float) -> tuple[int, int, bool]:
    """Rows and columns of a legend, and whether it stands in the line of the title."""
    if not names:
        return 0, 1, True
    entry = [30 + CHARACTER * len(name) for name in names]
    if CHARACTER * len(title) + 16 + sum(entry) <= width:
        return 1, len(names), True
    columns = max(1, min(len(names), int(width / max(entry))))
    return -(-len(names) // columns), columns, False


def _scale(axes: Axes, name: str, low: float, high: float, to_a_tick: bool = True) -> None:
    """Set the range and the round ticks of an axis. It begins on a tick, and ends on one or where the points end.

    name: x or y. low, high: of what is drawn.
    """
    from matplotlib.ticker import MaxNLocator

    if high <= low:
        low, high = (low - abs(low) / 2, low + abs(low) / 2) if low else (0.0, 1.0)
    room = axes.bbox.width / 55 if name == "x" else axes.bbox.height / 28  # how many labels
    ticks = MaxNLocator(nbins=max(2, min(6, int(room))), steps=[1, 2, 5, 10]).tick_values(low, high)
    slack = 1e-9 * (high - low)  # a tick that misses an end by rounding lies on it
    first = max((tick for tick in ticks if tick <= low + slack), default=low)
    last = min((tick for tick in ticks if tick >= high - slack), default=high)
    if not to_a_tick and last - high > 0.02 * (high - low):
        last = high
    axes.set(**{f"{name}ticks": [t for t in ticks if first <= t <= last + slack], f"{name}lim": (first, last)})


def _draw_scatter(figure: Figure, scatter: Scatter, box: _Box) -> None:
    names = {name: printable(name) for name in scatter.points}
    room = min(0.45 * box.width, 14 + CHARACTER * max(map(len, names.values())))  # for names right of the last point
    axes = _axes(figure, _Box(box.left + 64, box.top + 14, box.width - 64 - room, box.height - 14 - 46))
    xs, ys = zip(*scatter.points.values(), strict=True)
    reached = [*ys, *(y for span in scatter.spans.values() for y in span)]
    _scale(axes, "x", min(0.0, *xs), max(0.0, *xs))
    _scale(axes, "y", min(0.0, *reached), max(0.0, *reached))
    axes.set_xlabel(printable(scatter.x_title))
    axes.set_ylabel(printable(scatter.y_title))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(scatter.points)}
    for name, span in scatter.spans.items():
        x = scatter.points[name][0]
        axes.plot([x, x], span, color=colours[name], lw=1.6, alpha=0.6, clip_on=False, gid="span")
    places = {name: tuple(axes.transData.transform(point)) for name, point in scatter.points.items()}
    heights = free_heights(places, names, (axes.bbox.y0, axes.bbox.y1))
    for (name, point), height in zip(scatter.points.items(), heights, strict=True):
        (x, y), colour = places[name], colours[name]
        if height != y:
            end = axes.transData.inverted().transform((x + 8, height))
            axes.plot(*zip(point, end, strict=True), color=colour, lw=1, clip_on=False, gid="leader")
        axes.plot(*point, "o", color=colour, ms=9, mew=0, clip_on=False, gid="point")
        axes.annotate(names[name], (x + 10, height - 4.5), xycoords="figure pixels", annotation_clip=False, gid="name")


def free_heights(
    places: Mapping[str, tuple[float, float]], texts: Mapping[str, str], within: tuple[float, float]
) -> list[float]:
    """The height of each name, to the right of its point: the nearest where no other point or name lies.

    places: points (x, y) by name, in points of the drawing. texts: what is written, by name. within: from where to
    where names may stand. A name that finds no room stays at the height of its point.
    """
    taken: dict[str, tuple[float, float, float]] = {}  # left, right, height
    for name in sorted(places, key=lambda name: -places[name][0]):  # from the right: no line then crosses a name
        x, y = places[name]
        begin, end = x + 10, x + 10 + CHARACTER * len(texts[name])
        others = [height for left, right, height in taken.values() if begin < right and left < end]
        dots = [up for other, (across, up) in places.items() if other != name and begin - 6 < across < end + 6]
        tried = (y + sign * LINE * i for i in range(2 * len(places) + 1) for sign in (1, -1))
        free = (
            height
            for height in tried
            if within[0] <= height <= within[1]
            and all(abs(height - other) >= LINE for other in others)
            and all(abs(height - dot) >= 10 for dot in dots)
        )
        taken[name] = begin, end, next(free, y)
    return [taken[name][2] for name in places]


def short(value: float) -> str:
    """A tick's number in few characters: 0.5, 20k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if size <= abs(value) < 1e9:
            return f"{value / (1e3 if unit == 'k' else size):.5g}{unit}"
    return f"{value + 0.0:.5g}" if abs(value) > 1e-15 else "0"
