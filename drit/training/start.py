"""What a training begins with."""

from __future__ import annotations

import torch

from drit.methods.base import Method
from drit.settings.common import TrainSettings


def skeleton(method: type[Method], settings: TrainSettings, channels: dict[str, int]) -> Method:
    """A method with the shapes of its weights and without their numbers: it takes no memory.

    Weights are compared with it, so that a file which asks for other sizes is refused before they are allocated.
    """
    with torch.device("meta"):
        return method(settings, channels)
