"""Runs that differ in their seed alone, taken together: they tell what training again would give.

No interval over images holds that.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from drit.settings.common import TrainSettings
from drit.settings.schema import differences, settings_of

# How names of runs tell their seeds: drit-0, drit_seed1, drit 2.
_SEED = re.compile(r"[-_. ]*(seed)?[-_. ]*\d*$")


def families(configs: Mapping[str, TrainSettings]) -> dict[str, list[str]]:
    """Runs by what they were trained with, the seed apart: a name for each family, and its runs in their order.

    configs: of each run, by its name; `steps` the iterations that it has had. A family is named as its run, without the
    seed where there are several.
    """
    groups: list[list[str]] = []
    for name, config in configs.items():
        same = (g for g in groups if _same_training(configs[g[0]], config))
        group = next(same, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    by_name: dict[str, list[str]] = {}
    for group in groups:
        name, *others = {_SEED.sub("", run) for run in group} if len(group) > 1 else group
        taken = {*by_name, *configs} - {*group}
        by_name[" + ".join(group) if others or not name or name in taken else name] = group
    return by_name


def _same_training(one: TrainSettings, other: TrainSettings) -> bool:
    """Whether two trainings differ in their seed alone, and in what changes nothing of the result."""
    if type(one) is not type(other):
        return False
    free = {"seed", *(s.name for s in settings_of(type(one)) if s.resumable)} - {
        "steps"
    }  # iterations change the result
    return differences(one, other).keys() <= free


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every number over the runs of a family, by direction.

    Of each number: mean, std (of a sample; None for one run), lowest, highest, and of how many runs.

    results: of each run, as an evaluation gives them.
    """
    directions: dict[str, dict[str, Any]] = {}
    for target in dict.fromkeys(target for result in results for target in result["to"]):
        numbers = [result["to"].get(target) or {} for result in results]
        directions[target] = {}
        for key in dict.fromkeys(key for n in numbers for key in n):
            values = [n[key]["value"] for n in numbers if n.get(key) and n[key]["value"] is not None]
            if values:
                directions[target][key] = _summary(values)
    return directions


def _summary(values: list[float]) -> dict[str, float | int | None]:
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "lowest": min(values),
        "highest": max(values),
        "runs": len(values),
    }
