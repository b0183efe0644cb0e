"""One source for each setting: a frozen dataclass field is default, flag, help text and record.

A field's annotation says its type and range: `steps: Annotated[int, Ge(1)] = setting(100_000, "iterations")`. A nested
dataclass is a group: its fields have dotted names, `data.crop`. Imports no torch: help and wrong flags answer at once.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Interval, Le, Lt

from drit.errors import UsageError, nearest

T = TypeVar("T")

MAX_THREADS = 1024  # thousands hang
MAX_SEED = 10**12  # with room for seeds that are made of it
MAX_WHOLE = 10**15  # of any whole number: counts and sizes are computed of it

NonNegative = Annotated[int, Ge(0)]
Positive = Annotated[int, Ge(1)]
Weight = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
ShareBelowOne = Annotated[float, Interval(ge=0, lt=1)]


def setting(default: T, help: str, resumable: bool = False) -> T:
    """A dataclass field with its default and its help text.

    resumable: it changes nothing of the result, or a resumed run is meant to change it.
    """
    return field(default=default, metadata={"help": help, "resumable": resumable})


@dataclass(frozen=True)
class Setting:
    """One setting of a class of settings."""

    name: str  # dotted
    type: Any  # without the range: int, Literal[...], tuple[str, ...]
    ranges: tuple[Any, ...]  # annotated_types: Ge, Gt, Le, Lt
    default: Any
    help: str
    resumable: bool  # by itself or by its group


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """The types of a class's fields, with their ranges: found once, since every flag and preset asks for them."""
    return typing.get_type_hints(cls, include_extras=True)


def settings_of(cls: type, prefix: str = "", resumable: bool = False) -> Iterator[Setting]:
    """Every setting of a class, groups opened, in the order of their definition."""
    hints = _hints(cls)
    for f in dataclasses.fields(cls):
        hint, name, free = hints[f.name], f"{prefix}{f.name}", resumable or f.metadata["resumable"]
        if dataclasses.is_dataclass(hint):
            yield from settings_of(hint, f"{name}.", free)  # type: ignore[arg-type]
            continue
        kind, ranges = _split(hint)
        yield Setting(name, kind, ranges, f.default, f.metadata["help"], free)


def groups_of(cls: type) -> dict[str, str]:
    """The groups of a class of settings: name to the first line of what its class says."""
    hints = _hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if dataclasses.is_dataclass(hints[f.name])]
    return {name: (hints[name].__doc__ or "").splitlines()[0] for name in names}


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A hint without its ranges, and these: Annotated[int, Interval(ge=0, lt=1)] gives int, (Ge(0), Lt(1))."""
    if typing.get_origin(hint) is not Annotated:
        return hint, ()
    kind, *marks = typing.get_args(hint)
    ranges = [part for mark in marks for part in (mark if isinstance(mark, Interval) else (mark,))]
    return kind, tuple(ranges)


def to_dict(settings: Any) -> dict[str, Any]:
    """Settings as plain nested dictionaries, for JSON."""
    return dataclasses.asdict(settings)


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "", ignore_unknown: bool = False) -> T:
    """Settings of class `cls` from nested dictionaries; what is not named keeps its default.

    Raises UsageError for an unknown name (with the nearest one), unless told to pass over them, or a value of the wrong
    type. Ranges are checked by `check_ranges`.
    """
    hints = _hints(cls)  # type: ignore[arg-type]
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}{name}"
        if name not in fields:
            if ignore_unknown:
                continue
            raise UsageError(f"There is no setting '{path}'.{nearest(name, fields)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise UsageError(f"Setting '{path}' is a group of settings, not {_short(value)}.")
            chosen[name] = from_dict(hint, value, f"{path}.", ignore_unknown)  # type: ignore[arg-type]
        else:
            chosen[name] = _checked(_split(hint)[0], value, path)
    return cls(**chosen)


def _checked(hint: Any, value: Any, path: str) -> Any:
    """The value as the type of its setting. Raises UsageError for another one."""
    if typing.get_origin(hint) is Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise UsageError(f"Setting '{path}' is {_short(value)}; it must be one of {', '.join(map(repr, options))}.")
        return value
    if typing.get_origin(hint) is tuple:  # of strings; JSON has lists
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise UsageError(f"Setting '{path}' is {_short(value)}; it must be a list of names.")
        for v in value:
            _check_text(v, path)
        return tuple(value)
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise UsageError(f"Setting '{path}' is a number of more than {MAX_WHOLE:.0e}: no setting is so large.")
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise UsageError(f"Setting '{path}' is {_short(value)}; it must be of type {hint.__name__}.")
    if isinstance(value, str):
        _check_text(value, path)
    return value


def _check_text(value: str, path: str) -> None:
    """Raises UsageError for text that no file can be called by: names of files are made of it."""
    try:
        plain = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        plain = False
    if not plain:
        raise UsageError(f"Setting '{path}' is {_short(value)}, which holds a letter that no file's name can have.")


def _short(value: Any) -> str:
    """A value in an error: at most 100 letters of it."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def value_of(settings: Any, name: str) -> Any:
    """The value of a setting by its dotted name."""
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


def changed(settings: T, values: Mapping[str, Any], ignore_unknown: bool = False) -> T:
    """Settings with other values: dotted names to values, `{"steps": 6, "network.width": 4}`.

    Raises UsageError for an unknown name, unless told to pass over them.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        group = nested
        for parent in parents:
            group = group.setdefault(parent, {})
        group[last] = value
    return merged(settings, nested, ignore_unknown)


def merged(settings: T, values: Mapping[str, Any], ignore_unknown: bool = False) -> T:
    """Settings with the values of nested dictionaries in place of their own. Raises UsageError as `from_dict`."""
    whole = to_dict(settings)
    _merge(whole, values)
    return from_dict(type(settings), whole, ignore_unknown=ignore_unknown)


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = value


def common(cls: type[T], settings: Any, **values: Any) -> T:
    """Settings of class `cls` with the values of the settings that have the same names, and others as given."""
    return from_dict(cls, to_dict(settings) | values, ignore_unknown=True)


_BOUNDS: dict[type, tuple[str, Callable[[Any, Any], bool], str]] = {
    Ge: ("ge", lambda value, bound: value >= bound, "at least"),
    Gt: ("gt", lambda value, bound: value > bound, "more than"),
    Le: ("le", lambda value, bound: value <= bound, "at most"),
    Lt: ("lt", lambda value, bound: value < bound, "less than"),
}


def flag_of(name: str) -> str:
    """The flag of a setting, from its dotted name."""
    return f"--{name.replace('_', '-')}"


def check_ranges(settings: Any) -> None:
    """Raises UsageError for a number outside the range of its setting, or one that is not finite."""
    for s in settings_of(type(settings)):
        value = value_of(settings, s.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{flag_of(s.name)} is {value}: it must be a finite number.")
        tests = [(*_BOUNDS[type(r)], r) for r in s.ranges]
        if not all(holds(value, getattr(r, name)) for name, holds, _, r in tests):
            wanted = " and ".join(f"{phrase} {getattr(r, name):g}" for name, _, phrase, r in tests)
            raise UsageError(f"{flag_of(s.name)} is {value}: it must be {wanted}.")


def differences(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """Settings of one class that differ: dotted name to (old value, new value)."""
    pairs = {s.name: (value_of(old, s.name), value_of(new, s.name)) for s in settings_of(type(old))}
    return {name: (before, after) for name, (before, after) in pairs.items() if before != after}
