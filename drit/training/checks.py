"""Before the first iteration: the domains opened, and everything checked that training would stumble over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from drit.data.classes import classes_of
from drit.data.folders import ImageSet, open_domain, source_name
from drit.data.images import to_tensor
from drit.data.masks import Masks
from drit.data.pairs import align
from drit.data.ranges import with_ranges
from drit.errors import UsageError
from drit.methods.base import Method
from drit.methods.registry import able
from drit.settings.common import DataSettings, TrainSettings

S = TypeVar("S", bound=TrainSettings)
VARIED = 50  # images by which the variation of a domain is measured


def open_sets(method: type[Method], settings: TrainSettings) -> dict[str, ImageSet]:
    """The domains of a training, checked. Raises DataError or UsageError for what cannot be trained on."""
    settings.check()
    data, sources = settings.data, settings.data.sources()
    paired = method.capabilities_for(settings, tuple(sources)).paired
    _check_count(method, settings.method, data, paired)
    if not paired:  # these go one way alone
        _check_names(sources)
    sets = {d: open_domain(path, data, d) for d, path in sources.items()}
    if method.domains[1] > 2 and len({s.channels for s in sets.values()}) > 1:  # one encoder for all
        channels = max(s.channels for s in sets.values())
        data = replace(data, channels_a=channels, channels_b=channels)
        sets = {d: open_domain(path, data, d) for d, path in sources.items()}
    _check_different(sets, data)
    if not paired:
        return sets
    without = able(lambda c: not c.paired and bool(c.directions))
    return align(sets, settings.method, f"To learn without pairs, choose one of {', '.join(without)} with --method.")


def _check_count(method: type[Method], name: str, data: DataSettings, paired: bool) -> None:
    """Raises UsageError when the data settings do not name as many domains as the method takes."""
    sources = data.sources()
    minimum, maximum = method.domains
    given = [setting for setting in ("domains", "pairs") if getattr(data, setting)]
    given += [setting for setting in ("a", "b") if getattr(data, setting)][: 1 if given else 0]
    if len(given) > 1:
        raise UsageError(f"--data.{given[0]} names all images: leave --data.{given[1]} out.")
    if data.pairs and not paired:
        raise UsageError(
            f"--data.pairs is for methods that learn from pairs; {name} does not. Give --data.a and --data.b."
        )
    if data.domains and maximum <= 2:
        raise UsageError(f"{name} knows domains a and b alone: give --data.a and --data.b in their place.")
    if len(data.domains) > maximum:
        raise UsageError(f"--data.domains names {len(data.domains)} domains; at most {maximum} are possible.")
    if data.domains and len(data.domains) < minimum:
        raise UsageError(
            f"--data.domains names {len(data.domains)} domain: {name} translates between at least {minimum}. "
            "Give the folders or .npz files of all domains: --data.domains DIR DIR ..."
        )
    for d in "ab"[:minimum]:
        if d not in sources:
            raise UsageError(f"No images of domain {d}: give a folder or .npz file with --data.{d}")
    if len(sources) > maximum:
        raise UsageError(f"{name} learns from one set of images: leave --data.b out.")


def _check_names(sources: Mapping[str, str]) -> None:
    """Raises UsageError where the name of a folder is the letter of another domain: --to could mean either."""
    for d, path in sources.items():
        name = source_name(path)
        if name in sources and name != d:
            raise UsageError(
                f"The images of domain {d} are called '{name}' ({path}), which is the letter of another domain: "
                f"--to {name} could mean either. Give them as domain {name}, or rename them."
            )


def _check_different(sets: Mapping[str, ImageSet], data: DataSettings) -> None:
    """Raises UsageError where two domains hold the same images."""
    seen: dict[str, str] = {}
    for d, images in sets.items():
        other = seen.setdefault(images.fingerprint()["sha256"], d)
        if other != d:
            flags = "--data.domains" if data.domains else f"--data.{other} and --data.{d}"
            raise UsageError(f"Domains {other} and {d} are the same images: nothing to translate. Check {flags}.")


def variation(images: ImageSet) -> float:
    """Mean absolute difference between the mean colours of two images, in [-1, 1]: over all pairs of fifty images from
    all over the set. At least 0.001, so that a set of one image has one."""
    places = np.linspace(0, len(images) - 1, min(len(images), VARIED)).round().astype(int)
    colours = torch.stack([to_tensor(images.get(int(i))).mean(dim=(1, 2)) for i in places])  # (n, C)
    pairs = torch.pdist(colours, p=1) / colours.shape[1]
    return max(0.001, float(pairs.mean())) if len(pairs) else 0.001


def _classes(settings: TrainSettings, images: ImageSet) -> int:
    """How many classes the labels of a domain have. For masks all are read, unless the number was given."""
    if settings.learns_masks:
        return settings.classes or Masks(images).count()
    return len(classes_of(images)[0])


def settled(settings: S, sets: Mapping[str, ImageSet]) -> S:
    """The settings with what was left to be found out: channels, ranges and classes as the files have them. Raises
    DataError where labels are wanted and missing."""
    channels_a, channels_b = (sets[d].channels if d in sets else 0 for d in "ab")
    data = replace(settings.data, channels_a=channels_a, channels_b=channels_b)
    if settings.learns_labels:
        settings = settings.with_classes(_classes(settings, sets["a"]))
    if settings.needs_variation:
        settings = settings.with_variation({d: variation(sets[d]) for d in settings.needs_variation})
    return replace(settings, data=with_ranges(data, {d: s.reading.value_range for d, s in sets.items()}))
