"""What a categorical code that was found without labels is worth: how well its values match the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """How categories and classes agree."""

    classes: np.ndarray  # (L,), the labels that occur
    counts: np.ndarray  # (K, L): images of each category and class
    matching: dict[int, int]  # category to class, as indices

    @property
    def error(self) -> float:
        """Share of the images, 0 to 1, whose category is not that of their class."""
        hits = sum(int(self.counts[k, c]) for k, c in self.matching.items())
        return 1 - hits / int(self.counts.sum())


def agreement(categories: np.ndarray, labels: np.ndarray, count: int) -> Agreement:
    """Categories (N,), 0 .. count - 1, against labels (N,) of any kind, under the best one-to-one matching.

    Its error is the one that InfoGAN gives for its categories (arXiv 1606.03657, section 7.2).
    """
    classes, places = np.unique(labels, return_inverse=True)
    counts = np.zeros((count, len(classes)), np.int64)
    np.add.at(counts, (categories, places), 1)
    return Agreement(classes, counts, best_matching(counts))


def best_matching(gain: np.ndarray) -> dict[int, int]:
    """The one-to-one matching of rows to columns with the largest sum of gains, exactly.

    gain: (K, L), any finite values. Every one of the fewer side is matched. Solved as a linear assignment problem
    (Crouse 2016, as SciPy has it).
    """
    from scipy.optimize import linear_sum_assignment  # here: its import takes two thirds of a second

    rows, columns = linear_sum_assignment(gain, maximize=True)
    return dict(zip(rows.tolist(), columns.tolist(), strict=True))
