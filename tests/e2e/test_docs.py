"""Every `drit` command of the README, quickstart and guide runs, word for word, in a fresh folder; links and targets
exist.

Training commands get the flags below appended, and of a data set that the program writes a few images are left: the
words are tested, not a day's training.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drit.cli import main as cli
from drit.data.images import decode, encode
from drit.evaluation import protocol
from drit.methods.registry import settings_class
from drit.settings.schema import settings_of
from tests import recipe
from tests.conftest import write_images
from tests.videos import make_video

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "--steps 2 --batch 2 --threads 1 --data.resize 32 --data.crop 32 --log.checkpoint-every 1 --no-log.tensorboard"
).split()
NARROW = {"width": 4, "attribute_width": 4, "discriminator_width": 4, "discriminator_scales": 2}


def small(method: str) -> list[str]:
    """Flags of a short training of narrow networks."""
    names = {s.name for s in settings_of(settings_class(method))}
    sizes = {f"network.{name}": value for name, value in NARROW.items() if f"network.{name}" in names}
    return SMALL + [word for name, value in sizes.items() for word in (f"--{name}", str(value))]


def commands(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines() if line]


def programs(document: str) -> list[str]:
    """The Python programs of a document that stand on its commands alone."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.S) if document == "docs/export.md" else []


def exit_code(words: list[str]) -> int:
    """The exit code of a drit command; argparse leaves by SystemExit after --help."""
    try:
        return cli.main(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)


def thin(folder: Path, document: str) -> None:
    """Leave four images of each folder, and those that the document names."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for domain in (path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(domain.iterdir())[4:]:
            if path.name not in text:
                path.unlink()


def visit(words: list[str]) -> None:
    """The studio as a process of its own: its page and its run are there, and SIGTERM ends it well."""
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    command = [sys.executable, "-m", "drit", *words, "--port", "0", "--no-browser", "--threads", "1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            address = json.loads(line)["address"]
            assert b"<title>drit studio</title>" in urllib.request.urlopen(address, timeout=60).read()
            (run,) = json.loads(urllib.request.urlopen(f"{address}/v1/runs", timeout=60).read())["runs"]
            assert run["path"] == words[1]
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    "document", ["README.md", "docs/quickstart.md", "docs/guide.md", "docs/official.md", "docs/export.md"]
)
def test_commands(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for seed, season in enumerate(("summer", "winter", "autumn")):
        write_images(tmp_path / "photos" / season, 3, 3, (40, 50), seed)
        write_images(tmp_path / "labelled" / f"class{seed}", 2, 3, (40, 50), seed)
    for seed, (folder, width) in enumerate((("maps", 50), ("aerial", 50), ("side_by_side", 80))):
        write_images(tmp_path / folder, 3, 3, (40, width), seed)
    write_images(tmp_path / "shot", 3, 3, (40, 50))
    for seed, time in enumerate(("day", "night")):
        write_images(tmp_path / "streets" / time, 3, 3, (40, 50), seed)
    images = sorted((tmp_path / "streets" / "day").iterdir())
    (tmp_path / "streets" / "day" / "masks").mkdir()
    for image in images:
        encode(decode(image)[0][:, :, :1] // 128, tmp_path / "streets" / "day" / "masks" / image.name)
    make_video(tmp_path / "clip.mp4")
    torch.save(recipe.published("concat", **recipe.SMALL), tmp_path / "01199.pth")
    short = replace(protocol.PROTOCOLS["quick"], learn_steps=2, resamples=5)
    monkeypatch.setitem(protocol.PROTOCOLS, "quick", short)
    ran = resumed = 0
    for command in commands(document):
        program, *words = shlex.split(command)
        if program == "make":
            subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
            continue
        assert program in ("drit", ".venv/bin/drit"), command
        if words[0] == "train" and "--resume" in words:
            resumed += 1
            words += ["--steps", str(2 + resumed)]
        elif words[0] == "train":
            words += small(words[words.index("--method") + 1] if "--method" in words else "drit")
        elif words[0] == "doctor":
            words += small("drit")
        elif words[0] == "studio":
            visit(words)
            ran += 1
            continue
        elif words[0] == "evaluate":
            words += ["--threads", "1"]
        assert exit_code(words) == 0, command
        if words[:2] == ["data", "demo"]:
            thin(tmp_path / words[words.index("--out") + 1], document)
        ran += 1
    assert ran >= 1
    for program in programs(document):
        exec(compile(program, document, "exec"), {})


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_make_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"\.PHONY: (.*)", text).group(1).split()) - {"help"}  # type: ignore[union-attr]
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert targets == {line.split()[1] for line in shown.splitlines()}
