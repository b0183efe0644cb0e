"""Translation of clips: video files, and folders of numbered frames, each in one constant style or a walk of styles.

OUT/NAME_STYLE.mp4           of a video: size, frame rate, times of frames and sound are kept
OUT/NAME_STYLE/FRAME.png     of a folder of frames
OUT/outputs.json             input, style and domain of each, and how much it flickers
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from drit.atomic import not_written
from drit.bounded import resolved
from drit.data.images import convert_channels, encode, from_tensor, read_header, to_tensor
from drit.data.ranges import reading_of
from drit.errors import DataError, UsageError
from drit.inference import memory, outputs
from drit.inference.clips import ClipTranslator, sample_size, spread, styles_over_time
from drit.inference.flicker import flicker, motion, steadied
from drit.inference.formats import FormatChoice, OutputFormat, samples_of
from drit.inference.reading import numbered
from drit.inference.state import state_of
from drit.inference.styles import Style
from drit.inference.translator import Translator
from drit.inference.video import WRITTEN, Broken, FolderClip, Frame, VideoClip, VideoWriter, is_video
from drit.progress import tracked
from drit.runs.folder import refuse_inside

PAIRS = 16  # of neighbouring frames that flicker is measured on, at most
WALK = "walk"  # the name of a walk through all styles


@dataclass(frozen=True)
class ClipOptions:
    """What else is asked of a translation of clips."""

    walk: bool = False  # one output of each clip, whose style walks through all styles
    steady: float = 0.0  # share of the last output, moved along, in each frame
    source: str = ""  # domain of the clips, where a run has more than two


class _Survey(NamedTuple):
    """What a first look at a clip found."""

    frames: int
    places: list[int]  # of the sample
    sample: Tensor  # (M, C, H, W) in [-1, 1]
    broken: list[str]


class _Output(NamedTuple):
    """One translation of a clip."""

    clip: VideoClip | FolderClip
    name: str  # of its style, in file names
    styles: Tensor  # (K, S): one, or those that it walks through
    seed: int | None
    files: list[str]  # under the output folder


class _Job:
    """What all clips share: the model, the direction, and how frames are written."""

    def __init__(self, translator: Translator, to: str, options: ClipOptions, choice: FormatChoice) -> None:
        self.translator = translator
        self.options = options
        self.to = translator.domain(to)
        self.source = translator.source(to, options.source)
        self.samples = samples_of(translator.method, self.source, self.to)
        self.choice = choice
        choice.check(self.samples)

    def open(self, path: Path) -> VideoClip | FolderClip:
        """A clip. Raises UsageError where the model does not take or give frames of a video."""
        method = self.translator.method
        if not is_video(path):
            return FolderClip(path, method, self.source)
        if reading_of(method.settings.data, self.source).value_range or self.samples.value_range:
            raise UsageError(f"{path}: this run has a range of values (--data.range), and a video has none.")
        if self.samples.channels not in (1, 3):
            raise UsageError(f"Outputs of {self.samples.channels} channels are no frames of a video: 1 or 3 are.")
        return VideoClip(path, method.channels[self.source])

    def tensor(self, pixels: np.ndarray) -> Tensor:
        """A frame (H, W, C) as (C, H, W) in [-1, 1]."""
        return to_tensor(convert_channels(pixels, self.translator.method.channels[self.source]))

    def format(self, frame: Path) -> OutputFormat:
        """How the output of a frame that is a file is written."""
        reading = reading_of(self.translator.method.settings.data, self.source)
        return self.choice.of(frame.suffix.lower(), read_header(frame, *reading), self.samples)

    def survey(self, clip: VideoClip | FolderClip) -> _Survey:
        """Go through a clip once. Raises DataError for one that cannot be translated."""
        broken, count, stride, wanted = Broken(str(clip.path)), 0, 1, 0
        kept: list[tuple[int, np.ndarray]] = []
        for frame in clip.frames(broken):
            if frame.pixels is not None:
                if not wanted:
                    height, width = frame.pixels.shape[:2]
                    self.translator.check_memory(height, width, self.to)
                    wanted = sample_size(self.translator, height, width, self.to)
                if count % stride == 0 or not kept:
                    kept.append((count, frame.pixels))
                if len(kept) > 2 * wanted:
                    kept, stride = kept[::2], 2 * stride
            count += 1
        if not kept:
            raise DataError(f"{clip.path} holds no frame that can be decoded.")
        chosen = [kept[i] for i in spread(len(kept), wanted)]
        sample = torch.stack([self.tensor(pixels) for _, pixels in chosen])
        return _Survey(count, [place for place, _ in chosen], sample, broken.frames)


def translate_clips(
    translator: Translator,
    inputs: Sequence[Path],
    to: str,
    out: Path,
    styles: Sequence[Style],
    choice: FormatChoice | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    options: ClipOptions | None = None,
) -> dict[str, Any]:
    """Translate clips (video files and folders of frames) into `out`, each in every style (see the module).

    choice: of the format of frames of a folder. overwrite, quiet: as for `files.translate_files`. Returns counts,
    files, notes, frames that were broken, and how much each output flickers: mean absolute difference, of 255, of
    neighbouring frames beside their motion; of the output, of the same frames translated each by itself, and of the
    input. Raises UsageError, before the first frame, for what cannot be written; DataError for what is no clip.
    """
    options = options or ClipOptions()
    job = _Job(translator, to, options, choice or FormatChoice())
    if not 0 <= options.steady < 1:
        raise UsageError(f"--steady {options.steady:g}: give a share from 0 to less than 1, say 0.7.")
    if options.walk and len(styles) < 2:
        raise UsageError("A walk needs at least two styles: --styles 2, or more styles of images or files.")
    refuse_inside(out, [str(path) for path in inputs if path.is_dir()])
    clips = [job.open(path) for path in inputs]
    surveys = [job.survey(clip) for clip in clips]
    named: list[tuple[str, Tensor, int | None]] = [(s.name, s.code[None], s.seed) for s in styles]
    if options.walk:
        named = [(WALK, torch.stack([s.code for s in styles]), None)]
    stems = numbered([f"{p.stem if is_video(p) else resolved(p).name}_{name}" for p in inputs for name, _, _ in named])
    planned = [
        _Output(clip, name, codes, seed, _files(job, clip, stems[i * len(named) + j]))
        for i, clip in enumerate(clips)
        for j, (name, codes, seed) in enumerate(named)
    ]
    every = [file for output in planned for file in output.files]
    outputs.check_free(out, every, overwrite, [p for p in inputs if p.is_file()])
    outputs.note(out, {file: _entry(job, output) for output in planned for file in output.files})
    began, frames, notes = time.monotonic(), 0, list[str]()
    measured: dict[str, dict[str, float]] = {}
    written: dict[str, dict[str, Any]] = {}
    for output in planned:
        survey = surveys[clips.index(output.clip)]
        numbers, lost = _translate(job, output, survey, out, quiet)
        name = output.files[0] if isinstance(output.clip, VideoClip) else str(Path(output.files[0]).parent)
        measured[str(out / name)] = numbers
        written |= {file: _entry(job, output) | {"flicker": numbers} for file in output.files}
        frames += survey.frames
        notes += [f"{output.clip.path}: {part} is not kept." for part in lost]
    outputs.note(out, {file: value for file, value in written.items() if (out / file).is_file()})
    seconds = time.monotonic() - began
    return {
        "to": job.to,
        "clips": len(clips),
        "styles": len(named),
        "frames": frames,
        "files": [str(out / file) for file in written if (out / file).is_file()],
        "outputs": str(out / outputs.OUTPUTS),
        "flicker": measured,
        "sample": {str(clip.path): len(s.places) for clip, s in zip(clips, surveys, strict=True)},
        "broken": [frame for survey in surveys for frame in survey.broken],
        "notes": list(dict.fromkeys(notes)),
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / max(seconds, 1e-9), 3),
    }


def _files(job: _Job, clip: VideoClip | FolderClip, stem: str) -> list[str]:
    """The files of one output."""
    if isinstance(clip, VideoClip):
        suffix = clip.path.suffix.lower()
        return [f"{stem}{suffix if suffix in WRITTEN else '.mkv'}"]
    places = [file.relative_to(clip.path) for file in clip.files]
    suffixes = [_suffix(job, file) for file in clip.files]
    return numbered([(Path(stem) / p.with_suffix(s)).as_posix() for p, s in zip(places, suffixes, strict=True)])


def _suffix(job: _Job, frame: Path) -> str:
    """The ending of the output of a frame; of one whose header cannot be read, its own."""
    try:
        return job.format(frame).suffix
    except DataError:
        return frame.suffix


def _entry(job: _Job, output: _Output) -> dict[str, Any]:
    return {"input": str(output.clip.path), "style": output.name, "domain": job.to}


def _translate(
    job: _Job, output: _Output, survey: _Survey, out: Path, quiet: bool
) -> tuple[dict[str, float], list[str]]:
    """Write one output. Returns how much it flickers, and what of the clip it does not keep."""
    clip, translator = output.clip, job.translator
    codes = styles_over_time(output.styles, survey.frames)
    with memory.named_size(*survey.sample.shape[-2:]):
        model = ClipTranslator(translator, survey.sample, codes[survey.places], job.source, job.to)
    meter = _Meter(job, set(spread(survey.frames - 1, PAIRS)) if survey.frames > 1 else set())
    state = state_of(translator.weights, job.source, job.to, output.name, codes[0], output.seed).text()
    sink: _Frames | VideoWriter
    if isinstance(clip, VideoClip):
        sink = VideoWriter(clip, out / output.files[0], state)
    else:
        sink = _Frames(job, [out / file for file in output.files], state)
    waiting: list[Frame] = []  # broken ones before the first good one
    last: Tensor | None = None
    before: np.ndarray | None = None  # the good frame that `last` is of
    with sink:
        frames = tracked(clip.frames(Broken(str(clip.path))), clip.path.name, survey.frames, hidden=quiet)
        for i, frame in enumerate(frames):
            if frame.pixels is None:
                meter.skip()
                if last is None:
                    waiting.append(frame)
                    continue
            else:
                style = codes[min(i, len(codes) - 1)]
                image = model.frame(job.tensor(frame.pixels), style)
                if job.options.steady and last is not None and before is not None:
                    image = steadied(image, last, motion(before, frame.pixels), job.options.steady)
                last, before = image, frame.pixels
                meter.add(i, frame.pixels, last, style)
            for each in [*waiting, frame]:
                _write(sink, each, last)
            waiting = []
    return meter.numbers(), sink.lost


def _write(sink: _Frames | VideoWriter, frame: Frame, image: Tensor) -> None:
    """Write the translation (C, H, W) in [-1, 1] of a frame."""
    if isinstance(sink, VideoWriter):
        sink.write(from_tensor(image, 8), frame.place)
    else:
        sink.write(image, frame)


class _Frames:
    """Writes the frames of a folder."""

    def __init__(self, job: _Job, paths: Sequence[Path], state: str) -> None:
        self.lost: list[str] = []
        self._job = job
        self._paths = iter(paths)
        self._state = state
        self._format: OutputFormat | None = None

    def __enter__(self) -> _Frames:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open: each frame was written whole."""

    def write(self, image: Tensor, frame: Frame) -> None:
        """The next frame (C, H, W) in [-1, 1]. Raises DritError where the disk refuses."""
        path = next(self._paths)
        if frame.pixels is not None or self._format is None:
            try:
                self._format = self._job.format(frame.place)
            except DataError:
                self._format = self._format or OutputFormat(path.suffix, 8)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            metadata = replace(frame.metadata, note=self._state)
            encode(self._format.array(image), path, self._format.alpha, metadata)
        except (OSError, ValueError) as error:
            raise not_written(path, error) from error


class _Meter:
    """Measures flicker on some pairs of neighbouring frames."""

    def __init__(self, job: _Job, pairs: set[int]) -> None:
        """pairs: places of the first frames of the pairs."""
        self._job = job
        self._pairs = pairs
        self._before: tuple[np.ndarray, np.ndarray, Tensor] | None = None  # input, output, style
        self._found: list[tuple[float, float, float]] = []  # of the output, of frames by themselves, of the input

    def skip(self) -> None:
        """A broken frame: no pair goes across it."""
        self._before = None

    def add(self, place: int, pixels: np.ndarray, image: Tensor, style: Tensor) -> None:
        """The next frame (H, W, C), its output (C, H, W) in [-1, 1] and its style (S,)."""
        shown = from_tensor(image, 8)
        if self._before is not None and place - 1 in self._pairs:
            before, shown_before, style_before = self._before
            moved = motion(before, pixels)
            alone = [self._alone(before, style_before), self._alone(pixels, style)]
            self._found.append(
                (
                    flicker(shown_before, shown, moved),
                    flicker(alone[0], alone[1], moved),
                    flicker(before, pixels, moved),
                )
            )
        self._before = (pixels, shown, style)

    def _alone(self, pixels: np.ndarray, style: Tensor) -> np.ndarray:
        """A frame translated by itself, with its own statistics."""
        job = self._job
        return from_tensor(next(job.translator.outputs(job.tensor(pixels), style[None], job.to)), 8)

    def numbers(self) -> dict[str, float]:
        """The means over the pairs that could be measured; empty where none could."""
        found = [row for row in self._found if not any(map(math.isnan, row))]
        if not found:
            return {}
        means = np.mean(found, 0)
        return {name: round(float(v), 3) for name, v in zip(("clip", "each_frame", "input"), means, strict=True)}
