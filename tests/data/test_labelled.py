"""Labelled sets: the three kinds, what is carried along, and labels that do not fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from drit.data.classes import classes_of
from drit.data.folders import open_domain
from drit.data.images import encode
from drit.data.labelled import check_classes, joined, open_labelled
from drit.data.ranges import Reading
from drit.errors import DataError
from drit.inference.sampling import labelled
from drit.settings.common import DataSettings
from tests.conftest import write_images


def image(value: int, channels: int = 3) -> np.ndarray:
    return np.full((12, 14, channels), value, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two images; one has a mask, another boxes."""
    for i, name in enumerate(("cat/0", "cat/1", "dog/0", "dog/1", "masks/cat/0")):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(image(10 * i), path)
    (tmp_path / "set" / "dog" / "1.txt").write_text("0 0.5 0.5 1 1\n")
    return tmp_path / "set"


def test_class_folders(folder: Path) -> None:
    found = open_labelled(str(folder))
    assert found.classes == ["cat", "dog"]
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert [found.name(i) for i in range(4)] == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert (found.get(2) == 20).all() and found.shapes[0] == (12, 14)
    assert [found.mask(i) for i in range(4)] == [folder / "masks" / "cat" / "0.png", None, None, None]
    assert [found.notes(i) for i in range(4)] == [[], [], [], [folder / "dog" / "1.txt"]]
    with pytest.raises(DataError, match="1 images lie in .* \\(loose.png\\): they have no label"):
        encode(image(0), folder / "loose.png")
        open_labelled(str(folder))
    assert open_labelled(str(folder), wanted=False).labels.shape == (5,)


def test_a_label_file(tmp_path: Path) -> None:
    write_images(tmp_path / "set", 3, 1)
    file = tmp_path / "labels.csv"
    file.write_text("label,file,who\n7,001.png,Ann\n12,000.png,Bo\n7,002.png,\n")
    found = open_labelled(str(tmp_path / "set"), str(file))
    assert found.values.tolist() == ["12", "7", "7"]
    assert found.classes == ["7", "12"]  # as numbers, not as words
    assert found.labels.tolist() == [1, 0, 0]
    assert found.beside["who"].tolist() == ["Bo", "Ann", ""]


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,label\n000.png,1\n001.png,2\n", "does not match: 1 files have no row in it: 002.png"),
        ("file,label\n000.png,1\n001.png,2\n002.png,1\n9.png,1\n", "1 files name no image of .*: 9.png"),
        ("file,label\n000.png,1\n001.png,2\n002.png,1\n000.png,2\n", "1 files are named twice: 000.png"),
        ("file,label\n000.png,1\n001.png,\n002.png,1\n", "1 rows lack a label .* 001.png"),
        ("file,label\n000.png,1\n001.png\n002.png,1,x\n", "2 rows lack a label or have too many .* 001.png, 002.png"),
        ("name,label\n000.png,1\n", "has columns name, label; it needs file,label"),
    ],
)
def test_a_label_file_that_does_not_match(tmp_path: Path, text: str, message: str) -> None:
    write_images(tmp_path / "set", 3, 1)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        open_labelled(str(tmp_path / "set"), str(tmp_path / "labels.csv"))


def test_a_label_file_that_never_ends(tmp_path: Path) -> None:
    write_images(tmp_path / "set", 3, 1)
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="There is no label file"):
        open_labelled(str(tmp_path / "set"), str(tmp_path / "labels.csv"))


def test_arrays(tmp_path: Path) -> None:
    """Labels by the key's name; other arrays of as many rows come along, those of another part do not."""
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    path = tmp_path / "x.npz"
    np.savez(
        path,
        train_images=images,
        train_labels=[5, 3, 5],
        train_boxes=np.arange(12).reshape(3, 4),
        test_images=images[:2],
        names=np.zeros(3),
    )
    found = open_labelled(f"{path}:train_images")
    assert (found.classes, found.labels.tolist()) == (["3", "5"], [1, 0, 1])
    assert list(found.beside) == ["train_boxes"]
    np.testing.assert_array_equal(found.get(1)[:, :, 0], images[1])
    with pytest.raises(DataError, match="no labels for 'test_images'. Store them as 'test_labels'"):
        open_labelled(f"{path}:test_images")
    with pytest.raises(DataError, match="has its labels within"):
        open_labelled(str(path), "labels.csv")
    np.savez(path, images=images, labels=[1, 2])
    with pytest.raises(DataError, match=r"labels has shape \(2,\) for the 3 images"):
        open_labelled(str(path))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            np.array([1.0, np.nan, np.nan]),
            r"2 of the 3 images of .*x.npz(:images)? have no label, number 1 first \(nan\)",
        ),
        (np.array([np.inf, 0, 1]), r"1 of the 3 .* number 0 first \(inf\)"),
        (np.array(["cat", "", "dog"]), r"1 of the 3 .* number 1 first \(an empty word\)"),
        (np.array([b"cat", b"", b"dog"]), r"number 1 first \(an empty word\)"),
        (np.array([1j, 2, 3]), "have type complex128"),
        (np.array([1, 2, 3], "datetime64[D]"), "have type datetime64"),
    ],
)
def test_labels_that_are_none(labels: np.ndarray, words: str, tmp_path: Path) -> None:
    """An error where they are used: in a labelled set, as classes, and against categories; not beside other images."""
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((3, 4, 4), np.uint8), labels=labels)
    with pytest.raises(DataError, match=words):
        open_labelled(str(path))
    with pytest.raises(DataError, match=words):
        classes_of(open_domain(str(path), DataSettings(), "a"))
    with pytest.raises(DataError, match=words):
        labelled(str(path), DataSettings())
    assert len(open_labelled(str(path), wanted=False).labels) == 3


def test_words_of_bytes_are_words(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((3, 4, 4), np.uint8), labels=np.array([b"cat", b"dog", b"cat"]))
    assert open_labelled(str(path)).classes == ["cat", "dog"]


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        open_labelled(str(tmp_path / "none"))
    with pytest.raises(DataError, match="There is no file"):
        open_labelled(str(tmp_path / "none.npz"))
    with pytest.raises(DataError, match="No images in"):
        open_labelled(str(tmp_path))
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 1 images cannot be read: .*0.png"):
        open_labelled(str(tmp_path))
    np.savez(tmp_path / "x.npz", images=np.zeros((0, 4, 4), np.uint8), labels=[])
    with pytest.raises(DataError, match="holds no images"):
        open_labelled(str(tmp_path / "x.npz"))


def test_sets_are_joined_by_the_names_of_their_classes(folder: Path, tmp_path: Path) -> None:
    """Grey arrays beside colour files: 8 bits, one size, grey repeated."""
    grey = np.full((2, 6, 6), 257 * 9, np.uint16)
    np.savez(tmp_path / "x.npz", images=grey, labels=["dog", "cat"])
    sets = [open_labelled(str(folder)), open_labelled(str(tmp_path / "x.npz"))]
    classes = check_classes(sets[:1], sets[1])
    images, labels = joined(sets, classes, 8)
    assert (images.shape, labels.tolist()) == ((6, 8, 8, 3), [0, 0, 1, 1, 1, 0])
    assert images[:, 4, 4, 1].tolist() == [0, 10, 20, 30, 9, 9]
    np.savez(tmp_path / "x.npz", images=grey, labels=["dog", "cow"])
    with pytest.raises(DataError, match=r"set has no images of class cow, .*x.npz has"):
        check_classes(sets[:1], open_labelled(str(tmp_path / "x.npz")))
    np.savez(tmp_path / "x.npz", images=grey, labels=["dog", "dog"])
    with pytest.raises(DataError, match=r"x.npz has no images of class cat"):
        check_classes(sets[:1], open_labelled(str(tmp_path / "x.npz")))
    alone = open_labelled(str(tmp_path / "x.npz"))
    with pytest.raises(DataError, match="one class alone"):
        check_classes([alone], alone)


def test_bands_and_ranges_as_a_run_reads_them(tmp_path: Path) -> None:
    """The same numbers from files and from an array."""
    rng = np.random.default_rng(0)
    images = (rng.random((4, 8, 8, 5)) * 300).astype(np.float32)
    for i, image_ in enumerate(images):
        path = tmp_path / "set" / f"class{i % 2}" / f"{i}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(image_, path, alpha=False)
    np.savez(tmp_path / "x.npz", images=images[[0, 2, 1, 3]], labels=["class0", "class0", "class1", "class1"])
    reading = Reading(bands=(4, 2), value_range=(0.0, 300.0))
    for path in (tmp_path / "set", tmp_path / "x.npz"):
        found = open_labelled(str(path), reading=reading)
        assert found.channels == 2 and found.classes == ["class0", "class1"]
        expected = np.rint(images[2][:, :, [3, 1]] / 300.0 * 65535)
        assert np.abs(found.get(1) - expected).max() <= 1
