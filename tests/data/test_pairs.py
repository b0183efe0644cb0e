from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from drit.data.folders import open_domain
from drit.data.images import encode
from drit.data.pairs import align
from drit.data.stream import BatchStream
from drit.errors import DataError
from drit.settings.common import DataSettings
from tests.conftest import write_images

CONFIG = DataSettings(resize=0, crop=16)


def test_images_of_one_name_are_paired_whatever_their_suffix(tmp_path: Path) -> None:
    a, b = write_images(tmp_path / "a", 5, 1), write_images(tmp_path / "b", 5, 3)
    (a / "001.png").unlink()
    cv2.imwrite(str(b / "003.jpg"), cv2.imread(str(b / "003.png")))
    (b / "003.png").unlink()
    sets = align({d: open_domain(str(p), CONFIG, d) for d, p in (("a", a), ("b", b))}, "pix2pix")
    assert [[s.key(i) for i in range(len(s))] for s in sets.values()] == [["000", "002", "003", "004"]] * 2
    assert [len(s.skipped) for s in sets.values()] == [0, 1] and "no partner" in next(iter(sets["b"].skipped.values()))


def test_what_cannot_be_paired_is_listed(tmp_path: Path) -> None:
    a, b = write_images(tmp_path / "a", 4, 3), write_images(tmp_path / "b", 4, 3, (24, 40))
    config = replace(CONFIG, max_unreadable=1)

    def opened() -> dict:
        return {d: open_domain(str(p), config, d) for d, p in (("a", a), ("b", b))}

    with pytest.raises(DataError, match=r"pairs differ in size \(000, 001, 002, 003\).*square"):
        align(opened(), "pix2pix")
    for i in (0, 1):
        (b / f"00{i}.png").rename(b / f"other{i}.png")
    with pytest.raises(DataError, match=r"many images have no partner.*a: 000, 001; b: other0, other1"):
        align(opened(), "pix2pix")
    for i in (2, 3):
        (b / f"00{i}.png").unlink()
    with pytest.raises(DataError, match="no name is in every domain.*choose one of munit"):
        align(opened(), "pix2pix", "To learn without pairs, choose one of munit with --method.")


def test_two_images_of_one_name_are_told(tmp_path: Path) -> None:
    a, b = write_images(tmp_path / "a", 4, 3), write_images(tmp_path / "b", 4, 3)
    cv2.imwrite(str(a / "001.jpg"), cv2.imread(str(a / "001.png")))
    sets = align({d: open_domain(str(p), CONFIG, d) for d, p in (("a", a), ("b", b))}, "pix2pix")
    assert len(sets["a"]) == len(sets["b"]) == 4 and Path(sets["a"].name(1)).name == "001.jpg"
    (why,) = sets["a"].skipped.values()
    assert "001.png has the name of another image" in why


def test_arrays_whose_labels_differ_are_no_pairs(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(6))
    for labels, paired in (([0, 1, 2, 3, 5, 4], True), ([1, 0, 3, 2, 4, 5], False)):
        np.savez(tmp_path / "b.npz", images=255 - images, labels=np.array(labels))
        sets = {d: open_domain(str(tmp_path / f"{d}.npz"), CONFIG, d) for d in "ab"}
        if paired:
            assert len(align(sets, "pix2pix")["a"]) == 6
        else:
            with pytest.raises(DataError, match=r"in 67% of the places .* different labels: they are no pairs"):
                align(sets, "pix2pix")


def side_by_side(folder: Path, count: int) -> Path:
    """Images whose right half is the negative of the left half."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        left = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
        encode(np.concatenate([left, 255 - left], 1), folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("workers", [0, 1])
def test_pairs_are_cut_and_mirrored_alike(workers: int, tmp_path: Path) -> None:
    folder = str(side_by_side(tmp_path / "pairs", 5))
    config = replace(CONFIG, cache=False, max_unreadable=2, pairs=folder)
    sets = {d: open_domain(folder, config, d) for d in "ab"}
    assert sets["a"].size(0) == (20, 24)
    assert sets["a"].fingerprint()["sha256"] != sets["b"].fingerprint()["sha256"]
    (tmp_path / "pairs" / "2.png").write_bytes(b"gone")  # after the headers were read: the pair is passed over
    stream = BatchStream(align(sets, "pix2pix"), config, 4, 0, 0, workers, paired=True)
    try:
        for _ in range(3):
            crops = next(stream)
            assert torch.equal(crops.places["a"], crops.places["b"]) and 2 not in crops.places["a"].tolist()
            assert torch.allclose(crops.images["a"], -crops.images["b"], atol=1e-6)
    finally:
        stream.close()


def test_arrays_are_paired_by_place(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    np.savez(tmp_path / "b.npz", images=images[:5, :, ::-1])
    sets = {d: open_domain(str(tmp_path / f"{d}.npz"), CONFIG, d) for d in "ab"}
    found = align(sets, "pix2pix")
    assert len(found["a"]) == len(found["b"]) == 5
    assert np.array_equal(found["a"].get(3)[:, ::-1], found["b"].get(3))
