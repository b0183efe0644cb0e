"""What is asked of one augmentation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AugmentSettings:
    """How a labelled set is augmented."""

    to: str  # domain to translate to: its letter, or the name of its folder
    times: int  # translations of each image
    seed: int = 0  # of the random styles
    keep_source: bool = False  # the image itself too, as repetition 0
    drop: bool = False  # leave out translations that are not classified as their label
    max_invention: float | None = None  # keep the translations up to this quantile of their invention, 0 to 1
    source: str = ""  # domain of the set, which the way back needs where a run has more than two
    format: str = ""  # of a folder's outputs: png, jpg, webp or tif; empty: the input's, where it can hold the output
    depth: int = 0  # bits of the outputs, 8 or 16; 0: the input's
    part: tuple[int, int] = (1, 1)  # (i, n): only every n-th unit of the work, from the i-th

    @property
    def drops(self) -> bool:
        """Whether translations may be left out."""
        return self.drop or self.max_invention is not None

    @property
    def repetitions(self) -> range:
        """The numbers of an image's outputs: 1 .. times, from 0 where the image itself is kept."""
        return range(0 if self.keep_source else 1, self.times + 1)
