"""Whatever command reads a file, it gets the array that training got: every layout, flattened and with its alpha."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drit.data.folders import open_domain
from drit.data.labelled import open_labelled
from drit.data.ranges import reading_of
from drit.inference.reading import read_image
from drit.settings.common import DataSettings
from tests.data.layouts import LAYOUTS, Layout

CASES = [
    pytest.param(layout, dtype, id=f"{layout.name}, {np.dtype(dtype)}")
    for layout in LAYOUTS
    for dtype in layout.depths
    if dtype not in (layout.refused or {})
]


@pytest.mark.parametrize("alpha", ["flatten", "keep"])
@pytest.mark.parametrize(("layout", "dtype"), CASES)
def test_one_array_for_all_commands(layout: Layout, dtype: Any, alpha: Any, tmp_path: Path) -> None:
    folder = tmp_path / "set" / "x"
    folder.mkdir(parents=True)
    for i in range(2):
        (folder / f"{i}.png").write_bytes(layout.write(layout.stored(dtype)))
    data = DataSettings(a=str(folder), resize=0, crop=16, alpha=alpha)
    trained = open_domain(str(folder), data, "a")
    method: Any = SimpleNamespace(settings=SimpleNamespace(data=data), channels={"a": trained.channels})
    translated, _ = read_image(folder / "0.png", method, "a")
    augmented = open_labelled(str(tmp_path / "set"), reading=reading_of(data, "a")).get(0, trained.channels)
    assert np.array_equal(trained.get(0), translated) and np.array_equal(translated, augmented)
    assert translated.dtype == dtype and translated.shape[2] == trained.channels
