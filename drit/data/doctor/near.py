"""Images that are almost the same: 64-bit hashes that differ in few bits.

Two hashes that differ in at most R bits agree in at least one of R + 1 parts. So images are sorted by each part in
turn, and only those that agree in it are compared (multi-index hashing: Norouzi, Punjani and Fleet, arXiv 1307.2982).
Memory grows with the images, not with their pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

RADIUS = 6  # bits of 64
ALIKE = 0.95  # correlation of the small grey images, for hashes alone are deceived by plain images
NEIGHBOURS = 8
_COMPARED = 1 << 20  # pairs at once


def groups(hashes: Sequence[int], thumbs: Sequence[bytes], radius: int = RADIUS) -> list[list[int]]:
    """Groups of at least two images that are almost the same, as places in `hashes`, in order.

    thumbs: small grey images, uint8, of one size. Each image of a group is almost the same as another of it; two of
    them may differ more.
    """
    if not len(hashes):
        return []
    values = np.array(hashes, np.uint64)
    small = np.frombuffer(b"".join(thumbs), np.uint8).reshape(len(thumbs), -1)
    parent = np.arange(len(values))
    for first, second in close_pairs(values, radius):
        alike = _correlation(small[first], small[second]) >= ALIKE
        for i, j in zip(first[alike].tolist(), second[alike].tolist(), strict=True):
            one, other = _root(parent, i), _root(parent, j)
            parent[max(one, other)] = min(one, other)
    found: dict[int, list[int]] = {}
    for i in range(len(values)):
        found.setdefault(_root(parent, i), []).append(i)
    return [members for members in found.values() if len(members) > 1]


def close_pairs(values: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places whose hashes (N,) of uint64 differ in at most `radius` bits, in blocks; some more than once.

    Of equal hashes each is paired with the next NEIGHBOURS, and the first alone with those of other hashes: a film of
    one scene costs no pairs of all its frames.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    for away in range(1, NEIGHBOURS + 1):
        same = ordered[away:] == ordered[:-away]
        yield order[:-away][same], order[away:][same]
    places = np.sort(order[np.concatenate([[True], ordered[1:] != ordered[:-1]])])  # one of each
    distinct = values[places]
    edges = np.linspace(0, 64, radius + 2).astype(int)
    for low, high in itertools.pairwise(edges):
        part = (distinct >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        by_part = np.argsort(part, kind="stable")
        ends = np.flatnonzero(np.diff(part[by_part])) + 1
        for bucket in np.split(by_part, ends):
            yield from _within(bucket, distinct, places, radius)


def _within(
    bucket: np.ndarray, distinct: np.ndarray, places: np.ndarray, radius: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The close pairs of one bucket, each once."""
    rows = max(1, _COMPARED // len(bucket))
    for begin in range(0, len(bucket) - 1, rows):
        these, others = bucket[begin : begin + rows], bucket[begin + 1 :]
        bits = np.bitwise_count(distinct[these][:, None] ^ distinct[others][None, :])
        i, j = np.nonzero(bits <= radius)
        later = j >= i  # `others` begins one place further
        yield places[these[i[later]]], places[others[j[later]]]


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The correlation of each row of (N, P) with the same row of another; 0 for a row of one value alone."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.zeros(len(a), np.float32), where=scale > 0)


def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i
