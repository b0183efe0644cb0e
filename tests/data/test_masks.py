"""Masks of domain a: which belongs to which image, read as classes, and cut as their images are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drit.data.doctor.facts import reading_for
from drit.data.folders import open_domain
from drit.data.images import encode
from drit.data.masks import Masks
from drit.data.stream import UNKNOWN, BatchStream
from drit.errors import DataError
from drit.settings.common import DataSettings

SIDE = 20


def data_of(**values: object) -> DataSettings:
    return DataSettings(resize=SIDE, crop=16, **values)  # type: ignore[arg-type]


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Three grey images, each the class of its pixels times 60; their masks as grey, palette and TIFF."""
    rng = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    for i in range(3):
        classes = rng.integers(0, 4, (SIDE, SIDE)).astype(np.uint8)
        encode(classes[:, :, None] * 60, tmp_path / f"{i}.png")
        if i == 1:
            image = Image.fromarray(classes).convert("P")
            image = Image.frombytes("P", (SIDE, SIDE), classes.tobytes())
            image.putpalette([*range(255, -1, -1)] * 3)
            image.save(tmp_path / "masks" / "1.png")
        else:
            encode(classes[:, :, None], tmp_path / "masks" / f"{i}{'.tif' if i == 2 else '.png'}")
    return tmp_path


def test_masks_are_no_images_and_belong_to_them(masked: Path) -> None:
    images = open_domain(str(masked), data_of(), "a")
    assert len(images) == 3 and any("the 3 masks in masks/ are left out" in note for note in images.notes)
    masks = Masks(images)
    for i in range(3):
        mask = masks.get(i)
        assert mask.dtype == np.uint8 and np.array_equal(mask * 60, images.get(i))
    assert masks.count() == 4
    assert reading_for(str(masked), data_of(), "a") == images.reading


def test_a_folder_named_masks_that_holds_none_is_a_folder_of_images(masked: Path) -> None:
    for path in (masked / "masks").iterdir():
        path.rename(path.with_stem(f"other_{path.stem}"))
    assert len(open_domain(str(masked), data_of(), "a")) == 6


def test_masks_are_resized_to_the_nearest_class(masked: Path) -> None:
    images = open_domain(str(masked), DataSettings(resize=2 * SIDE, crop=16), "a")
    assert np.array_equal(
        Masks(images).get(0), Masks(open_domain(str(masked), data_of(), "a")).get(0).repeat(2, 0).repeat(2, 1)
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_masks_are_cut_and_mirrored_as_their_images_are(masked: Path, workers: int) -> None:
    sets = {d: open_domain(str(masked), data_of(), "a") for d in "ab"}
    values = np.array(Image.open(masked / "masks" / "0.png"))
    values[:, :3] = 255
    encode(values[:, :, None], masked / "masks" / "0.png")
    stream = BatchStream(sets, data_of(), 3, 0, workers=workers, masks=Masks(sets["a"]))
    for _ in range(4):
        batch = next(stream)
        assert batch.masks is not None and batch.masks.dtype == torch.int64 and batch.masks.shape == (3, 16, 16)
        known = batch.masks != UNKNOWN
        levels = torch.round((batch.images["a"][:, 0] + 1) * 127.5).long()
        assert torch.equal(levels[known], 60 * batch.masks[known])
        assert known.all(dim=2).all(dim=1).sum() >= 2  # the other two know all of theirs
    stream.close()


def test_the_mask_is_that_of_the_image_given_in_place_of_a_damaged_one(masked: Path) -> None:
    """The next readable image comes in its place, and its place with it."""
    for i, level in enumerate((0, 100, 200)):
        encode(np.full((SIDE, SIDE, 1), level, np.uint8), masked / f"{i}.png")
        encode(np.full((SIDE, SIDE, 1), i, np.uint8), masked / "masks" / f"{i}{'.tif' if i == 2 else '.png'}")
    sets = {d: open_domain(str(masked), data_of(cache=False), "a") for d in "ab"}
    content = (masked / "1.png").read_bytes()[:40]
    (masked / "1.png").write_bytes(content)
    stream = BatchStream(sets, data_of(), 3, 0, masks=Masks(sets["a"]))
    batch = next(stream)
    stream.close()
    levels = torch.round((batch.images["a"][:, 0, 0, 0] + 1) * 127.5).long()
    assert sorted(levels.tolist()) == [0, 200, 200]
    assert batch.masks is not None
    assert batch.masks[:, 0, 0].tolist() == batch.places["a"].tolist() == [level // 100 for level in levels.tolist()]


def test_masks_of_arrays(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).integers(0, 3, (4, SIDE, SIDE)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", train_images=classes * 50, train_masks=classes)
    images = open_domain(str(tmp_path / "x.npz:train_images"), data_of(), "a")
    masks = Masks(images)
    assert masks.count() == 3 and all(np.array_equal(masks.get(i) * 50, images.get(i)) for i in range(4))
    np.savez(tmp_path / "none.npz", train_images=classes * 50, masks=classes)
    none = open_domain(str(tmp_path / "none.npz:train_images"), data_of(), "a")
    with pytest.raises(DataError, match="has no array `train_masks` of masks"):
        Masks(none)


def write(masked: Path, values: np.ndarray, name: str = "0.png") -> None:
    (masked / "masks" / "0.png").unlink()
    encode(values, masked / "masks" / name)


def test_what_is_no_mask_is_named(masked: Path) -> None:
    images = open_domain(str(masked), data_of(), "a")
    with pytest.raises(DataError, match=r"holds class 3, and the task has 3 classes, 0 to 2"):
        list(map(Masks(images, 3).get, range(3)))
    write(masked, np.zeros((SIDE, SIDE, 3), np.uint8))
    with pytest.raises(DataError, match=r"0\.png has 3 channels: a mask has one number"):
        Masks(images).count()
    write(masked, np.zeros((SIDE, SIDE + 1, 1), np.uint8))
    with pytest.raises(DataError, match=r"0\.png has 21 x 20 pixels, its image 20 x 20: make them equal"):
        Masks(images).get(0)
    write(masked, np.full((SIDE, SIDE, 1), 300, np.uint16))
    with pytest.raises(DataError, match="holds numbers that are no classes"):
        Masks(images).get(0)
    write(masked, np.zeros((SIDE, SIDE, 1), np.uint8), "0.jpg")
    with pytest.raises(DataError, match=r"0\.jpg.*JPEG changes numbers"):
        Masks(images).get(0)
    (masked / "masks" / "0.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of the 3 images .* have no mask in .*masks: 0\.png"):
        Masks(images)
    for i in range(3):
        encode(np.zeros((SIDE, SIDE, 1), np.uint8), masked / "masks" / f"{i}.png")
    with pytest.raises(DataError, match="hold 1 class: there is nothing to tell apart"):
        Masks(images).count()
