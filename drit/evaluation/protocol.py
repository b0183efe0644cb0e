"""What an evaluation measures and how: frozen, versioned, stored with every result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drit.bounded import read_json
from drit.errors import UsageError, nearest
from drit.settings.schema import from_dict, setting, to_dict

VERSION = 1  # raised when a number computed by the same settings would be another one
METRICS = (
    *("fid", "kid", "energy", "ndb", "jsd", "grid", "lpips", "reconstruction", "style", "visible", "content"),
    *("disentanglement", "truth"),
)


@dataclass(frozen=True)
class Protocol:
    """Everything that a number depends on, beside the run, the images and the feature networks' weights."""

    name: str = setting("standard", "name in tables and folders")
    version: int = setting(VERSION, "version of the computations")
    count: int = setting(1000, "images of each domain; 0: all. Inputs, and real images to compare with")
    styles: int = setting(10, "random styles of each input")
    distribution_styles: int = setting(2, "of these, how many outputs of an input are compared with the real images")
    reconstructions: int = setting(100, "inputs that reconstructions and style regression are measured on")
    size: int = setting(0, "short side after resizing and side of the crop in the middle; 0: as the run was trained")
    seed: int = setting(0, "seed of the choice of images, styles, bins, resamples and trained networks")
    features: str = setting("domains", "feature network of fid, kid, energy, ndb and jsd")
    perceptual: str = setting("", "feature network of lpips; empty: the same")
    learn: int = setting(10_000, "real images, at most, that a classifier learns from")
    learn_steps: int = setting(1000, "steps that the domains network is trained for")
    bins: int = setting(100, "bins of ndb and jsd; fewer where a bin would have fewer than 10 real images")
    kid_subset: int = setting(1000, "images in one subset of kid")
    resamples: int = setting(200, "resamples of the bootstrap")
    metrics: tuple[str, ...] = setting(METRICS, "what is measured")


PROTOCOLS = {
    "standard": Protocol(),
    "quick": Protocol(
        name="quick",
        count=200,
        styles=5,
        distribution_styles=5,
        reconstructions=50,
        learn=2000,
        learn_steps=300,
        bins=20,
    ),
}


def find_protocol(name: str) -> Protocol:
    """The named protocol, or that of a JSON file (a result.json serves). Raises UsageError, saying what is wrong."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"There is no protocol '{name}'.{nearest(name, PROTOCOLS)} Give one of {', '.join(PROTOCOLS)}, or a JSON "
            "file of settings."
        )
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"The protocol {path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"The protocol {path} must hold a JSON object of settings.")
    values = {"name": path.stem, **content.get("protocol", content)}
    protocol = from_dict(Protocol, values)
    if protocol.version != VERSION:
        raise UsageError(
            f"The protocol {path} has version {protocol.version}; this program computes version {VERSION}. Results of "
            "the two are not comparable: take out 'version' to measure anew."
        )
    return checked(protocol)


def checked(protocol: Protocol) -> Protocol:
    """The protocol, its metrics in the usual order. Raises UsageError for values that mean nothing."""
    for metric in protocol.metrics:
        if metric not in METRICS:
            raise UsageError(f"There is no metric '{metric}'.{nearest(metric, METRICS)} Metrics: {', '.join(METRICS)}.")
    if not protocol.metrics:
        raise UsageError(f"No metric is chosen. Metrics: {', '.join(METRICS)}.")
    if protocol.styles < 1 or protocol.distribution_styles < 1 or protocol.resamples < 2 or protocol.bins < 2:
        raise UsageError("A protocol needs at least 1 style, 1 distribution style, 2 resamples and 2 bins.")
    if protocol.count < 0 or protocol.count == 1 or min(protocol.reconstructions, protocol.learn_steps) < 1:
        raise UsageError("A protocol needs at least 2 images (0: all), 1 reconstruction and 1 learning step.")
    if protocol.size and protocol.size < 16:
        raise UsageError("A protocol's size must be at least 16 pixels (0: as the run was trained).")
    if protocol.learn < 20 or protocol.kid_subset < 2:
        raise UsageError("A protocol needs at least 20 images to learn from, and 2 in a subset of kid.")
    return replace(protocol, metrics=tuple(m for m in METRICS if m in protocol.metrics))


def comparable(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Why two results must not stand in one table, a sentence for each reason; an empty list: they may.

    Checked: the protocol (but for its name), the images and how they were resized and cropped, and the feature
    networks. Runs, their methods and their checkpoints are what a table compares.
    """
    reasons = []
    for field, left in one["protocol"].items():
        right = other["protocol"].get(field)
        if field != "name" and left != right:
            reasons.append(f"protocol: {field} is {left} in one and {right} in the other")
    for part, left in one["images"].items():
        right = other["images"].get(part)
        if left != right:
            reasons.append(f"images: {part} is {left} in one and {right} in the other")
    for domain in ("a", "b"):
        left, right = one["data"][domain], other["data"][domain]
        if left["channels"] != right["channels"]:
            reasons.append(f"data.{domain}: {left['channels']} channels in one and {right['channels']} in the other")
        if left["sha256"] != right["sha256"]:
            reasons.append(f"data.{domain}: other images ({left['source']}, {right['source']})")
    for use in sorted(set(one["networks"]) & set(other["networks"])):  # a method of one direction has those of it alone
        left, right = one["networks"][use], other["networks"][use]
        if left["sha256"] != right["sha256"]:
            advice = ""
            if left["name"] == right["name"] and "trained_on" in left:
                advice = "; give both the same file: --features NAME:FILE"
            reasons.append(
                f"network {use}: {left['name']} {left['sha256'][:12]} in one, {right['name']} {right['sha256'][:12]} "
                f"in the other{advice}"
            )
    return reasons


def to_json(protocol: Protocol) -> dict[str, Any]:
    """A protocol as it stands in a result: lists in place of tuples, as JSON gives them back."""
    return to_dict(protocol) | {"metrics": list(protocol.metrics)}


def upgraded(result: dict[str, Any]) -> dict[str, Any]:
    """A result of today or of an earlier version, with today's names: `images` was `pictures` once.

    Numbers stay as they are. What holds no numbers where a result has them is given back as it is.
    """

    def renamed(entries: Any, old: str, new: str) -> Any:
        return (
            {new if name == old else name: v for name, v in entries.items()} if isinstance(entries, dict) else entries
        )

    def numbers(entries: Any) -> Any:
        if not isinstance(entries, dict):
            return entries
        return {name: renamed(entry, "real_pictures", "real_images") for name, entry in entries.items()}

    upgrade: dict[str, Any] = renamed(result, "pictures", "images")
    if isinstance(upgrade.get("to"), dict):
        upgrade = upgrade | {"to": {target: numbers(entries) for target, entries in upgrade["to"].items()}}
    if "both" in upgrade:
        upgrade = upgrade | {"both": numbers(upgrade["both"])}
    return upgrade
