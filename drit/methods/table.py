"""The table of `drit methods`: what each method can do and what it costs, read from the methods themselves."""

from __future__ import annotations

from typing import Any

import torch

from drit.methods import METHODS, method_class
from drit.presets import preset

CHANNELS = {"a": 3, "b": 3}


def table() -> list[dict[str, Any]]:
    """One row for each method, at the published sizes for colour pictures; parameters in millions."""
    rows = []
    for name in METHODS:
        with torch.device("meta"):  # shapes alone: no memory, no time
            method = method_class(name).build(preset("paper", name), CHANNELS)
        c = method.capabilities
        used = sum(p.numel() for n in method.inference for p in getattr(method, n).parameters())
        rows.append(
            {
                "method": name,
                "paired": "yes" if method.paired else "no",
                "outputs": "many" if c.multimodal else "one",
                "exemplar": "yes" if c.exemplar else "no",
                "to": ", ".join(c.directions),
                "style": c.style_dim,
                "parameters": f"{used / 1e6:.1f} M",
                "with discriminators": f"{sum(p.numel() for p in method.parameters()) / 1e6:.1f} M",
            }
        )
    return rows
