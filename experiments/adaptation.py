"""Domain adaptation from MNIST to MNIST-M: labels of MNIST alone, scored on real test images of MNIST-M.

    make experiment NAME=adaptation
    python -m experiments.adaptation --run RUN --out DIR [--rows x1 x5] [--seeds 3] [--labelled N]

Rows: `source` is a classifier trained on the digits alone. `x1` ... `x10` are trained on that many translations of each
digit. `target` is trained on MNIST-M with labels, and shows what is possible. A classifier of each row sees --passes
times as many images as there are digits, but each of its training images at least once. So more translations mean
other images, not more training. With --labelled N, a few images of MNIST-M have labels: they are trained on beside the
translations (and beside the digits of `source`), and `target` is trained on them alone.

The rule for choosing weights uses no label of MNIST-M. Of the translator it takes the last checkpoint. Of a classifier
it takes the epoch with the highest accuracy on a held-out share of its own training images. Accuracies are given
with the classifier's own batch-normalisation statistics, with those of MNIST-M training images (without labels), and
with --self-training after that.

MNIST-M here is made by its recipe (`experiments/mnist_m.py`), with other crops than the file of the paper. The same
command goes on after a stop: DIR/adaptation.json keeps each row's result. DIR/table.md is the table.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drit.atomic import write_atomically, write_json
from drit.augmentation.augment import augment
from drit.augmentation.settings import AugmentSettings
from drit.cli.options import INTERRUPTED
from drit.cli.parser import fail
from drit.data.labelled import LabelledSet, open_labelled
from drit.errors import DritError, UsageError
from drit.inference.translator import Translator
from drit.methods.registry import preset
from drit.probes.classifier import LabelledImages, train_and_test
from drit.runs import checkpoint as files
from drit.runtime import cores, keep_freed_memory
from drit.training import launch as loop
from experiments import mnist_m, suite

ROWS = ("source", "x1", "x3", "x5", "x10", "target")
PASSES = 20  # over the digits: a classifier of each row sees about this many times their number of images
VALIDATION = 0.05


def adapt(values: argparse.Namespace) -> dict[str, Any]:
    """Measure the rows asked for that are missing. Returns all rows: name to the result of `train_and_test`."""
    out: Path = values.out
    out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    torch.set_num_threads(values.threads or cores())
    digits, target = data(values)
    run = values.run or trained(values, digits, target)
    checkpoint = files.find(run)
    source = open_labelled(f"{digits}:train_images")
    target_sets = {part: open_labelled(f"{target}:{part}_images") for part in ("train", "test")}
    settings = {
        "checkpoint": str(checkpoint),
        "weights_sha256": files.weights_sha256(checkpoint),
        "seed": values.seed,
        "digits": len(source),
        "passes": values.passes,
        "seeds": values.seeds,
        "width": values.width,
        "validation": VALIDATION,
        "filter": values.filter,
        "self_training": values.self_training,
        "labelled": values.labelled,
    }
    path = out / "adaptation.json"
    stored = json.loads(path.read_text()) if path.is_file() else {"settings": settings, "rows": {}}
    if stored["settings"] != settings:
        raise UsageError(f"{path} has rows with other settings: {stored['settings']}. Choose another --out.")
    translations: LabelledSet | None = None
    for row in [r for r in ROWS if r in values.rows and r not in stored["rows"]]:
        if row.startswith("x") and translations is None:
            times = max(int(r[1:]) for r in values.rows if r.startswith("x"))
            translations = translated(checkpoint, source, times, out / f"x{times}", values)
        train = chosen(row, source, target_sets["train"], translations)
        beside = some(target_sets["train"], values.labelled, values.seed) if values.labelled else None
        if beside is not None and row == "target":
            train, beside = beside, None
        epochs = max(1, round(values.passes * len(source) / len(train.labels)))
        began = time.monotonic()
        result = train_and_test(
            train,
            LabelledImages(pixels(target_sets["test"]), target_sets["test"].labels),
            source.classes,
            values.seeds,
            epochs,
            values.width,
            VALIDATION,
            pixels(target_sets["train"]),
            self_training=values.self_training,
            first_seed=values.seed,
            beside=beside,
        )
        result |= {"train": len(train.labels), "epochs": epochs, "seconds": round(time.monotonic() - began)}
        stored["rows"][row] = result
        write_json(path, stored)
        write_atomically(out / "table.md", table(stored["rows"]).encode())
        print(table({row: result}).splitlines()[-1], file=sys.stderr, flush=True)
    return stored["rows"]


def data(values: argparse.Namespace) -> tuple[Path, Path]:
    """The two .npz files; MNIST-M is made where it is not given."""
    digits = values.mnist or values.data / "mnist" / "mnist.npz"
    target: Path = values.mnist_m or values.out / "mnist_m.npz"
    if values.mnist_m is None and not target.is_file():
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **mnist_m.make(values.data))
        write_atomically(target, buffer.getvalue())
    return digits, target


def trained(values: argparse.Namespace, digits: Path, target: Path) -> Path:
    """A run trained here with the preset `digits`. One that was interrupted is resumed."""
    run: Path = values.out / "run"
    if files.checkpoints(run):
        finished = suite.finished(run) or loop.resume(run).finished
    else:
        config = preset("digits")
        sets = replace(config.data, a=f"{digits}:train_images", b=f"{target}:train_images", resize=0, crop=28)
        config = replace(config, data=sets, steps=values.steps or config.steps, threads=values.threads)
        finished = loop.train(config, run).finished
    if not finished:
        raise KeyboardInterrupt
    return run


def translated(checkpoint: Path, source: LabelledSet, times: int, out: Path, values: argparse.Namespace) -> LabelledSet:
    translator = Translator.load(checkpoint, threads=values.threads)
    quiet = not sys.stderr.isatty()
    settings = AugmentSettings("b", times, values.seed, drop=values.filter)
    return open_labelled(augment(translator, checkpoint, source, settings, out, quiet)["augmented"])


def chosen(row: str, source: LabelledSet, target: LabelledSet, translations: LabelledSet | None) -> LabelledImages:
    """The labelled training images of a row."""
    if row in ("source", "target"):
        real = source if row == "source" else target
        return LabelledImages(pixels(real), real.labels)
    assert translations is not None and translations.array is not None
    first = translations.beside["repetition"] <= int(row[1:])
    if first.all():
        return LabelledImages(pixels(translations), translations.labels)
    return LabelledImages(torch.from_numpy(translations.array[first]), translations.labels[first])


def some(images: LabelledSet, count: int, seed: int) -> LabelledImages:
    """So many labelled images of a set, as many of each class as of any other, within one."""
    order = np.random.default_rng(seed).permutation(len(images.labels))
    rank = np.zeros(len(order), np.int64)
    for label in np.unique(images.labels):
        own = order[images.labels[order] == label]
        rank[own] = np.arange(len(own))
    places = order[np.argsort(rank[order], kind="stable")][:count]
    return LabelledImages(pixels(images)[torch.from_numpy(places)], images.labels[places])


def pixels(images: LabelledSet) -> Tensor:
    """The images of a set: (N, H, W, C) uint8 or uint16."""
    assert images.array is not None
    return torch.from_numpy(images.array)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: accuracy in per cent, mean and standard deviation over the seeds."""
    lines = [
        "| trained on | images | epochs | accuracy, % | accuracy with statistics of b, % | after self-training, % |",
        "|---|---|---|---|---|---|",
    ]
    for name in [r for r in ROWS if r in rows]:
        row = rows[name]
        trained = row["accuracies_without_self_training"]
        kinds = (
            row["accuracies_without_unlabelled"],
            trained or row["accuracies"],
            row["accuracies"] if trained else [],
        )
        lines.append(f"| {name} | {row['train']} | {row['epochs']} | {' | '.join(map(in_words, kinds))} |")
    return "\n".join(lines) + "\n"


def in_words(accuracies: list[float]) -> str:
    """Mean and standard deviation (n - 1) in per cent."""
    return suite.spread([100 * accuracy for accuracy in accuracies], ".2f")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="data folder of experiments/mnist_m.py"
    )
    parser.add_argument("--mnist", type=Path, metavar="FILE", help="digits [DATA/mnist/mnist.npz]")
    parser.add_argument("--mnist-m", type=Path, metavar="FILE", help="MNIST-M [made from DATA]")
    parser.add_argument("--run", type=Path, help="a trained run [one is trained with the preset `digits`]")
    parser.add_argument("--steps", type=int, default=0, help="iterations of that training [those of the preset]")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/adaptation"), metavar="DIR", help="folder of the results [%(default)s]"
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=" ".join(ROWS))
    parser.add_argument(
        "--passes", type=int, default=PASSES, help="images seen in each row, in passes over the digits [%(default)s]"
    )
    parser.add_argument("--seeds", type=int, default=3, help="classifiers of each row [3]")
    parser.add_argument("--width", type=int, default=32, help="width of the classifiers [32]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the styles and of the first classifier [0]")
    parser.add_argument(
        "--filter",
        action="store_true",
        help="drop translations that a classifier, trained on those of other images, gives another label",
    )
    parser.add_argument(
        "--self-training",
        type=int,
        default=0,
        help="times that a classifier is trained anew, with the images of MNIST-M that it is sure of [0]",
    )
    parser.add_argument(
        "--labelled", type=int, default=0, metavar="N", help="images of MNIST-M whose labels are known [0]"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads [all cores]")
    try:
        rows = adapt(parser.parse_args(arguments))
    except DritError as error:
        return fail(error, error.exit_code)
    except KeyboardInterrupt:
        return fail(RuntimeError("Stopped. The same command goes on."), INTERRUPTED)
    print(table(rows), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
