"""`drit data ...`: data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from drit.cli.flags import seed
from drit.cli.options import command, show


def add(commands: Any) -> None:
    data = commands.add_parser("data", help="data sets", description="Data sets.")
    kinds = data.add_subparsers(metavar="COMMAND", required=True)
    parser = command(
        kinds,
        "demo",
        "write two small real domains: MNIST digits, and digits blended on photographs",
        data_demo,
        "example:\n  drit data demo --out digits\n\nNeeds the packages of the extra 'demo'; no network.",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--count", type=int, default=2000, help="training images of each domain [2000]")
    parser.add_argument("--seed", type=seed, default=0, help="[0]")
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty")


def data_demo(values: argparse.Namespace) -> int:
    from drit.data.demo import make_demo

    result = make_demo(Path(values.out), values.count, values.seed, values.force)
    message = (
        f"Wrote {values.out}. Train on it: drit train --data.a {values.out}/a.npz --data.b {values.out}/b.npz "
        "--preset digits --out RUN"
    )
    show(values, result, message)
    return 0
