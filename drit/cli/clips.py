"""`drit translate` of videos and of folders of numbered frames."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drit.cli.options import show
from drit.errors import UsageError
from drit.progress import quiet

if TYPE_CHECKING:
    from drit.inference.formats import FormatChoice
    from drit.inference.styles import Style
    from drit.inference.translator import Translator


def find_clips(values: argparse.Namespace) -> list[Path]:
    """The inputs, where they are clips; empty where they are images. Raises UsageError for a mixture, and for flags
    that clips do not take."""
    from drit.inference.video import is_video, needed

    paths = [Path(name) for name in values.inputs]
    videos = [path for path in paths if is_video(path)]
    if videos:
        needed()
    others = [path for path in paths if path not in videos and not (values.clip and path.is_dir())]
    if (videos or values.clip) and others:
        what = "is no folder of frames and no video" if values.clip else "is no video"
        raise UsageError(f"{others[0]} {what}: translate clips and images by two commands (--clip: folders are clips).")
    if not videos and not values.clip:
        if values.walk:
            raise UsageError("--walk is for clips: videos, or folders with --clip. Of images --interpolate N walks.")
        if values.steady:
            raise UsageError("--steady is for clips: videos, or folders with --clip. Leave it out.")
        return []
    wrong = [flag for flag in ("map", "tile", "interpolate") if getattr(values, flag)]
    if wrong:
        instead = " --walk walks between styles." if "interpolate" in wrong else ""
        raise UsageError(f"Clips are translated without --{wrong[0]}: leave it out.{instead}")
    return paths


def translate_clips(
    values: argparse.Namespace,
    translator: Translator,
    clips: Sequence[Path],
    styles: Sequence[Style],
    form: FormatChoice,
) -> int:
    """Translate clips, and tell how much they flicker."""
    from drit.inference.clip_files import ClipOptions, translate_clips

    out = Path(values.out)
    options = ClipOptions(values.walk, values.steady, values.source)
    result = translate_clips(translator, clips, values.to, out, styles, form, values.overwrite, quiet(), options)
    for note in result["notes"]:
        print(f"note: {note}", file=sys.stderr)
    for frame in result["broken"]:
        print(f"broken: {frame}: the last good frame is repeated", file=sys.stderr)
    lines = [
        f"{result['frames']} frames in {result['seconds']:.1f} s ({result['frames_per_second']:.1f} a second): {out}"
    ]
    for name, numbers in result["flicker"].items():
        if numbers:
            lines.append(
                f"{name}: flicker {numbers['clip']:.2f} of 255 (each frame by itself {numbers['each_frame']:.2f}, the "
                f"input {numbers['input']:.2f})"
            )
    show(values, result, "\n".join(lines))
    return 1 if result["broken"] else 0
