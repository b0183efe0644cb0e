"""A labelled set: class folders, a folder with a label file, or an .npz file of images and labels.

    DIR/CLASS/*.png                        the folder's name is the label
    DIR/*.png  --labels FILE.csv           columns `file` (under DIR) and `label`; other columns are carried along
    FILE.npz or FILE.npz:train_images      labels in `labels` or `train_labels`; other arrays of as many rows come along

What belongs to an image of a folder comes along too: a mask of the same name in DIR/masks/ (DIR/masks/CLASS/x.png for
DIR/CLASS/x.png), and a .txt, .json or .xml file of the same name beside it (boxes). Of a slice of a volume,
DIR/CLASS/scan.nii.gz[37], it is that slice of DIR/masks/CLASS/scan.nii.gz, and scan_0037.txt.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch
from torch import Tensor

from drit.bounded import is_file, is_folder
from drit.data.arrays import array_file, check_labels, read_arrays
from drit.data.fingerprints import file_digest
from drit.data.folders import list_images
from drit.data.images import Header, convert_channels, decode, fit_channels, read_header, read_values
from drit.data.masks import MASKS, mask_of
from drit.data.names import slice_of, without_ending
from drit.data.ranges import AS_STORED, Reading, read_array_images
from drit.errors import LISTED, DataError, some

_WHOLE = re.compile(r"-?[0-9]{1,300}")  # a class that is a number; Python reads no longer ones than 4300 digits
BESIDE = (".txt", ".json", ".xml")  # files beside an image that belong to it


@dataclass(frozen=True)
class LabelledSet:
    """Images with labels. Image i is row i of `array`, or the file `paths[i]`."""

    source: str
    values: np.ndarray  # (N,) labels as they were given: numbers or strings
    classes: list[str]  # their names, in order
    labels: np.ndarray  # (N,) int64: places in `classes`
    shapes: list[tuple[int, int]]  # height and width of each image
    channels: int  # the maximum of the images
    digest: str  # sha256 of names and contents or values, and labels
    array: np.ndarray | None = None  # (N, H, W, C) of uint8 or uint16
    root: Path = Path()
    paths: list[Path] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)  # of the files
    beside: dict[str, np.ndarray] = field(default_factory=dict)  # arrays or columns carried along: (N, ...)
    reading: Reading = AS_STORED  # how the files are read
    dtype: str = "uint8"  # of an array file's numbers

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        """The file's place in its folder, or the image's in its array."""
        return str(i) if self.array is not None else self.paths[i].relative_to(self.root).as_posix()

    def get(self, i: int, channels: int = 0) -> np.ndarray:
        """Image i: (H, W, C) of uint8 or uint16. Raises DataError when its file is damaged.

        channels: those that a model takes: the image is given with them, as `ImageSet.get` does. Without it RGB with
        one band more is RGB: where no number is asked for, four channels mean transparency.
        """
        if self.array is not None:
            return convert_channels(self.array[i], channels) if channels else self.array[i]
        array, image_format = decode(self.paths[i], *self.reading)
        if channels:
            return fit_channels(array, channels, image_format.extra, image_format.alpha)
        return fit_channels(array, 3, image_format.extra) if array.shape[2] == 4 and image_format.extra else array

    def mask(self, i: int) -> Path | None:
        """The mask of image i, with its own suffix or another one; of a slice, that slice of a volume of its name."""
        return mask_of(self.root, self.paths[i])

    def notes(self, i: int) -> list[Path]:
        """Files of the same name beside image i."""
        bare = without_ending(self.paths[i])
        return [p for suffix in BESIDE if (p := bare.with_name(bare.name + suffix)).is_file()]

    def pixels(self, side: int, channels: int = 0) -> np.ndarray:
        """All images as one array (N, side, side, channels) of uint8; not copied where it is one already."""
        channels = channels or (3 if self.channels > 2 else 1)
        if self.array is not None and self.array.dtype == np.uint8 and self.array.shape[1:] == (side, side, channels):
            return self.array
        images = np.empty((len(self), side, side, channels), np.uint8)
        for i in range(len(self)):
            images[i] = shown(self.get(i), side, channels)
        return images


def mask_file(mask: Path) -> tuple[bytes, str]:
    """A mask as a file of its own, for an output: its content, and its ending. A slice becomes a TIFF of its numbers.

    Raises DataError where it cannot be read.
    """
    if slice_of(mask) is None:
        try:
            return mask.read_bytes(), mask.suffix
        except OSError as error:
            raise DataError(f"{mask} cannot be read: {error.strerror}.") from error
    values = read_values(mask)[:, :, 0]
    whole = values.astype(np.uint16)
    if np.array_equal(whole, values):
        values = whole.astype(np.uint8) if whole.max(initial=0) < 256 else whole
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="minisblack", compression="deflate", metadata=None, software="")
    return buffer.getvalue(), ".tif"


def shown(image: np.ndarray, side: int, channels: int) -> np.ndarray:
    """An image (H, W, C) of uint8 or uint16 as a classifier sees it: (side, side, channels) of uint8, grey repeated for
    colour. Raises DataError where the channels cannot be converted."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.shape[:2] != (side, side):
        shrinking = side * side < image.shape[0] * image.shape[1]
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return convert_channels(image if image.ndim == 3 else image[:, :, None], channels)


def open_labelled(path: str, labels: str = "", wanted: bool = True, reading: Reading = AS_STORED) -> LabelledSet:
    """Open a labelled set (see the module). labels: a CSV file for a folder without class folders.

    wanted: labels are needed; else images without any are of class "". reading: bands, range and transparency, as a run
    reads its images (`ranges.reading_of`). Raises DataError that names what does not fit.
    """
    file = array_file(path)
    if file:
        if labels:
            raise DataError(f"--labels {labels} is for a folder of images; {path} has its labels within.")
        return _open_array(path, *file, wanted, reading)
    root = Path(path)
    if not is_folder(root):
        raise DataError(f"There is no folder {root}. Give a folder with a folder for each class, or an .npz file.")
    paths = [p for p in list_images(root) if p.relative_to(root).parts[0] != MASKS]
    if not paths:
        raise DataError(f"No images in {root}. Give a folder with .jpg, .png, .webp, .tif or .bmp files.")
    beside: dict[str, np.ndarray] = {}
    if labels:
        values, beside = _read_labels(Path(labels), root, paths)
    else:
        values = np.array([p.relative_to(root).parts[0] if p.parent != root else "" for p in paths])
        loose = [p.name for p in paths if p.parent == root]
        if wanted and loose:
            raise DataError(
                f"{len(loose)} images lie in {root} itself ({some(loose)}): they have no label. Put each into a "
                "folder named after its class, or give a file with columns file,label (--labels, and of drit probe "
                "--train-labels and --test-labels)."
            )
    headers, broken = [], []
    for p in paths:
        try:
            headers.append(read_header(p, *reading))
        except DataError as error:
            broken.append(str(error))
    if broken:
        raise DataError(f"{len(broken)} of {len(paths)} images cannot be read: {some(broken)} Mend or remove them.")
    digest = hashlib.sha256()
    for p, value in zip(paths, values, strict=True):
        digest.update(f"{p.relative_to(root).as_posix()}\0{value}\0".encode(errors="surrogateescape") + file_digest(p))
    classes, places = _classes(values)
    return LabelledSet(
        path,
        values,
        classes,
        places,
        [(h.height, h.width) for h in headers],
        max(h.channels for h in headers),
        digest.hexdigest(),
        root=root,
        paths=paths,
        headers=headers,
        beside=beside,
        reading=reading,
    )


def check_classes(train: Sequence[LabelledSet], test: LabelledSet) -> list[str]:
    """The classes of the training sets, which must all have the same ones, and the test set too.

    Raises DataError that names a class that one set lacks.
    """
    names = list(dict.fromkeys(c for s in (*train, test) for c in s.classes))
    for one in (*train, test):
        missing = [c for c in names if c not in one.classes]
        if missing:
            other = next(s for s in (*train, test) if missing[0] in s.classes)
            raise DataError(
                f"{one.source} has no images of class {', '.join(missing[:LISTED])}, {other.source} has: classes are "
                "compared by name. Add images, or leave the class out of both."
            )
    if len(names) < 2:
        raise DataError(f"{test.source} has one class alone ({names[0]}); a classifier needs at least two.")
    return _ordered(names)


def joined(sets: Sequence[LabelledSet], classes: list[str], side: int) -> tuple[Tensor, np.ndarray]:
    """Several sets as one: images (N, side, side, 1 or 3) of uint8, and their places in `classes` (N,) of int64."""
    channels = 3 if max(s.channels for s in sets) > 2 else 1
    pixels = [s.pixels(side, channels) for s in sets]
    labels = [np.array([classes.index(name) for name in s.classes])[s.labels] for s in sets]
    return torch.from_numpy(pixels[0] if len(sets) == 1 else np.concatenate(pixels)), np.concatenate(labels)


def _open_array(path: str, file: Path, key: str, wanted: bool, reading: Reading) -> LabelledSet:
    if not is_file(file):
        raise DataError(f"There is no file {file}. Give an .npz file of images and labels, or a folder.")
    arrays = read_arrays(file, key, beside=True, raw=reading.value_range is not None)
    if arrays.labels is None and wanted:
        raise DataError(
            f"{file} has no labels for '{arrays.key}'. Store them as "
            f"'{arrays.key.replace('images', 'labels') if 'images' in arrays.key else 'labels'}', one for each image."
        )
    values = np.zeros(len(arrays.images), "U1") if arrays.labels is None else arrays.labels
    if wanted:
        check_labels(values, f"{file}:{arrays.key}")
    digest = hashlib.sha256(np.ascontiguousarray(arrays.images).data)
    digest.update("\n".join(map(str, values.tolist())).encode())
    classes, places = _classes(values)
    images = read_array_images(arrays.images, f"{file}:{arrays.key}", reading)
    _, height, width, channels = images.shape
    shapes = [(height, width)] * len(values)
    return LabelledSet(
        path,
        values,
        classes,
        places,
        shapes,
        channels,
        digest.hexdigest(),
        array=images,
        beside=arrays.beside,
        reading=reading,
        dtype=arrays.images.dtype.name,
    )


def _read_labels(file: Path, root: Path, paths: list[Path]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels and other columns of a CSV file, in the order of the images. Raises DataError that lists misfits."""
    if not is_file(file):
        raise DataError(f"There is no label file {file}.")
    try:
        with open(file, newline="", encoding="utf-8-sig", errors="surrogateescape") as opened:
            reader = csv.DictReader(opened)
            rows, columns = list(reader), list(reader.fieldnames or [])
        "".join([*columns, *(str(row.get("label")) for row in rows)]).encode()  # names of files need not be UTF-8
    except (OSError, UnicodeEncodeError, csv.Error) as error:
        raise DataError(f"The label file {file} cannot be read: {error}.") from error
    if not {"file", "label"} <= set(columns):
        raise DataError(f"The label file {file} has columns {', '.join(columns) or '(none)'}; it needs file,label.")
    short = [str(r["file"]) for r in rows if not r["label"] or None in r or None in r.values()]
    if short:
        raise DataError(f"{file}: {len(short)} rows lack a label or have too many or too few cells: {some(short)}.")
    names = [p.relative_to(root).as_posix() for p in paths]
    known = set(names)
    counts = Counter(Path(r["file"]).as_posix() for r in rows)
    problems = {
        f"name no image of {root}": [n for n in counts if n not in known],
        "are named twice": [n for n, count in counts.items() if count > 1],
        "have no row in it": [n for n in names if n not in counts],
    }
    for problem, files in problems.items():
        if files:
            raise DataError(f"The label file {file} does not match: {len(files)} files {problem}: {some(files)}.")
    by_name = {Path(r["file"]).as_posix(): r for r in rows}
    values = np.array([by_name[n]["label"] for n in names])
    others = [c for c in columns if c not in ("file", "label")]
    return values, {c: np.array([by_name[n][c] for n in names]) for c in others}


def _classes(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of the classes, in order, and each label's place among them."""
    names = [str(v) for v in values.tolist()]
    classes = _ordered(set(names))
    places = {name: i for i, name in enumerate(classes)}
    return classes, np.array([places[n] for n in names], np.int64)


def _ordered(names: Sequence[str] | set[str]) -> list[str]:
    """Class names in order; 2 before 10 where all are whole numbers."""
    return sorted(names, key=int) if all(_WHOLE.fullmatch(n) for n in names) else sorted(names)
