"""Command-line flags from the settings' dataclasses: field = default = flag = help.

`data.max_unreadable` is `--data.max-unreadable` (underscores work too); a bool `data.flip` is also `--no-data.flip`.
`--method` chooses whose settings these are: a command that takes settings has the flags of one method alone.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from drit.cli.parser import Parser
from drit.errors import CheckpointError, UsageError
from drit.methods import registry
from drit.runs.folder import META, RunFolder, root_of
from drit.runs.reading import read_object
from drit.settings.common import TrainSettings
from drit.settings.files import read_settings
from drit.settings.schema import changed, flag_of, groups_of, merged, settings_of, value_of


def chosen(arguments: list[str]) -> TrainSettings:
    """The method and preset that arguments choose: by flag, by a file of settings, or of the run to go on with or start
    from."""
    parser = Parser(add_help=False)
    for flag in ("--method", "--preset", "--config", "--resume", "--start-from"):
        parser.add_argument(flag)
    values, _ = parser.parse_known_args([a for a in arguments if a not in ("-h", "--help")])
    method = values.method or registry.DEFAULT
    if values.resume:
        try:
            method = _recorded_method(Path(values.resume))
        except CheckpointError:  # said by the command itself
            pass
    elif values.config and not values.method:
        given = read_settings(Path(values.config))[0].get("method", registry.DEFAULT)
        if not isinstance(given, str):
            raise UsageError(f"Setting 'method' is {given!r}; it must be of type str.")
        method = given
    elif values.start_from and not values.method:
        try:
            method = _recorded_method(Path(values.start_from))
        except CheckpointError:  # likewise
            pass
    return registry.preset(values.preset or "default", method)


def _recorded_method(path: Path) -> str:
    """The method of a run or checkpoint. Raises CheckpointError for what is neither."""
    run = RunFolder(path)
    try:
        if run.is_run:
            method = read_object(run.config, path, "")["settings"]["method"]
        else:
            method = read_object(path / META, root_of(path), "")["method"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} names no method.") from error
    return method if isinstance(method, str) and method in registry.entries() else registry.DEFAULT


def refuse_foreign(name: str, method: str, what: str) -> None:
    """Raises UsageError for a setting, by its dotted name, that other methods have and this one has not."""
    owners = [owner for owner in registry.entries() if name in _names(owner)]
    if owners and method not in owners:
        raise UsageError(
            f"{what}: {method} has no such setting. Methods that have it: {', '.join(owners)}. Leave it out, or choose "
            "one of these with --method."
        )


def _names(method: str) -> set[str]:
    """The dotted names of a method's settings."""
    return {s.name for s in settings_of(registry.settings_class(method))}


def add_settings(parser: argparse.ArgumentParser, shown: TrainSettings) -> None:
    """As `add_dataclass`, for the settings of a method."""
    add_dataclass(parser, shown, {"preset": f": {', '.join(type(shown).presets())}"})


def add_dataclass(parser: argparse.ArgumentParser, shown: Any, more: Mapping[str, str] | None = None) -> None:
    """Add a flag for every setting of the class of `shown`; groups have dotted names. `[..]` shows its values.

    more: what the help of a setting ends with.
    """
    groups = {
        name: parser.add_argument_group(f"{name} settings", text) for name, text in groups_of(type(shown)).items()
    }
    for s in settings_of(type(shown)):
        target: Any = groups.get(s.name.partition(".")[0], parser)
        names = [flag_of(s.name)]
        if "_" in s.name:
            names.append(f"--{s.name}")
        text = s.help + (more or {}).get(s.name, "")
        options: dict[str, Any] = {
            "dest": f"settings:{s.name}",
            "default": argparse.SUPPRESS,
            "help": f"{text} [{_shown(value_of(shown, s.name))}]".replace("%", "%%"),
        }
        if s.type is bool:
            target.add_argument(*names, action=_Switch, **options)
        elif typing.get_origin(s.type) is tuple:
            target.add_argument(*names, nargs="+", metavar=s.name.rpartition(".")[2].upper(), **options)
        elif typing.get_origin(s.type) is Literal:
            target.add_argument(*names, choices=typing.get_args(s.type), **options)
        else:
            target.add_argument(*names, type=s.type, metavar=s.type.__name__.upper(), **options)


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


def chosen_values(values: argparse.Namespace) -> dict[str, Any]:
    """The settings that flags of `add_dataclass` gave, by their dotted names."""
    return {k.removeprefix("settings:"): v for k, v in vars(values).items() if k.startswith("settings:")}


def settings(values: argparse.Namespace, recorded: TrainSettings | None = None) -> TrainSettings:
    """The settings that flags ask for: preset, then --config file, then single flags.

    recorded: a run's settings; they take the preset's place when a run is resumed.
    """
    single = chosen_values(values)
    given, old = read_settings(Path(values.config)) if getattr(values, "config", None) else ({}, False)
    base: TrainSettings = recorded or values.shown
    if not old:
        for name in _flat(given):
            refuse_foreign(name, base.method, f"The settings file {values.config} names '{name}'")
    try:
        whole = merged(base, given, ignore_unknown=old)
    except UsageError as error:
        raise UsageError(f"The settings file {values.config}: {error}") from error
    return changed(whole, single)


def _flat(nested: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Dotted names of what nested dictionaries hold."""
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where}{name}.")
        else:
            yield f"{where}{name}"
