"""What the facts of a training's images mean: findings, each with the images, and what to do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drit.data.doctor.facts import Facts, Source
from drit.data.doctor.near import groups
from drit.data.transforms import resized_shape
from drit.errors import some
from drit.settings.common import DataSettings

Severity = Literal["stops", "spoils", "advice"]  # training would refuse; it would learn something wrong; look at it
FLAT = 2.0  # standard deviation, of 255, below which an image is near-constant
GREY, COLOURED = (
    1.0,
    4.0,
)  # mean differences between channels: at most that of a grey image, at least that of a colour one
OUTLYING = 6.0  # standard deviations (of a normal distribution with the same median deviation) from the median
STRIP = 4.0  # long side by short side, from which crops show a small part
SHARE = 0.01  # of a domain, above which images that teach something wrong spoil the training
NO_MATTER = 2  # images, up to which they never do
FEW, UNEVEN, RARE = 100, 5, 10  # images of a domain; ratio of two domains, and of two classes
MIN_FOR_OUTLIERS = 20

Member = tuple[int, int]  # a source and an image in it


@dataclass(frozen=True)
class Finding:
    """Something about the images of a training. images: their names, in groups where several belong together."""

    kind: str
    severity: Severity
    where: str
    message: str
    images: tuple[tuple[str, ...], ...] = ()
    dropped: tuple[str, ...] = ()  # what a cleaned copy leaves out

    @property
    def count(self) -> int:
        """Images that are concerned."""
        return sum(map(len, self.images))


def findings(sources: Sequence[Source], config: DataSettings) -> list[Finding]:
    """Everything that is to be said of the images of a training, the gravest first."""
    found = [finding for source in sources for finding in _of_source(source, config)]
    found += [*_duplicates(sources), *_near(sources), *_imbalance(sources)]
    order: dict[Severity, int] = {"stops": 0, "spoils": 1, "advice": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _of_source(source: Source, config: DataSettings) -> Iterator[Finding]:
    """Findings about single images."""
    whole = [image for image in source.images if not image.error]
    total = len(source.images)

    def tell(kind: str, severity: Severity, chosen: Sequence[Facts], message: str, drop: bool) -> Iterator[Finding]:
        if chosen:
            names = tuple(image.name for image in chosen)
            yield Finding(kind, severity, source.name, message, tuple((n,) for n in names), names if drop else ())

    broken = [image for image in source.images if image.error]
    stops = len(broken) > config.max_unreadable and not source.test
    yield from tell(
        "unreadable",
        "stops" if stops else "advice",
        broken,
        f"{_images(broken)}: "
        + (f"more than --data.max-unreadable {config.max_unreadable}" if stops else "training would skip them")
        + f". Mend or remove them: {some([image.error for image in broken])}",
        True,
    )
    sizes = {i.name: resized_shape(i.height, i.width, config.resize, config.resize_mode) for i in whole}
    small = [image for image in whole if min(sizes[image.name]) < config.crop]
    yield from tell(
        "too small",
        "stops",
        small,
        f"{_images(small)}: smaller than the crop of {config.crop} pixels. Set --data.resize {config.crop} or "
        "more, or a smaller --data.crop, or remove them.",
        True,
    )
    tiny = [image for image in whole if 2 * min(image.height, image.width) < min(sizes[image.name])]
    enough = 2 * min((min(image.height, image.width) for image in tiny), default=0)
    yield from tell(
        "tiny",
        _weighed(tiny, total),
        tiny,
        f"{_images(tiny)}: enlarged more than twice by --data.resize, which teaches blur. Set --data.resize {enough} "
        "or less (and a --data.crop of at most that), or remove them.",
        len(tiny) <= total // 2,
    )
    shapes = Counter((image.height, image.width) for image in whole)
    usual, number = shapes.most_common(1)[0] if shapes else ((0, 0), 0)
    odd = [image for image in whole if (image.height, image.width) != usual] if number >= 0.9 * len(whole) else []
    yield from tell(
        "wrong size",
        "advice",
        odd,
        f"{_images(odd)}: another size than the others, which have {usual[1]} x {usual[0]} pixels.",
        False,
    )
    strips = [i for i in whole if max(i.height, i.width) > STRIP * min(i.height, i.width)]
    yield from tell(
        "strip",
        "advice",
        strips,
        f"{_images(strips)}: more than {STRIP:g} times as long as wide, so that a crop shows a small part.",
        False,
    )
    flat = [image for image in whole if image.std < FLAT]
    yield from tell(
        "near-constant",
        _weighed(flat, total),
        flat,
        f"{_images(flat)}: one value almost alone, which teaches nothing. Remove them.",
        True,
    )
    coloured = [image for image in whole if image.channels >= 3 and image.colour >= COLOURED]
    grey = [image for image in whole if image.colour <= GREY and image.std >= FLAT] if coloured else []
    grey = grey if len(coloured) > len(grey) else []
    yield from tell(
        "grey in colour",
        _weighed(grey, total),
        grey,
        f"{_images(grey)}: grey, where the others have colours. Remove them, or make all grey with --data.channels-"
        f"{source.domain if source.domain in 'ab' else 'a'} 1.",
        False,
    )
    yield from tell(
        "outlier",
        "advice",
        odd := _outliers([image for image in whole if image.std >= FLAT]),
        f"{_images(odd)}: far from the others in brightness, contrast or colour. Look at them.",
        False,
    )


def _weighed(images: Sequence[object], total: int) -> Severity:
    """Whether images that teach something wrong are more than a few."""
    return "spoils" if len(images) > max(NO_MATTER, SHARE * total) else "advice"


def _images(images: Sequence[object]) -> str:
    return f"{len(images)} image{'s' if len(images) != 1 else ''}"


def _outliers(images: Sequence[Facts]) -> list[Facts]:
    """Images far from the median in mean, standard deviation or colour, the farthest first."""
    if len(images) < MIN_FOR_OUTLIERS:
        return []
    values = np.array([(image.mean, image.std, image.colour) for image in images])
    away = np.abs(values - np.median(values, axis=0))
    scale = np.maximum(1.4826 * np.median(away, axis=0), 1.0)  # of a normal distribution; at least one level
    far = (away / scale).max(axis=1)
    return [images[i] for i in np.argsort(-far, kind="stable") if far[i] > OUTLYING]


def _duplicates(sources: Sequence[Source]) -> Iterator[Finding]:
    """The same pixels twice: within a domain, in two domains, for training and test, under two labels."""
    places: dict[str, list[Member]] = defaultdict(list)
    for s, source in enumerate(sources):
        for i, image in enumerate(source.images):
            if not image.error:
                places[image.digest].append((s, i))
    same = [members for members in places.values() if len(members) > 1]

    def name(member: Member) -> str:
        return sources[member[0]].images[member[1]].name

    for s, source in enumerate(sources):
        inner = [[m for m in members if m[0] == s] for members in same]
        inner = [members for members in inner if len(members) > 1]
        if source.labels:
            torn = [m for m in inner if len({source.labels[i] for _, i in m}) > 1]
            if torn:
                names = tuple(tuple(map(name, m)) for m in torn)
                yield Finding(
                    "two labels",
                    "spoils",
                    source.name,
                    f"{_images(torn)}: under more than one label. Keep each where it belongs.",
                    names,
                    tuple(n for group in names for n in group),
                )
            inner = [m for m in inner if m not in torn]
        if inner:
            names = tuple(tuple(map(name, m)) for m in inner)
            spare = tuple(n for group in names for n in group[1:])
            yield Finding(
                "duplicate",
                _weighed(spare, len(source.images)),
                source.name,
                f"{_images(inner)}: there more than once ({len(spare)} too many), and seen more often by the training.",
                names,
                spare,
            )
    yield from _shared(sources, same, "same", name)


def _shared(sources: Sequence[Source], same: list[list[Member]], kind: str, name: object) -> Iterator[Finding]:
    """Images that two domains share, or training and test. same: groups of images that are alike."""
    assert callable(name)
    exact = kind == "same"
    for s, source in enumerate(sources):
        for t in range(s + 1, len(sources)):
            other = sources[t]
            if source.path == other.path:
                continue
            both = [[m for m in members if m[0] in (s, t)] for members in same]
            both = [members for members in both if len({m[0] for m in members}) > 1]
            if not both or (source.test and other.test):
                continue
            where = f"{source.name} and {other.name}"
            names = tuple(tuple(map(name, members)) for members in both)
            if source.test != other.test:
                train = t if source.test else s
                yield Finding(
                    "test image in training" if exact else "near test image in training",
                    "spoils" if exact else _weighed(both, len(sources[train].images)),
                    where,
                    f"{_images(both)}: {'' if exact else 'almost the same '}in both. An evaluation would measure "
                    "what was learnt by heart. Leave "
                    + ("them" if exact else "those that show the same thing")
                    + " out of the training.",
                    names,
                    tuple(name(m) for members in both for m in members if m[0] == train),
                )
            else:
                yield Finding(
                    "shared by domains" if exact else "near-duplicate across domains",
                    "spoils" if exact else "advice",
                    where,
                    f"{_images(both)}: {'' if exact else 'almost the same '}in both domains. "
                    + (
                        "Nothing tells there what a domain is. Remove them from one."
                        if exact
                        else "That is right only where the domains show the same things in two ways."
                    ),
                    names,
                    tuple(name(m) for members in both for m in members) if exact else (),
                )


def _near(sources: Sequence[Source]) -> Iterator[Finding]:
    """Images that are almost the same, but not quite; near-constant ones, whose hashes say nothing, left out."""
    first: dict[str, Member] = {}
    for s, source in enumerate(sources):
        for i, image in enumerate(source.images):
            if image.hash is not None and image.std >= FLAT:
                first.setdefault(f"{s} {image.digest}", (s, i))
    members = list(first.values())
    facts = [sources[s].images[i] for s, i in members]
    hashes = [image.hash for image in facts if image.hash is not None]
    near = [[members[k] for k in g] for g in groups(hashes, [bytes.fromhex(image.thumb) for image in facts])]
    digests = [{sources[s].images[i].digest for s, i in g} for g in near]
    near = [g for g, different in zip(near, digests, strict=True) if len(different) > 1]

    def name(member: Member) -> str:
        return sources[member[0]].images[member[1]].name

    for s, source in enumerate(sources):
        inner = [[m for m in g if m[0] == s] for g in near]
        inner = [g for g in inner if len(g) > 1]
        if inner:
            yield Finding(
                "near-duplicate",
                "advice",
                source.name,
                f"{len(inner)} group{'s' if len(inner) > 1 else ''} of images that are almost the same, such as frames "
                "of a film: training sees these more often, and a split into training and test must not divide them.",
                tuple(tuple(map(name, g)) for g in inner),
            )
    yield from _shared(sources, near, "near", name)


def _imbalance(sources: Sequence[Source]) -> Iterator[Finding]:
    """Too few images, and domains or classes of very different sizes."""
    training = [source for source in sources if not source.test]
    for source in training:
        if len(source.images) < FEW:
            yield Finding("few images", "advice", source.name, f"{_images(source.images)}: a few hundred are a start.")
        classes = Counter(source.labels)
        if len(classes) > 1 and max(classes.values()) > RARE * min(classes.values()):
            rare, count = classes.most_common()[-1]
            often, most = classes.most_common()[0]
            yield Finding(
                "imbalance",
                "advice",
                source.name,
                f"Class {rare} has {count} images, class {often} has {most}: what is rare is learnt badly.",
            )
    sizes = {source.name: len(source.images) for source in training}
    if len(sizes) > 1 and max(sizes.values()) > UNEVEN * min(sizes.values()):
        small, large = min(sizes, key=lambda n: sizes[n]), max(sizes, key=lambda n: sizes[n])
        yield Finding(
            "imbalance",
            "advice",
            f"{large} and {small}",
            f"{large} has {sizes[large]} images, {small} has {sizes[small]}: each of the few is seen "
            f"{sizes[large] / sizes[small]:.0f} times as often, and may be learnt by heart.",
        )
