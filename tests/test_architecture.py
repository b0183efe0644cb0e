"""docs/architecture.md shows the layers that are enforced, every folder says what it is for, and paths in documents
exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md"))
)
PACKAGES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("drit/**/__init__.py"))
FOLDERS = (
    "drit",
    "tests",
    "docs",
    "benchmarks",
    "examples",
    "experiments",
    "reference",
)  # that documents name paths of


def enforced_layers(pyproject: str) -> list[set[str]]:
    """The layers of the import contract, top to bottom, without the name of the package. None there: empty."""
    contracts = tomllib.loads(pyproject).get("tool", {}).get("importlinter", {}).get("contracts", [])
    for contract in contracts:
        if contract["type"] == "layers" and contract.get("containers", ["drit"]) == ["drit"]:
            names = [re.split(r"\s*[|:]\s*", layer.strip()) for layer in contract["layers"]]
            return [{name.strip("()").removeprefix("drit.") for name in layer} for layer in names]
    return []


def siblings_that_may_import_each_other(pyproject: str) -> list[str]:
    """Layers whose modules are not independent: written with a colon in the contract."""
    return re.findall(r'"\w+ : [^"]*"', pyproject)


def shown_layers(document: str) -> list[set[str]]:
    """The first column of the table of layers: names between backticks, row by row."""
    section = re.search(r"## Layers\n(.*?)\n## ", document, re.S)
    assert section, "there is no section 'Layers'"
    rows = [line.split("|")[1] for line in section.group(1).splitlines() if line.startswith("|")]
    return [set(re.findall(r"`(\w+)`", cell)) for cell in rows[2:]]  # after the heading and its rule


def paths_in(document: str) -> list[str]:
    """Paths of this repository between backticks: `drit/losses.py`, `docs/`. Placeholders (NAME) and patterns (*) are
    none."""
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", document, flags=re.S | re.M))
    paths = [text for text in quoted if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]*", text)]
    return [path for path in paths if not re.search(r"\b[A-Z]{2,}\b(?!\.md)", path)]


def test_the_architecture_page_shows_the_enforced_layers() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = enforced_layers(pyproject)
    if not layers:
        pytest.skip("pyproject.toml has no import contract of type 'layers' yet")
    assert siblings_that_may_import_each_other(pyproject) == [], "the page says that modules of a row are independent"
    assert shown_layers((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")) == layers


def test_the_reading_path_enters_each_module_once() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = re.search(r"## One path through the code.*?\n(.*?)\n## ", text, re.S)
    assert section
    modules = re.findall(r"^\d+\. `([^`]+)`", section.group(1), re.M)
    assert len(modules) == len(set(modules)) >= 10
    assert [module for module in modules if not (ROOT / module).is_file()] == []


@pytest.mark.parametrize("path", PACKAGES)
def test_every_folder_says_what_it_is_for(path: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert docstring and docstring.strip(), f"{path} has no docstring"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_documents_exist(document: str) -> None:
    paths = paths_in((ROOT / document).read_text(encoding="utf-8"))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_layers_of_a_contract_are_read() -> None:
    contract = """
[[tool.importlinter.contracts]]
name = "first"
type = "forbidden"
source_modules = ["drit.a"]
forbidden_modules = ["drit.b"]

[[tool.importlinter.contracts]]
name = "second"
type = "layers"
layers = ["drit.cli", "importing | reports", "a : b", "(errors)"]
"""
    assert enforced_layers(contract) == [{"cli"}, {"importing", "reports"}, {"a", "b"}, {"errors"}]
    assert enforced_layers("[project]\nname = 'x'") == []


def test_layers_of_a_page_are_read() -> None:
    page = "# A\n\n## Layers\n\nWords.\n\n| layer | what |\n|---|---|\n| `a`, `b` | `x` |\n| `c` | y |\n\n## Next\n"
    assert shown_layers(page) == [{"a", "b"}, {"c"}]


def test_paths_of_a_document_are_found() -> None:
    page = "`drit/losses.py`, `drit/`, `drit/methods/NAME/`, `runs/x`, `tests/*.py`, `docs/README.md`\n"
    page += "```\n`drit/x`\n```"
    assert paths_in(page) == ["drit/losses.py", "drit/", "docs/README.md"]
