"""`drit studio`: a page to play with the styles of trained models."""

from __future__ import annotations

import argparse
from typing import Any

from drit.cli.options import command
from drit.cli.parser import Parser
from drit.cli.serve import add_flags, start


def add(commands: Any) -> None:
    parser = command(
        commands,
        "studio",
        "open a page to translate images and play with styles",
        studio,
        "examples:\n"
        "  drit studio runs/seasons\n"
        "  drit studio runs/seasons runs/digits --port 0 --no-browser\n\n"
        "The page and all it does stay on this machine. Styles that you keep go to RUN/styles.json, which\n"
        "drit translate --style takes. Needs the extra: pip install 'drit[serve]'.",
    )
    parser.add_later(_add_flags)


def _add_flags(parser: Parser) -> None:
    add_flags(parser)
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")


def studio(values: argparse.Namespace) -> int:
    return start(values, studio=True, browser=not values.no_browser)
