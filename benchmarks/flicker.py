"""Flicker of a translated clip, with the statistics of the clip and frame by frame.

    python -m benchmarks.flicker RUN [--side 96] [--frames 48] [--step 2]

The clip is made of the drawings that the package brings (OpenMoji): a row of them slides by, so many pixels a frame,
and a black board covers a part of it from the middle on. RUN takes images of one or three channels.
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
from drit.inference.clip_files import ClipOptions, translate_clips
from drit.inference.styles import StyleChoice, chosen_styles


def make_clip(folder: Path, side: int, frames: int, step: int) -> Path:
    """A folder of numbered frames (PNG, grey, side x side)."""
    make_emoji(folder / "emoji", 2)
    drawings = [
        np.asarray(Image.open(path).resize((side, side)))
        for path in sorted((folder / "emoji" / "test_a").glob("*.png"))[: 2 + step * frames // side]
    ]
    scene = np.concatenate(drawings, 1)
    for i in range(frames):
        frame = scene[:, step * i : step * i + side].copy()
        frame[: side // 3, : max(0, (2 * i - frames) * side // frames)] = 0
        encode(frame[:, :, None], folder / "clip" / f"{i:04d}.png")
    return folder / "clip"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
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
        clip = make_clip(Path(place), values.side, values.frames, values.step)
        options = ClipOptions(steady=values.steady)
        result = translate_clips(translator, [clip], "b", Path(place, "out"), styles, options=options)
    for numbers in result["flicker"].values():
        print(json.dumps(numbers))
    print(f"{result['frames_per_second']} frames a second, flicker measured too")


if __name__ == "__main__":
    main()
