"""`drit report`: a page that explains a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from drit.cli.options import command, show


def add(commands: Any) -> None:
    parser = command(
        commands,
        "report",
        "write a page that explains a run",
        report,
        "example:\n"
        "  drit report runs/seasons\n\n"
        "Curves of every loss, samples over time, warnings, settings, images, evaluations and what to do next, in\n"
        "one file that needs nothing beside it. `drit train` writes it at its end; ask for it at any time.",
    )
    parser.add_argument("run_folder", metavar="RUN", help="run folder")
    parser.add_argument("--out", metavar="FILE", help="page to write [RUN/report.html]")


def report(values: argparse.Namespace) -> int:
    from drit.reports.run import write_report

    result = write_report(Path(values.run_folder), Path(values.out) if values.out else None)
    count = len(result["warnings"])
    message = f"Iteration {result['step']} of {result['steps']}, {count or 'no'} warning{'s' if count != 1 else ''}"
    show(values, result, "\n".join([message, *result["warnings"], f"Report: {result['report']}"]))
    return 0
