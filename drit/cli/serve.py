"""`drit serve`: trained models over HTTP. `drit studio` has the same flags."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from drit.cli.options import add_device, command, show
from drit.cli.parser import Parser


def add(commands: Any) -> None:
    parser = command(
        commands,
        "serve",
        "serve trained models over HTTP",
        serve,
        "examples:\n"
        "  drit serve runs/seasons\n"
        "  drit serve runs/seasons runs/digits --host 0.0.0.0 --key-file key.txt\n"
        "  curl -F image=@photo.jpg -F to=b -F answer=image http://127.0.0.1:8000/v1/translate -o winter.png\n\n"
        "Needs the extra: pip install 'drit[serve]'. docs/serving.md explains routes, limits and clients.",
    )
    parser.add_later(add_flags)


def add_flags(parser: Parser) -> None:
    """Runs and settings of the service."""
    from drit.cli.flags import add_dataclass
    from drit.serving.settings import ServeSettings

    parser.add_argument("models", metavar="RUN", nargs="+", help="run folders or checkpoint folders")
    add_dataclass(parser, ServeSettings())
    add_device(parser)


def serve(values: argparse.Namespace) -> int:
    return start(values)


def start(values: argparse.Namespace, studio: bool = False, browser: bool = False) -> int:
    """Start the service. Raises UsageError for wrong flags, or without the extra."""
    from drit.cli.flags import chosen_values
    from drit.serving.settings import ServeSettings, check_installed
    from drit.settings.schema import changed, check_ranges

    settings = changed(ServeSettings(), chosen_values(values))
    check_ranges(settings)
    check_installed()
    from drit.serving.server import serve as run

    def announce(address: str, names: list[str]) -> None:
        result = {"address": address, "runs": names}
        what = "Studio" if studio else "Serving"
        show(values, result, f"{what}: {address}  ({', '.join(names)})\nAPI: {address}/docs. Stop with ctrl-C.")
        sys.stdout.flush()

    options = {"device": values.device, "precision": values.precision, "threads": values.threads}
    return run(values.models, settings, studio, browser, announce, **options)
