"""`drit probe`: what a training set is worth for a test set, in one number."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from typing import Any

import numpy as np

from drit.cli.options import add_threads, command, show
from drit.errors import UsageError

LARGEST = 64  # pixels; larger images, or of several sizes, are resized to it


def add(commands: Any) -> None:
    parser = command(
        commands,
        "probe",
        "train a small classifier on labelled sets and test it on another",
        probe,
        "examples:\n"
        "  drit probe --train digits/a.npz --test digits/test_b.npz\n"
        "  drit probe --train digits/a.npz augmented/augmented.npz --test digits/test_b.npz --validation 0.1\n\n"
        "DATA: a folder with a folder for each class, or file.npz or file.npz:KEY with labels beside. The same "
        "classifier, schedule and seeds each time, so that two sets can be compared.",
    )
    parser.add_argument("--train", nargs="+", required=True, metavar="DATA", help="labelled sets, joined")
    parser.add_argument("--test", required=True, metavar="DATA", help="labelled set")
    parser.add_argument(
        "--unlabelled",
        default="",
        metavar="DATA",
        help="images like those of the test, labels not used: batch-normalisation statistics are taken from them",
    )
    parser.add_argument(
        "--self-training",
        type=int,
        default=0,
        metavar="N",
        help="N times: train anew, on those of --unlabelled too, with the classes that the classifier is sure of [0]",
    )
    parser.add_argument("--train-labels", default="", metavar="FILE", help="CSV (file,label) for the first of --train")
    parser.add_argument("--test-labels", default="", metavar="FILE", help="CSV (file,label) for --test")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="classifiers trained [3]")
    parser.add_argument("--epochs", type=int, default=4, metavar="E", help="passes over the training images [4]")
    parser.add_argument("--width", type=int, default=32, metavar="W", help="channels of the first convolution [32]")
    parser.add_argument(
        "--validation",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the training images held out, to choose the epoch by [0: the last epoch]",
    )
    add_threads(parser)


def probe(values: argparse.Namespace) -> int:
    for name in ("seeds", "epochs", "width"):
        if getattr(values, name) < 1:
            raise UsageError(f"--{name} must be at least 1.")
    if not 0 <= values.validation < 1:
        raise UsageError("--validation is a share, from 0 to less than 1.")
    if values.self_training < 0:
        raise UsageError("--self-training must be at least 0.")
    if values.self_training and not values.unlabelled:
        raise UsageError("--self-training labels the images of --unlabelled: name some.")
    import torch

    from drit.data.labelled import check_classes, joined, open_labelled
    from drit.probes.classifier import LabelledImages, train_and_test
    from drit.runtime import cores, keep_freed_memory

    torch.set_num_threads(values.threads or cores())
    keep_freed_memory()
    train = [open_labelled(path, values.train_labels if i == 0 else "") for i, path in enumerate(values.train)]
    test = open_labelled(values.test, values.test_labels)
    classes = check_classes(train, test)
    others = [open_labelled(values.unlabelled, wanted=False)] if values.unlabelled else []
    every = [*train, test, *others]
    sizes = {side for one in every for shape in one.shapes for side in shape}
    side = sizes.pop() if len(sizes) == 1 and max(sizes) <= LARGEST else LARGEST
    sets = [LabelledImages(*joined(group, classes, side)) for group in (train, [test])]
    target = torch.from_numpy(others[0].pixels(side)) if others else None
    begin = time.monotonic()

    done = itertools.count(1)
    every_epoch = values.seeds * (1 + values.self_training) * values.epochs

    def say(_: int) -> None:
        seconds, count = time.monotonic() - begin, next(done)
        if sys.stderr.isatty():
            left = seconds / count * (every_epoch - count)
            print(f"epoch {count}/{every_epoch} ({seconds:.0f} s, left {left:.0f} s)", file=sys.stderr, flush=True)

    result = train_and_test(
        sets[0],
        sets[1],
        classes,
        values.seeds,
        values.epochs,
        values.width,
        values.validation,
        target,
        say,
        values.self_training,
    )
    result |= {
        "train": len(sets[0].labels),
        "test": len(sets[1].labels),
        "unlabelled": len(others[0]) if others else 0,
        "seeds": values.seeds,
        "epochs": values.epochs,
        "width": values.width,
        "validation": values.validation,
        "self_training": values.self_training,
        "seconds": round(time.monotonic() - begin, 1),
    }
    show(values, result, report(result))
    return 0


def report(result: dict[str, Any]) -> str:
    """What is printed: the accuracy, and each class with what it is taken for most."""
    lines = [
        f"accuracy {100 * result['accuracy']:.2f} % +- {100 * result['std']:.2f} on {result['test']} images "
        f"({result['seeds']} seeds, {result['train']} training images, {result['epochs']} epochs)"
    ]
    if result["accuracies_without_self_training"]:
        before, sure = (np.mean(result[key]) for key in ("accuracies_without_self_training", "pseudo_labelled"))
        lines.append(f"  before self-training {100 * before:.2f} %; then sure of {sure:.0f} of {result['unlabelled']}")
    names = list(result["classes"])
    for name, row in zip(names, result["confusion"], strict=True):
        wrong = sorted(((n, other) for n, other in zip(row, names, strict=True) if other != name and n), reverse=True)
        taken = ", ".join(f"{other} ({n})" for n, other in wrong[:3])
        lines.append(f"  {name}: {100 * result['classes'][name]:.2f} %{f'; read as {taken}' if taken else ''}")
    return "\n".join(lines)
