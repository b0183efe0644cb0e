"""docs/licences.md lists every package that drit needs, with its licence; none of them is one that spreads."""

from __future__ import annotations

import re
import sys

import pytest

from tests.licences import ROOT, canonical, needed


def listed() -> dict[str, str]:
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    return {
        name: licence for name, licence in re.findall(r"^\| ([a-z][\w-]*) \| (.+?) \|", text, re.M) if name != "package"
    }


def constrained() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines)}


def test_the_list_is_that_of_the_installed_packages() -> None:
    found, table = needed(), listed()
    assert len(found) >= 25 and {"torch", "numpy", "pillow", "safetensors"} <= set(found)
    missing = {name: licence for name, (licence, _) in found.items() if name not in table}
    assert not missing, f"python -m tests.licences > docs/licences.md: {missing}"
    from importlib.metadata import version

    versions = constrained()
    for name, (licence, _) in found.items():
        if versions.get(name) == version(name):  # others may word it in another way
            assert table[name] == licence, name
    if sys.version_info < (3, 12):  # the list is that of the oldest Python; others need less
        assert not set(table) - set(found) - {n for n in table if n not in versions}, (
            "the list names what nothing needs"
        )


@pytest.mark.parametrize("name", sorted(listed()))
def test_no_licence_spreads_to_what_uses_it(name: str) -> None:
    """The GPL and the AGPL would; a package without a named licence may not be used at all."""
    text = listed()[name]
    assert not re.search(r"\bA?GPL|GNU (Affero )?General|not named|Proprietary", text), text
