"""The command line: parses, calls, prints.

Every command takes --json: its result as one JSON object on standard output, words and progress on standard error.
Exit code 0 done, 2 wrong use, 1 failed work, 130 interrupted (and saved), 75
stopped from outside and saved: 'resume me' (drit/training/interrupt.py).
"""

from __future__ import annotations

import io
import sys

from drit.cli import (
    augment,
    compare,
    data,
    doctor,
    evaluate,
    export,
    import_,
    methods,
    probe,
    report,
    sample,
    serve,
    studio,
    train,
    translate,
)
from drit.cli.options import INTERRUPTED
from drit.cli.parser import Parser, fail
from drit.errors import DritError, ToldError
from drit.version import VERSION

COMMANDS = (
    doctor,
    train,
    report,
    translate,
    sample,
    evaluate,
    compare,
    augment,
    probe,
    studio,
    serve,
    export,
    methods,
    import_,
    data,
)  # in the order of --help


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be UTF-8: what is none is shown as \\udcff
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        values = build_parser().parse_all(arguments)
        code: int = values.run(values)
        return code
    except ToldError as error:
        return error.exit_code
    except DritError as error:
        return fail(error, error.exit_code)
    except KeyboardInterrupt:
        return fail(RuntimeError("Stopped at once; what was saved before is whole."), INTERRUPTED)
    except BrokenPipeError:
        return 1
    except OSError as error:  # what no command has words of its own for
        next_step = "Choose another place"
        if isinstance(error, PermissionError):
            next_step += ", or have its owner allow it"
        return fail(
            DritError(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}. {next_step}."), 1
        )


def build_parser() -> Parser:
    parser = Parser(prog="drit", description="Diverse image-to-image translation from unpaired images.")
    parser.add_argument("--version", action="version", version=f"drit {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
