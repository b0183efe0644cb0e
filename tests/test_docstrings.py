"""Docstrings of functions with tensors say a shape, and the files that modules refer to exist.

To check another package, add its files to `CHECKED`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKED = ["drit/**/*.py", "reference/*.py"]
FILES = sorted(path.relative_to(ROOT).as_posix() for pattern in CHECKED for path in ROOT.glob(pattern))

TENSORS = re.compile(r"\b(Tensor|Prepared|Batch|ByDomain)\b")  # the type and its aliases in annotations
# A tuple of sizes on its own: (N, C, H, W), (k N, S), (M, 2, 2, C), (N,). No arguments of a function such as G(x, z).
TUPLE = re.compile(r"(?<![\w^)\]])\(([^()]+?,[^()]*)\)")
# A size is made of symbols of one letter, numbers, operators and these words. A reference such as (DRIT, section 3.1)
# is none.
WORDS = set(
    "times width features inputs outputs content channels blocks side widths min_side count rows columns crop".split()
)
OTHERS = re.compile(r"\bscalars?\b|\bany shape\b|\bof the shape of\b")  # what has no tuple of sizes
Named = ast.FunctionDef | ast.ClassDef


def is_shape(text: str) -> bool:
    """Whether text between parentheses is a tuple of sizes, one of them a symbol in capitals."""
    tokens = re.findall(r"[A-Za-z_]+|[^\w\s]", text)
    words = [token for token in tokens if token[0].isalpha()]
    known = all(len(word) == 1 or word in WORDS for word in words)
    return known and any(len(word) == 1 and word.isupper() for word in words)


def says_a_shape(text: str | None) -> bool:
    return text is not None and bool(OTHERS.search(text) or any(is_shape(m.group(1)) for m in TUPLE.finditer(text)))


def has_tensors(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [function.returns, *(a.annotation for a in arguments)]
    return any(a is not None and TENSORS.search(ast.unparse(a)) for a in annotations)


def public(body: list[ast.stmt], kinds: type[Named] | tuple[type[Named], ...]) -> Iterator[Named]:
    for node in body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node


def faults(source: str) -> list[str]:
    """Public functions, classes and methods whose docstrings lack something, each in a sentence."""
    found = []

    def check(function: Named, name: str, inherits: bool = False) -> bool:
        """inherits: without a docstring of its own it has that of the method it overrides."""
        tensors = isinstance(function, ast.FunctionDef) and has_tensors(function)
        if inherits and not ast.get_docstring(function):
            return tensors
        if tensors and not says_a_shape(ast.get_docstring(function)):
            found.append(f"{name} says no shape")
        return tensors

    for node in public(ast.parse(source).body, (ast.FunctionDef, ast.ClassDef)):
        if isinstance(node, ast.FunctionDef):
            check(node, node.name)
            continue
        docstring = ast.get_docstring(node)
        fields = any(isinstance(n, ast.AnnAssign) and TENSORS.search(ast.unparse(n.annotation)) for n in node.body)
        if fields or any(ast.unparse(base).endswith("autograd.Function") for base in node.bases):
            # nobody calls the methods of these: the class says the shapes, or the comments of its fields do
            if not says_a_shape("\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno])):
                found.append(f"{node.name} says no shape")
            continue
        inherits = any(ast.unparse(base) == "Method" for base in node.bases)  # whose docstrings say the shapes
        with_tensors = [
            check(method, f"{node.name}.{method.name}", inherits) for method in public(node.body, ast.FunctionDef)
        ]
        if any(with_tensors) and not docstring:
            found.append(f"{node.name} has no docstring")
    return found


@pytest.mark.parametrize("path", FILES)
def test_docstrings_say_shapes(path: str) -> None:
    assert faults((ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", FILES)
def test_files_that_are_referred_to_exist(path: str) -> None:
    mentioned = re.findall(r"\b(?:docs|tests|drit|reference|benchmarks)/[\w/]+\.\w+", (ROOT / path).read_text("utf-8"))
    assert [name for name in mentioned if not (ROOT / name).is_file()] == []


def test_every_package_is_found() -> None:
    assert all(list(ROOT.glob(pattern)) for pattern in CHECKED)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("x: (N, C, H, W). Returns a scalar.", True),
        ("Returns (k N, S) or (N, width 2^d, H / 2^d, W / 2^d).", True),
        ("bias: (O,)", True),
        ("The loss of DRIT (arXiv 1808.00948, section 3.4).", False),
        ("L = E||G(E^c(x), z) - x||, as G(C, Z) gives it (DRIT, section 3.2, 3.4).", False),
        ("The kernel (1/2, 1, 1/2).", False),
        ("Returns the image.", False),
    ],
)
def test_what_counts_as_a_shape(docstring: str, expected: bool) -> None:
    assert says_a_shape(docstring) == expected


def test_missing_docstrings_are_found() -> None:
    source = '''
def good(x: Tensor) -> Tensor:
    """x: (N, S)."""

def bad(x: Tensor) -> float:
    """A mean (DRIT, section 3)."""

def other(count: int) -> list[Tensor]: ...

def without(count: int) -> int: ...

def _private(x: Tensor) -> Tensor: ...

class Net(nn.Module):
    def forward(self, x: Tensor) -> Tensor: ...

class Fast(torch.autograd.Function):
    """Something."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor: ...

class Outputs(NamedTuple):
    """(N, S)."""

    style: Tensor
'''
    assert faults(source) == [
        "bad says no shape",
        "other says no shape",
        "Net.forward says no shape",
        "Net has no docstring",
        "Fast says no shape",
    ]
