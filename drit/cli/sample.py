"""`drit sample`: images drawn from a model's codes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from drit.cli.options import add_device, add_overwrite, add_run, command, show, translator_of
from drit.cli.parser import seed
from drit.errors import UsageError
from drit.progress import quiet


def add(commands: Any) -> None:
    parser = command(
        commands,
        "sample",
        "draw images over the codes of a model that draws, as InfoGAN does",
        sample,
        "examples:\n"
        "  drit sample runs/codes --count 10 --out grids\n"
        "  drit sample runs/codes --out grids --data.a mnist.npz:test_images\n\n"
        "Writes category.png (a column for each category) and continuous_1.png, ... (each code from -2 to 2); a row\n"
        "keeps the noise and the other codes. With labelled images it also tells how the categories agree with the\n"
        "classes: each category is given one class, in the best way, and what this gets wrong is counted.",
    )
    add_run(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="rows of each grid [10]")
    parser.add_argument("--seed", type=seed, default=0, help="seed of noise and codes [0]")
    parser.add_argument(
        "--data.a", dest="labelled", default="", metavar="FILE", help="labelled images: an .npz file, or FILE:KEY"
    )
    add_overwrite(parser)
    add_device(parser)


def sample(values: argparse.Namespace) -> int:
    if values.count < 1:
        raise UsageError("--count must be at least 1.")
    from drit.inference.sampling import code_agreement, draw, labelled
    from drit.runs.folder import refuse_inside

    refuse_inside(Path(values.out), [values.labelled] if values.labelled else [])
    translator = translator_of(values)
    data = translator.method.settings.data
    images = labelled(values.labelled, replace(data, a=values.labelled)) if values.labelled else None
    grids = draw(translator, Path(values.out), values.count, values.seed, values.overwrite)
    result: dict[str, Any] = {"out": values.out, "sheets": grids}
    message = "Grids: " + ", ".join(grids)
    if images is not None:
        agreed = code_agreement(translator, images, data.crop, quiet=quiet())
        result["agreement"] = agreed
        named = ", ".join(f"{k} is {c}" for k, c in agreed["class_of_category"].items())
        message += (
            f"\nCategories against the labels of {agreed['images']} images: {agreed['error_percent']:.2f} % wrong "
            f"({named})"
        )
    show(values, result, message)
    return 0
