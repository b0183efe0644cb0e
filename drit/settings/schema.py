"""One source for each setting: a frozen dataclass field is default, flag, help text and record."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import field
from typing import Any, Literal, TypeVar

from drit.errors import UsageError, nearest

T = TypeVar("T")


MAX_THREADS = 1024  # thousands hang


MAX_SEED = 10**12  # of a seed, with room for seeds that are made of it


def setting(default: T, help: str, only: str = "", within: str = "[0, inf)") -> T:
    """A dataclass field with its default and the help text that the command line shows.

    only: the methods that it means something to, by name, separated by spaces; empty: all of them. The command line
    refuses it for others. within: the interval that a number must lie in.
    """
    names = tuple(only.split())
    shown = help + (f" ({', '.join(names)})" if names else "")
    return field(default=default, metadata={"help": shown, "only": names, "within": within})


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain nested dictionaries, for JSON."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """A configuration of class `cls` from nested dictionaries; fields not named keep their defaults.

    Raises UsageError for an unknown field (with the nearest name) or a value of the wrong type.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}{name}"
        if name not in fields:
            raise UsageError(f"There is no setting '{path}'.{nearest(name, fields)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise UsageError(f"Setting '{path}' is a group of settings, not {value!r}.")
            chosen[name] = from_dict(hint, value, f"{path}.")  # type: ignore[arg-type]
        else:
            chosen[name] = _checked(hint, value, path)
    return cls(**chosen)


def methods_of(cls: type, name: str) -> tuple[str, ...]:
    """The methods that the setting `name` of a group (its class) means something to; none: all."""
    only: tuple[str, ...] = next(f for f in dataclasses.fields(cls) if f.name == name).metadata["only"]
    return only


def concerns(cls: type, name: str, method: str) -> bool:
    """Whether the setting `name` of a group (its class) means something to a method."""
    return method in (methods_of(cls, name) or (method,))


def check_ranges(config: Any, where: str = "") -> None:
    """Raises UsageError for a number that lies outside what its setting allows."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{where}{f.name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            interval: str = f.metadata["within"]
            least, most = (float(end) for end in interval[1:-1].split(","))
            above = value >= least if interval[0] == "[" else value > least
            below = value <= most if interval[-1] == "]" else value < most
            if not (above and below):
                name = f"{where}{f.name}".replace("_", "-")
                wanted = f"{'at least' if interval[0] == '[' else 'more than'} {least:g}"
                if math.isfinite(most):
                    wanted += f" and {'at most' if interval[-1] == ']' else 'less than'} {most:g}"
                raise UsageError(f"--{name} is {value}: it must be {wanted}.")


def differences(old: Any, new: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Settings that differ between two configurations: dotted name to (old value, new value)."""
    found: dict[str, tuple[Any, Any]] = {}
    for f in dataclasses.fields(old):
        before, after = getattr(old, f.name), getattr(new, f.name)
        if dataclasses.is_dataclass(before):
            found |= differences(before, after, f"{where}{f.name}.")
        elif before != after:
            found[f"{where}{f.name}"] = (before, after)
    return found


def _checked(hint: Any, value: Any, path: str) -> Any:
    if typing.get_origin(hint) is Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise UsageError(f"Setting '{path}' is {value!r}; it must be one of {', '.join(map(repr, options))}.")
        return value
    if typing.get_origin(hint) is tuple:  # of strings; JSON has lists
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise UsageError(f"Setting '{path}' is {value!r}; it must be a list of names.")
        return tuple(value)
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise UsageError(f"Setting '{path}' is {value!r}; it must be of type {hint.__name__}.")
    return value
