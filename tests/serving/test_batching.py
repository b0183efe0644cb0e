"""The thread that computes: requests share its work, nobody is held up, and what fails fails alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
from drit.data.images import Header, to_tensor
from drit.inference.translator import Translator
from drit.serving.batching import Worker
from drit.serving.contents import Content, Contents, Key


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return Translator.load(run, precision="float32", threads=1)


class Recorder:
    """A worker that waits until it is let go, and the sizes of its batches."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.batches: list[int] = []
        self.contents = Contents(limit)
        self.worker = Worker(self.contents, self.batches.append)
        self._go = threading.Event()
        self.worker.call(self._go.wait)

    def go(self) -> None:
        self._go.set()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.go()
    recorder.worker.close()


def content(seed: int, side: int = 16) -> Content:
    array = np.random.default_rng(seed).integers(0, 256, (side, side, 1)).astype(np.uint8)
    return Content(Key(f"{seed}-{side}", "w", "b"), Header(side, side, 1, 8), to_tensor(array)[None])


def alone(translator: Translator, image: Content, styles: torch.Tensor) -> list[torch.Tensor]:
    assert image.image is not None
    return list(translator.outputs(image.image[0], styles, "b"))


def test_requests_that_wait_share_a_batch_and_get_what_they_get_alone(
    recorder: Recorder, translator: Translator
) -> None:
    """Of unequal numbers of styles, and two of the same image."""
    images = [content(1), content(2), content(3)]
    counts = [3, 1, 2]
    styles = [translator.sample(count, "b", seed=i) for i, count in enumerate(counts)]
    wanted = [alone(translator, image, s) for image, s in zip(images, styles, strict=True)]
    more = translator.sample(2, "b", 9)
    wanted.append(alone(translator, images[0], more))
    futures = [recorder.worker.translate(translator, c, s) for c, s in zip(images, styles, strict=True)]
    futures.append(recorder.worker.translate(translator, images[0], more))
    recorder.go()
    for future, outputs in zip(futures, wanted, strict=True):
        torch.testing.assert_close(torch.stack(future.result()), torch.stack(outputs), atol=1e-5, rtol=0)
    assert recorder.batches == [8]  # of 512 that fit
    assert len(recorder.contents) == 3


def test_other_sizes_have_a_batch_of_their_own(recorder: Recorder, translator: Translator) -> None:
    sides = (16, 20, 16)
    futures = [
        recorder.worker.translate(translator, content(i, side), translator.sample(1, "b"))
        for i, side in enumerate(sides)
    ]
    recorder.go()
    assert [future.result()[0].shape[1] for future in futures] == list(sides)
    assert recorder.batches == [2, 1]


def test_a_request_with_many_styles_holds_nobody_up(
    recorder: Recorder, translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator, "batch_size", lambda height, width: 4)
    order: list[str] = []

    def ask(name: str, image: Content, count: int) -> Future[list[torch.Tensor]]:
        future = recorder.worker.translate(translator, image, translator.sample(count, "b"))
        future.add_done_callback(lambda _: order.append(name))
        return future

    futures = [ask("many", content(1), 10), ask("other size", content(2, 20), 1), ask("few", content(3), 1)]
    recorder.go()
    assert [len(future.result()) for future in futures] == [10, 1, 1]
    assert order == ["other size", "few", "many"]
    assert recorder.batches == [4, 1, 4, 3]  # `few` and three of `many`; then the last of it


def test_what_fails_fails_alone(recorder: Recorder, translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = content(1)
    wrong.image = torch.zeros(1, 2, 16, 16)  # channels that the encoder does not take
    good = [content(2), content(3)]
    wanted = alone(translator, good[0], translator.sample(1, "b"))
    futures = [recorder.worker.translate(translator, c, translator.sample(1, "b")) for c in (good[0], wrong, good[1])]
    recorder.go()
    torch.testing.assert_close(futures[0].result()[0], wanted[0], atol=1e-5, rtol=0)
    with pytest.raises(RuntimeError):
        futures[1].result()
    assert len(futures[2].result()) == 1


def test_what_is_cancelled_is_left_out(recorder: Recorder, translator: Translator) -> None:
    futures = [recorder.worker.translate(translator, content(i), translator.sample(1, "b")) for i in range(2)]
    futures[0].cancel()
    recorder.go()
    assert len(futures[1].result()) == 1 and recorder.batches == [1]


def test_the_end_finishes_what_was_taken(translator: Translator) -> None:
    recorder = Recorder()
    future = recorder.worker.translate(translator, content(1), translator.sample(3, "b"))
    threading.Timer(0.05, recorder.go).start()
    recorder.worker.close()
    assert future.done() and len(future.result()) == 3
    with pytest.raises(RuntimeError, match="closed"):
        recorder.worker.call(lambda: None)


def kept(name: str, numbers: int) -> Content:
    """Something prepared, of so many bytes."""
    return Content(Key(name, "w", "b"), Header(1, 1, 1, 8), prepared=(torch.zeros(numbers, dtype=torch.uint8),))


def test_the_cache_keeps_its_bytes_and_drops_what_was_used_longest_ago() -> None:
    contents = Contents(limit=100)
    for name in "xyz":
        contents.keep(kept(name, 40))
        contents.find(Key("x", "w", "b"))
    assert contents.bytes == 80 and [contents.find(Key(name, "w", "b")) is not None for name in "xyz"] == [1, 0, 1]
    contents.keep(kept("large", 101))
    assert contents.find(Key("large", "w", "b")) is None and contents.bytes == 80
    assert contents.find(Key("x", "other weights", "b")) is None


def test_requests_of_one_image_at_a_time_share_it() -> None:
    contents = Contents(limit=0)  # nothing is kept beyond its requests
    first = content(1)
    assert contents.share(first) is first and contents.share(content(1)) is first
    assert contents.find(first.key) is first
    del first
    assert contents.find(Key("1-16", "w", "b")) is None
