"""`drit augment`: a labelled set carried into the other domain, labels kept."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from drit.cli.options import (
    INTERRUPTED,
    add_device,
    add_engine,
    add_format,
    add_run,
    add_source,
    command,
    engine_of,
    show,
    translator_of,
)
from drit.cli.parser import seed
from drit.errors import UsageError
from drit.progress import quiet
from drit.storage import Places


def add(commands: Any) -> None:
    parser = command(
        commands,
        "augment",
        "translate a labelled set, several times each image, labels kept",
        augment,
        "examples:\n"
        "  drit augment runs/digits digits/a.npz --to b --times 5 --out augmented\n"
        "  drit augment runs/seasons labelled/ --to winter --times 3 --out augmented --filter\n"
        "  drit augment runs/digits digits/a.npz --to b --times 5 --out augmented --part 1/2\n"
        "  drit augment runs/seasons s3://bucket/labelled --to winter --times 3 --out s3://bucket/out --engine ray\n\n"
        "DATA: a folder with a folder for each class, a folder with --labels, or file.npz or file.npz:KEY with labels "
        "beside. Each image gets random styles of its own. Stopped with ctrl-C, the same command goes on. "
        "After the parts, the command without --part joins them.",
    )
    add_run(parser)
    parser.add_argument("data", metavar="DATA", help="labelled set of the other domain")
    parser.add_argument("--to", required=True, metavar="DOMAIN", help="a or b, or the name of its folder")
    parser.add_argument("--times", type=int, required=True, metavar="K", help="translations of each image")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--labels", default="", metavar="FILE", help="CSV with columns file,label for a folder")
    parser.add_argument("--seed", type=seed, default=0, help="seed of the random styles [0]")
    parser.add_argument("--keep-source", action="store_true", help="the image itself too, as repetition 0")
    parser.add_argument(
        "--filter",
        action="store_true",
        help="drop translations that a classifier, trained on those of other images, does not classify as their label",
    )
    parser.add_argument(
        "--max-invention",
        type=float,
        default=None,
        metavar="Q",
        help="keep this share of the translations, 0 to 1, and drop those of which the least of the image comes back",
    )
    add_source(parser)
    parser.add_argument("--part", default="1/1", metavar="I/N", help="only the I-th of N shares of the work [1/1]")
    add_format(parser)
    add_engine(parser)
    add_device(parser)


def augment(values: argparse.Namespace) -> int:
    with Places() as places:
        return _augment(values, places)


def _augment(values: argparse.Namespace, places: Places) -> int:
    part = re.fullmatch(r"(\d+)/(\d+)", values.part)
    if not part:
        raise UsageError(f"--part {values.part}: give I/N, as in 1/4.")
    from drit.augmentation.augment import augment as augment_set
    from drit.augmentation.settings import AugmentSettings
    from drit.data.folders import left_out_notes
    from drit.data.labelled import BESIDE, open_labelled
    from drit.data.ranges import reading_of
    from drit.runs import checkpoint as files

    engine = engine_of(values)
    source, labels = places.read(values.data), values.labels and places.read(values.labels)
    values.model = places.read(values.model, by_workers=False)
    checkpoint = files.find(Path(values.model))
    translator = translator_of(values)
    reading = reading_of(translator.method.settings.data, translator.source(values.to, values.source))
    data = open_labelled(source, labels, reading=reading)
    for note in left_out_notes(data.root, (*BESIDE, ".csv")) if data.array is None else ():
        print(f"note: {places.shown(str(data.root))}: {note}.", file=sys.stderr)
    try:
        settings = AugmentSettings(
            values.to,
            values.times,
            values.seed,
            values.keep_source,
            values.filter,
            values.max_invention,
            values.source,
            values.format,
            values.depth,
            (int(part[1]), int(part[2])),
        )
        out = places.write(values.out)
        result = augment_set(translator, checkpoint, data, settings, out, quiet(), engine, places)
    except KeyboardInterrupt:
        print("drit: Stopped; what is done is kept. Give the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    for note in result.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    skipped = result.get("skipped", {})
    for why in skipped.values():
        print(f"skipped: {why}", file=sys.stderr)
    message = (
        f"{result['rendered']} translations in {result['seconds']:.1f} s "
        f"({result['outputs_per_second']:.1f} a second): {values.out}"
    )
    if "outputs" in result:
        message += f"\n{result['outputs']} labelled images: {result['augmented']}"
    else:
        message += "\nWhen all parts are done, give the command without --part to join them."
    if "invention_limit" in result:
        message += f"\nMost invention that is kept: {result['invention_limit']:.4f}"
    if "dropped" in result:
        dropped = ", ".join(f"{name} {count}" for name, count in result["dropped"].items())
        message += f"\nDropped by class: {dropped}"
    show(values, result, message)
    return 1 if skipped else 0
