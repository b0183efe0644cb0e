"""Measure exported graphs in ONNX Runtime against our own networks in float32, side by side.

    python -m benchmarks.export [SIZE [METHOD ...]]

Networks of the published sizes with fresh weights, one thread, images of noise of SIZE pixels (256). METHOD: a name of
`tests.every_method`, such as drit, drit-film or munit. Both sides take turns; the figure is the median of the ratios.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from drit.exporting.check import Runner
from drit.exporting.graphs import CONTENT, RENDER, STYLE, TRANSLATE, of_direction
from drit.methods.base import Method
from drit.methods.registry import method_class, preset
from drit.settings.schema import changed

ROUNDS = 7
STYLES = (1, 4)
METHODS = ("drit", "drit-feature", "drit-film", "drit-resize", "drit++", "munit", "unit", "cyclegan", "bicyclegan")


def published(name: str) -> Method:
    """A method in its default size, in one of its forms, with fresh weights."""
    base, _, form = name.partition("-") if name.startswith("drit-") else (name, "", "")
    settings = preset("default", base)
    if form:
        settings = changed(settings, {"network.upsample" if form == "resize" else "network.generator": form})
    torch.manual_seed(0)
    method = method_class(base)(settings, {"a": 3, "b": 3}).eval().requires_grad_(False)
    return method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def turns(ours: Callable[[], Any], theirs: Callable[[], Any]) -> dict[str, float]:
    """Seconds of both (the least), and the median of the ratios of neighbouring turns."""
    ours(), theirs()
    seconds: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ours()
        half = time.perf_counter()
        theirs()
        seconds.append((half - began, time.perf_counter() - half))
    own, other = (min(s) for s in zip(*seconds, strict=True))
    return {"torch": own, "onnxruntime": other, "ratio": statistics.median(b / a for a, b in seconds)}


def measure(name: str, size: int) -> dict[str, dict[str, float]]:
    """Figures of each graph of a method, by its name; `render` for each number of styles."""
    method = published(name)
    run = {part: Runner(p.model.SerializeToString(), 1) for part, p in of_direction(method, "a", "b").items()}
    image = (2 * torch.rand(1, 3, size, size) - 1).contiguous(memory_format=torch.channels_last)
    plain, found = image.contiguous().numpy(), dict[str, dict[str, float]]()

    def prepare() -> tuple[torch.Tensor, ...]:
        return method.prepare(method.content(image, "a"), "b")

    with torch.no_grad():
        if TRANSLATE in run:
            none = torch.zeros(1, 0)
            found[TRANSLATE] = turns(lambda: method.render(prepare(), none, "b"), lambda: run[TRANSLATE](image=plain))
            return found
        found[CONTENT] = turns(prepare, lambda: run[CONTENT](image=plain))
        if STYLE in run:
            found[STYLE] = turns(lambda: method.style(image, "b"), lambda: run[STYLE](image=plain))
        prepared, given = prepare(), run[CONTENT](image=plain)
        for count in STYLES:
            styles = torch.randn(count, method.capabilities.style_dim)

            def ours(styles: torch.Tensor = styles) -> torch.Tensor:
                return method.render(prepared, styles, "b")

            def theirs(styles: torch.Tensor = styles) -> Any:
                return run[RENDER](**given, styles=styles.numpy())

            found[f"{RENDER}, {count} styles"] = turns(ours, theirs)
    return found


def main() -> None:
    size, names = int(sys.argv[1]) if len(sys.argv) > 1 else 256, sys.argv[2:] or METHODS
    torch.set_num_threads(1)
    for name in names:
        for part, found in measure(name, size).items():
            milliseconds = f"{1e3 * found['torch']:.0f} ms, onnxruntime {1e3 * found['onnxruntime']:.0f} ms"
            print(f"{name}, {part}: torch {milliseconds}, ratio {found['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main()
