"""Files that lie: each is read, converted or refused by name, within limits of memory and time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drit.data.folders import list_images, open_domain
from drit.data.images import decode
from drit.data.labelled import open_labelled
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests import hostile
from tests.conftest import as_another_user, write_images

CONFIG = DataSettings(resize=0, crop=16)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of every file, in a process of its own."""
    pytest.importorskip("resource", reason="this system limits no memory")
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(
        [sys.executable, "-m", "tests.trial", str(folder)], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_more_than_200_files_each_another() -> None:
    images = hostile.images()
    assert len({one.content for one in images}) > 250
    assert len({one.name for one in images}) == len(images)


def test_each_is_read_or_refused_by_name(trials: dict[str, Any]) -> None:
    results = trials["results"]
    files = [*hostile.images(), *hostile.arrays(), *hostile.labels([f"{i:03d}.png" for i in range(6)])]
    assert {one.name for one in files} <= set(results)
    wrong = []
    for one in files:
        outcome, text = results[one.name][-1]
        if (outcome == hostile.REFUSED) != (one.outcome == hostile.REFUSED):
            wrong.append(f"{one.name}: {outcome}, {text}")
        elif outcome == hostile.REFUSED and not (one.name in text and re.search(one.words, text)):
            wrong.append(f"{one.name} is not named, or not by {one.words!r}: {text}")
    assert not wrong, "\n".join(wrong)


def test_indexes_of_shards_are_refused_by_name(trials: dict[str, Any]) -> None:
    results = {name: one[0] for name, one in trials["results"].items() if name.startswith("index ")}
    assert len(results) > 25
    assert all(outcome == hostile.REFUSED and "shards.json" in text for outcome, text in results.values()), results


def test_memory_is_bounded(trials: dict[str, Any]) -> None:
    """The process may take no more than 1 GiB; what it took is what the largest image and its copies take."""
    assert trials["bytes"] < 300 << 20


def test_what_a_header_shows_is_not_decoded(trials: dict[str, Any]) -> None:
    """Bombs are refused by their headers alone."""
    bombs = {name: one[0][0] for name, one in trials["results"].items() if name.startswith("bomb")}
    assert len(bombs) > 15 and set(bombs.values()) == {hostile.REFUSED}


def test_values_of_what_is_converted(tmp_path: Path) -> None:
    """A few by hand: 1 bit, 2 bits, a palette without colours, rows that are missing, an image turned by EXIF."""
    files = {one.name: one.content for one in hostile.images()}

    def values(name: str) -> Any:
        (tmp_path / name).write_bytes(files[name])
        return decode(tmp_path / name)[0]

    assert values("mode_bilevel.png")[:, :, 0].tolist() == [[255, 0] * 4, [0, 255] * 4]  # 0xAA, 0x55
    assert values("mode_2_bits.png")[0, :, 0].tolist() == [255, 170, 85, 0, 0, 85, 170, 255]  # 0xE4, 0x1B
    assert values("png_half_the_rows.png")[:, 0].tolist() == [[7, 8, 9], [7, 8, 9], [0, 0, 0], [0, 0, 0]]
    assert values("png_turned.png").shape == (4, 3, 3)
    assert values("png_turned_by_77.png").shape == (3, 4, 3)
    assert values("tiff_whole.tif")[:, :, 0].tolist() == [[40, 41, 42], [43, 44, 45], [46, 47, 48]]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Names of files are bytes: a set with such names is read, hashed and labelled."""
    write_images(tmp_path / "x", 3, 3)
    odd = tmp_path / "x" / os.fsdecode(b"\xff\xfe.png")
    try:
        (tmp_path / "x" / "000.png").rename(odd)
    except OSError:
        pytest.skip("this file system keeps no such names")
    images = open_domain(str(tmp_path), CONFIG, "a")
    assert len(images) == 3 and images.fingerprint()["count"] == 3
    assert odd.name in {Path(open_labelled(str(tmp_path)).name(i)).name for i in range(3)}


def test_links_in_a_ring_and_pipes_in_place_of_an_index(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", 3, 3)
    (folder / "ring.png").symlink_to("ring.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "again").symlink_to("..")
    images = open_domain(str(folder), CONFIG, "a")
    assert len(images) == 3 and {Path(name).name for name in images.skipped} == {"ring.png", "gone.png"}
    os.mkfifo(folder / "shards.json")
    with pytest.raises(DataError, match=r"shards.json is no index of shards, or damaged \(it is a folder, pipe"):
        list_images(folder)


def test_classes_that_look_like_numbers(tmp_path: Path) -> None:
    for name in ("--3", "7", "1" * 200):
        write_images(tmp_path / name, 2, 1)
    assert open_labelled(str(tmp_path)).classes == ["--3", "1" * 200, "7"]
    (tmp_path / "--3").rename(tmp_path / "-3")
    assert open_labelled(str(tmp_path)).classes == ["-3", "7", "1" * 200]


def test_misfits_among_many_are_named(tmp_path: Path) -> None:
    write_images(tmp_path, 3, 3)
    (tmp_path / "bands.tif").write_bytes(next(one.content for one in hostile.images() if "9_bands" in one.name))
    with pytest.raises(DataError, match=r"1 images have 9 channels \(bands.tif\), domain a takes 3"):
        open_domain(str(tmp_path), DataSettings(resize=0, crop=16, channels_a=3), "a")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_files_that_may_not_be_read(open_folder: Path) -> None:
    """They are named as damaged ones are. The administrator may read everything: the test becomes another user."""
    folder = write_images(open_folder / "x", 3, 3)
    open_domain(str(folder), CONFIG, "a")  # loads what the other user may not load
    (folder / "000.png").chmod(0)
    with as_another_user():
        images = open_domain(str(folder), CONFIG, "a")
        with pytest.raises(DataError, match=r"000.png cannot be read as an image: Permission denied"):
            decode(folder / "000.png")
    assert len(images) == 2 and [Path(path).name for path in images.skipped] == ["000.png"]
