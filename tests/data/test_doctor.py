"""Each finding of the doctor is made by a test on real images; what was looked at is remembered; a copy is clean."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from drit.cli import main as cli
from drit.data.doctor import facts
from drit.data.doctor.clean import write_clean
from drit.data.doctor.facts import Cache, Facts, Source, examine, labels_of, look
from drit.data.doctor.findings import Finding, findings
from drit.data.doctor.near import close_pairs, groups
from drit.data.images import encode
from drit.errors import DataError, UsageError
from drit.settings.common import DataSettings
from drit.training import launch
from tests.conftest import tiny

CONFIG = DataSettings(resize=32, crop=32)
SIZE = 48


def photograph(seed: int, channels: int = 3, size: int = SIZE) -> np.ndarray:
    """A smooth image with colours: no two are alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), dtype=np.uint8)
    image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return image.reshape(size, size, channels)


def write(folder: Path, images: dict[str, np.ndarray]) -> Path:
    for name, image in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        encode(image, folder / name)
    return folder


def photographs(first: int, count: int = 6) -> dict[str, np.ndarray]:
    return {f"{i:03d}.png": photograph(i) for i in range(first, first + count)}


def unseen(things: Any, title: str, total: int) -> Iterator[Any]:
    return iter(things)


def source(path: Path | str, domain: str = "a", test: bool = False, config: DataSettings = CONFIG) -> Source:
    cache = Cache(Path(os.devnull) / "none")
    images = look(str(path), config, domain, cache, unseen)
    name = f"test images of {domain}" if test else f"domain {domain}"
    return Source(name, str(path), domain, test, images, labels_of(str(path), [i.name for i in images]))


def kinds(found: list[Finding]) -> dict[str, Finding]:
    return {finding.kind: finding for finding in found if finding.kind != "few images"}


def names(finding: Finding) -> list[list[str]]:
    return [[Path(name).name for name in group] for group in finding.images]


def test_a_clean_set_has_no_findings(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", photographs(0)), write(tmp_path / "b", photographs(50))
    assert kinds(findings([source(a), source(b, "b")], CONFIG)) == {}


def odd_images() -> dict[str, tuple[str, np.ndarray]]:
    ramp = np.tile(np.arange(SIZE, dtype=np.uint8)[None, :, None] * 4, (SIZE, 1, 3))
    return {
        "too small": ("x.png", photograph(99, size=20)),
        "near-constant": ("x.png", np.full((SIZE, SIZE, 3), 77, np.uint8)),
        "grey in colour": ("x.png", ramp),
        "strip": ("x.png", np.tile(photograph(98), (1, 5, 1))),
        "wrong size": ("x.png", photograph(97, size=50)),
    }


@pytest.mark.parametrize("kind", odd_images())
def test_single_images(kind: str, tmp_path: Path) -> None:
    """One odd image among others is found, and it alone."""
    name, image = odd_images()[kind]
    config = replace(CONFIG, resize=0) if kind == "too small" else CONFIG
    a = write(tmp_path / "a", photographs(0, 12) | {name: image})
    found = kinds(findings([source(a, config=config)], config))
    assert names(found[kind]) == [[name]]
    assert set(found) <= {kind, "wrong size"}
    assert found[kind].severity == ("stops" if kind == "too small" else "advice")  # one of 13 spoils nothing
    assert bool(found[kind].dropped) == (kind in ("too small", "near-constant"))


def test_several_of_a_few_spoil(tmp_path: Path) -> None:
    flat = {f"flat{i}.png": np.full((SIZE, SIZE, 3), 40 * i, np.uint8) for i in range(3)}
    assert kinds(findings([source(write(tmp_path / "a", photographs(0) | flat))], CONFIG))[
        "near-constant"
    ].severity == ("spoils")


def test_tiny_images_name_the_size_that_serves(tmp_path: Path) -> None:
    a = write(tmp_path / "a", photographs(0) | {"x.png": photograph(99, size=20)})
    config = replace(CONFIG, resize=48)
    finding = kinds(findings([source(a, config=config)], config))["tiny"]
    assert names(finding) == [["x.png"]] and "--data.resize 40 or less" in finding.message


def test_unreadable_images(tmp_path: Path) -> None:
    a = write(tmp_path / "a", photographs(0))
    (a / "cut.png").write_bytes((a / "000.png").read_bytes()[:300])
    for limit, severity in ((1, "advice"), (0, "stops")):
        config = replace(CONFIG, max_unreadable=limit)
        finding = kinds(findings([source(a)], config))["unreadable"]
        assert names(finding) == [["cut.png"]] and finding.severity == severity
        assert "cut.png cannot be read" in finding.message


def test_outliers(tmp_path: Path) -> None:
    """Brightness far from that of 25 others."""
    dim = {n: (image // 8 + 100).astype(np.uint8) for n, image in photographs(0, 25).items()}
    a = write(tmp_path / "a", dim | {"bright.png": (photograph(99) // 8 + 220).astype(np.uint8)})
    assert names(kinds(findings([source(a)], CONFIG))["outlier"]) == [["bright.png"]]


def test_duplicates(tmp_path: Path) -> None:
    """Equal pixels in files of two formats; within a domain, in both, and for training and test."""
    again = {"again.tif": photograph(0), "both.png": photograph(51), "held.png": photograph(70)}
    a, b = write(tmp_path / "a", photographs(0) | again), write(tmp_path / "b", photographs(50))
    test = write(tmp_path / "test", photographs(70))
    found = kinds(findings([source(a), source(b, "b"), source(test, "a", test=True)], CONFIG))
    assert set(found) == {"duplicate", "shared by domains", "test image in training"}
    assert names(found["duplicate"]) == [["000.png", "again.tif"]]
    assert [Path(n).name for n in found["duplicate"].dropped] == ["again.tif"]
    assert names(found["shared by domains"]) == [["both.png", "051.png"]]
    assert len(found["shared by domains"].dropped) == 2
    assert names(found["test image in training"]) == [["held.png", "070.png"]]
    assert [Path(n).name for n in found["test image in training"].dropped] == ["held.png"]  # the test stays as it is


def test_near_duplicates(tmp_path: Path) -> None:
    """Coarser values, half the size, and brighter: as other compression, another size or exposure make them."""
    pytest.importorskip("imagehash")
    a = write(
        tmp_path / "a",
        photographs(0)
        | {"coarse.png": (photograph(1) // 8) * 8, "half.png": cv2.resize(photograph(1), (24, 24))[:, :, :]},
    )
    b = write(
        tmp_path / "b", photographs(50) | {"bright.png": np.clip(photograph(2) * 0.7 + 60, 0, 255).astype(np.uint8)}
    )
    test = write(tmp_path / "test", photographs(70) | {"near.png": (photograph(3) // 8) * 8})
    found = kinds(findings([source(a), source(b, "b"), source(test, "a", test=True)], CONFIG))
    assert names(found["near-duplicate"]) == [["001.png", "coarse.png", "half.png"]]
    assert names(found["near-duplicate across domains"]) == [["002.png", "bright.png"]]
    assert found["near-duplicate across domains"].severity == "advice" and not found["near-duplicate"].dropped
    assert names(found["near test image in training"]) == [["003.png", "near.png"]]
    assert [Path(n).name for n in found["near test image in training"].dropped] == ["003.png"]


def test_one_image_under_two_labels(tmp_path: Path) -> None:
    cats = {f"cat/{n}": image for n, image in photographs(0).items()}
    dogs = {f"dog/{n}": image for n, image in (photographs(10) | {"x.png": photograph(3)}).items()}
    finding = kinds(findings([source(write(tmp_path / "a", cats | dogs))], CONFIG))["two labels"]
    assert names(finding) == [["003.png", "x.png"]] and len(finding.dropped) == 2 and finding.severity == "spoils"
    images = np.stack([photograph(i) for i in (0, 1, 2, 0)])
    for labels, torn in (([0, 1, 2, 3], True), ([3, 1, 2, 3], False)):
        np.savez(tmp_path / "x.npz", images=images, labels=np.array(labels))
        assert ("two labels" in kinds(findings([source(tmp_path / "x.npz")], CONFIG))) == torn


def test_imbalance_and_few() -> None:
    def made(domain: str, count: int, labels: list[str]) -> Source:
        images = [Facts(f"{domain}{i}", "", 64, 64, 3, 100, 50, 20, f"{domain}{i}") for i in range(count)]
        return Source(f"domain {domain}", domain, domain, False, images, labels)

    found = findings([made("a", 700, ["x"] * 650 + ["y"] * 50), made("b", 120, [])], CONFIG)
    assert [(f.kind, f.where) for f in found] == [("imbalance", "domain a"), ("imbalance", "domain a and domain b")]
    assert "Class y has 50 images, class x has 650" in found[0].message
    assert [f.kind for f in findings([made("a", 99, [])], CONFIG)] == ["few images"]


def test_close_pairs_are_those_of_all_pairs() -> None:
    """Against every pair compared: 300 hashes, many of which differ in a few bits."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 1 << 63, 30, dtype=np.uint64)
    values = np.repeat(centres, 10)
    for i in range(0, 300, 2):
        for bit in rng.integers(0, 64, rng.integers(0, 9)).tolist():
            values[i] ^= np.uint64(1 << bit)
    for radius in (0, 3, 6):
        found = {
            tuple(sorted(pair))
            for a, b in close_pairs(values, radius)
            for pair in zip(a.tolist(), b.tolist(), strict=True)
        }
        expected = {
            (i, j)
            for i, j in itertools.combinations(range(300), 2)
            if 0 < int(values[i] ^ values[j]).bit_count() <= radius
        }
        first = {int(v): i for i, v in reversed(list(enumerate(values.tolist())))}
        unique = {(i, j) for i, j in expected if first[int(values[i])] == i and first[int(values[j])] == j}
        assert unique <= found
        assert all(int(values[i] ^ values[j]).bit_count() <= radius for i, j in found)


def test_hashes_alone_do_not_make_a_group() -> None:
    one, other = photograph(0)[::3, ::3, 0], photograph(1)[::3, ::3, 0]
    thumbs = [one.tobytes(), other.tobytes(), one.tobytes(), bytes(256)]
    assert groups([5, 5, 4, 5], thumbs) == [[0, 2]]
    assert groups([], []) == []


def test_facts_of_an_image() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = (255, 0, 0)
    known = examine(image, "x", None)
    assert (known.height, known.width, known.channels, known.hash) == (4, 4, 3, None)
    assert (known.mean, known.colour) == (42.5, 127.5)  # 255 in a sixth of the values; in half of the pixels
    assert known.std == pytest.approx(255 * np.sqrt(1 / 6 * 5 / 6), abs=0.01)
    deep = examine(image.astype(np.uint16) * 257, "x", None)
    assert (deep.mean, deep.std, deep.colour) == (known.mean, known.std, known.colour)
    assert deep.digest != known.digest and examine(image.copy(), "y", None).digest == known.digest


def test_what_was_looked_at_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look reads what has changed alone; one that is interrupted goes on; a damaged cache is none."""
    a, file = write(tmp_path / "a", photographs(0, 5)), tmp_path / "cache" / "doctor.sqlite"
    monkeypatch.setattr(facts, "AT_ONCE", 2)
    monkeypatch.setattr(facts, "cores", lambda: 1)
    read: list[str] = []
    decode = facts.decode

    def counted(path: Path, *reading: Any) -> Any:
        read.append(path.name)
        if len(read) == 4 and first:
            raise KeyboardInterrupt
        return decode(path, *reading)

    monkeypatch.setattr(facts, "decode", counted)
    first = True
    with pytest.raises(KeyboardInterrupt):
        look(str(a), CONFIG, "a", Cache(file), unseen)
    first = False
    read.clear()
    whole = look(str(a), CONFIG, "a", Cache(file), unseen)
    assert read == ["002.png", "003.png", "004.png"] and len(whole) == 5
    read.clear()
    assert look(str(a), CONFIG, "a", Cache(file), unseen) == whole and read == []
    encode(photograph(77), a / "001.png")
    os.utime(a / "001.png", (1, 1))
    again = look(str(a), CONFIG, "a", Cache(file), unseen)
    assert read == ["001.png"] and [x == y for x, y in zip(whole, again, strict=True)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    read.clear()
    look(str(a), replace(CONFIG, bands="1"), "a", Cache(file), unseen)  # read in another way
    assert len(read) == 5
    file.write_bytes(b"no data base" * 100)
    assert look(str(a), CONFIG, "a", Cache(file), unseen) == again


def test_a_cleaned_copy(tmp_path: Path) -> None:
    """Without what was found; labels and places stay; of an array file too; nothing is overwritten."""
    a = write(
        tmp_path / "a", {"x/0.png": photograph(0), "x/1.png": photograph(1), "y/2.png": photograph(0)} | photographs(2)
    )
    images = np.stack([photograph(i, 1) for i in (50, 51, 50, 52)])
    np.savez(tmp_path / "b.npz", images=images, labels=np.array([7, 8, 7, 9]))
    sources = [source(a), source(tmp_path / "b.npz", "b")]
    found = findings(sources, CONFIG)
    out = tmp_path / "clean"
    places = write_clean(out, sources, found, unseen)
    left = {p.relative_to(out / "a").as_posix() for p in (out / "a").rglob("*.png")}
    assert left == {*photographs(2), "x/0.png", "x/1.png"}
    with np.load(places["b"]) as kept:
        assert kept["labels"].tolist() == [7, 8, 9] and np.array_equal(kept["images"], images[[0, 1, 3]])
    removed = json.loads((out / "removed.json").read_text())
    assert sorted(removed.values()) == ["duplicate", "duplicate"] and f"{tmp_path / 'b.npz'}[2]" in removed
    assert kinds(findings([source(places["a"]), source(places["b"], "b")], CONFIG)).get("duplicate") is None
    with pytest.raises(UsageError, match="not empty"):
        write_clean(out, sources, found, unseen)
    lost = [Finding("near-constant", "spoils", "a", "", (), tuple(i.name for i in sources[0].images))]
    with pytest.raises(DataError, match="fewer than 2 images are left"):
        write_clean(tmp_path / "other", sources, lost, unseen)
    assert not (tmp_path / "other").exists()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code, JSON, page and a copy that trains; then, of the copy, exit code 0."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    a = write(tmp_path / "in" / "summer", photographs(0) | {f"x{i}.png": photograph(i) for i in range(3)})
    (a / "cut.png").write_bytes((a / "000.png").read_bytes()[:300])
    b = write(tmp_path / "in" / "winter", photographs(50))
    flags = ["--preset", "digits", "--data.resize", "32", "--data.crop", "32", "--network.width", "4", "--batch", "1"]
    flags += ["--network.attribute-width", "4", "--network.discriminator-width", "4", "--threads", "1"]
    monkeypatch.setattr(launch, "TIMED", 1)
    page, clean = tmp_path / "page.html", tmp_path / "clean"
    words = ["doctor", "--data.a", str(a), "--data.b", str(b), *flags]
    assert cli.main([*words, "--json", "--out", str(page), "--fix", str(clean)]) == 1
    result = json.loads(capsys.readouterr().out)
    assert {f["kind"]: f["severity"] for f in result["findings"] if f["kind"] != "few images"} == {
        "duplicate": "spoils",
        "unreadable": "advice",
    }
    forecast = result["forecast"]
    assert forecast["seconds"] > 0 and forecast["memory"] > 200 << 20 and forecast["disk"] > 1 << 20
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 7 and text.count("data:image/jpeg") == 6 and "not read" in text
    assert "spoils the training" in text and "1000 iterations" in text
    assert result["fixed"] == {"a": str(clean / "summer"), "b": str(clean / "winter")}
    again = ["doctor", "--data.a", str(clean / "summer"), "--data.b", str(clean / "winter"), *flags, "--no-forecast"]
    assert cli.main(again) == 0
    assert "2 to look at" in capsys.readouterr().out  # few images
    settings = tiny(clean / "summer", clean / "winter", steps=1)
    assert launch.train(settings, tmp_path / "run").finished


def test_the_command_names_what_stops_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    a, b = write(tmp_path / "a", photographs(0)), tmp_path / "same"
    shutil.copytree(a, b)
    flags = ["--data.resize", "32", "--data.crop", "32"]
    assert cli.main(["doctor", "--data.a", str(a), "--data.b", str(b), *flags]) == 1
    words = capsys.readouterr().out
    assert "stops: training: refused. Domains a and b are the same images" in words and "6 images: in both" in words
    assert cli.main(["doctor", "--data.a", str(tmp_path / "none"), "--data.b", str(b)]) == 2
    assert cli.main(["doctor"]) == 2
    assert cli.main(["doctor", "--data.a", str(a), "--data.b", str(b), *flags, "--fix", str(a / "x")]) == 2
    assert "--fix " in (errors := capsys.readouterr().err) and "is within the input folder" in errors


def test_without_the_library_of_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "imagehash", None)
    a, b = write(tmp_path / "a", photographs(0)), write(tmp_path / "b", photographs(50))
    words = ["--data.resize", "32", "--data.crop", "32", "--no-forecast"]
    assert cli.main(["doctor", "--data.a", str(a), "--data.b", str(b), *words]) == 0
    assert 'pip install "drit[doctor]"' in capsys.readouterr().out
