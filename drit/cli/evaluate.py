"""`drit evaluate`: a run measured by a protocol."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from drit.cli.options import INTERRUPTED, Progress, add_device, add_engine, add_overwrite, add_run, command, show
from drit.cli.parser import seed


def add(commands: Any) -> None:
    parser = command(
        commands,
        "evaluate",
        "measure a trained model on real images: realism, diversity, reconstruction, content",
        evaluate,
        "examples:\n"
        "  drit evaluate runs/seasons --data.a test/summer --data.b test/winter\n"
        "  drit evaluate runs/seasons --data.a test/summer --data.b test/winter --features inception:fid.pth\n"
        "  drit evaluate runs/digits --data.a digits.npz:test_images --data.b colour.npz --protocol quick\n\n"
        "Writes DIR/result.json, DIR/index.html (the images behind the numbers) and DIR/features (networks trained\n"
        "here). Feature networks: inception, alexnet and squeezenet need their weights file (LPIPS also its linear\n"
        "heads: alexnet:FILE,HEADS); classifier needs labels; domains, the default, needs nothing.",
    )
    add_run(parser)
    parser.add_argument("--data.a", dest="a", required=True, metavar="DIR", help="held-out images: folder or .npz file")
    parser.add_argument("--data.b", dest="b", required=True, metavar="DIR", help="likewise of domain b")
    parser.add_argument(
        "--train.a", dest="train_a", metavar="DIR", help="images that feature networks learn from [the run's]"
    )
    parser.add_argument("--train.b", dest="train_b", metavar="DIR", help="likewise of domain b")
    parser.add_argument(
        "--protocol", default="standard", metavar="NAME", help="standard, quick or a JSON file [standard]"
    )
    parser.add_argument(
        "--metrics", metavar="LIST", help="fid,kid,energy,grid,lpips,style,visible,content,... [the protocol's]"
    )
    parser.add_argument(
        "--features", default="", metavar="NAME[:FILE]", help="feature network [the protocol's: domains]"
    )
    parser.add_argument(
        "--perceptual", default="", metavar="NAME[:FILE]", help="feature network of lpips [as --features]"
    )
    parser.add_argument("--styles", type=int, metavar="N", help="random styles of each input [the protocol's]")
    parser.add_argument("--count", type=int, metavar="N", help="images of each domain, 0: all [the protocol's]")
    parser.add_argument("--seed", type=seed, help="[the protocol's: 0]")
    parser.add_argument("--out", metavar="DIR", help="folder to write to [RUN/evaluation_PROTOCOL]")
    add_overwrite(parser)
    add_engine(parser)
    add_device(parser)


def evaluate(values: argparse.Namespace) -> int:
    from drit import api
    from drit.reports.evaluation import table

    given = {name: getattr(values, name) for name in ("styles", "count", "seed")}
    with Progress() as progress:
        try:
            result = api.evaluate(
                values.model,
                values.a,
                values.b,
                protocol=values.protocol,
                out=values.out or "",
                metrics=[m.strip() for m in (values.metrics or "").split(",") if m.strip()],
                features=values.features,
                perceptual=values.perceptual,
                train_a=values.train_a or "",
                train_b=values.train_b or "",
                overwrite=values.overwrite,
                engine=values.engine,
                device=values.device,
                precision=values.precision,
                threads=values.threads,
                say=progress.say,
                start_bar=progress.step,
                **{name: value for name, value in given.items() if value is not None},
            )
        except KeyboardInterrupt:
            progress.say("Stopped: no result was written. Networks trained so far are kept; run the command again.")
            return INTERRUPTED
    for warning in result["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    out = result["out"]
    show(values, result, f"{table(result)}\nResult: {out}/result.json\nPage: {out}/index.html")
    return 0
