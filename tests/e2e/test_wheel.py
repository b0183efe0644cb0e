"""The wheel holds what the program needs and nothing else, and works from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from drit.version import VERSION
from tests.conftest import write_images

ROOT = Path(__file__).resolve().parents[2]


def run(*words: object, folder: Path, packages: Path) -> str:
    """A command in a folder, with the packages of another folder before all others; no other path is known."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(packages)}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_from_an_empty_folder(tmp_path: Path) -> None:
    source, wheels, packages, empty = (tmp_path / name for name in ("source", "wheels", "packages", "empty"))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):  # what a release is made of: no strays of this folder
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source, folder=tmp_path, packages=packages)
    (wheel,) = wheels.iterdir()
    assert wheel.name == f"drit-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"drit", f"drit-{VERSION}.dist-info"}
    templates = {p.name for p in (ROOT / "drit" / "reports" / "templates").glob("*.html")}
    assert {Path(name).name for name in names if "/templates/" in name} == templates
    page = {p.name for p in (ROOT / "drit" / "exporting" / "web").iterdir() if p.is_file()}
    assert {Path(name).name for name in names if "/exporting/web/" in name} == page
    assert any(name.endswith("licenses/LICENSE") for name in names)
    run(*pip, "install", "--no-deps", "--target", packages, wheel, folder=tmp_path, packages=packages)
    empty.mkdir()
    place = run(sys.executable, "-c", "import drit; print(drit.__file__)", folder=empty, packages=packages)
    assert Path(place.strip()).is_relative_to(packages)
    drit = [sys.executable, "-m", "drit"]
    assert VERSION in run(*drit, "--version", folder=empty, packages=packages)
    run(*drit, "data", "demo", "--name", "emoji", "--count", 20, "--out", "emoji", folder=empty, packages=packages)
    run(*drit, "data", "pack", "emoji/a", "--out", "shards", folder=empty, packages=packages)
    emoji = "--preset digits --steps 2 --batch 2 --threads 1 --data.resize 32 --data.crop 32 --network.width 4".split()
    domains = ["--data.a", "shards", "--data.b", "emoji/b"]
    run(*drit, "train", *domains, "--out", "drawn", *emoji, folder=empty, packages=packages)
    write_images(empty / "a", 4, 3, seed=1)
    write_images(empty / "b", 4, 3, seed=2)
    small = "--preset digits --steps 2 --batch 2 --threads 1 --data.resize 20 --data.crop 16 --network.width 4".split()
    run(*drit, "train", "--data.a", "a", "--data.b", "b", "--out", "run", *small, folder=empty, packages=packages)
    run(*drit, "translate", "run", "a", "--to", "b", "--out", "out", "--threads", 1, folder=empty, packages=packages)
    run(*drit, "report", "run", folder=empty, packages=packages)
    assert (
        len(list((empty / "out").glob("00?_style00?.png"))) == 20
        and (empty / "run" / "report.html").stat().st_size > 10_000
    )
