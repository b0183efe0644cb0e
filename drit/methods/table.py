"""The table of `drit methods`: what each method can do and what it costs, read from the methods themselves."""

from __future__ import annotations

from typing import Any

from drit.methods.cost import cost
from drit.methods.registry import METHODS, method_class
from drit.settings.presets import preset

SIDE = 256  # pixels of the image whose arithmetic is counted


def table() -> list[dict[str, Any]]:
    """One row for each method, at the sizes of its paper, for colour images; parameters in millions."""
    rows = []
    for name in METHODS:
        config = preset("paper", name)
        domains = "abc"[: method_class(name).domains[1]]
        method, found = cost(config, dict.fromkeys(domains, 3), SIDE)
        c = method.capabilities
        rows.append(
            {
                "method": name,
                "pairs": "needed" if method.paired else "no",
                "outputs": "many" if c.multimodal else "one",
                "exemplar": "yes" if c.exemplar else "no",
                "to": ", ".join(c.directions) or "draws images",
                "style": c.style_dim,
                "parameters": f"{found.parameters / 1e6:.1f} M",
                "with discriminators": f"{found.trained / 1e6:.1f} M",
                "one output": "-" if found.flop is None else f"{found.flop / 1e9:.0f} GFLOP",
                "ten outputs": "-" if found.flop_of_ten is None else f"{found.flop_of_ten / 1e9:.0f} GFLOP",
            }
        )
    return rows
