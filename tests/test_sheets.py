"""Sheets and pages: cells where they should be, texts escaped, images embedded, curves at the right places."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drit import atomic
from drit.reports import gallery
from drit.reports.gallery import Number, Section, curves_svg, ticks, write_gallery
from drit.sheets import BACKGROUND, MARGIN, save_sheet, sheet


def test_cells_are_where_they_should_be() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    grey = np.full((32, 64, 1), 90, np.uint16) << 8
    made = np.asarray(sheet([[red, grey], [None, grey]], gap=3))
    assert made.shape == (64 + 32 + 3 + 2 * MARGIN, 2 * 64 + 3 + 2 * MARGIN, 3)
    inside = made[MARGIN : MARGIN + 64, MARGIN : MARGIN + 64]
    assert (inside == [200, 0, 0]).all()
    corner = MARGIN + 64 + 3
    assert (made[MARGIN + 16 : MARGIN + 48, corner : corner + 64] == 90).all()  # centred in its row
    assert (made[MARGIN : MARGIN + 16, corner : corner + 64] == BACKGROUND).all()
    assert (made[corner : corner + 32, corner : corner + 64] == 90).all()  # a row as high as its highest image
    assert (made[corner : corner + 32, MARGIN : MARGIN + 64] == BACKGROUND).all()


def test_scaling_and_titles() -> None:
    small = np.arange(4, dtype=np.uint8).reshape(2, 2, 1) * 60
    plain = np.asarray(sheet([[small]], cell=64))
    assert (plain[MARGIN : MARGIN + 32, MARGIN + 32 : MARGIN + 64] == 60).all()  # enlarged by a whole factor
    titled = sheet([[small]], ["a column"], ["a row with a name that is much too long for it"], cell=64)
    assert titled.height > plain.shape[0] and plain.shape[1] < titled.width < plain.shape[1] + 250
    large = np.full((300, 150, 4), 7, np.uint8)
    assert sheet([[large]], cell=100).size == (100 + 2 * MARGIN, 100 + 2 * MARGIN)


def test_pages_escape_and_embed(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8))
    path = tmp_path / "new" / "page.html"
    write_gallery(
        path, "<script>x</script>", "a & b", [Number("n<", "1", "0 to 2")], [Section("one", "t<", image)], "end"
    )
    page = path.read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "a &amp; b" in page and "n&lt;" in page
    (embedded,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(embedded)))), np.asarray(image))
    assert "http" not in page  # nothing is fetched


def test_curves() -> None:
    svg = curves_svg({"up": [(0, 0), (10, 5)], "bad": [(0, float("nan")), (5, 5.0)]}, "a < b", width=760, height=260)
    root = ElementTree.fromstring(svg)
    lines = {line.get("stroke"): line.get("points") for line in root.iter("polyline")}
    # the frame spans x 52..748 for 0..10 and y 230..30 for 0..5
    assert lines[gallery.COLOURS[0]] == "52.0,230.0 748.0,30.0"
    assert lines[gallery.COLOURS[1]] == "400.0,30.0"
    assert "no points" in curves_svg({}, "nothing")
    ElementTree.fromstring(curves_svg({"flat": [(1, 2), (2, 2)], "one": [(1, 2)]}, "flat"))


def test_ticks_are_round() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.13, 0.87) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(3, 3) == pytest.approx([2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6])


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    save_sheet(sheet([[np.zeros((8, 8, 1), np.uint8)]]), path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        save_sheet(sheet([[np.ones((8, 8, 1), np.uint8)]]), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.png"]
