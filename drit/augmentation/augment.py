"""A labelled set in the other domain: several translations of each image, each in a random style of its own.

OUT/augment.json       settings, checkpoint (iteration and hash), counts
OUT/augmented.npz      from an array file (`arrays`)
OUT/CLASS/NAME_s001.png ... and OUT/labels.csv (file, label, source, repetition, style)   from a folder (`folders`)
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from drit.atomic import no_leftovers, write_json
from drit.augmentation.arrays import ArrayWriter
from drit.augmentation.folders import FolderWriter
from drit.augmentation.record import RECORD, claim
from drit.augmentation.settings import AugmentSettings
from drit.augmentation.units import Renderer, cut_units
from drit.data.images import convert_channels
from drit.data.labelled import LabelledSet
from drit.engines.base import Engine, OneProcess
from drit.errors import UsageError
from drit.inference.formats import FormatChoice, samples_of
from drit.inference.invention import check_translates_back
from drit.inference.translator import Translator
from drit.methods.registry import no_styles
from drit.progress import tracked
from drit.runs import checkpoint as checkpoints
from drit.runs.folder import refuse_inside, run_of
from drit.storage import Folder, Places, folder_of


def augment(
    translator: Translator,
    checkpoint: Path,
    data: LabelledSet,
    settings: AugmentSettings,
    out: Path | Folder,
    quiet: bool = True,
    engine: Engine | None = None,
    places: Places | None = None,
) -> dict[str, Any]:
    """Translate a labelled set as the settings say, into `out`; goes on where it was stopped.

    checkpoint: the folder that `translator` was loaded from. quiet: no progress bar on standard error. engine: who
    renders; this process without. places: where the set was copied from.

    Returns the record of augment.json, how many translations were rendered, and the seconds. A part renders its share
    of the units alone. The whole, called afterwards, joins what the parts gave. Images of a folder that cannot be read,
    translated or written are `skipped`, with reasons; called again, it tries these once more. Raises UsageError when
    `out` holds other work.
    """
    folder, engine, places = folder_of(out), engine or OneProcess(), places or Places()
    out = folder.path
    _check(translator, data, settings, out)
    record = places.shown(_record(translator, checkpoint, data, settings))
    noted = claim(out, record)
    if noted.get("outputs") is not None and not noted.get("skipped"):
        return noted | {"rendered": 0, "seconds": 0.0, "outputs_per_second": 0.0}
    folder.publish(out / RECORD)
    units = cut_units(translator, data)
    renderer = Renderer(translator, data, settings)
    writer: ArrayWriter | FolderWriter
    writer = FolderWriter(renderer, units, folder) if data.array is None else ArrayWriter(renderer, units, folder)
    i, n = settings.part
    todo = [unit for unit in range(i - 1, len(units), n) if writer.missing(unit)]
    work = places.anywhere(_Units(renderer, writer, units))
    rendered, skipped, lost = 0, dict[str, str](), Counter[str]()
    began = time.monotonic()
    with (
        no_leftovers(out, (name for unit in todo for name in writer.names(unit))),
        closing(engine.run(work, todo, translator.device.type == "cuda")) as results,
    ):
        for done in tracked(results, "translating", len(todo), hidden=quiet):
            rendered += done.rendered
            skipped |= places.shown(done.skipped)
            lost.update(done.lost)
    seconds = time.monotonic() - began
    rate = {
        "rendered": rendered,
        "seconds": round(seconds, 3),
        "outputs_per_second": round(rendered / max(seconds, 1e-9), 3),
    }
    if n > 1:
        return noted | {"part": f"{i}/{n}", "skipped": skipped} | rate
    if data.array is not None or settings.drops:  # what is joined or judged is read
        folder.pull()
    joined = places.shown(writer.join(skipped, lost))
    write_json(out / RECORD, record | joined)
    folder.publish(out / RECORD)
    writer.clear()
    return record | joined | rate


class _UnitDone(NamedTuple):
    """What came of one unit."""

    rendered: int  # translations
    skipped: dict[str, str]  # names of images that could not be read, translated or written, and why
    lost: Counter[str]  # what outputs do not keep of their inputs


class _Units:
    """Renders and writes units: the work that an engine does."""

    def __init__(self, renderer: Renderer, writer: ArrayWriter | FolderWriter, units: list[list[int]]) -> None:
        self._renderer = renderer
        self._writer = writer
        self._units = units

    def __call__(self, unit: int) -> _UnitDone:
        self._writer.folder.check_shared(RECORD)
        skipped: dict[str, str] = {}
        rendered = self._renderer.render(self._units[unit], skipped)
        if rendered is None:
            return _UnitDone(0, skipped, Counter())
        lost = self._writer.write(unit, rendered, skipped)
        return _UnitDone(self._renderer.settings.times * len(rendered.places), skipped, lost)


def _check(translator: Translator, data: LabelledSet, settings: AugmentSettings, out: Path) -> None:
    """Raises UsageError, or DataError for channels that do not fit, before anything is written."""
    source = translator.source(settings.to, settings.source)
    method = translator.method
    if settings.times < 1:
        raise UsageError("--times must be at least 1.")
    if settings.times > 1 and not method.capabilities.style_dim:
        raise UsageError(f"{no_styles()} Use --times 1.")
    if settings.max_invention is not None:
        if not 0 <= settings.max_invention <= 1:
            raise UsageError(
                f"--max-invention {settings.max_invention:g}: give the share of translations to keep, from 0 to 1: 0.9 "
                "drops the tenth that invents the most."
            )
        check_translates_back(method, translator.known_source(settings.to, settings.source), "--max-invention")
    i, n = settings.part
    if not 1 <= i <= n:
        raise UsageError(f"--part {i}/{n}: give I/N with I from 1 to N.")
    if data.array is None:
        refuse_inside(out, [data.root])
    elif settings.format:
        raise UsageError(f"--format is for folders of images; {data.source} gives one array file. Leave it out.")
    FormatChoice(settings.format, settings.depth).check(samples_of(method, source, translator.domain(settings.to)))
    if data.array is not None:
        convert_channels(np.zeros((1, 1, data.channels), np.uint8), method.channels[source])


def _record(translator: Translator, checkpoint: Path, data: LabelledSet, settings: AugmentSettings) -> dict[str, Any]:
    """What augment.json says of the work: all that its outputs depend on, but for the part."""
    return {
        "run": str(run_of(checkpoint) or checkpoint),
        "step": checkpoints.load_meta(checkpoint)["step"],
        "weights_sha256": checkpoints.weights_sha256(checkpoint),
        "device": translator.device.type,
        "precision": str(translator.dtype).removeprefix("torch."),
        "to": translator.domain(settings.to),
        "times": settings.times,
        "seed": settings.seed,
        "keep_source": settings.keep_source,
        "filter": settings.drop,
        "max_invention": settings.max_invention,
        "from": translator.domain(settings.source) if settings.source else None,
        "format": settings.format or None,
        "depth": settings.depth or None,
        "data": data.source,
        "images": len(data),
        "data_sha256": data.digest,
    }
