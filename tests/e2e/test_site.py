"""The site of the documents: the program takes its commands; it builds, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from drit.cli.main import build_parser
from drit.methods.registry import entries

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
        assert program == "drit", command
        build_parser().parse_all(words)


def test_every_question_has_an_answer() -> None:
    text = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    questions = re.findall(r"^\*\*(.+?)\*\*(.*?)(?=^\*\*|^## |\Z)", text, re.S | re.M)
    assert len(questions) >= 20
    assert all(len(answer.split()) >= 5 for _, answer in questions)


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
