"""Flicker of a translated clip, with the statistics of the clip and frame by frame.

    python -m benchmarks.flicker RUN [--images FOLDER] [--side 96] [--frames 48] [--step 2]

The clip is made of the drawings that the package brings (OpenMoji), or of the images of a folder: a row of them slides
by, so many pixels a frame, and a black board covers a part of it from the middle on. RUN takes images of one or three
channels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import drit
from drit.data.emoji import make_emoji
from drit.data.images import encode
from drit.errors import UsageError
from drit.inference.clip_files import ClipOptions, translate_clips
from drit.inference.styles import StyleChoice, chosen_styles

SUFFIXES = (".jpg", ".png")


def scene(images: Path, side: int, width: int) -> np.ndarray:
    """Images of a folder in a row, each scaled to the height `side`: (side, at least width), or with channels."""
    row: list[np.ndarray] = []
    for path in sorted(p for p in images.iterdir() if p.suffix.lower() in SUFFIXES):
        image = Image.open(path)
        row.append(np.asarray(image.resize((max(1, side * image.width // image.height), side))))
        if sum(part.shape[1] for part in row) >= width:
            return np.concatenate(row, 1)
    raise UsageError(f"The images of {images} fill no row of {width} pixels. Give more, or fewer --frames.")


def make_clip(folder: Path, images: Path | None, side: int, frames: int, step: int) -> Path:
    """A folder of numbered frames (PNG, side x side), of drawings where no images are given."""
    if images is None:
        make_emoji(folder / "emoji", 2)
        images = folder / "emoji" / "test_a"
    row = scene(images, side, side + step * frames)
    for i in range(frames):
        frame = row[:, step * i : step * i + side].copy()
        frame[: side // 3, : max(0, (2 * i - frames) * side // frames)] = 0
        encode(frame.reshape(side, side, -1), folder / "clip" / f"{i:04d}.png")
    return folder / "clip"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--images", type=Path, help="a folder whose images make the clip, in place of drawings")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--step", type=int, default=2)
    parser.add_argument("--steady", type=float, default=0.0)
    parser.add_argument("--styles", type=int, default=3)
    values = parser.parse_args()
    translator = drit.load(values.run, threads=1)
    styles = chosen_styles(translator, "b", StyleChoice(values.styles))
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "clip").mkdir()
        clip = make_clip(Path(place), values.images, values.side, values.frames, values.step)
        options = ClipOptions(steady=values.steady)
        result = translate_clips(translator, [clip], "b", Path(place, "out"), styles, options=options)
    for numbers in result["flicker"].values():
        print(json.dumps(numbers))
    print(f"{result['frames_per_second']} frames a second, flicker measured too")


if __name__ == "__main__":
    main()
