"""What raises the quality of a short training: one change at a time, at equal processor time, on four sets.

    python -m experiments.levers --data DIR --out DIR [--sets SET ...] [--only MEMBER ...]
                                 [--seconds S | --steps N] [--seeds N] [--features NAME[:FILE] ...]

Sets: openmoji, roadscene, cat2dog, facades, all unpaired, at 96 pixels. Each member is the `quick` of before with
some settings changed. The same command goes on after a stop: finished runs are kept, unfinished ones resumed. Two
commands with other members or sets may run side by side in one folder, a thread each.

Writes OUT/SET/MEMBER-SEED and OUT/SET/comparison_FEATURES.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from drit.cli.options import INTERRUPTED
from drit.cli.parser import fail
from drit.errors import DritError, UsageError, nearest
from experiments.suite import ROADS, Suite, compare, run_of, train

# What `quick` was when the experiment began: its settings stay what they are compared with.
BEFORE = (
    "--batch 2 --network.generator concat --network.upsample transposed --network.width 32 --loss.mode-seeking 1 "
    "--loss.mode-seeking-end 0 --optim.lr 4e-4"
)
FILM = "--network.generator film --network.upsample resize"
UNAIDED = "--loss.lecam 0 --network.discriminator-shift 0"  # what steadies DRIT's discriminators: off
NARROW = f"{BEFORE} {FILM} --network.width 16 --loss.mode-seeking-end 1"
SHARP = f"{NARROW} {UNAIDED}"
STEADIED = f"{SHARP} --loss.lecam 0.1 --batch 1 --network.discriminator-shift 8"
FAST = f"{STEADIED} --optim.lr 8e-4"  # as `quick` is now
# Settings of `drit train`; the first member is what the others are judged by.
MEMBERS = {
    "today": f"{BEFORE} {UNAIDED}",
    "resize": f"{BEFORE} {UNAIDED} --network.upsample resize",
    "film": f"{BEFORE} {UNAIDED} --network.generator film",
    "film-resize": f"{BEFORE} {UNAIDED} {FILM}",
    "film-resize-24": f"{BEFORE} {UNAIDED} {FILM} --network.width 24",
    "film-resize-16": f"{BEFORE} {UNAIDED} {FILM} --network.width 16",
    "film-resize-16-end": SHARP,
    "film-resize-16-penalty": f"{SHARP} --loss.gradient-penalty 0.3",
    "film-resize-16-lecam": f"{SHARP} --loss.lecam 0.1",
    "film-resize-16-shift": f"{SHARP} --network.discriminator-shift 8",
    "film-resize-16-batch-1": f"{SHARP} --batch 1",
    "film-resize-16-lecam-1": f"{SHARP} --loss.lecam 0.1 --batch 1",
    "film-resize-16-lecam-1-shift": STEADIED,
    "film-resize-16-lecam-1-shift-slow": f"{STEADIED} --optim.lr 2e-4",
    "film-resize-16-lecam-1-shift-fast": FAST,
    "film-resize-16-lecam-1-shift-faster": f"{STEADIED} --optim.lr 1.6e-3",
    "film-smooth-16-lecam-1-shift-code-fast": f"{FAST} --network.upsample smooth --network.content-filter",
    "film-resize-16-lecam-1-shift-penalty": f"{STEADIED} --loss.gradient-penalty 0.05",
    "film-resize-16-lecam-1-shift-adversarial-2": f"{STEADIED} --loss.domain-adversarial 2",
    "film-smooth-16-lecam-1-shift": f"{STEADIED} --network.upsample smooth",
    "film-resize-16-lecam-1-shift-code": f"{STEADIED} --network.content-filter",
    "film-smooth-16-lecam-1-shift-code": f"{STEADIED} --network.upsample smooth --network.content-filter",
    "film-smooth-16-lecam-1-shift-code-noise": f"{STEADIED} --network.upsample smooth --network.content-filter "
    "--network.content-noise 0.3",
    "film-resize-16-slow": f"{SHARP} --optim.lr 2e-4",
    "munit": "--method munit --batch 2",
    "drit++": f"--method drit++ {BEFORE}",
    "drit++-film-resize-16-end": f"--method drit++ {NARROW}",
}
FLAGS = "--preset quick --data.crop 96 --log.sample-every 100000"
SETS = {
    "openmoji": ("openmoji/{part}A", "openmoji/{part}B", "--data.resize 96"),
    "roadscene": (*ROADS, "--data.resize 112"),
    "cat2dog": ("cat2dog/{part}A", "cat2dog/{part}B", "--data.resize 104"),
    "facades": ("facades/{part}A", "facades/{part}B", "--data.resize 104"),
}


def suite_of(name: str) -> Suite:
    """The members on one set."""
    a, b, flags = SETS[name]
    return Suite((a, b), f"{FLAGS} {flags}", MEMBERS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="these sets [all]")
    parser.add_argument("--only", nargs="+", default=list(MEMBERS), metavar="MEMBER", help="these members [all]")
    parser.add_argument("--seconds", type=float, default=1800.0, help="processor time of each training [1800]")
    parser.add_argument("--steps", type=int, default=0, help="equal iterations in place of equal time")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each member, with seeds 0, 1, ... [1]")
    parser.add_argument(
        "--features", nargs="*", default=["domains"], metavar="NAME[:FILE]", help="of the comparisons [domains]"
    )
    values = parser.parse_args()
    try:
        for names, known in ((values.sets, SETS), (values.only, MEMBERS)):
            for name in names:
                if name not in known:
                    raise UsageError(f"There is no '{name}'.{nearest(name, known)} There are: {', '.join(known)}.")
        code = 0
        for name in values.sets:
            suite, out = suite_of(name), values.out / name
            runs = []
            for seed in range(values.seeds):
                for member in values.only:
                    if not train(suite, member, seed, values.data, out, values.seconds, values.steps):
                        return INTERRUPTED
                    runs.append(run_of(out, member, seed))
            for features in values.features:
                kind = features.partition(":")[0]
                code = code or compare(suite, runs, values.data, out / f"comparison_{kind}", features)
        return code
    except DritError as error:
        return fail(error, error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
