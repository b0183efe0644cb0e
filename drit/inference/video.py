"""Video files and folders of numbered frames: frames in, frames out, what is broken named and bridged.

A frame that cannot be decoded gets the translation of the last good one, so that sound and frames stay together. More
than `MAX_BROKEN` of them end the work. Files are written under a temporary name and renamed when they are whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drit.atomic import not_written
from drit.bounded import is_file
from drit.data.folders import list_images
from drit.data.images import Metadata
from drit.errors import DataError, UsageError
from drit.inference.reading import read_image
from drit.methods.base import Method

if TYPE_CHECKING:
    import av

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ts")  # of video files
WRITTEN = (".mp4", ".m4v", ".mov", ".mkv")  # containers that are written; others become .mkv, which takes any sound
MAX_BROKEN = 10  # frames that are bridged, at most
_QUALITY = {"crf": "16", "preset": "medium"}  # of H.264: no difference that people see


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def needed() -> Any:
    """PyAV. Raises UsageError, with what to install, where it is missing."""
    try:
        import av
    except ImportError as error:
        raise UsageError("Videos need the package PyAV: pip install 'drit[video]'") from error
    return av


@dataclass
class Broken:
    """Frames that could not be decoded, each in words."""

    source: str
    frames: list[str] = field(default_factory=list)

    def add(self, frame: str, why: object) -> None:
        """Note one. Raises DataError beyond `MAX_BROKEN`."""
        self.frames.append(f"{frame}: {why}")
        if len(self.frames) > MAX_BROKEN:
            raise DataError(
                f"{self.source}: more than {MAX_BROKEN} frames cannot be decoded ({'; '.join(self.frames[:3])}; ...). "
                "Mend it, for instance by writing it anew with another program."
            )


@dataclass(frozen=True)
class Frame:
    """One frame; a broken one has no pixels."""

    pixels: np.ndarray | None  # (H, W, C) of uint8 or uint16
    place: Any  # of a video its time in units of the stream; of a folder the file
    metadata: Metadata = Metadata()


class VideoClip:
    """A video file, whose frames can be gone through several times."""

    def __init__(self, path: Path, channels: int) -> None:
        """channels: that a frame is given with, 1 or 3. Raises DataError for a file that is no video."""
        self.path = path
        self.channels = channels
        self._av = needed()
        if channels not in (1, 3):
            raise UsageError(f"This run takes images of {channels} channels; the frames of a video have 1 or 3.")
        with self._opened() as (_, stream):
            self.rate = stream.average_rate or Fraction(25)
            self.time_base = stream.time_base

    @contextmanager
    def _opened(self) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
        if not is_file(self.path):
            raise DataError(f"There is no file {self.path}.")
        try:
            container = self._av.open(str(self.path))
        except (self._av.error.FFmpegError, OSError) as error:
            raise DataError(f"{self.path} is no video that can be read: {_words(error)}.") from error
        with container:
            if not container.streams.video:
                raise DataError(f"{self.path} holds no video{' but sound' if container.streams.audio else ''}.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream

    def frames(self, broken: Broken) -> Iterator[Frame]:
        """All frames, in order of time; those that cannot be decoded without pixels. Raises DataError as `Broken`."""
        with self._opened() as (container, stream):
            lost, last, number = 0, None, 0
            step = 1 / (self.rate * self.time_base)  # units of time between frames

            def bridged(until: int | None) -> Iterator[Frame]:
                nonlocal lost
                start = -1 if last is None else last
                count = lost if until is None or last is None else min(lost, max(0, round((until - last) / step) - 1))
                for i in range(count):
                    yield Frame(None, round(start + (i + 1) * step) if last is not None else i)
                lost = 0

            for packet in self._packets(container, stream, broken):
                try:
                    decoded = packet.decode()
                except self._av.error.FFmpegError as error:
                    broken.add(f"{self.path}, about frame {number + lost + 1}", _words(error))
                    lost += 1
                    continue
                for frame in decoded:
                    if frame.is_corrupt:
                        broken.add(f"{self.path}, frame {number + lost + 1}", "it is damaged")
                        lost += 1
                        continue
                    time = frame.pts if frame.pts is not None else round((0 if last is None else last) + step)
                    for repeat in bridged(time):
                        number += 1
                        yield repeat
                    number, last = number + 1, time
                    yield Frame(self._pixels(frame), time)
            yield from bridged(None)
            if not number:
                raise DataError(f"{self.path} holds no frame that can be decoded.")

    def _packets(self, container: Any, stream: Any, broken: Broken) -> Iterator[Any]:
        """What the file holds of the video, as far as it can be read."""
        try:
            yield from container.demux(stream)
        except self._av.error.FFmpegError as error:
            broken.add(f"{self.path}, the rest of it", _words(error))

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, C) of uint8, upright."""
        array: np.ndarray = frame.to_ndarray(format="gray" if self.channels == 1 else "rgb24")
        array = array[:, :, None] if array.ndim == 2 else array
        return np.ascontiguousarray(np.rot90(array, (frame.rotation or 0) // 90 % 4))


class VideoWriter:
    """Writes the frames of a translated clip, with the sound of the clip, as H.264. A context manager: left by an
    error, it leaves no file."""

    def __init__(self, clip: VideoClip, path: Path, comment: str = "") -> None:
        """path: with an ending of `WRITTEN`. comment: what the file says of itself."""
        self.clip = clip
        self.path = path
        self.lost: list[str] = []  # what of the clip is not kept
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        self._comment = comment
        self._output: Any = None
        self._stream: Any = None
        self._open = ExitStack()  # the clip, whose sound is read meanwhile
        self._sound: Iterator[Any] = iter(())
        self._packet: Any = None  # of sound, the next one to write

    def __enter__(self) -> VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._output = self.clip._av.open(str(self._temporary), "w")
        return self

    def write(self, pixels: np.ndarray, time: int) -> None:
        """The next frame (H, W, C), C 1 or 3, of uint8, at a time in units of the clip. Raises DritError where the disk
        refuses."""
        av = self.clip._av
        if self._stream is None:
            self._start(*pixels.shape[:2])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
        frame.pts, frame.time_base = time, self.clip.time_base
        try:
            self._write_sound(float(time * self.clip.time_base))
            self._output.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise not_written(self.path, error) from error

    def _start(self, height: int, width: int) -> None:
        """Open the streams, now that the size is known, and take over the sound."""
        if self._comment:
            self._output.metadata["comment"] = self._comment
        self._stream = self._output.add_stream("libx264", rate=self.clip.rate, options=dict(_QUALITY))
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"  # the usual one has even sides
        self._stream.codec_context.time_base = self.clip.time_base
        self._take_sound()

    def _take_sound(self) -> None:
        """Open the clip once more for its sound, of which every packet is copied as it is."""
        av = self.clip._av
        container, _ = self._open.enter_context(self.clip._opened())
        targets = {}
        for source in container.streams.audio:
            try:
                targets[source.index] = self._output.add_stream_from_template(source)
            except (av.error.FFmpegError, ValueError) as error:
                self.lost.append(f"sound of the input ({source.codec_context.name}: {_words(error)})")
        if targets:
            self._sound = self._packets(container, targets)
            self._packet = next(self._sound, None)

    def _packets(self, container: Any, targets: dict[int, Any]) -> Iterator[Any]:
        """The packets of sound, each for its stream of the output."""
        try:
            for packet in container.demux([s for s in container.streams.audio if s.index in targets]):
                if packet.dts is not None:
                    packet.stream = targets[packet.stream.index]
                    yield packet
        except self.clip._av.error.FFmpegError as error:
            self.lost.append(f"the rest of the sound ({_words(error)})")

    def _write_sound(self, until: float) -> None:
        """Write the sound up to a time in seconds, so that it lies beside its images."""
        while self._packet is not None and self._packet.dts * self._packet.time_base <= until:
            self._output.mux(self._packet)
            self._packet = next(self._sound, None)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._stream is not None:
                self._output.mux(self._stream.encode(None))
                self._write_sound(math.inf)
            self._output.close()
            if kind is None:
                self._temporary.replace(self.path)
        except (self.clip._av.error.FFmpegError, OSError) as error:
            if kind is None:
                raise not_written(self.path, error) from error
        finally:
            self._open.close()
            self._temporary.unlink(missing_ok=True)


class FolderClip:
    """A folder of numbered frames, in the order of their numbers: 2 before 10."""

    def __init__(self, path: Path, method: Method, domain: str) -> None:
        """Frames are read as training on `domain` read its images. Raises DataError for a folder without images."""
        self.path = path
        self._method = method
        self._domain = domain
        self.files = sorted(list_images(path), key=_by_number)
        if not self.files:
            raise DataError(f"No images in {path}. Give a folder of numbered frames: 0001.png, 0002.png, ...")

    def frames(self, broken: Broken) -> Iterator[Frame]:
        """All frames, in order; those that cannot be read without pixels. Raises DataError as `Broken`, and where the
        frames differ in size."""
        size: tuple[int, ...] = ()
        for file in self.files:
            try:
                pixels, metadata = read_image(file, self._method, self._domain)
            except DataError as error:
                broken.add(str(file), error)
                yield Frame(None, file)
                continue
            size = size or pixels.shape
            if pixels.shape != size:
                raise DataError(
                    f"{file} is of another size than the frames before it ({pixels.shape[1]} x {pixels.shape[0]}, not "
                    f"{size[1]} x {size[0]}). A clip has one size: translate the folder without --clip."
                )
            yield Frame(pixels, file, metadata)


def _by_number(path: Path) -> tuple[Any, ...]:
    """A key that sorts names by the numbers in them."""
    parts = re.split(r"(\d+)", path.as_posix())
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in parts)


def _words(error: Exception) -> str:
    """An error in one short line."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().splitlines()[0][:200].rstrip(".") if str(text).strip() else type(error).__name__
