"""Paired domains: image n of one shows the same as image n of the other."""

from __future__ import annotations

from drit.data.folders import ImageSet
from drit.errors import DataError, some


def align(sets: dict[str, ImageSet], method: str, advice: str = "") -> dict[str, ImageSet]:
    """The images that every domain has, in one order: of one name (without suffix) below the folder, or of one place
    in an array. Those without a partner are noted as skipped.

    advice: what to do without pairs. Raises DataError that lists names when more than `data.max_unreadable` have no
    partner, when the two images of a pair differ in size (after resizing), or when most pairs have different labels.
    """
    places: dict[str, dict[str, int]] = {d: {} for d in sets}
    for d, s in sets.items():
        for i in range(len(s)):
            if places[d].setdefault(s.key(i), i) != i:
                s.skip({s.name(i): f"{s.name(i)} has the name of another image, without suffix: which is paired?"})
    first, *others = places.values()
    common = [name for name in first if all(name in other for other in others)]
    alone = {d: [name for name in own if name not in set(common)] for d, own in places.items()}
    listed = "; ".join(f"{d}: {some(names)}" for d, names in alone.items() if names)
    if not common:
        raise DataError(f"{method} learns from pairs, and no name is in every domain ({listed}). {advice}")
    for d, s in sets.items():
        try:
            s.skip({s.name(places[d][name]): f"{s.name(places[d][name])} has no partner" for name in alone[d]})
        except DataError as error:
            raise DataError(
                f"{method} learns from pairs, and many images have no partner of the same name ({listed}). "
                f"Mend the names, raise --data.max-unreadable, or learn without pairs. {advice}"
            ) from error
    unequal = [name for name in common if len({s.size(places[d][name]) for d, s in sets.items()}) > 1]
    if unequal:
        raise DataError(
            f"The images of {len(unequal)} pairs differ in size ({some(unequal)}). Pairs are cut alike: "
            "make them the same, or set --data.resize-mode square."
        )
    pairs = {d: s.select([places[d][name] for name in common]) for d, s in sets.items()}
    labels, other = (s.labels for s in pairs.values())
    if labels is not None and other is not None and (share := (labels != other).mean()) > 0.5:
        raise DataError(
            f"{method} learns from pairs, and in {share:.0%} of the places the two domains have images of different "
            f"labels: they are no pairs. {advice}"
        )
    return pairs
