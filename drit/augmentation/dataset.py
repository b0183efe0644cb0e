"""An augmentation as `torch.utils.data` takes it: each output with its label, and which style it is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from drit.data.images import to_tensor
from drit.data.labelled import LabelledSet, open_labelled
from drit.data.ranges import AS_STORED, Reading
from drit.errors import DataError


class AugmentedImage(NamedTuple):
    """One output of an augmentation."""

    image: Tensor  # (C, H, W) in [-1, 1], or what `transform` made of it
    label: int  # place in `classes`
    style: Tensor  # (S,) numbers of its style; zeros for the image itself
    source: str  # the image it was made from: its file in the set, or its place in the array
    repetition: int  # 1, 2, ...: which of that image's translations; 0: the image itself


class AugmentedDataset(Dataset[AugmentedImage]):
    """The outputs that `drit augment` or `drit.augment` wrote into a folder.

    `DataLoader` takes it as it is, where all images are of one size. classes: the labels' names, in order.
    """

    def __init__(
        self,
        folder: str | Path,
        transform: Callable[[Tensor], Any] | None = None,
        channels: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        """transform: called with each image (C, H, W) in [-1, 1]. channels: that images are given with; 0: the most
        that any has. value_range: of outputs in a file's own units, the values that become -1 and 1.

        Raises DataError for a folder that holds no finished augmentation.
        """
        root, table, array = Path(folder), Path(folder, "labels.csv"), Path(folder, "augmented.npz")
        reading = AS_STORED if value_range is None else Reading(value_range=value_range)
        if array.is_file():
            self.data = open_labelled(str(array), reading=reading)
        elif table.is_file():
            self.data = open_labelled(str(root), str(table), reading=reading)
        else:
            raise DataError(
                f"{root} holds no finished augmentation: neither labels.csv nor augmented.npz. Give the folder that "
                "drit augment --out named; when it was stopped, give its command again first."
            )
        self.transform = transform
        self.channels = channels or self.data.channels
        self.styles, self.sources, self.repetitions = _columns(self.data, root)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in order."""
        return self.data.classes

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> AugmentedImage:
        """Output `index`. Raises DataError where its file is damaged, IndexError beyond the last."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        i = index % len(self)
        image = to_tensor(self.data.get(i, self.channels))
        return AugmentedImage(
            image if self.transform is None else self.transform(image),
            int(self.data.labels[i]),
            self.styles[i],
            self.sources[i],
            int(self.repetitions[i]),
        )


def _columns(data: LabelledSet, root: Path) -> tuple[Tensor, list[str], np.ndarray]:
    """Styles (M, S), sources and repetitions (M,) of all outputs. Raises DataError where one is missing or wrong."""
    beside = data.beside
    try:
        sources, repetitions = [str(v) for v in beside["source"].tolist()], beside["repetition"].astype(np.int64)
        if "styles" in beside:
            return torch.from_numpy(beside["styles"].astype(np.float32)), sources, repetitions
        rows = [np.array(text.split(), np.float32) for text in beside["style"].tolist()]
        size = max((len(row) for row in rows), default=0)
        styles = np.stack([row if len(row) else np.zeros(size, np.float32) for row in rows])
    except (KeyError, ValueError) as error:
        raise DataError(f"{root} holds no augmentation: source, repetition or style is missing or damaged.") from error
    return torch.from_numpy(styles), sources, repetitions
