"""Evaluations: a run, real images and a protocol in; numbers with intervals, and the images behind them, out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drit.bounded import resolved
from drit.data.folders import ImageSet
from drit.engines.base import Engine, OneProcess
from drit.errors import DataError, UsageError
from drit.evaluation import summary
from drit.evaluation.features.shelf import Shelf
from drit.evaluation.gathered import Direction
from drit.evaluation.images import Images, RealFeatures, as_trained, open_images
from drit.evaluation.progress import Say, StartBar, no_bar, say_nothing
from drit.evaluation.protocol import Protocol, to_json
from drit.evaluation.session import Session
from drit.inference.translator import Translator
from drit.methods.base import DOMAINS, OTHER
from drit.runs import checkpoint
from drit.runs.record import settings_of_meta
from drit.settings.common import DataSettings, TrainSettings
from drit.storage import Places
from drit.version import VERSION

FORMAT = 1


@dataclass
class Evaluation:
    """result: what result.json holds. directions: of each target domain, what was gathered; the page shows some."""

    result: dict[str, Any]
    directions: dict[str, Direction]


class PreparedEvaluation:
    """An evaluation whose images and networks are open, and of which nothing is measured yet.

    header: what its result says beside the numbers, so that `protocol.comparable` can tell whether an earlier result is
    of the same; `run` in it names the weights.
    """

    def __init__(self, session: Session, targets: tuple[str, ...], header: dict[str, Any]) -> None:
        self.session = session
        self.targets = targets
        self.header = header

    def measure(
        self,
        say: Say = say_nothing,
        start_bar: StartBar = no_bar,
        engine: Engine | None = None,
        places: Places | None = None,
    ) -> Evaluation:
        """All numbers. engine: who translates; this process without. places: where images were copied from."""
        engine, places = engine or OneProcess(), places or Places()
        began = time.monotonic()
        session = self.session
        directions: dict[str, Direction] = {}
        numbers: dict[str, Any] = {}
        for target in self.targets:
            advance = start_bar(f"to {target}", len(session.chosen[OTHER[target]]))
            directions[target] = session.gather(target, advance, engine, places)
            say(f"Computing the numbers of outputs in domain {target}.")
            numbers[target] = summary.direction_numbers(session, target, directions[target])
        both = {}
        if session.wants("disentanglement"):
            both["domain_guessed"] = summary.domain_probe_number(session, directions)
        skipped = [f"skipped: {why}" for chosen in session.chosen.values() for why in chosen.set.skipped.values()]
        result = self.header | {
            "to": numbers,
            "both": both,
            "warnings": session.warnings + skipped,
            "seconds": round(time.monotonic() - began, 1),
        }
        return Evaluation(places.shown(result), directions)


def prepare(
    run: str | Path,
    data: Mapping[str, str],
    protocol: Protocol,
    cache: Path,
    networks: Mapping[str, str] | None = None,
    training: Mapping[str, str] | None = None,
    real: RealFeatures | None = None,
    translator: Translator | None = None,
    say: Say = say_nothing,
) -> PreparedEvaluation:
    """Open everything that an evaluation needs, and train the networks that are trained here.

    data: folder or array file of domains a and b (of a method of several domains, these two are measured). cache:
    folder where trained feature networks are kept. networks: of "features" and "perceptual", NAME[:FILE[,HEADS]]; the
    protocol's names without. training: what feature networks learn from; the run's own training images without, or
    `data` where those are gone. real: shared between evaluations of the same images.

    Raises UsageError or DataError for what cannot be measured.
    """
    folder = checkpoint.find(Path(run))
    meta = checkpoint.load_meta(folder)
    config = settings_of_meta(folder, meta)
    translator = translator or Translator.load(folder)
    targets = tuple(d for d in translator.method.capabilities.directions if d in DOMAINS)
    if not targets:
        raise UsageError(
            f"The method {meta['method']} translates nowhere: there are no outputs to measure. Draw its images: "
            f"drit sample {run} --out DIR. With --data.a FILE that says how its categories agree with labels, too."
        )
    if len(translator.method.channels) > len(DOMAINS):
        say(f"The run has the domains {', '.join(translator.method.channels)}: only a and b are measured.")
    settings = as_trained(config.data, translator.method.channels)
    crop = protocol.size or settings.crop
    sets = {d: open_images(data[d], d, settings, protocol.size) for d in DOMAINS}
    for note in (note for s in sets.values() for note in s.notes):
        say(f"note: {note}")
    chosen = {d: Images(s, crop, protocol.count, protocol.seed) for d, s in sets.items()}
    warnings: list[str] = []
    learn = _training(training, config, sets, settings, protocol, warnings)
    shelf = Shelf(cache, {d: Images(s, crop, protocol.learn, protocol.seed) for d, s in learn.items()}, protocol, say)
    session = Session(translator, protocol, chosen, shelf, real or RealFeatures(), warnings)
    session.open_networks(targets, networks or {})
    header = {
        "format": FORMAT,
        "program": VERSION,
        "run": {
            "name": resolved(Path(run)).name,
            "method": meta["method"],
            "step": meta["step"],
            "weights_sha256": checkpoint.weights_sha256(folder),
            "style_dim": translator.method.capabilities.style_dim,
            "precision": str(translator.dtype).removeprefix("torch."),
        },
        "protocol": to_json(protocol),
        "images": {
            "resize": protocol.size or settings.resize,
            "resize_mode": "short_side" if protocol.size else settings.resize_mode,
            "crop": crop,
        },
        "data": {d: s.fingerprint() | {"used": len(chosen[d])} for d, s in sets.items()},
        "networks": {use: network.record for use, network in session.used.items()},
    }
    return PreparedEvaluation(session, targets, header)


def _training(
    given: Mapping[str, str] | None,
    config: TrainSettings,
    sets: dict[str, ImageSet],
    settings: DataSettings,
    protocol: Protocol,
    warnings: list[str],
) -> dict[str, ImageSet]:
    """The real images that feature networks and classifiers learn from."""
    paths = given or config.data.sources()
    try:
        training = {d: open_images(paths[d], d, settings, protocol.size) for d in sets}
    except DataError as error:
        if given:
            raise
        warnings.append(
            f"The run's training images cannot be opened ({error}). Networks that are trained here learn from the "
            "images given, which are then measured too: numbers of the real images come out too good. Give --train.a "
            "and --train.b."
        )
        return sets
    same = [d for d in sets if training[d].fingerprint()["sha256"] == sets[d].fingerprint()["sha256"]]
    if same:
        warnings.append(
            f"Domain {' and '.join(same)}: the images given are those that the networks trained here learn from. "
            "Give held-out ones with --data.a and --data.b for unbiased numbers."
        )
    return training
