"""The command line: parses, calls, prints. Commands import what they need: help and mistakes answer at once.

Every command takes --json: its result as one JSON object on standard output, words and progress on standard error.
Exit code 0 done, 2 wrong use, 1 failed work, 130 interrupted (and saved).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drit import __version__
from drit.errors import DritError, UsageError
from drit.flags import Parser, add_settings, fail, settings

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        values = build_parser().parse_all(arguments)
        code: int = values.run(values)
        return code
    except DritError as error:
        return fail(error, error.exit_code)
    except KeyboardInterrupt:
        return fail(RuntimeError("Stopped at once; what was saved before is whole."), INTERRUPTED)
    except BrokenPipeError:
        return 1


def build_parser() -> Parser:
    parser = Parser(prog="drit", description="Diverse image-to-image translation from unpaired pictures.")
    parser.add_argument("--version", action="version", version=f"drit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train(commands)
    _add_translate(commands)
    _add(commands, "methods", "the methods and what each can do", methods)
    _add_import(commands)
    _add_data(commands)
    return parser


def _add(
    commands: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], int], epilog: str = ""
) -> Parser:
    command: Parser = commands.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")
    command.set_defaults(run=run, parser=command)
    return command


def _add_train(commands: Any) -> None:
    command = _add(
        commands,
        "train",
        "train a model on two folders of unpaired pictures, or go on with a run",
        train,
        "examples:\n"
        "  drit train --data.a photos/summer --data.b photos/winter --out runs/seasons\n"
        "  drit train --data.a digits.npz --data.b colour.npz --out runs/digits --preset digits\n"
        "  drit train --resume runs/seasons --steps 200000\n\n"
        "Ctrl-C finishes the iteration and saves. Every setting below is a flag; [..] is the default, and a\n"
        "preset may set another: docs/guide.md has the table.",
    )
    command.usage = (
        "drit train --data.a DIR --data.b DIR --out RUN [--preset NAME] [--steps N] [--ANY.SETTING VALUE ...]\n"
        "       drit train --resume RUN [--steps N] [--ANY.SETTING VALUE ...]"
    )
    command.add_argument("--out", metavar="RUN", help="folder of the new run")
    command.add_argument("--resume", metavar="RUN", help="go on with this run, bit-exactly on a CPU")
    command.add_argument("--allow-changes", action="store_true", help="resume although settings or pictures changed")
    command.add_argument("--config", metavar="FILE", help="JSON file of settings (a run's config.json serves)")
    add_settings(command)


def train(values: argparse.Namespace) -> int:
    if bool(values.out) == bool(values.resume):
        raise UsageError("Give either --out (a new run) or --resume (a run to go on with).")
    if values.out:
        config = settings(values)
        from drit.train import loop

        outcome = loop.train(config, Path(values.out))
    else:
        if hasattr(values, "settings:preset"):
            raise UsageError("A run keeps its preset: leave --preset out, or give single flags with --allow-changes.")
        from drit.train import loop, setup

        run = Path(values.resume)
        loop.files.find(run)  # says what is there instead, if it is no run
        config = settings(values, setup.recorded_config(run))
        outcome = loop.resume(run, config, values.allow_changes)
    words = f"{'Done' if outcome.finished else 'Stopped'} at iteration {outcome.step}: {outcome.run}"
    if outcome.finished:
        words += f"\nTranslate with it: drit translate {outcome.run} PICTURES --to b --out DIR --styles 5"
    else:
        words += f"\nSaved. Go on: drit train --resume {outcome.run}"
    result = {"run": str(outcome.run), "step": outcome.step, "finished": outcome.finished, "losses": outcome.losses}
    _print(values, result, words)
    return 0 if outcome.finished else INTERRUPTED


def _add_translate(commands: Any) -> None:
    command = _add(
        commands,
        "translate",
        "translate pictures with a trained model",
        translate,
        "examples:\n"
        "  drit translate runs/seasons photo.jpg --to b --out out --styles 10\n"
        "  drit translate runs/seasons photos/ --to b --out out --style-from winter1.jpg winter2.jpg\n"
        "  drit translate runs/seasons photo.jpg --to b --out out --interpolate 8\n\n"
        "The same seed gives the same files. Styles are kept in DIR/styles.json, which --style takes.",
    )
    command.add_argument("model", metavar="RUN", help="run folder or checkpoint folder")
    command.add_argument("inputs", metavar="INPUT", nargs="+", help="pictures, or folders of pictures")
    command.add_argument("--to", required=True, metavar="DOMAIN", help="a or b, or the name of its folder")
    command.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    command.add_argument("--styles", type=int, default=None, metavar="N", help="random styles for each picture [5]")
    command.add_argument("--seed", type=int, default=0, help="seed of the random styles [0]")
    command.add_argument("--style-from", nargs="+", default=[], metavar="IMG", help="take the styles of these pictures")
    command.add_argument("--style", nargs="+", default=[], metavar="FILE", help="styles of a styles.json")
    command.add_argument(
        "--interpolate", type=int, default=0, metavar="N", help="N steps between the styles given (or two random ones)"
    )
    command.add_argument("--device", default="auto", help="cpu, cuda, ... [auto]")
    command.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="[auto]")
    command.add_argument("--threads", type=int, default=0, help="CPU threads [all cores]")


def translate(values: argparse.Namespace) -> int:
    if values.styles is not None and values.styles < 1:
        raise UsageError("--styles must be at least 1.")
    if values.interpolate and values.interpolate < 2:
        raise UsageError("--interpolate needs at least 2 steps.")
    from drit import files
    from drit.translate import Translator

    out = Path(values.out)
    translator = Translator.load(values.model, values.device, values.precision, threads=values.threads)
    to = translator.domain(values.to)
    inputs = files.find_inputs(values.inputs, out)
    styles = files.chosen_styles(
        translator,
        to,
        values.styles or (5 if translator.method.capabilities.style_dim else 1),
        values.seed,
        values.style_from,
        values.style,
        values.interpolate,
    )
    result = files.translate_files(translator, inputs, to, out, styles, quiet=not sys.stderr.isatty())
    for why in result["skipped"].values():
        print(f"skipped: {why}", file=sys.stderr)
    words = (
        f"{result['pictures']} pictures x {result['styles']} styles in {result['seconds']:.1f} s "
        f"({result['outputs_per_second']:.1f} outputs a second): {out}\nContact sheet: {result['sheet']}"
    )
    _print(values, result, words)
    return 1 if result["skipped"] else 0


def methods(values: argparse.Namespace) -> int:
    from drit.methods.table import table

    rows = table()
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    lines = ["  ".join(key.ljust(width) for key, width in widths.items())]
    lines += ["  ".join(str(row[key]).ljust(width) for key, width in widths.items()) for row in rows]
    _print(values, {"methods": rows}, "\n".join(line.rstrip() for line in lines))
    return 0


def _add_import(commands: Any) -> None:
    command = _add(
        commands,
        "import",
        "make a run folder of a checkpoint of the published DRIT program",
        import_,
        "example:\n  drit import 01199.pth --out runs/published\n\n"
        "Both forms of the generator. Nothing in the file is executed; what is not tensors and numbers is refused.",
    )
    command.add_argument("checkpoint", metavar="CHECKPOINT", help="a .pth file of the published program")
    command.add_argument("--out", required=True, metavar="RUN", help="folder of the new run")


def import_(values: argparse.Namespace) -> int:
    from drit.export.importers import import_checkpoint

    result = import_checkpoint(Path(values.checkpoint), Path(values.out))
    channels = " and ".join(str(c) for c in result["channels"].values())
    words = (
        f"Imported iteration {result['step']} ({result['generator']} generator, {channels} channels, "
        f"{result['style_dim']} style numbers{', with optimizers' if result['optimizers'] else ''}): {result['run']}\n"
        f"Translate with it: drit translate {result['run']} PICTURES --to b --out DIR --styles 5\n"
        f"Go on training: drit train --resume {result['run']} --data.a DIR --data.b DIR --allow-changes"
    )
    _print(values, result, words)
    return 0


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="data sets", description="Data sets.")
    kinds = data.add_subparsers(metavar="COMMAND", required=True)
    command = _add(
        kinds,
        "demo",
        "write two small real domains: MNIST digits, and digits blended on photographs",
        data_demo,
        "example:\n  drit data demo --out digits\n\nNeeds the packages of the extra 'demo'; no network.",
    )
    command.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    command.add_argument("--count", type=int, default=2000, help="training pictures of each domain [2000]")
    command.add_argument("--seed", type=int, default=0, help="[0]")
    command.add_argument("--force", action="store_true", help="write into a folder that is not empty")


def data_demo(values: argparse.Namespace) -> int:
    from drit.data.demo import make_demo

    result = make_demo(Path(values.out), values.count, values.seed, values.force)
    words = (
        f"Wrote {values.out}. Train on it: drit train --data.a {values.out}/a.npz --data.b {values.out}/b.npz "
        "--preset digits --out RUN"
    )
    _print(values, result, words)
    return 0


def _print(values: argparse.Namespace, result: dict[str, Any], words: str) -> None:
    if values.json:
        print(json.dumps(result))
    else:
        print(words)


if __name__ == "__main__":
    sys.exit(main())
