"""The table of `drit methods`: what each method can do and what it costs, read from the methods themselves."""

from __future__ import annotations

from typing import Any

from drit.methods.cost import cost
from drit.methods.registry import entries

SIDE = 256  # pixels of the image whose arithmetic is counted


def table() -> list[dict[str, Any]]:
    """One row for each method, at the sizes of its paper (else its default), for colour images."""
    rows = []
    for name, entry in entries().items():
        presets = entry.settings_class().presets()
        settings = presets.get("paper", presets["default"])
        method_type = entry.method_class()
        method, counted = cost(method_type, settings, dict.fromkeys("abc"[: method_type.domains[1]], 3), SIDE)
        c = method.capabilities
        rows.append(
            {
                "method": name,
                "pairs": "needed" if c.paired else "no",
                "outputs": "many" if c.multimodal else "one",
                "exemplar": "yes" if c.exemplar else "no",
                "to": ", ".join(c.directions) or "draws images",
                "style": c.style_dim,
                "parameters": f"{counted.parameters / 1e6:.1f} M",
                "with discriminators": f"{counted.trained / 1e6:.1f} M",
                "one output": "-" if counted.flop is None else f"{counted.flop / 1e9:.0f} GFLOP",
                "ten outputs": "-" if counted.flop_of_ten is None else f"{counted.flop_of_ten / 1e9:.0f} GFLOP",
            }
        )
    return rows
