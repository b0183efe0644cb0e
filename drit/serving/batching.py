"""The one thread that computes: requests that wait at the same time share its work.

Each turn takes the oldest request and renders as many outputs as are rendered at once (`Translator.batch_size`): its
styles, and beside them, where there is room, those of other requests of the same run, direction and size. A request
with many styles takes several turns and goes to the end of the queue after each, so that it holds nobody up.

Outputs of one batch are the same as alone, but for the order in which a convolution may sum: within 1/255 of it in
bfloat16, 1e-5 in float32 (tests/serving/test_batching.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from drit.inference.translator import Translator
from drit.serving.contents import Content, Contents

_SMOOTHING = 0.2  # weight of the newest request in the mean time of one


@dataclass
class Job:
    """The translation of one image in its styles."""

    translator: Translator
    content: Content
    styles: Tensor  # (K, S)
    done: Future[list[Tensor]] = field(default_factory=Future)  # of K images (C, H, W) in [-1, 1]
    outputs: list[Tensor] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Styles that are not rendered yet."""
        return len(self.styles) - len(self.outputs)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What jobs must have in common to share a batch."""
        return id(self.translator), self.content.key.to, self.content.size


class _Call:
    """Other work of the thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done: Future[Any] = Future()


class Worker:
    """Owns the thread. `close` finishes what was given before."""

    def __init__(self, contents: Contents, observe: Callable[[int], None] = lambda outputs: None) -> None:
        """observe: called with the number of outputs of each batch."""
        self._contents = contents
        self._observe = observe
        self._waiting: deque[Job | _Call] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds = 0.5  # of a request, about
        self._thread = threading.Thread(target=self._run, name="translator", daemon=True)
        self._thread.start()

    def translate(self, translator: Translator, content: Content, styles: Tensor) -> Future[list[Tensor]]:
        """Images (C, H, W) in [-1, 1] of a content in styles (K, S). Cancel the future to have the rest left out."""
        job = Job(translator, content, styles)
        self._give(job)
        return job.done

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        """What `work` returns, computed by the thread in its turn."""
        call = _Call(work)
        self._give(call)
        return call.done

    def wait(self, requests: int) -> float:
        """Seconds in which so many requests are done, about."""
        return requests * self._seconds

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _give(self, work: Job | _Call) -> None:
        with self._changed:
            if self._closed:
                raise RuntimeError("The worker is closed.")
            self._waiting.append(work)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch = self._next()
            if isinstance(batch, _Call):
                _carry_out(batch)
            elif batch:
                self._turn(batch)
            del batch  # it holds tensors

    def _next(self) -> list[Job] | _Call:
        """The oldest work, and jobs that fit into a batch with it; they leave the queue."""
        first = self._waiting.popleft()
        if isinstance(first, _Call):
            return first
        jobs, outputs, room = [first], first.left, first.translator.batch_size(*first.content.size)
        for job in self._waiting:
            if outputs >= room:
                break
            if isinstance(job, Job) and job.kind == first.kind:
                jobs.append(job)
                outputs += job.left
        taken = {id(job) for job in jobs}
        self._waiting = deque(work for work in self._waiting if id(work) not in taken)
        return [job for job in jobs if not job.done.cancelled()]

    def _turn(self, jobs: list[Job]) -> None:
        """Render one batch of these jobs, and put back those that have styles left."""
        began = time.monotonic()
        try:
            outputs = self._render(jobs)
        except Exception as error:
            if len(jobs) > 1:  # one of them fails, or the memory: each on its own
                for job in jobs:
                    self._turn([job])
            elif jobs[0].done.set_running_or_notify_cancel():
                jobs[0].done.set_exception(error)
            return
        of_each = (time.monotonic() - began) / outputs
        with self._changed:
            self._waiting.extend(job for job in jobs if job.left)
        for job in jobs:
            if not job.left:
                self._seconds += _SMOOTHING * (of_each * len(job.styles) - self._seconds)
                if job.done.set_running_or_notify_cancel():
                    job.done.set_result(job.outputs)

    def _render(self, jobs: list[Job]) -> int:
        """One batch of at most what is rendered at once; returns its number of outputs."""
        translator, to, size = jobs[0].translator, jobs[0].content.key.to, jobs[0].content.size
        rows = [(job, style) for job in jobs for style in job.styles[len(job.outputs) :]]
        rows = rows[: translator.batch_size(*size)]
        contents = list({id(job.content): job.content for job, _ in rows}.values())
        self._prepare(translator, contents, to)
        # the styles of one image share what is prepared; of several images each output has its own
        owners = contents if len(contents) == 1 else [job.content for job, _ in rows]
        parts = [owner.prepared or () for owner in owners]
        prepared = parts[0] if len(parts) == 1 else tuple(torch.cat(part) for part in zip(*parts, strict=True))
        styles = torch.stack([style for _, style in rows])
        images = translator.render_batch(prepared, styles, len(owners), to, size).cpu()
        for (job, _), image in zip(rows, images, strict=True):
            job.outputs.append(image.clone())
        self._observe(len(rows))
        return len(rows)

    def _prepare(self, translator: Translator, contents: list[Content], to: str) -> None:
        """Encode and prepare, together, the contents that are not yet."""
        new = [c for c in contents if c.prepared is None]
        if not new:
            return
        translator.check_memory(*new[0].size, to)
        images = [c.image for c in new if c.image is not None]
        parts = translator.prepare_batch(torch.cat(images), to)
        for i, content in enumerate(new):
            content.prepared = parts if len(new) == 1 else tuple(part[i : i + 1].clone() for part in parts)
            content.image = None
            self._contents.keep(content)


def _carry_out(call: _Call) -> None:
    if not call.done.set_running_or_notify_cancel():
        return
    try:
        call.done.set_result(call.work())
    except Exception as error:
        call.done.set_exception(error)
