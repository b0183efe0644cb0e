"""Uploads to images: by the decoder that reads every file, within limits, and named by their field.

The file's name is never looked at. Its bytes go to a file with a name of our own in a folder of our own, since decoders
read files; it is gone when the image is read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drit.data.images import Header, read_header
from drit.data.ranges import reading_of
from drit.data.transforms import resize, resized_shape
from drit.errors import DataError
from drit.inference.reading import read_image
from drit.inference.state import State, find_state
from drit.methods.base import Method
from drit.serving.refusal import Refusal
from drit.serving.settings import Limits


@dataclass(frozen=True)
class Upload:
    """An image that came in."""

    array: np.ndarray  # (H, W, C) of uint8 or uint16, C the domain's channels
    header: Header  # of it


def read_upload(
    data: bytes, field: str, method: Method, domain: str, size: int, limits: Limits, in_strips: bool = False
) -> Upload:
    """An uploaded image as training on `domain` read its files.

    field: what an error calls it. size: a larger short side is scaled down to so many pixels; 0: none is. in_strips:
    whether it may be so large that it is translated in strips. Raises Refusal for what is no image, is damaged, or has
    too many pixels.
    """
    strips = in_strips and limits.strip_pixels > limits.pixels
    most, flag = (limits.strip_pixels, "--limit.strip-pixels") if strips else (limits.pixels, "--limit.pixels")
    if not data:
        raise Refusal(422, f"The field '{field}' holds an empty file.", "Send the bytes of an image file.")
    with tempfile.TemporaryDirectory(prefix="drit_") as folder:
        path = Path(folder, "upload")
        try:
            path.write_bytes(data)
        except OSError as error:
            raise Refusal(
                507, f"The image of field '{field}' could not be stored: {error.strerror}.", "Try again later."
            ) from error
        try:
            header = read_header(path, *reading_of(method.settings.data, domain))
            _check_pixels(header.height, header.width, field, limits.upload_pixels, "--limit.upload-pixels")
            height, width = header.height, header.width
            if size and min(height, width) > size:
                height, width = resized_shape(height, width, size, "short_side")
            _check_pixels(height, width, field, most, flag, "Give a smaller 'size'.")
            array, _ = read_image(path, method, domain)
        except DataError as error:
            text = str(error).replace(str(path), f"The image of field '{field}'")
            raise Refusal(422, text, "Send a PNG, JPEG, WebP or TIFF file that other programs open.") from error
    return Upload(resize(array, height, width), replace(header, height=height, width=width))


class Known(NamedTuple):
    """What an uploaded image says of itself."""

    state: State | None  # how it was made
    why: str  # why what it says of that is ignored; empty where it is not
    size: tuple[int, int]  # height and width; 0 for what is no image


def look_at_upload(data: bytes) -> Known:
    """What an uploaded image says of itself. Nothing for what is no image."""
    with tempfile.TemporaryDirectory(prefix="drit_") as folder:
        path = Path(folder, "upload")
        try:
            path.write_bytes(data)
            header = read_header(path)
            return Known(*find_state(path), (header.height, header.width))
        except OSError as error:
            raise Refusal(
                507, f"The image of field 'image' could not be stored: {error.strerror}.", "Try again later."
            ) from error
        except DataError:  # translating it will tell
            return Known(None, "", (0, 0))


def _check_pixels(
    height: int, width: int, field: str, limit: int, flag: str, next: str = "Send a smaller one."
) -> None:
    if height * width > limit:
        raise Refusal(
            413,
            f"The image of field '{field}' has {width} x {height} pixels; at most {limit} are taken ({flag}).",
            next,
        )
