"""How a file becomes an input of a model: as training read it, channels and transparency alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drit.data.folders import list_images
from drit.data.images import convert_channels, decode, probe
from drit.errors import DataError
from drit.inference import outputs
from drit.methods.base import Method


class Header(NamedTuple):
    """What the header of an image says."""

    height: int
    width: int
    channels: int
    depth: int  # 8 or 16


class Input(NamedTuple):
    """An image to translate."""

    path: Path
    place: Path  # under the output folder, without suffix


def read_image(path: Path, method: Method, domain: str) -> np.ndarray:
    """A file as training on `domain` read it (but for its size): (H, W, C) of uint8 or uint16, C the domain's channels.

    Transparency is kept or laid on white as the run's `data.alpha` says. Raises DataError for a file that cannot be
    read or has other channels.
    """
    return convert_channels(decode_image(path, method), method.channels[domain])


def decode_image(path: Path, method: Method) -> np.ndarray:
    """As `read_image`, with the channels that the file has."""
    return decode(path, method.settings.data.alpha)[0]


def read_header(path: Path, method: Method) -> Header:
    """What the file's header says, pixels not read. Raises DataError as `read_image` does, for what a header shows."""
    return Header(*probe(path, method.settings.data.alpha))


def find_inputs(inputs: Sequence[str], out: Path) -> list[Input]:
    """Images that `inputs` (files and folders) name, each with its place of its own under the output folder.

    Left out: sheets of this program in a folder, and files that an earlier call wrote into `out`. Raises DataError for
    one that is missing or a folder without images, UsageError where `out` lies within an input folder.
    """
    outputs.refuse_inside(out, inputs)
    given: list[Input] = []
    left_out = 0
    own = {out.resolve() / name for name in outputs.own_files(out)}
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            images = [p for p in list_images(path) if not outputs.is_sheet(p)]
            if not images:
                raise DataError(f"No images in {path}. Give a folder with .jpg, .png, .webp, .tif or .bmp files.")
            given += [Input(p, p.relative_to(path).with_suffix("")) for p in images]
        elif not path.is_file():
            raise DataError(f"There is no image or folder {path}.")
        elif path.resolve() in own:
            left_out += 1
        else:
            given.append(Input(path, Path(path.stem)))
    if left_out and not given:
        raise DataError(f"All {left_out} images given are outputs of an earlier call in --out {out}. Give others.")
    places = numbered([str(image.place) for image in given])  # x.png and x.jpg, or two folders with the same names
    return [Input(image.path, Path(place)) for image, place in zip(given, places, strict=True)]


def numbered(names: Sequence[str]) -> list[str]:
    """The names, of which those that come again get a number that makes them names of their own: x, x_2, x_3."""
    given, taken, unique = set(names), set[str](), []
    for name in names:
        own, count = name, 1
        while own in taken or (count > 1 and own in given):
            count += 1
            own = f"{name}_{count}"
        taken.add(own)
        unique.append(own)
    return unique
