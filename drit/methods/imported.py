"""What a method makes of a checkpoint of its official implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from drit.settings.common import TrainSettings


@dataclass(frozen=True)
class Imported:
    """A checkpoint as one of this program."""

    settings: TrainSettings
    channels: dict[str, int]  # of each domain
    weights: dict[str, Tensor]  # by this program's names, of any shape
    step: int  # iterations done
    position: int  # batches drawn
    moments: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    # Adam's `step` (scalar), `exp_avg` and `exp_avg_sq` (of the weight's shape) by the name of the weight


# An entry's importer: the content of a file (tensors, numbers and containers) and its path, for errors. Raises
# CheckpointError, saying why, for what is not of the method's official implementation.
Importer = Callable[[Mapping[str, Any], Path], Imported]
