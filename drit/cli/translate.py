"""`drit translate`: images of one domain in styles of the other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from drit.cli.options import (
    add_device,
    add_engine,
    add_format,
    add_overwrite,
    add_run,
    add_source,
    command,
    engine_of,
    show,
    translator_of,
)
from drit.cli.parser import seed
from drit.engines.registry import PROCESS
from drit.errors import UsageError
from drit.progress import quiet
from drit.storage import Places, is_remote


def add(commands: Any) -> None:
    parser = command(
        commands,
        "translate",
        "translate images with a trained model",
        translate,
        "examples:\n"
        "  drit translate runs/seasons photo.jpg --to b --out out --styles 10\n"
        "  drit translate runs/seasons photos/ --to b --out out --style-from winter1.jpg winter2.jpg\n"
        "  drit translate runs/seasons photo.jpg --to b --out out --interpolate 8\n"
        "  drit translate runs/seasons photo.jpg --to b --out out --map\n"
        "  drit translate runs/seasons clip.mp4 --to b --out out --style-from winter1.jpg\n"
        "  drit translate runs/seasons s3://bucket/photos --to b --out s3://bucket/out --engine ray --threads 4\n\n"
        "The same seed gives the same files. Styles are kept in DIR/styles.json, which --style takes;\n"
        "Each output says in its file how it was made: --style-from takes the exact style of one.\n"
        "DIR/outputs.json tells input, style and domain of each output. An image that cannot be read,\n"
        "translated or written is named and skipped, and the exit code is 1.",
    )
    add_run(parser)
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="images, folders of images, array files (file.npz or file.npz:KEY), or videos",
    )
    parser.add_argument("--to", required=True, metavar="DOMAIN", help="a or b, or the name of its folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--styles", type=int, default=None, metavar="N", help="random styles for each image [5; of a clip 1]"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the random styles [0]")
    parser.add_argument(
        "--style-from",
        action="extend",
        nargs="+",
        default=[],
        metavar="IMG",
        help="take the styles of these images; of an output of this run the exact one it was made with",
    )
    parser.add_argument(
        "--style",
        action="extend",
        nargs="+",
        default=[],
        metavar="FILE",
        help="styles of a styles.json; one of them: FILE:NAME",
    )
    parser.add_argument(
        "--interpolate", type=int, default=0, metavar="N", help="N steps between the styles given (or two random ones)"
    )
    parser.add_argument(
        "--map",
        action="store_true",
        help="also DIR/maps: where outputs are invented (std over styles, cycle error), and a number for each output",
    )
    parser.add_argument(
        "--tile",
        type=int,
        default=0,
        metavar="PX",
        help="for images that memory is too small for: strips of at most PX x PX pixels at once, the rest in files in "
        "DIR meanwhile; the same outputs",
    )
    parser.add_argument(
        "--clip",
        action="store_true",
        help="each folder is a clip of numbered frames: one style, and normalisation by the statistics of the whole "
        "clip, as videos are translated",
    )
    parser.add_argument(
        "--walk",
        action="store_true",
        help="of clips: the style walks through those given, from first to last frame",
    )
    parser.add_argument(
        "--steady",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of clips: share of the last output, moved along with the input, in each frame, 0 to 1: less flicker, "
        "softer details [0]",
    )
    add_source(parser)
    add_format(parser)
    add_overwrite(parser)
    add_engine(parser)
    add_device(parser)


def translate(values: argparse.Namespace) -> int:
    with Places() as places:
        return _translate(values, places)


def _translate(values: argparse.Namespace, places: Places) -> int:
    if values.styles is not None and values.styles < 1:
        raise UsageError("--styles must be at least 1.")
    if values.interpolate and values.interpolate < 2:
        raise UsageError("--interpolate needs at least 2 steps.")
    from drit.cli.clips import find_clips, translate_clips
    from drit.data.folders import left_out_notes
    from drit.data.ranges import reading_of
    from drit.inference.files import FileOptions, translate_files
    from drit.inference.formats import FormatChoice
    from drit.inference.outputs import MAPS
    from drit.inference.reading import find_inputs
    from drit.inference.styles import StyleChoice, chosen_styles

    engine = engine_of(values)
    values.inputs = [places.read(name) for name in values.inputs]
    values.model = places.read(values.model, by_workers=False)
    for kind in ("style", "style_from"):
        setattr(values, kind, [places.read(name, by_workers=False) for name in getattr(values, kind)])
    clips = find_clips(values)
    if clips and values.engine != PROCESS:
        raise UsageError(f"--engine {values.engine} is for images: a clip is one piece of work. Leave it out.")
    if clips and is_remote(values.out):
        raise UsageError(f"--out {values.out}: clips are written to a folder of this machine. Give a path.")
    folder = places.write(values.out)
    out = folder.path
    translator = translator_of(values)
    source = translator.source(values.to, values.source)  # says at once if the method does not go there
    to = translator.domain(values.to)
    several = bool(translator.method.capabilities.style_dim)
    choice = StyleChoice(
        values.styles or ((2 if values.walk else 1) if clips or not several else 5),
        values.seed,
        values.style_from,
        values.style,
        values.interpolate,
    )
    styles = chosen_styles(translator, to, choice, lambda text: print(f"note: {text}", file=sys.stderr))
    form = FormatChoice(values.format, values.depth)
    if clips:
        return translate_clips(values, translator, clips, styles, form)
    inputs = find_inputs(values.inputs, out, reading_of(translator.method.settings.data, source))
    for given in filter(Path.is_dir, map(Path, values.inputs)):
        for note in left_out_notes(given):
            print(f"note: {places.shown(str(given))}: {note}.", file=sys.stderr)
    options = FileOptions(values.map, values.source, values.tile, engine, places)
    result = translate_files(translator, inputs, to, folder, styles, form, values.overwrite, quiet(), options)
    result = places.shown(result)
    for note in result["notes"]:
        print(f"note: {note}", file=sys.stderr)
    for why in result["skipped"].values():
        print(f"skipped: {why}", file=sys.stderr)
    message = (
        f"{result['images']} images x {result['styles']} styles in {result['seconds']:.1f} s "
        f"({result['outputs_per_second']:.1f} outputs a second): {values.out}\nContact sheet: {result['sheet']}"
    )
    if values.map:
        message += f"\nMaps of invention: {places.shown(str(out / MAPS))}"
    if "invention" in result:
        worst = max(result["invention"], key=result["invention"].__getitem__)
        message += f"\nMost invented: {worst} ({result['invention'][worst]:.3f})"
    show(values, result, message)
    return 1 if result["skipped"] else 0
