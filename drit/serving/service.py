"""What the service does with a request that was let in: images decoded, encoded once, rendered, written as files."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import anyio
import torch
from anyio.to_thread import run_sync
from torch import Tensor

from drit.data.images import Metadata, encoded, to_tensor
from drit.errors import DritError, UsageError
from drit.inference.formats import FormatChoice, OutputFormat, samples_of
from drit.inference.memory import TooLargeError
from drit.inference.state import State, state_of, together
from drit.runtime import cores
from drit.serving import animation
from drit.serving.batching import Worker
from drit.serving.contents import Content, Contents, Key
from drit.serving.large import LargeImages
from drit.serving.metrics import Metrics
from drit.serving.refusal import Refusal
from drit.serving.served import ServedRun, ServedRuns
from drit.serving.settings import Limits
from drit.serving.stylemap import StyleMaps
from drit.serving.uploads import Upload, look_at_upload, read_upload

T = TypeVar("T")
Gone = Callable[[], Awaitable[bool]]  # whether the client has left

_LOOK = 0.25  # seconds between looks whether it has
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".tif": "image/tiff"}


class NamedStyle(NamedTuple):
    """A style that was asked for."""

    name: str
    code: Tensor  # (S,)


class Output(NamedTuple):
    """One answer image."""

    name: str  # of its style
    style: list[float]
    data: bytes  # an image file


@dataclass(frozen=True)
class Answer:
    """What a translation gave."""

    run: str
    to: str
    content: str  # names the encoded image in further requests
    height: int
    width: int
    media: str  # type of the outputs
    outputs: list[Output]


class Found(NamedTuple):
    """What an image says of how it was made."""

    state: State | None
    run: str  # name of the run that made it; empty where it is not served
    why: str  # why it cannot be restored; empty where it can, or there is nothing
    size: tuple[int, int]  # height and width; 0 for what is no image


@dataclass(frozen=True)
class Order:
    """A translation as it was asked for."""

    to: str
    image: bytes = b""  # a file, or
    content: str = ""  # the name of one that was encoded before
    size: int = 0  # a larger short side is scaled down to so many pixels; 0: none is
    count: int = 1  # random styles, where no others are given
    seed: int = 0  # of them
    numbers: str = ""  # styles as JSON: [[...], ...]
    names: Sequence[str] = ()  # of kept styles
    exemplars: Sequence[bytes] = ()  # files of images of the target domain
    format: str = "png"
    depth: int = 0  # bits of the outputs; 0: as the input
    progress: str = ""  # a token to ask how far a large image is
    animation: str = ""  # all outputs as one moving image of this format; empty: each as a file


class Service:
    """Runs, the thread that computes, and the cache. One for each process."""

    def __init__(self, runs: ServedRuns, limits: Limits) -> None:
        self.runs = runs
        self.limits = limits
        self.contents = Contents(limits.cache << 20)
        self.metrics = Metrics(self.contents)
        self.worker = Worker(self.contents, self.metrics.rendered)
        self.maps = StyleMaps(self.worker)
        self.large = LargeImages()
        self.closing = False
        self._files = anyio.CapacityLimiter(max(2, cores()))  # threads that decode and encode files

    def close(self) -> None:
        """Finish what was taken."""
        self.closing = True
        self.worker.close()
        self.large.close()

    async def translate(self, run: ServedRun, order: Order, gone: Gone) -> Answer:
        """Translate an image. Raises Refusal for everything that is wrong with the order."""
        translator = run.translator
        with refused():
            source, to = translator.source(order.to), translator.domain(order.to)
            choice = FormatChoice(order.format, order.depth)
            samples = samples_of(translator.method, source, to)
            choice.check(samples)
            if order.animation:
                animation.check_able(order.animation)
        async with in_time(self.limits.seconds):
            styles = await self._styles(run, to, order, gone)
            content = await self._content(run, source, to, order)
            if isinstance(content, Content):
                codes = torch.stack([style.code for style in styles])
                with refused():
                    images = await self._done(self.worker.translate(translator, content, codes), gone)
                states = _states(run, source, order, styles)
                if order.animation:
                    walk_of = together("walk", states).text()
                    data = await run_sync(animation.animated, images, order.animation, walk_of, limiter=self._files)
                    media, walk = animation.MEDIA[order.animation], Output("walk", [], data)
                    return Answer(run.name, to, content.key.image, *content.size, media, [walk])
                form = choice.of(f".{order.format}", content.header, samples)
                files = await run_sync(_files, images, form, states, limiter=self._files)
        if isinstance(content, Upload):
            form = choice.of(f".{order.format}", content.header, samples)
            files = await self._in_strips(run, source, order, content, styles, form, gone)
        outputs = [Output(s.name, s.code.tolist(), data) for s, data in zip(styles, files, strict=True)]
        name = content.key.image if isinstance(content, Content) else ""
        size = content.header.height, content.header.width
        return Answer(run.name, to, name, *size, MEDIA[form.suffix], outputs)

    async def _in_strips(
        self,
        run: ServedRun,
        source: str,
        order: Order,
        upload: Upload,
        styles: Sequence[NamedStyle],
        form: OutputFormat,
        gone: Gone,
    ) -> list[bytes]:
        """The output files of an image that is too large to be translated as a whole."""
        limits, pixels = self.limits, upload.header.height * upload.header.width
        if order.animation:
            what = f"An animation takes images of at most {limits.pixels} pixels (--limit.pixels)."
            raise Refusal(413, what, "Give a smaller 'size'.")
        most = max(1, limits.styles * limits.pixels // pixels)
        if len(styles) > most:
            what = f"{len(styles)} styles of an image of {pixels} pixels are asked for; at most {most} are taken."
            raise Refusal(413, what, "Ask for fewer styles, or give a smaller 'size'.")
        stop, codes = threading.Event(), torch.stack([style.code for style in styles])
        states = _states(run, source, order, styles)
        to = run.translator.domain(order.to)
        try:
            async with in_time(limits.strip_seconds, "--limit.strip-seconds"):
                future = self.large.translate(
                    run.translator, upload.array, source, to, codes, form, _texts(states), order.progress, stop
                )
                with refused():
                    return await self._done(future, gone)
        finally:
            stop.set()

    async def style(self, run: ServedRun, domain: str, image: bytes, size: int, gone: Gone) -> list[float]:
        """The style of an image of `domain`. Raises Refusal as `translate` does."""
        with refused():
            letter = run.translator.domain(domain)
        async with in_time(self.limits.seconds):
            return (await self._exemplar(run, letter, image, "image", size, gone)).tolist()

    async def state(self, image: bytes) -> Found:
        """What an image says of how it was made, and the run that made it, if it is served."""
        known = await run_sync(look_at_upload, image, limiter=self._files)
        state, size = known.state, known.size
        if state is None:
            return Found(None, "", known.why, size)
        made = [run for run in self.runs.all if run.weights == state.run]
        if not made:
            why = f"It was made by a run with the weights {state.run[:12]}…, which is not open here."
            return Found(state, "", why, size)
        able = made[0].translator.method.capabilities
        misfit = state.why_not(state.run, state.to, able.style_dim)
        if state.to not in able.directions:
            misfit = f"the run has no direction to '{state.to}'"
        why = f"It cannot be restored: {misfit}." if misfit else ""
        return Found(state, "" if misfit else made[0].name, why, size)

    def sample(self, run: ServedRun, to: str, count: int, seed: int) -> list[list[float]]:
        """The numbers of random styles. Raises Refusal as `translate` does."""
        self._check_count(count)
        with refused():
            return run.translator.sample(count, to, seed).tolist()

    async def _styles(self, run: ServedRun, to: str, order: Order, gone: Gone) -> list[NamedStyle]:
        """The styles of an order; without others random ones, and one without numbers where the method has none."""
        translator = run.translator
        given = bool(order.numbers or order.names or order.exemplars)
        if not translator.method.capabilities.style_dim and not given and order.count == 1:
            return [NamedStyle("output", torch.zeros(0))]
        self._check_count(order.count)
        styles = [
            NamedStyle(f"exemplar{i + 1}", await self._exemplar(run, to, data, f"exemplar {i + 1}", order.size, gone))
            for i, data in enumerate(order.exemplars[: self.limits.styles])
        ]
        with refused():
            kept = {style.name: style.numbers for style in run.library.styles()} if order.names else {}
            for name in order.names:
                if name not in kept:
                    raise Refusal(404, f"Run '{run.name}' has no style '{name[:100]}'.", "GET /v1/library lists them.")
                styles.append(NamedStyle(name, translator.checked([kept[name]])[0]))
            if order.numbers:
                codes = translator.checked(_numbers(order.numbers))
                styles += [NamedStyle(f"given{i + 1}", code) for i, code in enumerate(codes)]
            if not styles:
                codes = translator.sample(order.count, to, order.seed)
                styles = [NamedStyle(f"style{i + 1:03d}", code) for i, code in enumerate(codes)]
        self._check_count(len(styles) + max(0, len(order.exemplars) - self.limits.styles))
        return styles

    def _check_count(self, count: int) -> None:
        if count > self.limits.styles:
            raise Refusal(
                422,
                f"{count} styles are asked for; at most {self.limits.styles} are taken (--limit.styles).",
                "Ask for the rest in further requests: with 'content' they cost less.",
            )

    async def _exemplar(self, run: ServedRun, domain: str, data: bytes, field: str, size: int, gone: Gone) -> Tensor:
        """The style (S,) of an uploaded image of `domain`, a letter."""
        method = run.translator.method
        upload = await run_sync(read_upload, data, field, method, domain, size, self.limits, limiter=self._files)

        def style() -> Tensor:
            return run.translator.style(to_tensor(upload.array), domain)[0]

        with refused():
            return await self._done(self.worker.call(style), gone)

    async def _content(self, run: ServedRun, source: str, to: str, order: Order) -> Content | Upload:
        """The image of an order, encoded already or to be encoded. One that is too large for that as it came."""
        if not order.image:
            if not order.content:
                raise Refusal(422, "There is no image.", "Send the field 'image', or 'content' of an earlier answer.")
            known = self.contents.find(Key(order.content, run.weights, to))
            if known is None:
                raise Refusal(
                    410,
                    "The image of this 'content' is not kept for this run and direction.",
                    "Send the field 'image' again.",
                )
            return known
        name = f"{hashlib.sha256(order.image).hexdigest()}-{order.size}"
        key = Key(name, run.weights, to)
        known = self.contents.find(key)
        if known is not None:
            return known
        upload = await run_sync(
            read_upload,
            order.image,
            "image",
            run.translator.method,
            source,
            order.size,
            self.limits,
            True,
            limiter=self._files,
        )
        if upload.header.height * upload.header.width > self.limits.pixels:
            return upload
        return self.contents.share(Content(key, upload.header, to_tensor(upload.array)[None]))

    async def _done(self, future: Future[T], gone: Gone) -> T:
        """The result of a future; it is given up when the client leaves or the time is over."""
        wrapped = asyncio.wrap_future(future)
        try:
            while not (await asyncio.wait({wrapped}, timeout=_LOOK))[0]:
                if await gone():
                    raise Refusal(499, "The client left before the answer.")
            return wrapped.result()
        finally:
            wrapped.cancel()  # nothing where it is done


@asynccontextmanager
async def in_time(seconds: float, flag: str = "--limit.seconds") -> AsyncIterator[None]:
    """A block that must end within so many seconds. Raises Refusal, which names the limit, where it does not."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Refusal(
            504,
            f"The answer was not ready within {seconds:g} s ({flag}).",
            "Ask for fewer styles or a smaller 'size', or try again when less is to do.",
        ) from None


@contextmanager
def refused() -> Iterator[None]:
    """A block whose errors for people become Refusals."""
    try:
        yield
    except TooLargeError as error:
        raise Refusal(413, str(error), "Give a smaller 'size'.") from error
    except UsageError as error:
        raise Refusal(422, str(error)) from error
    except DritError as error:
        raise Refusal(500, str(error), "Tell the operator of the service.") from error


def _states(run: ServedRun, source: str, order: Order, styles: Sequence[NamedStyle]) -> list[State]:
    """What the outputs of an order say of how they were made. Given numbers that are a random style of the order's seed
    are told as that style."""
    translator = run.translator
    to = translator.domain(order.to)
    names: dict[tuple[float, ...], str] = {}
    if translator.method.capabilities.style_dim:
        codes = translator.sample(order.count, to, order.seed).tolist()
        names = {tuple(code): f"style{i + 1:03d}" for i, code in enumerate(codes)}
    states = []
    for style in styles:
        drawn = names.get(tuple(style.code.tolist()))
        seed = None if drawn is None else order.seed
        states.append(state_of(run.weights, source, to, drawn or style.name, style.code, seed))
    return states


def _texts(states: Sequence[State]) -> list[str]:
    return [state.text() for state in states]


def _numbers(text: str) -> list[list[float]]:
    """Styles from JSON. Raises Refusal for other things."""
    try:
        numbers = json.loads(text)
        if isinstance(numbers, list) and all(isinstance(row, list) for row in numbers) and numbers:
            return numbers
    except (ValueError, RecursionError):
        pass
    raise Refusal(422, "The field 'numbers' is not JSON of the form [[0.1, ...], ...].", "Give a list for each style.")


def _files(images: Sequence[Tensor], form: OutputFormat, states: Sequence[State]) -> list[bytes]:
    """Images (C, H, W) in [-1, 1] as files, each with its state."""
    return [
        encoded(form.array(image), f"output{form.suffix}", form.alpha, Metadata(note=state.text()))
        for image, state in zip(images, states, strict=True)
    ]
