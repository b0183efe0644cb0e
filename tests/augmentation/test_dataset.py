"""An augmentation as a dataset: the images, labels, styles and sources that were written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import drit
from drit.data.images import decode, to_tensor
from drit.errors import DataError
from tests.conftest import write_images


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("augmented")
    for seed, name in enumerate(("10", "2")):
        write_images(root / "set" / name, 2, 1, (16, 20), seed)
    out = root / "out"
    drit.augment(run, root / "set", to="b", times=2, out=out, keep_source=True, precision="float32", threads=1)
    return out


def test_a_folder(folder: Path) -> None:
    data = drit.AugmentedDataset(folder)
    rows = {row["file"]: row for row in csv.DictReader((folder / "labels.csv").open())}
    assert len(data) == len(rows) == 12 and data.classes == ["2", "10"]
    for i, item in enumerate(data[i] for i in range(len(data))):
        row = rows[data.data.name(i)]
        assert (data.classes[item.label], item.source) == (row["label"], row["source"])
        assert item.repetition == int(row["repetition"])
        assert torch.equal(item.image, to_tensor(np.broadcast_to(decode(folder / row["file"])[0], (16, 20, 3))))
        assert item.style.tolist() == pytest.approx([float(v) for v in row["style"].split()] or [0.0] * 3)
    assert torch.equal(data[-1].image, data[11].image)
    with pytest.raises(IndexError):
        data[12]


def test_batches_from_worker_processes(folder: Path) -> None:
    data = drit.AugmentedDataset(folder, transform=torch.flatten)
    images, labels, styles, sources, repetitions = next(iter(DataLoader(data, batch_size=12, num_workers=1)))
    assert images.shape == (12, 3 * 16 * 20) and styles.shape == (12, 3) and len(sources) == 12
    assert sorted(labels.tolist()) == [0] * 6 + [1] * 6 and sorted(repetitions.tolist()) == [0] * 4 + [1] * 4 + [2] * 4


def test_an_array(run: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 20)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([7, 3, 7, 3, 3]))
    drit.augment(run, tmp_path / "a.npz", to="b", times=2, out=tmp_path / "out", precision="float32", threads=1)
    data = drit.AugmentedDataset(tmp_path / "out")
    with np.load(tmp_path / "out" / "augmented.npz") as written:
        assert len(data) == 10 and data.classes == ["3", "7"]
        for i in range(10):
            item = data[i]
            assert torch.equal(item.image, to_tensor(written["images"][i]))
            assert int(data.classes[item.label]) == written["labels"][i] and item.source == str(written["source"][i])
            assert np.array_equal(item.style.numpy(), written["styles"][i])


def test_what_is_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="holds no finished augmentation"):
        drit.AugmentedDataset(tmp_path)
    np.savez(tmp_path / "augmented.npz", images=np.zeros((2, 8, 8), np.uint8), labels=np.array([0, 1]))
    with pytest.raises(DataError, match="source, repetition or style is missing"):
        drit.AugmentedDataset(tmp_path)
