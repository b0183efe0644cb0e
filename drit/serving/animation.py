"""Outputs as one moving image, forwards and backwards: GIF and WebP by Pillow, MP4 by PyAV where it is installed."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

from drit.data.images import from_tensor
from drit.data.notes import comment, packet
from drit.errors import UsageError
from drit.sheets import as_image

Animation = Literal["webp", "gif", "mp4"]
MEDIA: dict[str, str] = {"webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4"}
FRAME = 60  # milliseconds of a frame
_CRF = "18"  # of H.264: the difference is hardly seen


def able() -> list[Animation]:
    """The formats that are there."""
    return ["webp", "gif", "mp4"] if importlib.util.find_spec("av") else ["webp", "gif"]


def check_able(form: str) -> None:
    """Raises UsageError, with the line that installs it, where the format needs a package that is not there."""
    if form not in able():
        raise UsageError(f"The service needs PyAV for {form}. Install it: pip install 'drit[video]'. Or ask for webp.")


def animated(images: Sequence[Tensor], form: str, note: str = "") -> bytes:
    """Images (C, H, W) in [-1, 1], of one size, as a file that shows them forwards and backwards. form: one of `able`.

    note: how they were made, which WebP and GIF keep. MP4 takes even sides: an odd one gets its last row or column once
    more.
    """
    frames = [as_image(from_tensor(image, 8)) for image in [*images, *images[-2:0:-1]]]
    buffer = io.BytesIO()
    if form == "mp4":
        _write_mp4(frames, buffer)
    else:
        options: dict[str, Any] = {"quality": 90, "xmp": packet(note)} if form == "webp" else {"comment": comment(note)}
        frames[0].save(buffer, form.upper(), save_all=True, append_images=frames[1:], duration=FRAME, loop=0, **options)
    return buffer.getvalue()


def _write_mp4(frames: Sequence[Image.Image], buffer: io.BytesIO) -> None:
    import av

    width, height = frames[0].size
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(1000, FRAME), options={"crf": _CRF})
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for frame in frames:
            array = np.pad(np.asarray(frame), odd, mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode())
