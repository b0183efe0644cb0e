"""Packed folders: read as the folder is, by others as webdataset's; damage is named and skipped up to a limit."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from drit.cli import main as cli
from drit.data.folders import list_images, open_domain
from drit.data.images import decode, read_header
from drit.data.labelled import open_labelled
from drit.data.packing import pack
from drit.errors import DataError, UsageError
from drit.runs import checkpoint as files
from drit.runs.record import recorded_settings
from drit.settings.common import DataSettings
from drit.settings.schema import changed
from drit.training import launch
from tests.conftest import tiny, write_images
from tests.training.test_resume import same

CONFIG = DataSettings(resize=0, crop=16)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes, one image with dots in its name, a 16-bit TIFF, and a mask."""
    folder = tmp_path / "classes"
    for seed, name in enumerate(("cat", "dog")):
        write_images(folder / name, 3, 3, seed=seed)
    (folder / "cat" / "000.png").rename(folder / "cat" / "a.b.PNG")
    cv2.imwrite(str(folder / "dog" / "deep.tif"), np.arange(24 * 30, dtype=np.uint16).reshape(24, 30) * 80)
    write_images(folder / "masks" / "dog", 1, 1)
    return folder


def shards(folder: Path, **values: int) -> Path:
    out = folder.with_name(f"{folder.name}-shards")
    pack(folder, out, **values)
    return out


def index(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "shards.json").read_text())
    return found


def test_a_packed_folder_is_that_folder(classes: Path) -> None:
    """The same images in the same order, of the same hashes, classes, masks and headers."""
    packed = shards(classes, shard_bytes=4000)
    assert len(list(packed.glob("*.tar"))) > 2
    before = [p.relative_to(classes) for p in list_images(classes)]
    assert [p.relative_to(packed) for p in list_images(packed)] == before
    for place in before:
        assert np.array_equal(decode(classes / place)[0], decode(packed / place)[0])
        assert decode(classes / place)[1] == decode(packed / place)[1]
        assert read_header(classes / place) == read_header(packed / place)
    shutil.rmtree(classes / "dog", ignore_errors=False)  # nothing of the folder itself is read
    one, other = open_labelled(str(packed)), [p for p in before if p.parts[0] != "masks"]
    assert one.classes == ["cat", "dog"] and [p.relative_to(packed) for p in one.paths] == other
    assert one.mask(other.index(Path("dog/000.png"))) == packed / "masks" / "dog" / "000.png"
    assert one.mask(0) is None


def test_fingerprints_are_those_of_the_folder(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "a", 5, 3)
    packed = shards(folder)
    for full in (False, True):
        config = DataSettings(resize=0, crop=16, full_hash=full)
        one, other = (open_domain(str(path), config, "a").fingerprint() for path in (folder, packed))
        assert one["sha256"] == other["sha256"] and one["hash"] == other["hash"]


def test_others_read_the_shards(classes: Path) -> None:
    """webdataset itself: one sample for each image, bytes unchanged, class and mask beside it."""
    import webdataset

    packed = shards(classes, shard_bytes=4000)
    samples = []
    for path in sorted(packed.glob("*.tar")):
        samples += list(webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False))
    by_key = {s["__key__"]: s for s in samples}
    assert len(by_key) == len(samples) == 7 and "cat/a_b" in by_key
    assert by_key["cat/a_b"]["png"] == (classes / "cat" / "a.b.PNG").read_bytes()
    assert by_key["dog/deep"]["tif"] == (classes / "dog" / "deep.tif").read_bytes()
    assert (by_key["cat/001"]["cls"], by_key["dog/001"]["cls"]) == (b"0", b"1")
    assert json.loads(by_key["dog/001"]["json"]) == {"label": "dog", "file": "dog/001.png"}
    assert by_key["dog/000"]["mask.png"] == (classes / "masks" / "dog" / "000.png").read_bytes()


def test_the_index_tells_where_bytes_lie(classes: Path) -> None:
    packed = shards(classes, shard_bytes=4000)
    for member in index(packed)["members"]:
        content = (packed / member["shard"]).read_bytes()[member["offset"] :][: member["bytes"]]
        assert content == (classes / member["place"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == member["sha256"]


def test_the_same_folder_gives_the_same_bytes(classes: Path, tmp_path: Path) -> None:
    pack(classes, tmp_path / "one")
    for path in classes.rglob("*.png"):
        path.touch()
    pack(classes, tmp_path / "other")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_a_run_goes_on_from_the_shards(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Begun with folders, stopped in the middle of a shard, ended with shards and loader processes: the same bits."""
    settings = changed(tiny(*folders), {"log.sample_every": 0, "log.watch_every": 0})
    launch.train(settings, tmp_path / "whole")
    launch.train(settings, tmp_path / "parts", stop_after=2)
    for folder in folders:
        pack(folder, tmp_path / folder.name)
    moved = {f"data.{d}": str(tmp_path / f.name) for d, f in zip("ab", folders, strict=True)}
    changes = changed(recorded_settings(tmp_path / "parts"), moved | {"data.workers": 1})
    assert launch.resume(tmp_path / "parts", changes).finished
    one, other = (files.find(tmp_path / name) for name in ("whole", "parts"))
    assert same(files.load_weights(one), files.load_weights(other))


def test_lost_shards_are_named_and_left_out_up_to_a_limit(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "a", 8, 3, size=(64, 64))
    packed = shards(folder, shard_bytes=1)  # one image in each
    (packed / "shard-000002.tar").unlink()
    with open(packed / "shard-000005.tar", "r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match=r"2 of 8 shards .* --data.max-lost-shards 0: .*shard-000002.tar is missing"):
        open_domain(str(packed), CONFIG, "a")
    images = open_domain(str(packed), DataSettings(resize=0, crop=16, max_lost_shards=2), "a")
    assert len(images) == 6 and not images.skipped
    assert any("shard-000002.tar is missing: its images are left out" in note for note in images.notes)
    assert any("shard-000005.tar has 100 bytes" in note for note in images.notes)


def test_changed_bytes_within_a_shard_are_named(tmp_path: Path) -> None:
    """One bit: the image is skipped as an unreadable one, up to that limit, and its shard is named."""
    folder = write_images(tmp_path / "a", 4, 3)
    packed = shards(folder)
    member = index(packed)["members"][1]
    with open(packed / member["shard"], "r+b") as file:
        file.seek(member["offset"] + member["bytes"] - 20)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    images = open_domain(str(packed), CONFIG, "a")
    shown = images.get(1)
    assert np.array_equal(shown, open_domain(str(folder), CONFIG, "a").get(2))
    (why,) = images.skipped.values()
    assert "shard-000000.tar are not those that were packed" in why and "001.png" in why
    strict = open_domain(str(packed), DataSettings(resize=0, crop=16, max_unreadable=0), "a")
    with pytest.raises(DataError, match="the shard is damaged"):
        strict.get(1)


def test_the_doctor_reads_shards_and_writes_their_images_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean copy is a folder of files again; what was looked at is remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = [shards(write_images(tmp_path / d, 4, 3, seed=i)) for i, d in enumerate("ab")]
    (tmp_path / "a" / "000.png").write_bytes(b"no image")
    shutil.rmtree(tmp_path / "a-shards")
    sources[0] = shards(tmp_path / "a")
    words = [f"--data.{d}={source}" for d, source in zip("ab", sources, strict=True)]
    small = ["--data.resize", "0", "--data.crop", "16", "--no-forecast", "--out", str(tmp_path / "page.html")]
    cli.main(["doctor", *words, *small, "--fix", str(tmp_path / "clean")])
    assert sorted(p.name for p in (tmp_path / "clean" / "a-shards").iterdir()) == ["001.png", "002.png", "003.png"]
    written = tmp_path / "clean" / "b-shards" / "000.png"
    assert written.read_bytes() == (tmp_path / "b" / "000.png").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"place": "../outside.png"},
        {"place": "/etc/passwd"},
        {"shard": "../other.tar"},
        {"offset": 1 << 40},
        {"offset": -1},
        {"bytes": "many"},
        {"sha256": "no"},
        {"place": None},
    ],
    ids=str,
)
def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    packed = shards(write_images(tmp_path / "a", 2, 3))
    content = index(packed)
    content["members"][0] |= change
    (packed / "shards.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"shards.json is no index of shards, or damaged .* drit data pack"):
        open_domain(str(packed), CONFIG, "a")


def test_damaged_indexes(tmp_path: Path) -> None:
    packed = shards(write_images(tmp_path / "a", 2, 3))
    whole = (packed / "shards.json").read_text()
    for text in ("", "[]", "{}", whole[: len(whole) // 2], "[" * 100_000, whole.replace('"format":1', '"format":9')):
        (packed / "shards.json").write_text(text)
        with pytest.raises(DataError, match="shards.json"):
            open_domain(str(packed), CONFIG, "a")


def test_wrong_use_of_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_images(tmp_path / "a", 2, 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for words, said in (
        ([str(tmp_path / "none"), "--out", str(tmp_path / "o")], "There is no folder"),
        ([str(tmp_path / "empty"), "--out", str(tmp_path / "o")], "No images in"),
        ([str(folder), "--out", str(tmp_path / "full")], "is not empty"),
        ([str(folder), "--out", str(folder / "inner")], "lies in"),
        ([str(folder), "--out", str(tmp_path / "o"), "--shard-size", "0"], "1 MiB or more"),
    ):
        assert cli.main(["data", "pack", *words]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(UsageError, match="not empty"):
        pack(folder, tmp_path / "full")


def test_a_pack_that_was_interrupted_is_no_folder_of_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "a", 4, 3)

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder, tmp_path / "out", step=stop)
    assert not list((tmp_path / "out").iterdir())
