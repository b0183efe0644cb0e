"""`drit import`: published checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from drit.cli.options import command, show

SHOWN = ("generator", "style_dim", "width")  # of the network settings


def add(commands: Any) -> None:
    parser = command(
        commands,
        "import",
        "make a run folder of a checkpoint of the official implementation of DRIT",
        import_,
        "example:\n  drit import 01199.pth --out runs/published\n\n"
        "Both forms of the generator. Nothing in the file is executed; what is not tensors and numbers is refused.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .pth file of the official implementation")
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the new run")


def import_(values: argparse.Namespace) -> int:
    from drit.importing.official import import_checkpoint

    result = import_checkpoint(Path(values.checkpoint), Path(values.out))
    network = ", ".join(f"{name} {result['network'][name]}" for name in SHOWN if name in result["network"])
    channels = " and ".join(str(c) for c in result["channels"].values())
    message = (
        f"Imported iteration {result['step']} of {result['method']} ({network}, {channels} channels"
        f"{', with optimizers' if result['optimizers'] else ''}): {result['run']}\n"
        f"Translate with it: drit translate {result['run']} IMAGES --to b --out DIR --styles 5\n"
        f"Go on training: drit train --resume {result['run']} --data.a DIR --data.b DIR --allow-changes"
    )
    show(values, result, message)
    return 0
