"""The commands, a module each: its flags (`add`) and what it does. They import what they need when they run: help and
mistakes answer at once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from drit.cli.flags import Parser

INTERRUPTED = 130


def command(
    commands: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], int], epilog: str = ""
) -> Parser:
    """A command with the flag that all have, --json. `run` returns the exit code."""
    parser: Parser = commands.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")
    parser.set_defaults(run=run, parser=parser)
    return parser


def show(values: argparse.Namespace, result: dict[str, Any], words: str) -> None:
    """Print a command's result: one JSON object with --json, words without."""
    print(json.dumps(result) if values.json else words)
