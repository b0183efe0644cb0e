"""Bulk work as a Ray Data pipeline: tasks go to worker processes of a Ray cluster, results come back in order.

The cluster is the one of RAY_ADDRESS. Without, processes are started on this machine for the time of the work. Ray does
a task again whose worker died, on a new one.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import socket
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from drit.engines.base import Result, Task
from drit.errors import DritError, UsageError
from drit.runtime import Arithmetic, cores

_SECONDS = 10  # for a cluster to answer
_RETRIES = 3  # times that a part is given to another worker, when its worker died
_PARTS = 2000  # parts that tasks are given out in, at most: what is done again when a worker dies
_NUMPY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class RayData:
    """The workers of a Ray cluster, each a process with as many threads as this one computes with."""

    def __init__(self) -> None:
        """Raises UsageError where ray is not installed."""
        if any(importlib.util.find_spec(name) is None for name in ("ray", "pyarrow")):
            raise UsageError(
                "--engine ray needs packages that are not installed. Install them: pip install 'drit[ray]'"
            )

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], gpu: bool = False
    ) -> Generator[Result, None, None]:
        """As `Engine.run`."""
        if not tasks:
            return
        arithmetic = Arithmetic.current()
        with _cluster(arithmetic.threads) as ray:
            workers = _workers(ray.cluster_resources(), arithmetic.threads, gpu)
            shared = ray.put((work, list(tasks), arithmetic, os.getcwd()))
            parts = min(len(tasks), _PARTS)
            pipeline = ray.data.from_items([{"task": k} for k in range(len(tasks))], override_num_blocks=parts)
            with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
                # The number of retries, which is not bounded otherwise, has no other name until ray 2.64. A function,
                # not an actor: what an actor had taken waits for its restart, for ever where its machine is lost and
                # no other has room.
                pipeline = pipeline.map_batches(
                    _results,
                    fn_args=([shared],),  # in a list: ray hands the reference on as it is
                    batch_size=1,
                    concurrency=min(workers, parts),
                    runtime_env={"env_vars": _same_threads()},
                    num_cpus=arithmetic.threads,
                    num_gpus=1 if gpu else None,
                    max_retries=_RETRIES,
                )
            try:
                for row in pipeline.iter_rows():
                    error = row["error"]
                    if error is not None:
                        raise error
                    yield row["result"]
            except ray.exceptions.RayError as error:
                raise _failed(error) from None


def _results(batch: dict[str, np.ndarray], shared: list[Any]) -> dict[str, np.ndarray]:
    """The results of tasks, whose places are (n,); what was raised takes the place of a result."""
    work, tasks = _taken_up(shared[0])
    results: list[tuple[Any, DritError | None]] = []
    for place in batch["task"]:
        try:
            results.append((work(tasks[place]), None))
        except DritError as error:
            results.append((None, error))
    columns: dict[str, np.ndarray] = {}
    for name, values in zip(("result", "error"), zip(*results, strict=True), strict=True):
        columns[name] = np.empty(len(values), object)
        columns[name][:] = values
    return columns


@functools.lru_cache(maxsize=1)  # a worker does many parts of one command
def _taken_up(shared: Any) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    """The work and the tasks behind a reference, with this process prepared for them."""
    import ray

    work, tasks, arithmetic, folder = ray.get(shared)
    arithmetic.apply()
    if Path(folder).is_dir():  # paths are those of the command
        os.chdir(folder)
    return work, tasks


@contextmanager
def _cluster(threads: int) -> Iterator[Any]:
    """The package ray, connected to a cluster: the one that this process is connected to, that of RAY_ADDRESS, or one
    of its own that ends with the block."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    address = os.environ.get("RAY_ADDRESS") or "local"
    local = address == "local"
    _check_answers(address)
    import ray
    import ray.data

    connected = ray.is_initialized()
    if not connected:
        options: dict[str, Any] = {"num_cpus": max(cores(), threads), "include_dashboard": False} if local else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = "of this machine" if local else f"at RAY_ADDRESS={address}"
            raise DritError(
                f"The Ray cluster {where} cannot be used: {str(error).splitlines()[0]} Check it with: ray status. "
                "Where it asks for a token, set RAY_AUTH_MODE=token."
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the command has its own
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised
    try:
        yield ray
    finally:
        if not connected:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises DritError where nobody listens at an address HOST:PORT: ray would try for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdigit():  # `auto` and `local` are ray's own words
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DritError(
            f"Nobody answers at RAY_ADDRESS={address} ({error}). Check it with: ray status --address {host}:{port}"
        ) from error


def _workers(resources: dict[str, float], threads: int, gpu: bool) -> int:
    """How many workers a cluster has room for. Raises UsageError where it has none."""
    workers = int(resources.get("CPU", 0)) // threads
    if gpu:
        workers = min(workers, int(resources.get("GPU", 0)))
    if workers < 1:
        wants = f"{threads} CPUs{' and a GPU' if gpu else ''}"
        raise UsageError(
            f"The Ray cluster has no room for a worker, which takes {wants}; it has {resources.get('CPU', 0):g} "
            f"CPUs and {resources.get('GPU', 0):g} GPUs. Give fewer --threads, or --device cpu."
        )
    return workers


def _same_threads() -> dict[str, str]:
    """Environment with which numpy computes in a worker as here: ray would give it the threads of the worker."""
    given = {name: os.environ[name] for name in _NUMPY_THREADS if name in os.environ}
    return given or {"OMP_NUM_THREADS": str(cores())}


def _failed(error: Exception) -> DritError:
    """What a failure of ray means for the person."""
    import ray

    died = (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)
    if isinstance(error, died):
        return DritError(
            f"A part of the work ended its worker {_RETRIES + 1} times, perhaps for want of memory. What is done is "
            "kept. Give the command again with more --threads, so that fewer workers share the memory, or without "
            "--engine ray to see what ends it."
        )
    return DritError(f"The Ray cluster failed: {str(error).strip().splitlines()[-1]} What is done is kept.")
