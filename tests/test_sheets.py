"""Sheets: cells where they should be, titles, scaling, files written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drit import atomic
from drit.sheets import BACKGROUND, MARGIN, save_sheet, sheet


def test_cells_are_where_they_should_be() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    grey = np.full((32, 64, 1), 90, np.uint16) << 8
    pixels = np.asarray(sheet([[red, grey], [None, grey]], gap=3))
    assert pixels.shape == (64 + 32 + 3 + 2 * MARGIN, 2 * 64 + 3 + 2 * MARGIN, 3)
    inside = pixels[MARGIN : MARGIN + 64, MARGIN : MARGIN + 64]
    assert (inside == [200, 0, 0]).all()
    corner = MARGIN + 64 + 3
    assert (pixels[MARGIN + 16 : MARGIN + 48, corner : corner + 64] == 90).all()  # centred in its row
    assert (pixels[MARGIN : MARGIN + 16, corner : corner + 64] == BACKGROUND).all()
    assert (pixels[corner : corner + 32, corner : corner + 64] == 90).all()  # a row as high as its highest image
    assert (pixels[corner : corner + 32, MARGIN : MARGIN + 64] == BACKGROUND).all()


def test_scaling_and_titles() -> None:
    small = np.arange(4, dtype=np.uint8).reshape(2, 2, 1) * 60
    plain = np.asarray(sheet([[small]], cell=64))
    assert (plain[MARGIN : MARGIN + 32, MARGIN + 32 : MARGIN + 64] == 60).all()  # enlarged by a whole factor
    titled = sheet([[small]], ["a column"], ["a row with a name that is much too long for it"], cell=64)
    assert titled.height > plain.shape[0] and plain.shape[1] < titled.width < plain.shape[1] + 250
    large = np.full((300, 150, 4), 7, np.uint8)
    assert sheet([[large]], cell=100).size == (100 + 2 * MARGIN, 100 + 2 * MARGIN)


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
