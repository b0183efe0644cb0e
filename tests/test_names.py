"""No module below the command line and the registry names a method; packages of methods do not know each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from drit.methods.registry import entries

DRIT = Path(__file__).resolve().parents[1] / "drit"
# Where a method may be named: its own package, the registry (the default), the command line.
ALLOWED = {DRIT / "methods" / "registry.py", DRIT / "cli"} | {p for p in (DRIT / "methods").iterdir() if p.is_dir()}
# 'drit' is the program's name too: alone it names the method, in a sentence it does not.
WORDS = "|".join(re.escape(name) for name in entries() if name not in ("drit", "unit"))
NAMED = re.compile(rf"(?<![\w.+-])({WORDS})(?![\w+-])|^(drit|unit)$")
PROGRAM = {"svg.hashsalt"}  # keys whose value is the program's name


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Texts of a module, docstrings left out (they cite papers)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    program = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and (key.value in PROGRAM or key.value == "drit")
    }
    program |= {id(k) for n in ast.walk(tree) if isinstance(n, ast.Dict) for k in n.keys if isinstance(k, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents | program:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sorted(DRIT.rglob("*.py")), ids=lambda p: str(p.relative_to(DRIT)))
def test_no_method_is_named(path: Path) -> None:
    if any(path == a or a in path.parents for a in ALLOWED):
        return
    named = [f"{path.name}:{line}: {text!r}" for line, text in strings(path) if NAMED.search(text)]
    assert not named, named


def test_the_search_finds_a_name(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""About munit."""\nmethod = "munit"\nx = name.startswith("drit")\ny = "for munit alone"\n')
    assert {line for line, text in strings(file) if NAMED.search(text)} == {2, 3, 4}


def test_methods_do_not_know_each_other() -> None:
    """But Cycle/Bicycle, which is made of two."""
    graph = grimp.build_graph("drit")
    packages = sorted(m for m in graph.find_children("drit.methods") if graph.find_children(m))
    assert len(packages) >= 9
    known = {
        (one, other)
        for one in packages
        for other in packages
        if one != other
        and any(
            graph.direct_import_exists(importer=a, imported=b, as_packages=False)
            for a in {one, *graph.find_descendants(one)}
            for b in {other, *graph.find_descendants(other)}
        )
    }
    pair = "drit.methods.cycle_bicycle"
    assert known == {(pair, "drit.methods.bicyclegan"), (pair, "drit.methods.cyclegan")}


def test_contracts_name_every_module_of_methods() -> None:
    """The import contracts list what lies beside the packages of methods; a new helper belongs there too."""
    text = (DRIT.parent / "pyproject.toml").read_text(encoding="utf-8")
    for path in (DRIT / "methods").glob("*.py"):
        assert path.name == "__init__.py" or f'"drit.methods.{path.stem}"' in text, path.name


LEFT_WORDS = re.compile(
    "|".join((r"read\s+rightly", r"there\s+and\s+back")), re.IGNORECASE
)  # docs/glossary.md has better
TEXTS = (".py", ".md", ".js", ".html", ".css", ".jinja", ".toml", ".yml", ".ipynb")


def test_words_that_were_left_stay_away() -> None:
    root = DRIT.parent
    files = [root / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    for folder in ("drit", "docs", "tests", "benchmarks", "experiments", "examples", "reference"):
        files += [path for path in sorted((root / folder).rglob("*")) if path.suffix in TEXTS]
    assert len(files) > 300
    found = [str(path.relative_to(root)) for path in files if LEFT_WORDS.search(path.read_text(encoding="utf-8"))]
    assert found == []
