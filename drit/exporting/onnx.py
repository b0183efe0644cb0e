"""`drit export RUN --format onnx`: the graphs of a run as files, and what an application needs to know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from drit.atomic import check_empty, write_atomically, write_json
from drit.data.ranges import reading_of
from drit.errors import UsageError
from drit.exporting.check import TOLERANCE, compare, refuse_worse, runtime, sizes, sizes_compared
from drit.exporting.graph import OPSET
from drit.exporting.graphs import CONTENT, PARTS, RENDER, STYLE, TRANSLATE, Part, of_direction, parts_of
from drit.exporting.installed import UNKNOWN, exported_folder
from drit.inference.translator import Translator
from drit.runs.checkpoint import find, load_meta, weights_sha256
from drit.version import VERSION

RECORD = "drit.json"
FORMAT = 1  # of the record
PACKAGES = ("onnx", "onnxruntime")


@dataclass
class Exported:
    """The files of an export before they are written, and what the record says of them."""

    files: dict[str, bytes] = field(default_factory=dict)
    directions: list[dict[str, Any]] = field(default_factory=list)
    graphs: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)  # by output, the largest of all directions
    sizes: list[tuple[int, int]] = field(default_factory=list)  # of the images that were compared
    int8: dict[str, float] = field(default_factory=dict)  # by direction, what 8 bits change, of 255


def export_onnx(
    run: Path,
    out: Path,
    to: str = "",
    parts: Sequence[str] = (),
    licence: str = UNKNOWN,
    threads: int = 0,
    int8: bool = False,
) -> dict[str, Any]:
    """Write the graphs of a run and their record to the folder `out`, whole or not at all.

    to: the domain to translate to; all that the method translates to if empty. parts: of `PARTS`; all that the method
    has if empty. int8: convolutions of `content` in 8 bits. Each direction is first compared with the run, at three
    sizes, before anything is in 8 bits. Returns the record. Raises UsageError for what the method does not have,
    DritError where graphs and run differ by more than `TOLERANCE`.
    """
    check_empty(out)
    translator = Translator.load(run, "cpu", "float32", threads=threads)
    exported = graphs_of(translator, to, parts, int8)
    record = record_of(translator, find(run), exported, licence)
    with exported_folder(out) as folder:
        write_files(folder, exported, record)
    return record


def write_files(folder: Path, exported: Exported, record: dict[str, Any]) -> None:
    """Write graphs and record. Raises OSError where the disk refuses."""
    for name, data in exported.files.items():
        write_atomically(folder / name, data)
    write_json(folder / RECORD, record)


def graphs_of(translator: Translator, to: str = "", parts: Sequence[str] = (), int8: bool = False) -> Exported:
    """The graphs of a translator in float32 on the CPU, compared with it. Arguments and errors as `export_onnx`."""
    method = translator.method
    has = parts_of(method)
    check_parts(parts, has, method.settings.method)
    if int8 and CONTENT not in (parts or has):
        raise UsageError("--int8 is for the graph `content`, which is not among those that are written. Leave it out.")
    exported = Exported()
    named: dict[str, Part] = {}
    for target in [translator.domain(to)] if to else method.capabilities.directions:
        translator.source(target)  # says if the method does not go there
        for source in (d for d in method.channels if d != target):
            every = of_direction(method, source, target)
            own = {name: every[name] for name in has if name in (parts or has)}
            errors = compare(translator, source, target, own)
            refuse_worse(f"{source} to {target}", errors, TOLERANCE)
            for name, error in errors.items():
                exported.errors[name] = max(error, exported.errors.get(name, 0.0))
            if int8:
                own[CONTENT], exported.int8[f"{source} to {target}"] = _in_8_bits(translator, source, every)
            exported.sizes = sizes_compared(translator, own)
            direction: dict[str, Any] = {"from": source, "to": target}
            for name, part in own.items():
                both = f"{source}_to_{target}"
                direction[name] = f"{name}_{target if name in (STYLE, RENDER) else both}"
                named[direction[name]] = part
            exported.directions.append(direction)
    exported.directions.sort(key=lambda direction: (direction["from"], direction["to"]))
    _name_files(exported, named)
    return exported


def _in_8_bits(translator: Translator, source: str, parts: dict[str, Part]) -> tuple[Part, float]:
    """The graph `content` with convolutions in 8 bits, and what that changes in outputs, of 255."""
    from drit.exporting import int8  # loads what only this needs

    images = int8.training_images(translator, source)
    shown = 2 * len(images) // 3  # training asks for two images at least
    content = int8.quantised(parts[CONTENT], images[:shown])
    styles = torch.randn(
        int8.STYLES, translator.method.capabilities.style_dim, generator=torch.Generator().manual_seed(0)
    )
    return content, int8.loss(parts[CONTENT], content, parts[RENDER], images[shown:], styles)


def check_parts(asked: Sequence[str], has: Sequence[str], method: str) -> None:
    """Raises UsageError for a graph that a method does not have."""
    missing = [part for part in asked if part not in has]
    if not missing:
        return
    why = {
        STYLE: "takes no style from an image",
        RENDER: "has no styles: one graph translates",
        CONTENT: "has no styles: one graph translates",
        TRANSLATE: "has styles: the graphs are apart, so that an image is encoded once for all of them",
    }
    raise UsageError(f"{method} {why[missing[0]]}. Its graphs: {', '.join(has)}. Leave {missing[0]} out of --parts.")


def _name_files(exported: Exported, named: dict[str, Part]) -> None:
    """Give each graph a file. Graphs that are the same for all directions share one, named after the part alone."""
    data = {name: part.model.SerializeToString() for name, part in named.items()}
    for part in PARTS:
        of_part = sorted({d[part] for d in exported.directions if part in d})
        shared = len({data[name] for name in of_part}) == 1 and len(of_part) > 1
        for name in of_part:
            file = f"{part if shared else name}.onnx"
            exported.files[file] = data[name]
            exported.graphs[file] = {
                "part": part,
                "sha256": hashlib.sha256(data[name]).hexdigest(),
                "bytes": len(data[name]),
                **sizes(named[name]),
            }
            for direction in exported.directions:
                if direction.get(part) == name:
                    direction[part] = file


def record_of(translator: Translator, checkpoint: Path, exported: Exported, licence: str) -> dict[str, Any]:
    """What the record says: all that an application needs to use the graphs."""
    method, meta = translator.method, load_meta(checkpoint)
    data = method.settings.data
    domains = {}
    for d, channels in method.channels.items():
        domains[d] = {"name": translator.names.get(d) or d, "channels": channels}
        if (units := reading_of(data, d).value_range) is not None:
            domains[d]["units"] = list(units)  # what -1 and 1 stand for
    return {
        "format": FORMAT,
        "program": f"drit {VERSION}",
        "opset": OPSET,
        "run": {"method": meta["method"], "step": meta["step"], "weights_sha256": weights_sha256(checkpoint)},
        "licence": licence,
        "domains": domains,
        "image": {
            "layout": "NCHW, float32, red before green before blue",
            "range": [-1, 1],
            "from_8_bits": "x = v / 127.5 - 1",
            "to_8_bits": "v = round(clip((y + 1) * 127.5, 0, 255))",
            "sides_multiple_of": method.stride,
            "padding": "reflect below and to the right up to such a side and to min_side; crop the output back",
        },
        "styles": {
            "length": method.capabilities.style_dim,
            "random": "standard normal",
            "order": "style j belongs to image j mod N: the number of styles is a multiple of the number N of images",
        },
        "directions": exported.directions,
        "graphs": exported.graphs,
        "checked": {
            "runtime": runtime(),
            "sizes": exported.sizes,
            "max_difference": exported.errors,
            "tolerance": TOLERANCE,
        },
    } | ({"int8": {"part": CONTENT, "mean_difference_of_255": exported.int8}} if exported.int8 else {})
