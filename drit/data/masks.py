"""The masks of a domain's images: for each image a file of the same name in DIR/masks/, with the class of each pixel.

DIR/masks/CLASS/x.png belongs to DIR/CLASS/x.png. Of a slice of a volume, DIR/scan.nii.gz[37], it is that slice of
DIR/masks/scan.nii.gz. Of FILE.npz:train_images it is a row of `train_masks` (N, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from drit.data.arrays import array_file, read_arrays
from drit.data.containers import by_pillow, is_file_or_member, opened
from drit.data.decoders import read_values
from drit.data.imageset import ImageSet
from drit.data.names import READ_SUFFIXES, VOLUMES, file_of, slice_name, slice_of, without_ending
from drit.errors import DataError, some

MASKS = "masks"  # the folder of masks within a set
NO_CLASS = 255  # in a mask: the pixel has no class, as in PASCAL VOC and Cityscapes
_INDEXED = ("1", "L", "P")  # Pillow's kinds of image with one small number for each pixel


def mask_of(root: Path, image: Path) -> Path | None:
    """The mask of an image under `root`, with the image's own suffix or another one; None where it has none."""
    place = root / MASKS / image.relative_to(root)
    bare = without_ending(place)
    names = [place, *(bare.with_name(bare.name + suffix) for suffix in READ_SUFFIXES)]
    if found := slice_of(place):
        volume = without_ending(found[0])
        names += [slice_name(volume.with_name(volume.name + suffix), found[1]) for suffix in VOLUMES]
    return next((p for p in names if is_file_or_member(file_of(p))), None)


def without_masks(root: Path, paths: Sequence[Path]) -> list[Path]:
    """The images of a folder, less those in DIR/masks where these are the masks of others."""
    inside = {p for p in paths if p.relative_to(root).parts[0] == MASKS}
    images = [p for p in paths if p not in inside]
    return images if inside and any(mask_of(root, p) for p in images) else list(paths)


class Masks:
    """The masks of a domain's images, by index, cut to no crop yet.

    Raises DataError where an image has none, or where an array of masks has another shape than the images.
    """

    def __init__(self, images: ImageSet, classes: int = 0) -> None:
        """classes: the numbers of classes are below it; 0: any."""
        self._images, self._classes = images, classes
        self._cache: dict[int, np.ndarray] = {}
        self._array: np.ndarray | None = None
        self._paths: list[Path] = []
        if file := array_file(images.source):
            self._array = _array_of(*file)
            return
        root = Path(images.source)
        found = {images.name(i): mask_of(root, Path(images.name(i))) for i in range(len(images))}
        if missing := [Path(name).name for name, mask in found.items() if mask is None]:
            raise DataError(
                f"{len(missing)} of the {len(images)} images of {root} have no mask in {root / MASKS}: {some(missing)}"
                ". Each needs a file of the same name there, with the number of a class for each pixel."
            )
        self._paths = [mask for mask in found.values() if mask is not None]

    def get(self, index: int) -> np.ndarray:
        """The mask of image `index`, of the size in which `ImageSet.get` gives the image: (H, W, 1) of uint8, classes
        and NO_CLASS. Raises DataError for a mask that does not fit its image or that holds what is no class."""
        if index not in self._cache:
            values = self._checked(index)
            height, width = self._images.size(index)
            mask = cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)[:, :, None]
            if not self._images.cached:
                return mask
            self._cache[index] = mask
        return self._cache[index]

    def count(self) -> int:
        """How many classes the masks have: one more than the largest number. Reads all of them. Raises DataError as
        `get` does, and where all pixels are of one class."""
        seen: set[int] = set()
        for i in range(len(self._images)):
            seen.update(np.unique(self._checked(i)).tolist())
        seen.discard(NO_CLASS)
        if len(seen) < 2:
            raise DataError(
                f"The masks of {self._images.source} hold {len(seen)} class: there is nothing to tell apart."
            )
        return max(seen) + 1

    def _name(self, index: int) -> str:
        return str(self._paths[index]) if self._array is None else f"The mask of {self._images.name(index)}"

    def _checked(self, index: int) -> np.ndarray:
        """Numbers as stored, (H, W) of uint8."""
        values = _read(self._paths[index]) if self._array is None else self._array[index]
        name, (height, width) = self._name(index), self._images.shape(index)
        if values.shape != (height, width):
            raise DataError(
                f"{name} has {values.shape[1]} x {values.shape[0]} pixels, its image {width} x {height}: make them "
                "equal."
            )
        whole = values.astype(np.uint8)
        if not np.array_equal(whole, values):
            raise DataError(
                f"{name} holds numbers that are no classes: give whole numbers of 0 to 254, or 255 for none."
            )
        top = int(whole[whole != NO_CLASS].max(initial=0))
        if self._classes and top >= self._classes:
            raise DataError(
                f"{name} holds class {top}, and the task has {self._classes} classes, 0 to {self._classes - 1}: mend "
                "the mask, or train anew with --loss.task-classes."
            )
        return whole


def _array_of(path: Path, key: str) -> np.ndarray:
    """The masks (N, H, W) of an .npz file. Raises DataError where there are none."""
    arrays = read_arrays(path, key, beside=True, raw=True)
    name = arrays.key.replace("images", MASKS) if "images" in arrays.key else MASKS
    masks = arrays.beside.get(name)
    if masks is None or masks.ndim != 3:
        shape = f" of shape {masks.shape}" if masks is not None else ""
        raise DataError(
            f"{path} has no array `{name}` of masks (N, H, W) for the {len(arrays.images)} images of {arrays.key}"
            f"{shape}."
        )
    return masks


def _read(path: Path) -> np.ndarray:
    """The numbers of a mask (H, W) as stored; of an image with a palette, the places in it. Raises DataError for
    colours."""
    with opened(path, whole=True) as (file, content):
        if content == "JPEG":
            raise ValueError("JPEG changes numbers, and these are classes: store masks as PNG")
        if content in ("PNG", "BMP", "GIF"):
            with by_pillow(file, content) as image:
                if image.mode in _INDEXED:
                    return np.asarray(image)
    values = read_values(path)
    if values.shape[2] != 1:
        raise DataError(
            f"{path} has {values.shape[2]} channels: a mask has one number for each pixel, its class. Store it as a "
            "grey image or with a palette."
        )
    return values[:, :, 0]
