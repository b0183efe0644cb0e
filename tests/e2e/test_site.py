"""The site of the documents: the program takes its commands; it builds, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from drit.cli.main import build_parser
from drit.exporting import page as web
from drit.methods.registry import entries
from drit.training import launch
from tests.browser import served, started, visited
from tests.conftest import tiny, write_images

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("quickstart", "choose", "losses", "adaptation", "faq")


def commands(page: str) -> list[str]:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines() if line]


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_taken(page: str) -> None:
    """Every command parses: names of commands, flags, choices and types are right. (The guide's commands run.)"""
    found = commands(page)
    assert found
    for command in found:
        program, *words = shlex.split(command)
        if program == "torchrun":
            words = words[words.index("drit") + 1 :]
        else:
            assert program == "drit", command
        if words != ["--version"]:  # it is answered while it is parsed
            build_parser().parse_all(words)


def test_every_question_has_an_answer_with_a_command() -> None:
    text = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    questions = re.findall(r"^\*\*(.+?)\*\*(.*?)(?=^\*\*|^## |\Z)", text, re.S | re.M)
    assert len(questions) >= 20
    for question, answer in questions:
        assert len(answer.split()) >= 5 and re.search(r"```(sh|python)\n", answer), question


@pytest.mark.slow
def test_the_front_page_has_a_translator(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra 'docs' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    if any(not (web.RUNTIME / name).is_file() for name in web.RUNTIME_FILES):
        pytest.skip("the page's runtime is not there: make web-runtime")
    data = tiny(write_images(tmp_path / "a", 3, 1), write_images(tmp_path / "b", 3, 3), steps=1)
    launch.train(data, tmp_path / "run")
    words = ["--translator", str(tmp_path / "run"), "--licence", "cc0-1.0", "--examples", str(tmp_path / "a/000.png")]
    done = subprocess.run([sys.executable, "docs/site/build.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    site = ROOT / "build" / "site"
    (source,) = re.findall(r'<iframe src="([^"]+)"', (site / "index.html").read_text(encoding="utf-8"))
    assert (site / source).is_file() and (site / "translator" / "examples" / "0.png").is_file()
    assert json.loads((site / "translator" / "model" / "drit.json").read_text())["page"]["examples"]
    expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
    with served(site) as address, started() as browser, visited(address, browser) as page:
        page.locator("iframe").scroll_into_view_if_needed()
        translator = page.frame_locator("iframe")
        translator.get_by_role("button", name="Example 1").click()
        expect(translator.locator(".tile:not(.waiting)")).to_have_count(12)
        expect(translator.locator("body")).to_contain_text("cc0-1.0")


@pytest.mark.slow
def test_the_site_builds_offline(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra 'docs' is not installed")
    done = subprocess.run([sys.executable, "docs/site/build.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    site = ROOT / "build" / "site"
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert len(list((site / "methods").glob("*.html"))) == len(entries())
    loaded = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?(?:src|href)="(https?:)?//[^"]*"')
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not loaded.search(text), page
    assert "translate_many" in (site / "reference" / "translator.html").read_text(encoding="utf-8")
    assert "--loss.mode-seeking" in (site / "methods" / "drit.html").read_text(encoding="utf-8")
