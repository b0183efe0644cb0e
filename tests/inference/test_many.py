"""Many images: lazily and in batches as one by one; and from many threads as from one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import drit
from drit.errors import UsageError
from drit.inference import translator as module
from drit.inference.translator import Translator


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


def array(seed: int, size: tuple[int, int] = (16, 20)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def test_many_are_as_one_by_one(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any kind and size, in order, each of its own kind; equal but for the order of sums."""
    monkeypatch.setattr(module, "CHUNK_PIXELS", 3 * 16 * 20)  # three in a batch
    images: list[Any] = [array(0), array(1), Image.fromarray(array(2)), array(3), array(4, (24, 16))]
    images += [torch.rand(1, 24, 16) * 2 - 1, array(6, (17, 19)), array(7).astype(np.uint16) * 257]
    styles = translator.sample(2, "b", 5)
    many = list(translator.translate_many(images, "b", styles))
    assert len(many) == len(images)
    for image, outputs in zip(images, many, strict=True):
        for one, output in zip(translator.translate(image, "b", styles), outputs, strict=True):
            assert type(one) is type(output)
            a, b = np.asarray(one), np.asarray(output)
            assert a.shape == b.shape and a.dtype == b.dtype
            step = {"uint8": 1, "uint16": 2, "float32": 1e-5}[a.dtype.name]
            assert np.abs(a.astype(float) - b.astype(float)).max() <= step


def test_many_are_read_lazily(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_PIXELS", 2 * 16 * 20)
    opened: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for i in range(100):
            opened.append(i)
            yield array(i)

    outputs = translator.translate_many(images(), "b")
    assert opened == []
    next(outputs)
    assert opened == [0, 1]
    next(outputs), next(outputs)
    assert opened == [0, 1, 2, 3]
    assert list(translator.translate_many([], "b")) == []
    wrong = translator.translate_many([array(0), np.zeros((4, 4, 4, 4))], "b", 1)
    with pytest.raises(UsageError, match="An image must be"):
        list(wrong)


def test_threads_share_a_translator(translator: Translator) -> None:
    """Six threads with images of their own, at once, again and again: bit for bit what one thread gives."""
    images = [array(i, (16 + 4 * (i % 2), 20)) for i in range(6)]
    styles = translator.sample(3, "b", 1)
    exemplar = np.stack([array(9)] * 3, 2)
    expected = [np.stack(translator.translate(image, "b", styles)) for image in images]
    style = translator.style(exemplar, "b")
    start, wrong = threading.Barrier(len(images)), []

    def work(i: int) -> None:
        torch.set_num_threads(1)
        start.wait()
        for _ in range(8):
            if not np.array_equal(np.stack(translator.translate(images[i], "b", styles)), expected[i]):
                wrong.append(i)
            if not torch.equal(translator.style(exemplar, "b"), style) or not torch.is_grad_enabled():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_gpu_renders_more_at_once(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert translator.batch_size(256, 256) == 2
    monkeypatch.setattr(translator, "device", torch.device("cuda"))
    assert translator.batch_size(256, 256) == 32 and translator.batch_size(4096, 4096) == 1
