"""The demo as `make demo` runs it: minutes of training on real digits, and the figures that the README promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from drit.demo import EXPECTED, SECONDS, demo


def bounds(words: str) -> tuple[float, float]:
    low, high = re.findall(r"\d+", words)[:2]
    return float(low), float(high)


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the demo's packages are not installed")
    torch.set_num_threads(2)
    result = demo(tmp_path, seconds=SECONDS)
    for name, words in EXPECTED.items():
        low, high = bounds(words)
        value = result[name] * (100 if name.startswith("read") else 1)
        assert low <= value <= high, (name, value, words)
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert page.count("data:image/png") == 6 and page.count("<svg") == 3
    assert Path(result["png"]).is_file()


def test_what_the_readme_promises_is_what_the_demo_expects() -> None:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert all(f"| {words} |" in text for words in EXPECTED.values())
