"""What a categorical code that was found without labels is worth: how well its values match the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drit.errors import UsageError

MOST = 16  # categories or classes, whichever are fewer: the matching visits every subset of them


@dataclass(frozen=True)
class Agreement:
    """How categories and classes agree."""

    classes: np.ndarray  # (L,), the labels that occur
    counts: np.ndarray  # (K, L): images of each category and class
    matching: dict[int, int]  # category to class, as indices

    @property
    def error(self) -> float:
        """Share of the images whose category is not that of their class."""
        hits = sum(int(self.counts[k, c]) for k, c in self.matching.items())
        return 1 - hits / int(self.counts.sum())


def agreement(categories: np.ndarray, labels: np.ndarray, count: int) -> Agreement:
    """Categories (N,), 0 .. count - 1, against labels (N,) of any kind, under the best one-to-one matching."""
    classes, places = np.unique(labels, return_inverse=True)
    counts = np.zeros((count, len(classes)), np.int64)
    np.add.at(counts, (categories, places), 1)
    return Agreement(classes, counts, best_matching(counts))


def best_matching(gain: np.ndarray) -> dict[int, int]:
    """The one-to-one matching of rows to columns with the largest sum of gains, exactly.

    gain: (K, L), not negative. Every one of the fewer side is matched. Dynamic programming over subsets of that side:
    best[i, S] is the most that the first i of the other side reach with the subset S. Raises UsageError for more than
    16 on both sides.
    """
    if gain.shape[0] < gain.shape[1]:
        return {row: column for column, row in best_matching(gain.T).items()}
    rows, columns = gain.shape
    if columns > MOST:
        raise UsageError(f"{rows} categories and {columns} classes: at most {MOST} of one of them can be matched.")
    subsets = np.arange(1 << columns)
    best = np.full((rows + 1, len(subsets)), -np.inf)
    best[0, 0] = 0
    taken = np.full((rows, len(subsets)), -1)  # column that row i takes to reach a subset; -1: none
    for i in range(rows):
        best[i + 1] = best[i]
        for c in range(columns):
            with_c = subsets[(subsets >> c) & 1 == 1]
            reached = best[i, with_c ^ (1 << c)] + gain[i, c]
            better = reached > best[i + 1, with_c]
            best[i + 1, with_c[better]] = reached[better]
            taken[i, with_c[better]] = c
    matching, left = {}, len(subsets) - 1
    for i in reversed(range(rows)):
        column = int(taken[i, left])
        if column >= 0:
            matching[i] = column
            left ^= 1 << column
    return matching
