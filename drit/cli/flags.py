"""Command-line flags from the settings' dataclasses: field = default = flag = help.

`data.max_unreadable` is `--data.max-unreadable` (underscores work too); a bool `data.flip` is also `--no-data.flip`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import typing
from pathlib import Path
from typing import Any, Literal, NoReturn

from drit.errors import UsageError, nearest
from drit.settings.common import MAX_THREADS, TrainSettings
from drit.settings.presets import preset
from drit.settings.schema import MAX_SEED, concerns, from_dict, methods_of, to_dict


class Parser(argparse.ArgumentParser):
    """argparse whose errors are UsageErrors with the nearest flag named."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | options)

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument [^:]+: invalid choice: '(.+)' \(choose from (.+)\)", message)
        hint = nearest(choice[1], re.findall(r"[\w+-]+", choice[2])) if choice else ""
        raise UsageError(f"{message[0].upper()}{message[1:]}.{hint} Help: {self.prog} --help")

    def parse_all(self, arguments: list[str] | None) -> argparse.Namespace:
        """Parse everything. Raises UsageError for an unknown flag, with the nearest one."""
        values, unknown = self.parse_known_args(arguments)
        if unknown:
            word = unknown[0].partition("=")[0]
            known = getattr(values, "parser", self)._option_string_actions
            raise UsageError(
                f"Unknown {'flag' if word.startswith('-') else 'argument'} '{word}'.{nearest(word, known)} "
                f"Help: {getattr(values, 'parser', self).prog} --help"
            )
        return values


def seed(text: str) -> int:
    """The number of a flag that takes a seed."""
    return _between(text, 0, MAX_SEED)


def threads(text: str) -> int:
    """The number of a flag that takes a count of threads; 0: all cores."""
    return _between(text, 0, MAX_THREADS)


def _between(text: str, least: int, most: int) -> int:
    if not text.lstrip("-").isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {most}")
    return int(text)


def add_settings(parser: argparse.ArgumentParser, cls: type = TrainSettings, prefix: str = "") -> None:
    """Add a flag for every field of a settings class; nested classes become groups with dotted names."""
    hints = typing.get_type_hints(cls)
    target: Any = parser
    if prefix:
        group = prefix.rstrip(".")
        target = parser.add_argument_group(f"{group} settings", (cls.__doc__ or "").splitlines()[0])
    for f in dataclasses.fields(cls):
        hint = hints[f.name]
        path = f"{prefix}{f.name}"
        if dataclasses.is_dataclass(hint):
            add_settings(parser, hint, f"{path}.")  # type: ignore[arg-type]
            continue
        names = [f"--{path.replace('_', '-')}"]
        if "_" in path:
            names.append(f"--{path}")
        options: dict[str, Any] = {
            "dest": f"settings:{path}",
            "default": argparse.SUPPRESS,
            "help": f"{f.metadata['help']} [{_shown(f.default)}]".replace("%", "%%"),
        }
        if hint is bool:
            target.add_argument(*names, action=_Switch, **options)
        elif typing.get_origin(hint) is tuple:
            target.add_argument(*names, nargs="+", metavar="DIR", **options)
        elif typing.get_origin(hint) is Literal:
            target.add_argument(*names, choices=typing.get_args(hint), **options)
        else:
            target.add_argument(*names, type=hint, metavar=hint.__name__.upper(), **options)


class _Switch(argparse.BooleanOptionalAction):
    """--flag and --no-flag, without repeating the underscore spellings in the help."""

    def format_usage(self) -> str:
        return f"{self.option_strings[0]} | --no-{self.option_strings[0][2:]}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if not value and isinstance(value, (str, tuple)):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(values: argparse.Namespace, recorded: TrainSettings | None = None) -> TrainSettings:
    """The configuration that flags ask for: preset, then --config file, then single flags.

    recorded: a run's settings; they take the preset's place when a run is resumed.
    """
    chosen = {k.removeprefix("settings:"): v for k, v in vars(values).items() if k.startswith("settings:")}
    given = _read(Path(values.config)) if getattr(values, "config", None) else {}
    if recorded is not None:
        base = recorded
    else:
        method = chosen.get("method", from_dict(TrainSettings, {"method": given.get("method", "drit")}).method)
        base = preset(chosen.get("preset", "default"), method)
    nested = to_dict(base)
    _merge(nested, given)
    _refuse_foreign(chosen, chosen.get("method", nested["method"]))
    for path, value in chosen.items():
        group = nested
        *parents, name = path.split(".")
        for parent in parents:
            group = group[parent]
        group[name] = value
    return from_dict(TrainSettings, nested)


def _refuse_foreign(chosen: dict[str, Any], method: str) -> None:
    """Raises UsageError for a typed setting that means nothing to the method. (Files of settings hold all of them.)"""
    for path in chosen:
        cls: type = TrainSettings
        *parents, name = path.split(".")
        for parent in parents:
            cls = typing.get_type_hints(cls)[parent]
        if not concerns(cls, name, method):
            raise UsageError(
                f"--{path.replace('_', '-')} means nothing to the method {method}: it is a setting of "
                f"{', '.join(methods_of(cls, name))}. Leave it out, or choose one of these with --method."
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The settings file {path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"The settings file {path} must hold a JSON object of settings.")
    return found.get("settings", found)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = value


def fail(error: Exception, code: int) -> int:
    """Print an error for the person, without a traceback."""
    print(f"drit: {error}", file=sys.stderr)
    return code
