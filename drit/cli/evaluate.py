"""`drit evaluate`: a run measured by a protocol."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from drit.cli.options import INTERRUPTED, Progress, add_device, add_overwrite, add_run, command, show, translator_of
from drit.cli.parser import seed
from drit.errors import UsageError

PAGES = ("index.html", "result.json")


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
    add_device(parser)


def evaluate(values: argparse.Namespace) -> int:
    from drit.evaluation.protocol import checked, find_protocol

    if bool(values.train_a) != bool(values.train_b):
        raise UsageError("Give both --train.a and --train.b, or neither.")
    protocol = find_protocol(values.protocol)
    changes: dict[str, Any] = {
        name: getattr(values, name) for name in ("styles", "count", "seed") if getattr(values, name) is not None
    }
    if values.metrics:
        changes["metrics"] = tuple(m.strip() for m in values.metrics.split(",") if m.strip())
    for name in ("features", "perceptual"):
        if getattr(values, name):
            changes[name] = getattr(values, name).partition(":")[0]
    protocol = checked(replace(protocol, **changes))
    from drit.atomic import write_json
    from drit.errors import DritError
    from drit.evaluation import measure
    from drit.evaluation.features.shelf import parse
    from drit.inference import outputs
    from drit.reports import evaluation as page
    from drit.runs.folder import refuse_inside

    for spec in (values.features, values.perceptual):
        if spec:
            parse(spec)  # a wrong name or a missing file is said before anything is loaded
    model = Path(values.model)
    translator = translator_of(values)
    out = Path(values.out) if values.out else model / f"evaluation_{protocol.name}"
    refuse_inside(out, [p for p in (values.a, values.b, values.train_a, values.train_b) if p])
    outputs.check_pages(out, PAGES, "protocol", values.overwrite)
    training = {"a": values.train_a, "b": values.train_b} if values.train_a else None
    with Progress() as progress:
        try:
            prepared = measure.prepare(
                model,
                {"a": values.a, "b": values.b},
                protocol,
                out / "features",
                networks={"features": values.features, "perceptual": values.perceptual},
                training=training,
                translator=translator,
                say=progress.say,
            )
            evaluation = prepared.measure(progress.say, progress.step)
        except KeyboardInterrupt:
            progress.say("Stopped: no result was written. Networks trained so far are kept; run the command again.")
            return INTERRUPTED
    for warning in evaluation.result["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    try:
        outputs.note_pages(out, PAGES)
        page.write_page(out / "index.html", evaluation.result, evaluation.directions)
        write_json(out / "result.json", evaluation.result)
    except OSError as error:
        raise DritError(f"Could not write the result to {out}: {error.strerror}. Make room, and run again.") from error
    message = f"{page.table(evaluation.result)}\nResult: {out / 'result.json'}\nPage: {out / 'index.html'}"
    show(values, evaluation.result | {"out": str(out)}, message)
    return 0
