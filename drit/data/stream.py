"""The endless stream of batches: a pure function of seed and position, fed by a thread or by processes.

Each domain is its own shuffled stream, so that unequal counts need no care. Image n of a domain, its crop and its
flip depend on (seed, domain, n) alone: going on from batch k needs no state but k.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from drit import peers
from drit.data.folders import ImageSet
from drit.data.images import to_tensor
from drit.data.masks import NO_CLASS, Masks
from drit.data.transforms import random_crop_flip
from drit.errors import DataError, DritError
from drit.runtime import cores
from drit.settings.common import DataSettings

AHEAD = 3  # batches loaded before they are asked for (of each process)
UNKNOWN = -100  # the class of a pixel that has none: what PyTorch's losses leave out
_CROP = 7  # keeps the numbers of crops apart from those of the shuffle


class LoaderEndedError(DritError):
    """A loader process ended by itself."""


class Crops(NamedTuple):
    """One batch of every domain: (N, C, crop, crop) in channels_last, float32 in [-1, 1]; which images they are of:
    (N,); with masks, the class of each pixel of a: (N, crop, crop) of int64, UNKNOWN where it has none."""

    images: dict[str, Tensor]
    places: dict[str, Tensor]
    masks: Tensor | None = None


class _Loaded(NamedTuple):
    """What a loader hands over: a batch, or the error in its place; the images it skipped of each domain, and why."""

    batch: Crops | None
    error: Exception | None
    skipped: dict[str, dict[str, str]]


class Order:
    """Which image is the n-th of an endless stream: a new permutation for every pass."""

    def __init__(self, count: int, seed: int, domain: int) -> None:
        self._count, self._seed, self._domain = count, seed, domain
        self._epoch = -1
        self._permutation = np.empty(0, np.int64)

    def __call__(self, n: int) -> int:
        epoch, place = divmod(n, self._count)
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self._seed, self._domain, epoch]).permutation(self._count)
            self._epoch = epoch
        return int(self._permutation[place])


class _Batches(Dataset[_Loaded]):
    """Batch k for k = 0, 1, ... Its errors are values: raised in a loader process they would carry its traceback."""

    def __init__(
        self,
        sets: dict[str, ImageSet],
        config: DataSettings,
        batch: int,
        seed: int,
        paired: bool = False,
        process: tuple[int, int] = (0, 1),
        masks: Masks | None = None,
    ) -> None:
        self._masks = masks
        self._sets, self._config, self._batch, self._seed, self._paired = sets, config, batch, seed, paired
        self._rank, self._ranks = process
        self._orders = [Order(len(s), seed, 0 if paired else d) for d, s in enumerate(sets.values())]

    def __getitem__(self, k: int) -> _Loaded:
        batch, error = None, None
        try:
            batch = self._make(k)
        except Exception as raised:
            error = raised
        return _Loaded(batch, error, {d: dict(s.skipped) for d, s in self._sets.items()})

    def _make(self, k: int) -> Crops:
        numbers = range(k * self._batch + self._rank, (k + 1) * self._batch, self._ranks)
        rows = [self._pair(n) if self._paired else self._apart(n) for n in numbers]
        images = {d: to_tensor(np.stack([row[d][0] for row in rows])) for d in self._sets}
        places = {d: torch.tensor([row[d][1] for row in rows]) for d in self._sets}
        return Crops(images, places, self._mask_crops(places["a"].tolist(), numbers) if self._masks else None)

    def _mask_crops(self, places: Sequence[int], numbers: Sequence[int]) -> Tensor:
        """The masks of images of a, cut and mirrored as these are."""
        assert self._masks is not None
        crops = [self._crop(self._masks.get(i), 0, n)[:, :, 0] for i, n in zip(places, numbers, strict=True)]
        masks = torch.from_numpy(np.stack(crops)).long()
        return masks.masked_fill_(masks == NO_CLASS, UNKNOWN)

    def _apart(self, n: int) -> dict[str, tuple[np.ndarray, int]]:
        """Image n of every domain's own stream, as a crop of its own, and its place in the set."""
        crops = {}
        for d, (name, images) in enumerate(self._sets.items()):
            place, image = images.read(self._orders[d](n))
            crops[name] = self._crop(image, d, n), place
        return crops

    def _pair(self, n: int) -> dict[str, tuple[np.ndarray, int]]:
        """Images of one place in every domain, cut and mirrored alike; unreadable ones are passed over together."""
        index, agreed = self._orders[0](n), -1
        while agreed != index:
            agreed = index
            for images in self._sets.values():
                index = images.readable(index)
        return {d: (self._crop(s.get(index), 0, n), index) for d, s in self._sets.items()}

    def _crop(self, image: np.ndarray, stream: int, n: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, stream, _CROP, n])
        return random_crop_flip(image, self._config.crop, self._config.flip, rng)


class _From(Sampler[int]):
    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        k = self._start
        while True:
            yield k
            k += 1


class BatchStream:
    """Endless iterator of batches from batch `start` on. `position`: batches given so far, to resume from."""

    def __init__(
        self,
        sets: dict[str, ImageSet],
        config: DataSettings,
        batch: int,
        seed: int,
        start: int = 0,
        workers: int = 0,
        paired: bool = False,
        process: tuple[int, int] = (0, 1),
        masks: Masks | None = None,
    ) -> None:
        """workers: loader processes; 0 uses one thread, which suffices for images in memory. paired: image n of
        every domain is of the same place in its set, with the same crop. process: (r, R) gives of every batch the
        images r, r + R, ... alone, which process r of R works on. masks: those of domain a, to be given along."""
        self.position = start
        self._sets = sets
        self._error: Exception | None = None
        batches = _Batches(sets, config, batch, seed, paired, process, masks)
        self._loader: Any = None
        self._thread: _Ahead | None = None
        if workers:
            # Without persistent workers the iterator alone holds the processes (see `close`).
            self._loader = iter(
                DataLoader(
                    batches,
                    batch_size=None,
                    sampler=_From(start),
                    num_workers=workers,
                    prefetch_factor=AHEAD,
                    worker_init_fn=_quiet_worker,
                    # From Python 3.14 on another way is usual, whose processes stay when a training is killed.
                    multiprocessing_context="fork" if sys.platform == "linux" else None,
                    generator=torch.Generator().manual_seed(seed),  # else it draws on the global one
                )
            )
        else:
            self._thread = _Ahead(batches, start)

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> Crops:
        """The next batch. What its loader skipped is noted in the sets.

        Raises the loader's error, LoaderEndedError when a loader process ended by itself, and DataError when too many
        images are unreadable; then again at every call.
        """
        if self._error is None:
            loaded = self._load()
            self._error = loaded.error
            try:  # loader processes count apart, on sets of their own
                for d, skipped in loaded.skipped.items():
                    self._sets[d].skip(skipped)
            except DataError as error:
                self._error = error
            if loaded.batch is not None and self._error is None:
                self.position += 1
                return loaded.batch
        assert self._error is not None
        raise self._error

    def _load(self) -> _Loaded:
        """What the loader hands over next. A process that ended by itself is an error like others."""
        if self._thread is not None:
            return self._thread.next()
        try:
            loaded: _Loaded = next(self._loader)
            return loaded
        except (RuntimeError, OSError, EOFError) as error:  # "DataLoader worker (pid(s) ...) exited", or its pipe broke
            ended = LoaderEndedError(
                f"A loader process ended by itself: {error} Memory may have run out: set --data.workers to a smaller "
                "number, or 0."
            )
            return _Loaded(None, ended, {})

    def close(self) -> None:
        """Stop the thread or the processes, and wait for their end. The stream cannot be used afterwards."""
        if self._thread is not None:
            self._thread.stop()
        self._loader = None  # PyTorch: "workers are shut down ... when the iterator becomes garbage collected"


class _Ahead:
    """One thread that loads batches ahead of the reader; it ends at the first that cannot be loaded."""

    def __init__(self, batches: _Batches, start: int) -> None:
        self._queue: queue.Queue[_Loaded] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._worker = threading.Thread(target=self._work, args=(batches, start), daemon=True)
        self._worker.start()

    def _work(self, batches: _Batches, k: int) -> None:
        while not self._stopped.is_set():
            loaded = batches[k]
            while not self._stopped.is_set():
                try:
                    self._queue.put(loaded, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if loaded.error is not None:
                return
            k += 1

    def next(self) -> _Loaded:
        return self._queue.get()

    def stop(self) -> None:
        self._stopped.set()
        self._worker.join()


def _quiet_worker(_: int) -> None:
    """Loader processes use one thread each, leave ctrl-C to the main process, and print nothing.

    Their own errors are values. A thread of the standard library that hands memory over (multiprocessing's
    resource_sharer) prints a traceback through the hook where the main process ends in between.
    """
    import signal
    import sys

    sys.excepthook = lambda *_: None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def choose_workers(config: DataSettings, cached: bool) -> int:
    """Loader processes: as set, or none for images in memory, else one for each spare core."""
    if config.workers >= 0:
        return config.workers
    return 0 if cached else max(1, cores() // peers.local_count() - 1)
