"""`drit methods`: the table of methods."""

from __future__ import annotations

import argparse
from typing import Any

from drit.cli.options import command, show


def add(commands: Any) -> None:
    command(commands, "methods", "the methods and what each can do", methods)


def methods(values: argparse.Namespace) -> int:
    from drit.methods.table import table

    rows = table()
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    lines = ["  ".join(key.ljust(width) for key, width in widths.items())]
    lines += ["  ".join(str(row[key]).ljust(width) for key, width in widths.items()) for row in rows]
    show(values, {"methods": rows}, "\n".join(line.rstrip() for line in lines))
    return 0
