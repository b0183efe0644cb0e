"""`make sbom`: the bill of materials names every package of constraints.txt, in its version."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.licences import canonical
from tests.test_licences import constrained

ROOT = Path(__file__).resolve().parents[2]


def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    rule = re.search(r"^sbom:.*\n\t\$\(BIN\)/cyclonedx-py (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert rule
    words = shlex.split(rule[1])
    words[words.index("-o") + 1] = str(tmp_path / "sbom.json")
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *words], cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "drit"
    found = {canonical(component["name"]): component["version"] for component in bill["components"]}
    assert found == constrained() and len(found) > 80
    assert all(component["purl"].startswith("pkg:pypi/") for component in bill["components"])
