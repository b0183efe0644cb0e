"""Every row of the tables of docs/reliability.md names tests, and these exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.partition("## While")[2].splitlines() if re.match(r"\| (?!fault \||-)", line)]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`( \(slow\))?")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_row_names_its_tests(row: str) -> None:
    cells = row.strip("|").split("|")
    assert len(cells) == 5 and all(cell.strip() for cell in cells), row
    named = TEST.findall(cells[4])
    assert named, "no test makes this fault happen"
    for file, name, slow in named:
        functions = {
            n.name: n for n in ast.parse((ROOT / file).read_text("utf-8")).body if isinstance(n, ast.FunctionDef)
        }
        assert name in functions, f"{file} has no {name}"
        marked = any("slow" in ast.unparse(d) for d in functions[name].decorator_list)
        assert marked == bool(slow), f"{name}: slow or not"


def test_there_are_rows() -> None:
    assert len(ROWS) >= 25
