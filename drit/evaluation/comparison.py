"""Several runs under one protocol: the same inputs, the same real images (encoded once), one table.

A result that is there already, of the same weights, protocol and images, is kept: an interrupted comparison goes on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drit.atomic import write_json
from drit.bounded import read_json, resolved
from drit.errors import UsageError
from drit.evaluation.images import Images, RealFeatures, as_trained, open_images
from drit.evaluation.measure import prepare
from drit.evaluation.progress import Say, StartBar, no_bar, say_nothing
from drit.evaluation.protocol import Protocol, comparable, upgraded
from drit.evaluation.seeds import families
from drit.inference.translator import Translator
from drit.methods.base import DOMAINS, OTHER
from drit.methods.cost import cost
from drit.methods.registry import method_class
from drit.runs import checkpoint
from drit.runs.metrics import round_significant
from drit.runs.record import settings_of_meta, training_hashes
from drit.settings.common import DataSettings, TrainSettings

INPUTS = 4  # examples of each direction
STYLES = 6  # of each example
TIMED_OUTPUTS = 10
TIMES = 3  # that the seconds are taken; the median stands in the table


@dataclass
class Compared:
    """One run of a comparison.

    family: a name in common with runs that differ in their seed alone. examples: of each target domain, inputs
    (N, C, H, W) and outputs (N, K, C, H, W), in [-1, 1].
    """

    name: str
    family: str
    result: dict[str, Any]
    cost: dict[str, float | None]
    examples: dict[str, tuple[Tensor, Tensor]]


def compare(
    runs: Sequence[Path],
    data: Mapping[str, str],
    protocol: Protocol,
    out: Path,
    networks: Mapping[str, str],
    training: Mapping[str, str] | None = None,
    threads: int = 0,
    say: Say = say_nothing,
    start_bar: StartBar = no_bar,
) -> list[Compared]:
    """Measure every run by the protocol; results are kept in OUT/results.

    data, networks: as in `prepare`. training: what feature networks learn from; the training images of the first run
    without. Raises UsageError when the runs cannot stand in one table: other channels, training crops or images.
    """
    metas = {name: checkpoint.load_meta(checkpoint.find(run)) for name, run in zip(names(runs), runs, strict=True)}
    configs = {
        name: settings_of_meta(checkpoint.find(run), meta)
        for (name, meta), run in zip(metas.items(), runs, strict=True)
    }
    _check(metas, configs, protocol)
    hashes = {name: training_hashes(run) for name, run in zip(metas, runs, strict=True)}
    _check_images(hashes, [name for name, config in configs.items() if _paired(config)], say)
    trained = {
        name: replace(configs[name], steps=metas[name]["step"], data=_identified(configs[name].data, hashes[name]))
        for name in metas
    }
    family = {run: name for name, runs in families(trained).items() for run in runs}
    first = next(iter(configs.values()))
    training = training or {d: p for d, p in first.data.sources().items() if d in "ab"}
    real = RealFeatures()
    compared: list[Compared] = []
    told: set[str] = set()

    def say_once(message: str) -> None:
        if message not in told:  # the images are those of every run
            told.add(message)
            say(message)

    for (name, meta), run in zip(metas.items(), runs, strict=True):
        translator = Translator.load(run, threads=threads)
        prepared = prepare(run, data, protocol, out / "features", networks, training, real, translator, say_once)
        path = out / "results" / f"{name}.json"
        result = _kept(path, prepared.header)
        if result is None:
            say(f"Measuring {name}.")
            result = prepared.measure(say, start_bar).result
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, result)
        if compared and (reasons := comparable(compared[0].result, result)):
            raise UsageError(f"{compared[0].name} and {name} cannot be compared: {'; '.join(reasons)}.")
        examples = _examples(translator, configs[name], data, protocol)
        costs = _cost(translator, configs[name], meta, examples)
        compared.append(Compared(name, family[name], result, costs, examples))
    return compared


def _paired(settings: TrainSettings) -> bool:
    """Whether a training learnt from pairs."""
    method = method_class(settings.method)
    return method.capabilities_for(settings, tuple(settings.data.sources())).paired


def names(runs: Sequence[Path]) -> list[str]:
    """A name for each run: its folder's, with those above it where that is not enough.

    Raises UsageError for a run that is given twice.
    """
    paths = [resolved(run) for run in runs]
    if len(set(paths)) < len(paths):
        raise UsageError("A run is given twice.")
    for depth in range(1, 1 + max(len(p.parts) for p in paths)):
        joined = ["-".join(p.parts[-depth:]) for p in paths]
        if len(set(joined)) == len(joined):
            break
    return joined


def _identified(data: DataSettings, hashes: Mapping[str, str]) -> DataSettings:
    """Data settings with the hashes of the images in place of where they lie: a copy is the same images."""
    return replace(data, a="", b="", pairs="", domains=tuple(hashes.values())) if hashes else data


def _check_images(hashes: Mapping[str, dict[str, str]], paired: Sequence[str], say: Say) -> None:
    """Raises UsageError where a domain of one run is another domain of the other.

    Says where runs were trained on other images. Runs in `paired` keep only the images that have a partner: of those
    nothing is said.
    """
    (first, own), *others = hashes.items()
    for name, other in others:
        swapped = [(d, letter) for d in own for letter in other if d != letter and own[d] == other[letter]]
        if swapped:
            d, letter = swapped[0]
            raise UsageError(
                f"{first} and {name} cannot be compared: domain {d} of one is domain {letter} of the other. Train "
                "one of them with its domains in the order of the other."
            )
        shared = [d for d in own if d in other]
        kinds = {h.partition(":")[0] for d in shared for h in (own[d], other[d])}
        if len(kinds) > 1:
            say(f"Whether {first} and {name} learnt from the same images is not known: their hashes differ in kind.")
            continue
        differing = [d for d in shared if own[d] != other[d]]
        if differing and not {first, name} & {*paired}:
            say(f"{first} and {name} were trained on other images of domain {' and '.join(differing)}.")


def _check(metas: Mapping[str, dict[str, Any]], configs: Mapping[str, TrainSettings], protocol: Protocol) -> None:
    """Raises UsageError for runs that cannot stand in one table, before anything is measured."""
    for name, other in metas.items():
        if "b" not in other["channels"]:
            raise UsageError(f"{name} ({other['method']}) does not translate: it cannot be compared with runs that do.")
    (first, meta), *others = metas.items()
    for name, other in others:
        for domain in ("a", "b"):
            left, right = meta["channels"].get(domain), other["channels"].get(domain)
            if left != right:
                raise UsageError(
                    f"{first} and {name} cannot be compared: domain {domain} has {left} channels in one and {right} in "
                    "the other."
                )
        one, two = configs[first].data, configs[name].data
        if not protocol.size and (one.resize, one.crop) != (two.resize, two.crop):
            raise UsageError(
                f"{first} and {name} were trained on images of other sizes (resize {one.resize}, crop {one.crop}; "
                f"resize {two.resize}, crop {two.crop}): choose one for both with --size."
            )


def _kept(path: Path, header: dict[str, Any]) -> dict[str, Any] | None:
    """The result of an earlier call, if it is of these weights, images and feature networks and this protocol."""
    if not path.is_file():
        return None
    try:
        result = upgraded(read_json(path))
        same = {"to", "both", "warnings"} <= result.keys()
        same = same and all(result["run"][part] == header["run"][part] for part in ("weights_sha256", "precision"))
        return result if same and not comparable(header, result) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no whole result
        return None


def _examples(
    translator: Translator, config: TrainSettings, data: Mapping[str, str], protocol: Protocol
) -> dict[str, tuple[Tensor, Tensor]]:
    """Of each target domain inputs (N, C, H, W) and outputs (N, K, C, H, W), in [-1, 1].

    The same inputs for every run, in the same styles where it has styles.
    """
    examples = {}
    for target in translator.method.capabilities.directions:
        if target not in DOMAINS:
            continue
        source = OTHER[target]
        settings = as_trained(config.data, translator.method.channels)
        image_set = open_images(data[source], source, settings, protocol.size)
        images = Images(image_set, protocol.size or config.data.crop, INPUTS, protocol.seed)
        x = images.batch(0, len(images)).to(translator.device)
        style_dim = translator.method.capabilities.style_dim
        styles = translator.sample(STYLES, target, protocol.seed) if style_dim else torch.zeros(1, 0)
        codes = translator.encode_batch(x, source)
        of_each = styles.expand(len(x), *styles.shape)  # (N, K, S)
        outputs = translator.decode_batch(codes, of_each, target, (x.shape[2], x.shape[3]))
        examples[target] = x.cpu(), outputs.float().cpu()
    return examples


def _cost(
    translator: Translator, config: TrainSettings, meta: dict[str, Any], examples: Mapping[str, tuple[Tensor, Tensor]]
) -> dict[str, float | None]:
    """Parameters (M), GFLOP of one and of ten outputs, seconds of training, and of one and ten outputs of an image.

    examples: of each target domain, inputs (N, C, H, W) and outputs (N, K, C, H, W); one input of the last is timed.
    """
    target, (x, _) = list(examples.items())[-1]
    _, counted = cost(type(translator.method), config, meta["channels"], x.shape[-1])
    style_dim = translator.method.capabilities.style_dim
    styles = translator.sample(TIMED_OUTPUTS, target, 0) if style_dim else torch.zeros(1, 0)

    def timed(styles: Tensor) -> float:
        seconds = []
        for _ in range(TIMES):
            began = time.perf_counter()
            list(translator.outputs(x[0], styles, target))
            seconds.append(time.perf_counter() - began)
        return round(statistics.median(seconds), 4)

    def scaled(value: float | None, unit: float) -> float | None:
        return None if value is None else round_significant(value / unit, 4)

    return {
        "parameters_million": scaled(counted.parameters, 1e6),
        "trained_million": scaled(counted.trained, 1e6),
        "gflop": scaled(counted.flop, 1e9),
        "gflop_of_ten": scaled(counted.flop_of_ten if style_dim else None, 1e9),
        "iterations": meta["step"],
        "training_seconds": meta.get("seconds"),
        "seconds_of_one": timed(styles[:1]),
        "seconds_of_ten": timed(styles) if style_dim else None,
    }
