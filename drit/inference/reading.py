"""How a file becomes an input of a model: as training read it, channels and transparency alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drit.bounded import is_file, is_folder, resolved
from drit.data.arrays import array_file, read_arrays
from drit.data.folders import header_notes, list_images
from drit.data.images import Header, Metadata, decode, fit_channels, read_header
from drit.data.names import file_of, without_ending
from drit.data.ranges import AS_STORED, Reading, read_array_images, reading_of
from drit.data.volumes import expand
from drit.errors import DataError
from drit.inference import outputs
from drit.methods.base import Method
from drit.runs.folder import refuse_inside


class Input(NamedTuple):
    """An image to translate: a file, or one of an array file."""

    path: Path
    place: Path  # under the output folder, without suffix
    array: np.ndarray | None = None  # (H, W, C) of uint8 or uint16, as read from an array file
    dtype: str = "uint8"  # of the array file's numbers

    def header(self, method: Method, domain: str) -> Header:
        """What its header says, pixels not read. Raises DataError for what a header shows to be none."""
        if self.array is None:
            return read_header(self.path, *reading_of(method.settings.data, domain))
        height, width, channels = self.array.shape
        return Header(height, width, channels, 8 * self.array.dtype.itemsize, dtype=self.dtype)

    def read(self, method: Method, domain: str) -> tuple[np.ndarray, Metadata]:
        """As `read_image`."""
        if self.array is None:
            return read_image(self.path, method, domain)
        return fit_channels(self.array, method.channels[domain]), Metadata()


def read_image(path: Path, method: Method, domain: str) -> tuple[np.ndarray, Metadata]:
    """A file as training on `domain` read it (but for its size): (H, W, C) of uint8 or uint16, C the domain's channels.

    Second: what the file says beside its pixels. Transparency, bands and range are as the run's settings say. Raises
    DataError for a file that cannot be read or has other channels.
    """
    array, image_format = decode(path, *reading_of(method.settings.data, domain))
    fitting = fit_channels(array, method.channels[domain], image_format.extra, image_format.alpha)
    return fitting, image_format.metadata


def reading_notes(method: Method, domain: str, headers: Mapping[Path, Header]) -> list[str]:
    """What of files of a domain is converted or not read, in sentences, as it is told before a training."""
    if not headers:
        return []
    config = method.settings.data
    ranged = reading_of(config, domain).value_range is not None
    return [f"{note}." for note in header_notes(headers, method.channels[domain], config, ranged)]


def find_inputs(inputs: Sequence[str], out: Path, reading: Reading = AS_STORED) -> list[Input]:
    """Images that `inputs` (files, folders and array files) name, each with its place of its own under `out`.

    reading: how the images of array files are read. Left out: sheets and maps of this program in a folder, and files
    that an earlier call wrote into `out`. Raises DataError for one that is missing or a folder without images,
    UsageError where `out` lies within an input folder.
    """
    refuse_inside(out, inputs)
    given: list[Input] = []
    left_out = 0
    own = {resolved(out) / name for name in outputs.own_files(out)}
    for name in inputs:
        path, arrays = Path(name), array_file(name)
        if arrays:
            given += _of_arrays(name, *arrays, reading)
        elif is_folder(path):
            maps = outputs.maps_in(path)
            images = [p for p in list_images(path) if not outputs.is_sheet(p) and resolved(p) not in maps]
            if not images:
                raise DataError(f"No images in {path}. Give a folder with .jpg, .png, .webp, .tif or .bmp files.")
            given += [Input(p, without_ending(p.relative_to(path))) for p in images]
        elif not is_file(file_of(path)):
            raise DataError(f"There is no image or folder {path}.")
        elif resolved(path) in own:
            left_out += 1
        else:
            given += [Input(p, Path(without_ending(p).name)) for p in expand(path)]
    if left_out and not given:
        raise DataError(f"All {left_out} images given are outputs of an earlier call in --out {out}. Give others.")
    places = numbered([str(image.place) for image in given])  # x.png and x.jpg, or two folders with the same names
    return [image._replace(place=Path(place)) for image, place in zip(given, places, strict=True)]


def _of_arrays(name: str, file: Path, key: str, reading: Reading) -> list[Input]:
    """The images of an array file, named by their row: FILE_00012."""
    if not is_file(file):
        raise DataError(f"There is no file {file}.")
    arrays = read_arrays(file, key, raw=reading.value_range is not None)
    images = read_array_images(arrays.images, name, reading)
    digits = max(5, len(str(len(images) - 1)))
    return [
        Input(Path(f"{file}:{arrays.key}[{i}]"), Path(f"{file.stem}_{i:0{digits}d}"), image, arrays.images.dtype.name)
        for i, image in enumerate(images)
    ]


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
