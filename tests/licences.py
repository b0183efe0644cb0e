"""The licences of everything that drit installs, from the metadata of the installed packages.

python -m tests.licences > docs/licences.md
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
GPU = re.compile(r"nvidia-|cuda-|triton")  # what builds of torch for GPUs bring: their vendors' terms
INTRODUCTION = """# Licences of dependencies

What `pip install drit` and its extras bring, with the licence that each package names in its metadata. Written by
`python -m tests.licences`; a test compares it with the installed packages. Builds of torch for GPUs bring packages of
their vendors (`nvidia-...`, `triton`), under the vendors' terms. Developer tools (extra `dev`) are not listed: they are
not needed to use drit.

| package | licence | needed by |
|---|---|---|
"""


def canonical(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(package: Distribution) -> str:
    """The licence of an installed package, in a few words."""
    meta = package.metadata
    text: str = meta.get("License-Expression") or ""
    if not text:
        classes = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or () if c.startswith("License")]
        text = ", ".join(c for c in classes if c != "OSI Approved")
    if not text:
        text = (meta.get("License") or "not named").strip().splitlines()[0]
    return text.replace("|", "/")[:80]


def needed() -> dict[str, tuple[str, str]]:
    """Licence of each installed package that drit needs, and what needs it: itself, or one of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k != "dev"}
    found: dict[str, tuple[str, str]] = {}
    for by, requirements in [("drit", project["dependencies"]), *extras.items()]:
        waiting = [Requirement(r) for r in requirements]
        while waiting:
            requirement = waiting.pop()
            name = canonical(requirement.name)
            if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
                continue
            try:
                package = distribution(requirement.name)
            except PackageNotFoundError:
                continue
            found[name] = licence(package), by if by == "drit" else f"extra `{by}`"
            waiting += [Requirement(r) for r in package.requires or ()]
    return {name: found[name] for name in sorted(found) if not GPU.match(name)}


def table() -> str:
    """docs/licences.md."""
    return INTRODUCTION + "".join(f"| {name} | {text} | {by} |\n" for name, (text, by) in needed().items())


if __name__ == "__main__":
    print(table(), end="")
