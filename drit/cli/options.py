"""What commands share: their frame, the flags that several have, results, progress."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drit.cli.parser import Parser, threads
from drit.engines.base import Engine
from drit.engines.registry import NAMES, PROCESS, find_engine

if TYPE_CHECKING:
    from drit.inference.translator import Translator

INTERRUPTED = 130


def command(
    commands: Any,
    name: str,
    help_text: str,
    run: Callable[[argparse.Namespace], int],
    epilog: str = "",
    with_settings: bool = False,
) -> Parser:
    """A command with the flag that all have, --json. `run` returns the exit code. with_settings: it has a flag for each
    setting of a method."""
    parser: Parser = commands.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if with_settings:
        parser.take_settings()
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument of commands that use a trained model."""
    parser.add_argument("model", metavar="RUN", help="run folder or checkpoint folder")


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The flag of commands that compute on a CPU."""
    parser.add_argument("--threads", type=threads, default=0, help="CPU threads [all cores]")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and in which arithmetic a command computes."""
    parser.add_argument("--device", default="auto", help="cpu, cuda, ... [auto]")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="[auto]")
    add_threads(parser)


def translator_of(values: argparse.Namespace) -> Translator:
    """The trained model that `add_run` and `add_device` name. Raises CheckpointError for what is none."""
    from drit.runs import integrity

    integrity.start(Path(values.model))  # hashes the weights while torch is loaded
    from drit.inference.translator import Translator

    return Translator.load(values.model, values.device, values.precision, threads=values.threads)


def show(values: argparse.Namespace, result: dict[str, Any], message: str) -> None:
    """Print a command's result: one JSON object with --json, the message without."""
    print(json.dumps(result) if values.json else message)


class Progress:
    """Bars and messages on standard error; messages alone where it is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """A line of text, above the bars if there are any."""
        self._bars.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def step(self, title: str, total: int) -> Callable[[int], None]:
        """A bar; returns what is called with each number of things done."""
        task = self._bars.add_task(title, total=total)
        return lambda done: self._bars.advance(task, done)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Who does bulk work."""
    parser.add_argument(
        "--engine",
        choices=NAMES,
        default=PROCESS,
        help="ray: the workers of a Ray cluster (that of RAY_ADDRESS, else of this machine), each with --threads "
        f"threads; the same outputs [{PROCESS}]",
    )


def engine_of(values: argparse.Namespace) -> Engine:
    """The engine that `add_engine` names. Raises UsageError where its packages are missing."""
    return find_engine(values.engine)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Format and depth of the outputs."""
    parser.add_argument(
        "--format", choices=("png", "jpg", "webp", "tif"), default="", help="of the outputs [the input's, else png]"
    )
    parser.add_argument("--depth", type=int, choices=(8, 16), default=0, help="bits of the outputs [the input's]")


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Whether files of others may be overwritten."""
    parser.add_argument(
        "--overwrite", action="store_true", help="overwrite files in DIR that are not outputs of this program too"
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """The domain of the inputs, where a run has more than two."""
    parser.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="DOMAIN",
        help="domain of the inputs; the way back needs it where a run has more than two",
    )
