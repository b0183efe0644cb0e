"""The matching of categories and classes, against all matchings; agreement by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from drit.probes.matching import agreement, best_matching


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (6, 3), (3, 6), (5, 1)])
def test_best_matching_is_the_best_of_all(shape: tuple[int, int]) -> None:
    rows, columns = shape
    rng = np.random.default_rng(0)
    for _ in range(5):
        gain = rng.integers(0, 9, shape)
        few, many = sorted(shape)
        table = gain if rows >= columns else gain.T  # (many, few)
        best = max(sum(table[p[c], c] for c in range(few)) for p in itertools.permutations(range(many), few))
        found = best_matching(gain)
        assert len(found) == few == len(set(found.values()))
        assert sum(gain[r, c] for r, c in found.items()) == best


def test_agreement_by_hand() -> None:
    """Greedy would give category 0 the class 3 (3 images); the best gives it 7, and 3 to category 1."""
    categories = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2])
    labels = np.array([3, 3, 3, 7, 7, 3, 3, 3, 8])
    found = agreement(categories, labels, 3)
    assert found.classes.tolist() == [3, 7, 8]
    assert found.counts.tolist() == [[3, 2, 0], [3, 0, 0], [0, 0, 1]]
    assert found.matching == {0: 1, 1: 0, 2: 2}
    assert found.error == pytest.approx(1 - 6 / 9)


def test_any_number_of_classes() -> None:
    order = np.random.default_rng(1).permutation(10)
    assert best_matching(np.eye(10, dtype=int)[order]) == dict(enumerate(order.tolist()))
    order = np.random.default_rng(2).permutation(40)
    assert best_matching(np.eye(40)[order][:30]) == dict(enumerate(order[:30].tolist()))
