"""`drit compare`: runs under one protocol."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from drit.cli.options import INTERRUPTED, Progress, add_overwrite, add_threads, command, show
from drit.errors import UsageError

PAGES = ("comparison.json", "table.md", "index.html")


def add(commands: Any) -> None:
    parser = command(
        commands,
        "compare",
        "measure several runs on the same images: table, plots, outputs side by side, cost",
        compare,
        "example:\n"
        "  drit compare runs/drit runs/munit --data.a test/summer --data.b test/winter --out comparison\n\n"
        "Writes DIR/comparison.json, DIR/table.md and DIR/index.html. Results of single runs are kept in DIR/results:\n"
        "the same command goes on where it was stopped, and measures only what is new. Runs that differ in their seed\n"
        "alone get a row of means and standard deviations.",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument("--data.a", dest="a", required=True, metavar="DIR", help="held-out images of a")
    parser.add_argument("--data.b", dest="b", required=True, metavar="DIR", help="held-out images of b")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--train.a", dest="train_a", metavar="DIR", help="what feature networks learn from [first run's]"
    )
    parser.add_argument("--train.b", dest="train_b", metavar="DIR", help="likewise of domain b")
    parser.add_argument("--protocol", default="standard", metavar="NAME", help="standard, quick or a file [standard]")
    parser.add_argument("--features", default="", metavar="NAME[:FILE]", help="feature network [the protocol's]")
    parser.add_argument("--perceptual", default="", metavar="NAME[:FILE]", help="network of lpips [as --features]")
    parser.add_argument("--size", type=int, metavar="PX", help="side of the images [as the runs were trained]")
    add_overwrite(parser)
    add_threads(parser)


def compare(values: argparse.Namespace) -> int:
    from drit.evaluation.protocol import checked, find_protocol

    if bool(values.train_a) != bool(values.train_b):
        raise UsageError("Give both --train.a and --train.b, or neither.")
    protocol = find_protocol(values.protocol)
    changes: dict[str, Any] = {} if values.size is None else {"size": values.size}
    for name in ("features", "perceptual"):
        if getattr(values, name):
            changes[name] = getattr(values, name).partition(":")[0]
    protocol = checked(replace(protocol, **changes))
    from drit.atomic import write_atomically, write_json
    from drit.evaluation.comparison import compare as compare_runs
    from drit.inference import outputs
    from drit.reports import comparison as page
    from drit.runs.folder import refuse_inside

    out = Path(values.out)
    refuse_inside(out, [p for p in (values.a, values.b, values.train_a, values.train_b) if p])
    outputs.check_pages(out, PAGES, "runs", values.overwrite)
    training = {"a": values.train_a, "b": values.train_b} if values.train_a else None
    with Progress() as progress:
        try:
            compared = compare_runs(
                [Path(run) for run in values.runs],
                {"a": values.a, "b": values.b},
                protocol,
                out,
                {"features": values.features, "perceptual": values.perceptual},
                training,
                values.threads,
                progress.say,
                progress.step,
            )
        except KeyboardInterrupt:
            progress.say(f"Stopped. Results so far are kept in {out / 'results'}: the same command goes on.")
            return INTERRUPTED
    for warning in dict.fromkeys(w for c in compared for w in c.result["warnings"]):
        names = [c.name for c in compared if warning in c.result["warnings"]]
        where = "" if len(names) == len(compared) else f" ({', '.join(names)})"
        print(f"warning{where}: {warning}", file=sys.stderr)
    outputs.note_pages(out, PAGES)
    runs = {c.name: {"result": c.result, "cost": c.cost} for c in compared}
    result = {"runs": runs, "families": page.over_families(compared)}
    write_json(out / "comparison.json", result)
    write_atomically(out / "table.md", page.markdown(compared).encode("utf-8", "replace"))
    page.write_page(out / "index.html", compared)
    message = f"{page.markdown(compared)}\nPage: {out / 'index.html'}"
    show(values, result | {"out": str(out)}, message)
    return 0
