"""The front door for Python: `drit.train`, `drit.evaluate` and `drit.augment` as functions.

They do what the commands of these names do, with the same defaults and the same errors (`drit.errors`), and print
nothing but the progress of a training. `drit.load`, `drit.list_methods`, `drit.read_state` and `drit.AugmentedDataset`
stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from drit.atomic import not_written, write_json
from drit.augmentation.augment import augment as augment_set
from drit.augmentation.settings import AugmentSettings
from drit.data.labelled import open_labelled
from drit.data.ranges import reading_of
from drit.engines.registry import PROCESS, find_engine
from drit.errors import UsageError
from drit.evaluation import measure
from drit.evaluation.features.shelf import parse
from drit.evaluation.progress import Say, StartBar, no_bar, say_nothing
from drit.evaluation.protocol import Protocol, checked, find_protocol
from drit.inference import outputs
from drit.inference.translator import Translator
from drit.methods.registry import DEFAULT, preset, settings_from
from drit.reports import evaluation as page
from drit.runs import checkpoint as files
from drit.runs import integrity
from drit.runs.folder import refuse_inside
from drit.runs.record import recorded_settings
from drit.settings.common import TrainSettings
from drit.settings.files import read_settings
from drit.settings.schema import changed
from drit.storage import Places
from drit.training import launch
from drit.training.trainer import Outcome

PAGES = ("index.html", "result.json")  # that an evaluation writes


def train(
    config: TrainSettings | Mapping[str, Any] | str | Path | None = None,
    *,
    out: str | Path = "",
    a: str | Path = "",
    b: str | Path = "",
    method: str = "",
    preset: str = "",
    resume: str | Path = "",
    start_from: str | Path = "",
    **settings: Any,
) -> Outcome:
    """Train a new run into the folder `out`, or go on with a run.

    config: settings to start from: of `TrainSettings`, nested dictionaries, or a JSON file (a run's config.json). a, b:
    folders or array files of the two domains. method, preset: as `--method` and `--preset`, where there is no config.
    settings: any other setting by its name, a dot written as two underscores: `steps=500`, `network__width=32`.
    resume: a run to go on with, bit-exactly on a CPU, in place of `out`; only `steps` and the like may change.
    start_from: a run whose weights the training begins with.

    Ctrl-C and SIGTERM finish the iteration and save. Returns the run's folder (`run`), its last iteration (`step`),
    whether all are done (`finished`), and the last losses. Raises UsageError for settings that are unknown or do not
    fit, DataError for unusable images, CheckpointError for a run that cannot be gone on with, DivergedError for NaN.
    """
    if bool(out) == bool(resume):
        raise UsageError("Give either out=FOLDER (a new run) or resume=RUN (a run to go on with).")
    if resume and (start_from or config is not None):
        raise UsageError("A run goes on with its own settings: leave config and start_from out.")
    given = {name.replace("__", "."): value for name, value in settings.items()}
    given |= {name: str(path) for name, path in (("data.a", a), ("data.b", b)) if path}
    if resume:
        run = Path(resume)
        launch.check_resumable(run)
        return launch.resume(run, changed(recorded_settings(run), given))
    chosen = changed(_base(config, method, preset), given)
    return launch.train(chosen, Path(out), start_from=Path(start_from) if start_from else None)


def _base(config: TrainSettings | Mapping[str, Any] | str | Path | None, method: str, name: str) -> TrainSettings:
    """The settings that a training starts from."""
    if config is None:
        return preset(name or "default", method or DEFAULT)
    if method or name:
        raise UsageError("A config names its method and preset: leave method and preset out.")
    if isinstance(config, TrainSettings):
        return config
    if isinstance(config, (str, Path)):
        values, old = read_settings(Path(config))
        return settings_from(values, ignore_unknown=old)
    if not isinstance(config, Mapping):
        raise UsageError(f"A config is settings, a dictionary or a JSON file of them, not {type(config).__name__}.")
    return settings_from(config)


def evaluate(
    run: str | Path,
    a: str | Path,
    b: str | Path,
    *,
    protocol: str | Protocol = "standard",
    out: str | Path = "",
    metrics: Sequence[str] = (),
    features: str = "",
    perceptual: str = "",
    train_a: str | Path = "",
    train_b: str | Path = "",
    overwrite: bool = False,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    engine: str = PROCESS,
    say: Say = say_nothing,
    start_bar: StartBar = no_bar,
    **changes: Any,
) -> dict[str, Any]:
    """Measure a run on held-out images of both domains, by a stored protocol.

    a, b: folders or array files. protocol: its name, a JSON file, or a `Protocol`. metrics, and further fields of the
    protocol (`count=200, styles=5, seed=1`), change it. features, perceptual: feature networks, NAME[:FILE]. train_a,
    train_b: images that such networks learn from, in place of the run's. out: the folder that gets result.json,
    index.html and trained networks; RUN/evaluation_PROTOCOL without. All of these, and the run, may be addresses, as
    s3://bucket/folder. engine: `process`, or `ray` for the workers of a Ray cluster; the numbers are the same. say:
    called with sentences on the way.

    Returns what result.json holds, and `out`: numbers with their intervals under result["to"]["b"], by name. Raises
    UsageError or DataError for what cannot be measured, DritError where the disk refuses.
    """
    if bool(train_a) != bool(train_b):
        raise UsageError("Give both --train.a and --train.b (train_a, train_b), or neither.")
    networks = {"features": features, "perceptual": perceptual}
    chosen = protocol if isinstance(protocol, Protocol) else find_protocol(protocol)
    changes |= {name: spec.partition(":")[0] for name, spec in networks.items() if spec}
    if metrics:
        changes["metrics"] = tuple(metrics)
    try:
        chosen = replace(chosen, **changes)
    except TypeError as error:
        raise UsageError(f"A protocol has no such setting ({error}).") from error
    chosen = checked(chosen)
    for spec in networks.values():
        if spec:
            parse(spec)  # a wrong name or a missing file is said before anything is loaded
    chosen_engine = find_engine(engine)
    with Places() as places:
        model = Path(places.read(str(run), by_workers=False))
        integrity.start(model)
        translator = Translator.load(model, device, precision, threads=threads)
        a, b, train_a, train_b = (places.read(str(path)) if path else "" for path in (a, b, train_a, train_b))
        target = places.write(str(out) if out else f"{str(run).rstrip('/')}/evaluation_{chosen.name}")
        folder = target.path
        refuse_inside(folder, [path for path in (a, b, train_a, train_b) if path])
        outputs.check_pages(folder, PAGES, "protocol", overwrite)
        prepared = measure.prepare(
            model,
            {"a": a, "b": b},
            chosen,
            folder / "features",
            networks=networks,
            training={"a": train_a, "b": train_b} if train_a else None,
            translator=translator,
            say=lambda text: say(places.shown(text)),
        )
        evaluation = prepared.measure(say, start_bar, chosen_engine, places)
        try:
            outputs.note_pages(folder, PAGES)
            page.write_page(folder / "index.html", evaluation.result, evaluation.directions)
            write_json(folder / "result.json", evaluation.result)
        except OSError as error:
            raise not_written(folder, error) from error
        target.publish_all()
        return evaluation.result | {"out": places.shown(str(folder))}


def augment(
    run: str | Path,
    data: str | Path,
    *,
    to: str,
    times: int,
    out: str | Path,
    labels: str | Path = "",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    engine: str = PROCESS,
    **settings: Any,
) -> dict[str, Any]:
    """Carry a labelled set into the other domain, `times` translations of each image, labels kept.

    data: a folder with a folder for each class, a folder with `labels` (a CSV file), or an .npz file. to: the domain.
    out: the folder to write to; stopped, the same call goes on. run, data, labels and out may be addresses,
    as s3://bucket/folder. engine: `process`, or `ray` for the workers of a Ray cluster. settings: further fields of
    `drit.augmentation.settings.AugmentSettings`: seed, keep_source, drop, max_invention, source, format, depth.

    Returns counts, skipped images with reasons, and where the set lies; `drit.AugmentedDataset(out)` reads it. Raises
    UsageError for what does not fit the model, or an `out` with other work; DataError for a set that cannot be read.
    """
    chosen_engine = find_engine(engine)
    try:
        chosen = AugmentSettings(to, times, **settings)
    except TypeError as error:
        raise UsageError(f"An augmentation has no such setting ({error}).") from error
    with Places() as places:
        checkpoint = files.find(Path(places.read(str(run), by_workers=False)))
        translator = Translator.load(checkpoint, device, precision, threads=threads)
        reading = reading_of(translator.method.settings.data, translator.source(to, chosen.source))
        opened = open_labelled(places.read(str(data)), str(labels) and places.read(str(labels)), reading=reading)
        folder = places.write(str(out))
        return augment_set(translator, checkpoint, opened, chosen, folder, engine=chosen_engine, places=places)
