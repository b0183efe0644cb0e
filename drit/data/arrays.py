"""Array files: images, labels and what lies beside them in an .npz file."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drit.data.pixels import from_unit
from drit.errors import DataError
from drit.runtime import free_memory


def array_file(path: str) -> tuple[Path, str] | None:
    """The file and the key that `file.npz` or `file.npz:KEY` means; None for anything else, which is a folder."""
    if os.path.isdir(path):  # no error where this user may not look: the images of a run that another user trained
        return None
    if path.endswith(".npz"):
        return Path(path), ""
    file, dots, key = path.rpartition(".npz:")
    return (Path(f"{file}.npz"), key) if dots else None


LABELS_ARE = "Labels are one number or word for each image; mend them or take them out of the file."
MAX_BANDS = 16  # an axis of so many, before longer ones, holds bands: they belong at the end


class Arrays(NamedTuple):
    """Images of an .npz file and what lies beside them."""

    key: str  # the array's name
    images: np.ndarray  # (N, H, W, C) of uint8 or uint16
    labels: np.ndarray | None  # (N,)
    beside: dict[str, np.ndarray]  # other arrays with a row for each image


def read_arrays(path: Path, key: str = "", beside: bool = False, raw: bool = False) -> Arrays:
    """Images (N, H, W[, C]) of uint8, uint16 or float in [0, 1] and their labels from an .npz file.

    path: the file. key: the array's name; empty: the usual name, or the only array of images. beside: also other
    arrays of as many rows; of those named `train_...` for `train_images`. Labels of `images` are `labels`, those of
    `train_images` are `train_labels`. Floats become uint16. raw: numbers of any real type, as they are. Raises
    DataError for anything else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            shapes = _shapes(archive)
            key = _image_key(key, shapes, path)
            _check_memory(archive, key, path)
            array = archive[key]
            label_key = key.replace("images", "labels") if "images" in key else "labels"
            if label_key in shapes:
                _check_memory(archive, label_key, path)
            labels = archive[label_key] if label_key in shapes else None
            if labels is not None and labels.dtype.kind == "S":
                labels = np.strings.decode(labels, "utf-8")
            if labels is not None and labels.dtype.kind == "U":
                "".join(labels.ravel().tolist()).encode()  # raises where they hold what is no letter
            prefix = key.removesuffix("images") if key.endswith("images") else ""
            others = [
                name
                for name, shape in shapes.items()
                if beside and name not in (key, label_key) and name.startswith(prefix) and shape[:1] == array.shape[:1]
            ]
            for name in others:
                _check_memory(archive, name, path)
            rows = {name: archive[name] for name in others}
    except DataError:
        raise
    except Exception as error:  # zipfile, numpy and pickle each raise their own for a damaged file
        raise DataError(f"{path} cannot be read as an .npz file of arrays: {error}") from error
    if array.ndim == 3:
        array = array[..., None]
    turned = array.ndim == 4 and array.shape[1] <= MAX_BANDS < array.shape[3]  # (N, C, H, W)
    usable = array.dtype in (np.uint8, np.uint16) or array.dtype.kind == "f" or (raw and array.dtype.kind in "ui")
    if array.ndim != 4 or turned or not usable:
        integers = array.dtype.kind in "ui" and not turned and array.ndim == 4
        raise DataError(
            f"{path}:{key} has shape {array.shape} and type {array.dtype}; images are (N, H, W) or (N, H, W, C), of "
            "uint8, uint16 or float in [0, 1]."
            + (
                " For others say which values become black and white: --data.range LOW HIGH, or auto."
                if integers
                else ""
            )
        )
    if not array.size:
        what = "no images" if not len(array) else f"images without pixels, of shape {array.shape}"
        raise DataError(f"{path}:{key} holds {what}.")
    if array.dtype.kind == "f" and not raw:
        try:
            array = from_unit(array)
        except ValueError as error:
            raise DataError(
                f"{path}:{key} holds {error}. Scale them, or say which values become black and white: --data.range LOW "
                "HIGH, or auto."
            ) from error
    if labels is not None and labels.shape != (len(array),):
        raise DataError(
            f"{path}: {label_key} has shape {labels.shape} for the {len(array)} images of {key}. {LABELS_ARE}"
        )
    return Arrays(key, array, labels, rows)


def check_labels(labels: np.ndarray, source: str) -> None:
    """Raises DataError where an image has no label. Nobody asks where labels are not used.

    labels: (N,) of any type, beside the images of `source`, FILE.npz:KEY.
    """
    if labels.dtype.kind not in "biufU":
        raise DataError(f"The labels of {source} have type {labels.dtype}. {LABELS_ARE}")
    missing = ~np.isfinite(labels) if labels.dtype.kind == "f" else labels == ""
    if missing.any():
        first = int(missing.argmax())
        raise DataError(
            f"{int(missing.sum())} of the {len(labels)} images of {source} have no label, number {first} first "
            f"({str(labels[first]) or 'an empty word'}). {LABELS_ARE}"
        )


def _check_memory(archive: Any, key: str, path: Path) -> None:
    """Raises DataError for an array that does not fit into the free memory: a few kilobytes may unpack to any size."""
    needed = archive.zip.getinfo(f"{key}.npy").file_size
    with archive.zip.open(f"{key}.npy") as file:
        shape, dtype = _header(file)
    needed = max(needed, math.prod(shape) * dtype.itemsize)
    if needed > free_memory():
        raise DataError(
            f"{path}:{key} of shape {shape} needs {needed / 2**30:.1f} GiB, more than the memory that is free. "
            "Store its images as files."
        )


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an .npy file, from its header."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _shapes(archive: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of an .npz file, from their headers."""
    shapes = {}
    for name in archive.files:
        with archive.zip.open(f"{name}.npy") as file:
            shapes[name] = _header(file)[0]
    return shapes


def _image_key(key: str, shapes: dict[str, tuple[int, ...]], path: Path) -> str:
    """The array that holds images: the one asked for, a usual name, or the only one with 3 or 4 dimensions."""
    images = [name for name, shape in shapes.items() if len(shape) in (3, 4)]
    if key:
        if key not in shapes:
            raise DataError(f"{path} has no array '{key}'. Its arrays: {', '.join(shapes)}.")
        return key
    for usual in ("images", "train_images"):
        if usual in images:
            return usual
    if len(images) != 1:
        raise DataError(f"{path} has {len(images)} arrays of images ({', '.join(shapes)}). Name one: {path}:KEY")
    return images[0]
