"""The endless stream of batches: a pure function of seed and position, fed by a thread or by processes.

Each domain is its own shuffled stream, so that unequal counts need no care. Picture n of a domain, its crop and its
flip depend on (seed, domain, n) alone: going on from batch k needs no state but k.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from drit.config import DataConfig
from drit.data.decode import to_tensor
from drit.data.folders import PictureSet
from drit.data.transforms import random_crop_flip

AHEAD = 3  # batches made before they are asked for (of each process)
_CROP = 7  # keeps the numbers of crops apart from those of the shuffle


class Batch(NamedTuple):
    """a: (N, C_a, crop, crop), b: (N, C_b, crop, crop), float32 in [-1, 1]; and which pictures they are of."""

    a: Tensor
    b: Tensor
    index_a: Tensor
    index_b: Tensor


class Order:
    """Which picture is the n-th of an endless stream: a new permutation for every pass."""

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


class _Batches(Dataset[Batch]):
    """Batch k for k = 0, 1, ..."""

    def __init__(self, sets: tuple[PictureSet, PictureSet], config: DataConfig, batch: int, seed: int) -> None:
        self._sets, self._config, self._batch, self._seed = sets, config, batch, seed
        self._orders = tuple(Order(len(s), seed, d) for d, s in enumerate(sets))

    def __getitem__(self, k: int) -> Batch:
        crops: list[Tensor] = []
        indices: list[Tensor] = []
        for d, (pictures, order) in enumerate(zip(self._sets, self._orders, strict=True)):
            chosen, cut = [], []
            for n in range(k * self._batch, (k + 1) * self._batch):
                index = order(n)
                rng = np.random.default_rng([self._seed, d, _CROP, n])
                chosen.append(index)
                cut.append(to_tensor(random_crop_flip(pictures.get(index), self._config.crop, self._config.flip, rng)))
            crops.append(torch.stack(cut))
            indices.append(torch.tensor(chosen))
        return Batch(crops[0], crops[1], indices[0], indices[1])


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
        set_a: PictureSet,
        set_b: PictureSet,
        config: DataConfig,
        batch: int,
        seed: int,
        start: int = 0,
        workers: int = 0,
    ) -> None:
        """workers: loader processes; 0 uses one thread, which suffices for pictures in memory."""
        self.position = start
        batches = _Batches((set_a, set_b), config, batch, seed)
        self._loader: Any = None
        self._thread: _Ahead | None = None
        if workers:
            loader = DataLoader(
                batches,
                batch_size=None,
                sampler=_From(start),
                num_workers=workers,
                prefetch_factor=AHEAD,
                worker_init_fn=_quiet_worker,
                persistent_workers=True,
            )
            self._loader = iter(loader)
        else:
            self._thread = _Ahead(batches, start)

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> Batch:
        batch: Batch = next(self._loader) if self._thread is None else self._thread.next()
        self.position += 1
        return batch

    def close(self) -> None:
        """Stop the thread or the processes. The stream cannot be used afterwards."""
        if self._thread is not None:
            self._thread.stop()
        elif self._loader is not None:
            self._loader._shutdown_workers()
            self._loader = None


class _Ahead:
    """One thread that makes batches ahead of the reader; its errors are raised where the batch is asked for."""

    def __init__(self, batches: _Batches, start: int) -> None:
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._worker = threading.Thread(target=self._work, args=(batches, start), daemon=True)
        self._worker.start()

    def _work(self, batches: _Batches, k: int) -> None:
        while not self._stopped.is_set():
            made: Batch | BaseException
            try:
                made = batches[k]
            except BaseException as error:
                made = error
            while not self._stopped.is_set():
                try:
                    self._queue.put(made, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if isinstance(made, BaseException):
                return
            k += 1

    def next(self) -> Batch:
        made = self._queue.get()
        if isinstance(made, BaseException):
            raise made
        return made

    def stop(self) -> None:
        self._stopped.set()
        self._worker.join()


def _quiet_worker(_: int) -> None:
    """Loader processes use one thread each and leave ctrl-C to the main process."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def choose_workers(config: DataConfig, cached: bool) -> int:
    """Loader processes: as set, or none for pictures in memory, else one for each spare core."""
    if config.workers >= 0:
        return config.workers
    return 0 if cached else max(1, len(os.sched_getaffinity(0)) - 1)
