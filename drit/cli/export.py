"""`drit export`: a trained model for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from drit.cli.options import add_run, add_threads, command, show
from drit.errors import UsageError
from drit.exporting.installed import FORMATS, UNKNOWN, check_installed

_RUNTIME = ("onnx", "onnxruntime")
_PARTS = ("content", "style", "render", "translate")


def add(commands: Any) -> None:
    parser = command(
        commands,
        "export",
        "write a trained model for other programs",
        export,
        "examples:\n"
        "  drit export runs/seasons --format onnx --out seasons_onnx\n"
        "  drit export runs/seasons --format onnx --out seasons_onnx --to winter --parts content render\n"
        "  drit export runs/seasons --format hub --out seasons_hub --licence cc-by-4.0 --push me/seasons\n"
        "  drit export runs/seasons --format web --out seasons_web --examples lake.jpg hills.jpg\n\n"
        "onnx: graphs for ONNX Runtime and others, compared with the run before they are written.\n"
        "safetensors: weights, settings and a README. hub: the same with a model card, for the Hugging Face Hub.\n"
        "web: a page that translates in the visitor's browser, for any server of static files.\n"
        "docs/export.md has a program for each. Needs the extra: pip install 'drit[export]'.",
    )
    add_run(parser)
    parser.add_argument("--format", required=True, choices=FORMATS, help="what to write")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write: a new one, or an empty one")
    parser.add_argument("--to", default="", metavar="DOMAIN", help="onnx, web: the domain to translate to [all]")
    parser.add_argument("--parts", nargs="+", default=[], choices=_PARTS, help="onnx: graphs to write [all]")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="onnx: convolutions of the graph content in 8 bits; what this changes is measured and told",
    )
    parser.add_argument(
        "--licence", default=UNKNOWN, metavar="ID", help=f"licence of the weights, such as cc-by-4.0 [{UNKNOWN}]"
    )
    parser.add_argument(
        "--examples", nargs="+", default=[], metavar="IMAGE", help="web: images that the page offers to its visitors"
    )
    parser.add_argument("--push", default="", metavar="REPO", help="hub: upload it to this repository, OWNER/NAME")
    add_threads(parser)


def export(values: argparse.Namespace) -> int:
    for flag, formats in (
        ("to", ("onnx", "web")),
        ("parts", ("onnx",)),
        ("int8", ("onnx",)),
        ("push", ("hub",)),
        ("examples", ("web",)),
    ):
        if getattr(values, flag) and values.format not in formats:
            raise UsageError(f"--{flag} is for --format {' or '.join(formats)}. Leave it out.")
    return {"onnx": _onnx, "safetensors": _weights, "hub": _weights, "web": _web}[values.format](values)


def _onnx(values: argparse.Namespace) -> int:
    check_installed(_RUNTIME, "--format onnx")
    from drit.exporting.onnx import RECORD, export_onnx

    out = Path(values.out)
    record = export_onnx(Path(values.model), out, values.to, values.parts, values.licence, values.threads, values.int8)
    message = f"{_graphs(record)}: {out}\nWhat they take and give: {out / RECORD}"
    for direction, change in record.get("int8", {}).get("mean_difference_of_255", {}).items():
        message += f"\n8 bits change the outputs of {direction} by {change:.2f} of 255 (mean absolute difference)"
    show(values, {"out": str(out)} | record, message)
    return 0


def _web(values: argparse.Namespace) -> int:
    check_installed(_RUNTIME, "--format web")
    from drit.exporting.page import export_web

    out = Path(values.out)
    record = export_web(
        Path(values.model), out, values.to, values.licence, values.threads, [Path(e) for e in values.examples]
    )
    message = (
        f"A page with {_graphs(record)}: {out}\n"
        f"Look at it: python -m http.server -d {out} 8080, then http://127.0.0.1:8080. Any server of files can have it."
    )
    show(values, {"out": str(out)} | record, message)
    return 0


def _graphs(record: dict[str, Any]) -> str:
    """How many graphs there are, and how far they are from the run."""
    size = sum(graph["bytes"] for graph in record["graphs"].values()) / 1e6
    checked = record["checked"]
    name, worst = max(checked["max_difference"].items(), key=lambda item: item[1])
    return (
        f"{len(record['graphs'])} graphs ({size:.1f} MB; compared with the run at {len(checked['sizes'])} sizes, "
        f"{name} differ by up to {worst:.1g})"
    )


def _weights(values: argparse.Namespace) -> int:
    from drit.exporting.hub import export_weights

    hub = values.format == "hub"
    result = export_weights(Path(values.model), Path(values.out), hub, values.licence, values.push)
    message = (
        f"{', '.join(result['files'])} ({result['bytes'] / 1e6:.1f} MB of weights): {values.out}\n"
        f'Use it: drit.Translator.from_pretrained("{values.out}")'
    )
    if values.licence == UNKNOWN:
        message += "\nThe licence of the weights is recorded as unknown: --licence ID names it."
    if values.push:
        message += f"\nUploaded: {result['pushed']}"
    show(values, result, message)
    return 0
