"""`drit data ...`: data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from drit.cli.options import command, show
from drit.cli.parser import seed


def add(commands: Any) -> None:
    data = commands.add_parser("data", help="data sets", description="Data sets.")
    kinds = data.add_subparsers(metavar="COMMAND", required=True)
    parser = command(
        kinds,
        "demo",
        "write two small real domains to try: digits, or emoji",
        data_demo,
        "examples:\n  drit data demo --out digits\n  drit data demo --name emoji --out emoji\n\n"
        "digits: MNIST, and MNIST blended on photographs; needs the packages of the extra 'demo'.\n"
        "emoji: line drawings, and coloured emoji (OpenMoji, CC BY-SA 4.0). No network.",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--name", choices=("digits", "emoji"), default="digits", help="which [digits]")
    parser.add_argument("--count", type=int, help="training images of each domain [all: 2000 digits, 420 emoji]")
    parser.add_argument("--seed", type=seed, default=0, help="[0]")
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty")


def data_demo(values: argparse.Namespace) -> int:
    from drit.data.demo import make_demo
    from drit.data.emoji import make_emoji

    write, ending, preset = make_demo, ".npz", "digits"
    if values.name == "emoji":
        write, ending, preset = make_emoji, "", "quick --data.resize 96 --data.crop 96"
    count = {} if values.count is None else {"count": values.count}
    result = write(Path(values.out), seed=values.seed, force=values.force, **count)
    message = (
        f"Wrote {values.out}. Train on it: drit train --data.a {values.out}/a{ending} --data.b {values.out}/b{ending} "
        f"--preset {preset} --out RUN"
    )
    show(values, result, message)
    return 0
