"""What a method costs: parameters, and arithmetic counted on tensors without numbers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from drit.methods.base import Method
from drit.settings.common import TrainSettings


class Cost(NamedTuple):
    """parameters: of what translation needs; `trained`: with discriminators. flop: multiply-adds x 2 of one output of a
    square image, and of ten (None where the method does not translate)."""

    parameters: int
    trained: int
    flop: int | None
    flop_of_ten: int | None


def cost(
    method_type: type[Method], settings: TrainSettings, channels: dict[str, int], side: int
) -> tuple[Method, Cost]:
    """The method with these settings, with shapes alone, and its cost for an image of side x side pixels (rounded up to
    its stride). Nothing of that size is allocated or computed."""
    counts: list[int | None] = [None, None]
    with torch.device("meta"), torch.inference_mode():
        method = method_type(settings, channels).eval()
        c = method.capabilities
        if c.directions:
            to = c.directions[-1]
            source = next(d for d in channels if d != to)
            side = max(method.min_side, -(-side // method.stride) * method.stride)
            x = torch.empty(1, channels[source], side, side)
            for i, outputs in enumerate((1, 10 if c.style_dim else 1)):
                with FlopCounterMode(display=False) as counter:
                    prepared = method.prepare(method.content(x, source), to)
                    method.render(prepared, torch.empty(outputs, c.style_dim), to)
                counts[i] = counter.get_total_flops()
        used = sum(p.numel() for n in method.inference for p in getattr(method, n).parameters())
        trained = sum(p.numel() for p in method.parameters())
    return method, Cost(used, trained, counts[0], counts[1])
