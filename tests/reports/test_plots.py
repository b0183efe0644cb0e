"""Plots: curves and points where they should be, names that cover nothing, the same bytes each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drit.reports import plots
from drit.reports.plots import CHARACTER, COLOURS, LINE, Curves, Scatter, curves_svg, free_heights, scatter_svg, short

ROOT = Path(__file__).resolve().parents[2]
CURVES = Curves(
    "a < b", {"up": [(0, 0), (100, 5)], "bad": [(0, float("nan")), (50, 5.0)], "": [(20, 1), (40, 2)]}, level=4
)


def paths(svg: str, name: str) -> list[list[tuple[float, float]]]:
    """The points of all paths of a class; of a mark, where it stands."""
    points = []
    for path in ElementTree.fromstring(svg).iter("path"):
        if path.get("class") == name:
            where = path.get("transform") or path.get("d") or ""
            pairs = re.findall(r"(-?[\d.]+) (-?[\d.]+)", where)
            points.append([(float(x), float(y)) for x, y in pairs])
    return points


def texts(svg: str) -> dict[str, ElementTree.Element]:
    return {text.text or "": text for text in ElementTree.fromstring(svg).iter("text")}


def test_curves_are_where_their_axes_say() -> None:
    """A point at a tick lies on the tick's grid line and above the tick's label."""
    svg = curves_svg(CURVES)
    up, bad, mark, nameless = paths(svg, "curve")
    ((_, level), _) = paths(svg, "level")[0]
    x = {tick: float(texts(svg)[tick].get("x", "")) for tick in ("20", "40", "100")}
    step_x, step_y = (x["100"] - x["20"]) / 80, (up[0][1] - up[1][1]) / 5

    def place(right: float, high: float) -> tuple[float, float]:
        return pytest.approx((x["20"] + step_x * (right - 20), up[0][1] - step_y * high), abs=0.2)

    assert up == [place(0, 0), place(100, 5)] and nameless == [place(20, 1), place(40, 2)]
    assert bad == mark == [place(50, 5)]  # a lone point is marked
    assert level == pytest.approx(up[0][1] - 4 * step_y, abs=0.2)
    assert {"a < b", "up", "bad"} <= set(texts(svg)) and COLOURS[0].lower() in svg
    ElementTree.fromstring(curves_svg(Curves("flat", {"flat": [(1, 2), (2, 2)], "one": [(1, 2)]})))
    assert "no points" in curves_svg(Curves("nothing", {})) and "no points" in curves_svg(Curves("", {"a": []}))


def test_drawings_fit_the_page_around_them() -> None:
    """No size, no id, no link, no style sheet, no address; text as text in the page's colour."""
    svg = curves_svg(CURVES)
    root = ElementTree.fromstring(svg)
    assert root.get("viewBox") == "0 0 500 210" and root.get("width") is root.get("height") is None
    assert root.get("aria-label") == "a < b"
    assert {node.tag for node in root.iter()} == {"svg", "path", "text"}
    for forbidden in (" id=", "href", "url(", "http", "font-family", "#010203", "#000000", "<!"):
        assert forbidden not in svg
    colours = {re.sub(r".*fill:([^;]*).*", r"\1", text.get("style", "")) for text in root.iter("text")}
    assert colours == {"currentColor"}


def test_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Whatever a matplotlibrc says, and the seed of Python's hashes."""
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 30\naxes.grid: True\n")
    script = (
        "from tests.reports.test_plots import CURVES, plots; import sys; "
        "sys.stdout.write(plots.curves_svg(CURVES) + plots.scatter_svg(plots.Scatter({'one': (1, 2)}, 'x', 'y')))"
    )
    drawn = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, **more},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, more in (("1", {}), ("2", {"MATPLOTLIBRC": str(tmp_path)}))
    ]
    assert drawn[0] == drawn[1] == curves_svg(CURVES) + scatter_svg(Scatter({"one": (1, 2)}, "x", "y"))


@pytest.mark.parametrize("name", ["$\\frac{$", "_hidden", "<script>", "a\x01b", "冬 ❄", "&amp;", "x" * 300])
@pytest.mark.filterwarnings("error")
def test_names_of_any_kind(name: str) -> None:
    """They are text: no formula, no hidden label, no markup."""
    expected = name.replace("\x01", "\ufffd")
    for svg in (
        curves_svg(Curves(name, {name: [(0, 1), (1, 2)], "b": [(0, 1)]})),
        scatter_svg(Scatter({name: (1.0, 1.0)}, name, name)),
    ):
        assert sum(text.lstrip("\u200a") == expected for text in texts(svg)) == 1
        assert (
            len([t for t in ElementTree.fromstring(svg).iter("text") if (t.text or "").lstrip("\u200a") == expected])
            > 1
        )


def test_points_of_a_scatter_lie_where_they_should() -> None:
    svg = scatter_svg(Scatter({"one": (0.0, 0.0), "two": (10.0, 5.0)}, "x", "y"))
    (one,), (two,) = paths(svg, "point")
    grid = [float(text.get("x", "")) for label, text in texts(svg).items() if label == "10"]
    assert two[0] == pytest.approx(grid[0], abs=0.2) and one[0] < two[0] and one[1] > two[1]
    assert texts(svg)["one"].get("class") == "name" and not paths(svg, "leader")


def test_names_in_a_scatter_cover_nothing() -> None:
    """Points on each other and close together: every name stands apart, with a line to its point if it had to move."""
    points = {"first": (1.0, 1.0), "second": (1.0, 1.0), "third": (1.2, 1.01), "far": (9.0, 4.0)}
    svg = scatter_svg(Scatter(points, "x", "y", spans={"far": (3.0, 6.0)}))
    names = {label: text for label, text in texts(svg).items() if text.get("class") == "name"}
    heights = [float(text.get("y", "")) for text in names.values()]
    assert (
        set(names) == set(points) and min(abs(a - b) for i, a in enumerate(heights) for b in heights[:i]) >= LINE - 0.2
    )
    (upright,) = paths(svg, "span")
    assert upright[0][0] == upright[1][0] and len(paths(svg, "leader")) == 2  # the third and the far one stay
    dots = [where for (where,) in paths(svg, "point")]
    for label, text in names.items():
        x, y = float(text.get("x", "")), float(text.get("y", "")) - 4.5
        assert not any(x < dx < x + CHARACTER * len(label) and abs(dy - y) < 9 for dx, dy in dots)


def test_a_name_without_room_stays_at_its_point() -> None:
    places = {str(i): (0.0, 10.0) for i in range(5)}
    heights = free_heights(places, {name: name for name in places}, (0, 30))
    assert heights == [10, 25, 10, 10, 10]


def test_short_numbers() -> None:
    assert [short(v) for v in (0, -0.0, 1e-17, 0.30000000000000004, 5000, 20000, 1500000, -2e4, 2e-5, 3e12)] == [
        *("0", "0", "0", "0.3", "5000", "20k", "1.5M", "-20k", "2e-05", "3e+12")
    ]


def test_curves_as_png(tmp_path: Path) -> None:
    path = tmp_path / "new" / "curves.png"
    rows = [[CURVES, CURVES], [Curves("one", {"": [(1, 1), (2, 3)]}, x_title="x", y_title="y", markers=True)]]
    plots.save_curves_png(path, rows, width=180, height=144)
    first = path.read_bytes()
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert pixels.shape == (400, 500, 3) and (pixels[0, 0] == 255).all()
    assert (pixels[:200, 250:] != 255).any() and (pixels[200:, 250:] == 255).all()  # no fourth plot
    plots.save_curves_png(path, rows, width=180, height=144)
    assert path.read_bytes() == first


def test_a_report_of_thirty_curves_is_small_and_quick() -> None:
    """Measured: 30 charts of two curves, 160 points each: 0.18 MB and 1 s on one core."""
    rng = np.random.default_rng(0)
    series = {d: [(float(x), float(y)) for x, y in enumerate(rng.random(160))] for d in "ab"}
    curves_svg(Curves("warm", series))
    began = time.process_time()
    size = sum(len(curves_svg(Curves(f"term {i}", series, level=0.5))) for i in range(30))
    assert size < 300_000 and time.process_time() - began < 10


@pytest.mark.parametrize(
    ("points", "ticks"),
    [
        ([(1, 0.0), (2, 0.0)], {"0", "1"}),
        ([(1, 3.0)], {"0", "1", "3"}),
        ([(1, -3.0), (2, -2.0)], {"-3", "0", "1", "2"}),
        ([(0, 1e300), (1, -1e300)], {"0", "1", "1e+300", "-1e+300"}),
        ([(1e6, 1e-7), (2e6, 2e-7)], {"0", "1M", "2M", "2e-07"}),
    ],
)
def test_axes_hold_zero_and_all_points(points: list[tuple[float, float]], ticks: set[str]) -> None:
    assert ticks <= set(texts(curves_svg(Curves("t", {"a": points}))))
