"""Which methods there are: the packages in this folder, and those of installed packages.

A package of this folder says `METHODS`, a tuple of entries. An installed package names the same under the entry-point
group `drit.methods`:

    [project.entry-points."drit.methods"]
    toy = "drit_toy:METHODS"

Nothing here loads torch before `method_class`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from drit import methods
from drit.errors import UsageError, nearest
from drit.methods.entry import Entry
from drit.settings.common import TrainSettings
from drit.settings.schema import from_dict

if TYPE_CHECKING:
    from drit.methods.base import Capabilities, Method

GROUP = "drit.methods"  # of entry points
DEFAULT = "drit"  # the method where none is named


@functools.cache
def entries() -> Mapping[str, Entry]:
    """Every method by name. An installed package that cannot be loaded, or takes a name that is taken, is told of on
    standard error and left out."""
    from importlib import metadata  # a third of the time of `drit --help`, which needs no methods

    known: dict[str, Entry] = {}
    for module in pkgutil.iter_modules(methods.__path__):
        if module.ispkg:
            for entry in importlib.import_module(f"{methods.__name__}.{module.name}").METHODS:
                known[entry.name] = entry
    for point in metadata.entry_points(group=GROUP):
        try:
            offered = tuple(point.load())
        except Exception as error:  # code of others may raise anything
            print(f"drit: the method '{point.name}' of {point.value} cannot be loaded: {error}", file=sys.stderr)
            continue
        for entry in offered:
            if entry.name in known:
                print(f"drit: {point.value} names a method '{entry.name}', which is there already.", file=sys.stderr)
            else:
                known[entry.name] = entry
    return dict(sorted(known.items()))


def list_methods() -> dict[str, str]:
    """The methods that can be trained: name to what it is. Those of installed packages among them."""
    return {name: entry.summary for name, entry in entries().items()}


def entry_of(name: str) -> Entry:
    """The entry of a method. Raises UsageError, with the nearest name, for an unknown one."""
    known = entries()
    if name not in known:
        raise UsageError(f"There is no method '{name}'.{nearest(name, known)} Methods: {', '.join(known)}.")
    return known[name]


def settings_class(name: str = DEFAULT) -> type[TrainSettings]:
    """The class of a method's settings. Raises UsageError for an unknown method."""
    return entry_of(name).settings_class()


def method_class(name: str) -> type[Method]:
    """The class of a method. Raises UsageError for an unknown one."""
    return entry_of(name).method_class()


def method_for(settings: TrainSettings) -> type[Method]:
    """The class of the method that settings are of. Raises UsageError where they are of another method's class."""
    method, own = method_class(settings.method), settings_class(settings.method)
    if not isinstance(settings, own):
        raise UsageError(
            f"These are {type(settings).__name__}, and '{settings.method}' has {own.__name__}: start from a preset of "
            f"it, drit.methods.registry.preset(NAME, '{settings.method}')."
        )
    return method


def preset(name: str, method: str = DEFAULT) -> TrainSettings:
    """The settings of a preset for a method. Raises UsageError, with the nearest name, for an unknown one."""
    return settings_class(method).from_preset(name)


def settings_from(values: Mapping[str, Any], ignore_unknown: bool = False) -> TrainSettings:
    """Settings of the method that `values` name, from nested dictionaries.

    ignore_unknown: pass over settings that the method lacks, as records of older versions hold them. Raises UsageError
    for an unknown method or setting, or a value of the wrong type.
    """
    method = from_dict(TrainSettings, {"method": values.get("method", DEFAULT)}).method
    return from_dict(settings_class(method), values, ignore_unknown=ignore_unknown)


def able(wanted: Callable[[Capabilities], bool]) -> list[str]:
    """The names of the methods whose capabilities, with their default settings, are as wanted."""
    names = []
    for name, entry in entries().items():
        method, settings = entry.method_class(), entry.settings_class().from_preset("default")
        if wanted(method.capabilities_for(settings, tuple("abc"[: method.domains[1]]))):
            names.append(name)
    return names


def no_styles() -> str:
    """What to say where styles are asked of a method that has none."""
    names = ", ".join(able(lambda c: c.style_dim > 0))
    return f"This method gives one output for each image: it has no styles; {names} have."
