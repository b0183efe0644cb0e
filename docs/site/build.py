"""The documents as a site: `make docs`, or `python docs/site/build.py`. It ends up in build/site.

    make docs TRANSLATOR=runs/emoji LICENCE=cc-by-sa-4.0 EXAMPLES="drawing.png other.png"

puts that run on the front page: it translates in the visitor's browser (`drit export --format web`).

Everything is gathered in build/site-source: the documents of this repository with their links set right, the notebooks,
a page for each method that the registry knows, and the reference, which mkdocstrings takes from the docstrings. A
warning of mkdocs (a dead link, an anchor that is not there, a page without a place in the navigation) ends the build.
Nothing is loaded from elsewhere, here or in the browser.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from drit.methods.registry import entries
from drit.methods.table import table
from drit.settings.schema import settings_of, value_of

ROOT = Path(__file__).resolve().parents[2]
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")  # documents outside docs/
REFERENCE = {  # page: what is shown, module or object
    "drit": ["drit.api", "drit.inference.translator.load", "drit.methods.registry.list_methods"],
    "Translator": ["drit.inference.translator.Translator"],
    "State": ["drit.inference.state"],
    "AugmentedDataset": ["drit.augmentation.dataset"],
    "Method": ["drit.methods.base"],
    "Settings": ["drit.settings.common", "drit.augmentation.settings", "drit.evaluation.protocol.Protocol"],
    "Losses": ["drit.losses"],
    "Errors": ["drit.errors"],
}
PROJECT = {  # pages about the project, in the order of the navigation
    "Results": "results.md", "Performance": "performance.md", "Architecture": "architecture.md",
    "Official implementation": "official.md", "Differences from the authors' programs": "methods.md",
    "Reliability": "reliability.md", "Glossary": "glossary.md", "Security": "security.md",
    "Report a weakness": "SECURITY.md", "Licences": "licences.md", "Release": "release.md",
    "Examples": "examples/README.md", "Contributing": "CONTRIBUTING.md", "Changes": "CHANGELOG.md",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the documents as a site.")
    parser.add_argument("--translator", type=Path, metavar="RUN", help="a run for the front page")
    parser.add_argument("--examples", type=Path, nargs="*", default=[], metavar="IMAGE", help="what visitors may try")
    parser.add_argument("--licence", default="", metavar="ID", help="licence of the run's weights [not told]")
    values = parser.parse_args(arguments)
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    copy_documents()
    if values.translator:
        add_translator(values.translator, values.examples, values.licence)
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        write(f"notebooks/{notebook.stem}.md", notebook_page(notebook))
    methods = {name: f"methods/{slug(name)}.md" for name in entries()}
    for row in table():
        write(methods[row["method"]], method_page(row))
    for title, objects in REFERENCE.items():
        write(f"reference/{slug(title)}.md", f"# {title}\n\n" + "\n\n".join(f"::: {o}" for o in objects) + "\n")
    config = yaml.safe_load((ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8"))
    config["docs_dir"], config["site_dir"] = str(SOURCE), str(SITE)
    config["plugins"][1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    config["nav"] += [
        {"Methods": [{name: page} for name, page in methods.items()]},
        {"Reference": [{title: f"reference/{slug(title)}.md"} for title in REFERENCE]},
        {"Project": [{title: page} for title, page in PROJECT.items()]},
        {"Decisions": [{"All": "decisions/README.md"}, *(f"decisions/{p.name}" for p in decisions())]},
    ]
    file = ROOT / "build" / "mkdocs.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean", "--config-file", str(file)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement
    code = subprocess.run(words, cwd=ROOT, env=quiet).returncode
    print(f"The documents are in {SITE / 'index.html'}." if code == 0 else "The documents were not built.")
    return code


def decisions() -> list[Path]:
    return sorted(p for p in (ROOT / "docs" / "decisions").glob("*.md") if p.name != "README.md")


def slug(name: str) -> str:
    return name.lower().replace("+", "p").replace(" ", "-")


def write(name: str, text: str) -> None:
    path = SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy_documents() -> None:
    """The documents, with links between docs/ and the folder above it as if all lay in one folder."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT / "docs").as_posix()
        write(name, re.sub(r"\]\(\.\./(?=[A-Z]+\.md)", "](", path.read_text(encoding="utf-8")))
    for name in BESIDE:
        write(name, (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "]("))
    write("examples/README.md", (ROOT / "examples" / "README.md").read_text(encoding="utf-8"))
    shutil.copytree(ROOT / "docs" / "images", SOURCE / "images")


def add_translator(run: Path, examples: list[Path], licence: str) -> None:
    """The page of a run in a frame of the front page, below its first image."""
    from drit.exporting.installed import UNKNOWN
    from drit.exporting.page import export_web  # it loads torch

    export_web(run, SOURCE / "translator", licence=licence or UNKNOWN, examples=examples)
    front = (SOURCE / "README.md").read_text(encoding="utf-8")
    text, image, rest = re.split(r"(^!\[.*?\)$)", front, maxsplit=1, flags=re.M)
    caption, rest = rest.lstrip("\n").split("\n\n", 1)
    frame = (
        '<iframe src="translator/index.html" title="A translator in your browser" loading="lazy" '
        'style="width: 100%; height: 720px; border: 1px solid #8885; border-radius: 12px"></iframe>'
    )
    told = "*Try it: your browser computes this itself, and your image stays on your machine.*"
    write("README.md", "\n\n".join([text + image, caption, frame, told, rest]))


def method_page(row: dict[str, object]) -> str:
    """A method's page: what it is, what it can do, what it costs, its presets and all its settings."""
    name = str(row["method"])
    entry = entries()[name]
    presets = entry.settings_class().presets()
    facts = [f"| {key} | {value} |" for key, value in row.items() if key != "method"]
    lines = [
        f"# {name}",
        f"{entry.summary}.",
        f"```sh\ndrit train --method {name} --help\n```",
        "Capabilities and cost, at the sizes of its paper, for colour images of 256 x 256 pixels:",
        "\n".join(["| capability or cost | |", "|---|---|", *facts]),
        "## Presets",
        "What each changes. `default` is where none is named.",
    ]
    settings = list(settings_of(entry.settings_class()))
    default = presets["default"]
    for preset, values in presets.items():
        changed = [
            f"`{s.name}` {value_of(values, s.name)}"
            for s in settings
            if value_of(values, s.name) != value_of(default, s.name) and s.name != "preset"
        ]
        lines.append(f"- **{preset}**: {', '.join(changed) or 'the values below'}")
    lines += ["## Settings", "Each is a flag of `drit train`. The value is that of the preset `default`."]
    rows = [
        f"| `--{s.name.replace('_', '-')}` | {shown(value_of(default, s.name))} | {cell(s.help)} |" for s in settings
    ]
    lines.append("\n".join(["| flag | value | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(lines) + "\n"


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`" if value not in ("", ()) else "none"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def notebook_page(path: Path) -> str:
    """A notebook as a page: its cells and their outputs."""
    parts = []
    for i, part in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        source = "".join(part["source"])
        if part["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for j, output in enumerate(part["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}_{i}_{j}.png"
                image = SOURCE / "notebooks" / name
                image.parent.mkdir(parents=True, exist_ok=True)
                image.write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![Output of the cell above]({name})")
            else:
                text = output.get("text", data.get("text/plain", ""))
                parts.append("```text\n" + "".join(text).rstrip() + "\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
