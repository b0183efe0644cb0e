"""The classes of a domain's images: labels of an array file, or the folders that images lie in."""

from __future__ import annotations

import numpy as np

from drit.data.arrays import check_labels
from drit.data.imageset import ImageSet
from drit.errors import DataError


def classes_of(images: ImageSet) -> tuple[list[str], np.ndarray]:
    """The names of the classes, in order, and the class of each image: (N,) int64, places among the names.

    Labels of an .npz file; of a folder, the first folder below it that an image lies in. Raises DataError where there
    are none, where one is missing, where all are the same, and where they are no classes: every image has a label of
    its own.
    """
    labels = images.labels
    if labels is None:
        folders = [images.folder(i) for i in range(len(images))]
        loose = sum(not folder for folder in folders)
        if loose:
            raise DataError(
                f"{images.source} has no labels: {loose} of {len(images)} images lie in no folder of a class. Put each "
                "into a folder with the name of its class, or give an .npz file with images and labels."
            )
        labels = np.array(folders)
    else:
        check_labels(labels, images.source)
    names, indices = np.unique(labels, return_inverse=True)
    if len(names) == 1:
        raise DataError(f"All labels of {images.source} are '{names[0]}': there is nothing to tell apart.")
    if len(names) == len(images):
        raise DataError(
            f"Each of the {len(images)} images of {images.source} has a label of its own: these are no classes. Give "
            "labels that images share."
        )
    return [str(name) for name in names], indices.astype(np.int64)


def class_indices(images: ImageSet) -> np.ndarray:
    """The class of each image, (N,) int64. Raises as `classes_of` does."""
    return classes_of(images)[1]
