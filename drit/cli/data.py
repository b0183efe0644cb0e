"""`drit data ...`: data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from drit.cli.options import command, show
from drit.cli.parser import seed
from drit.errors import UsageError


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
    parser = command(
        kinds,
        "pack",
        "write the images of a folder as a few large files: tar shards in webdataset's form",
        data_pack,
        "examples:\n  drit data pack photos/summer --out shards/summer\n"
        "  drit train --data.a shards/summer --data.b shards/winter --out RUN\n\n"
        "Image files stay as they are, byte for byte. Wherever a folder of images is asked for, the folder of shards\n"
        "serves: in training the same batches come from it, and a run goes on from either.",
    )
    parser.add_argument("folder", metavar="DIR", help="folder of images")
    parser.add_argument("--out", required=True, metavar="SHARDS", help="folder to write to")
    parser.add_argument("--shard-size", type=int, default=256, metavar="MIB", help="MiB of a shard, about [256]")


def data_pack(values: argparse.Namespace) -> int:
    from drit.data.packing import pack

    if values.shard_size < 1:
        raise UsageError(f"--shard-size {values.shard_size}: a shard has 1 MiB or more.")
    result = pack(Path(values.folder), Path(values.out), values.shard_size << 20)
    count = result["shards"]
    message = (
        f"Wrote {result['images']} images in {count} shard{'s' if count > 1 else ''}, {result['bytes'] / 1e6:.1f} MB, "
        f"to {values.out}. Train on it: drit train --data.a {values.out} ..."
    )
    show(values, result, message)
    return 0


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
