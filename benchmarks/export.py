"""Measure exported graphs in ONNX Runtime against our own networks in float32, side by side.

    python -m benchmarks.export [SIZE [METHOD ...]]

Networks of the published sizes with fresh weights, one thread, images of noise of SIZE pixels (256). METHOD: a name of
`tests.every_method`, such as drit, drit-film or munit. All take turns; ratios are medians over the turns of a time and
ours. Where OpenVINO is installed it computes the same graphs, and where the library of quantisation is there, `content`
is computed in 8 bits too (with ranges of noise, which do not matter for time).
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from drit.exporting.check import Runner
from drit.exporting.graphs import CONTENT, RENDER, STYLE, TRANSLATE, Part, of_direction
from drit.exporting.int8 import quantised
from drit.methods.base import Method
from drit.methods.registry import method_class, preset
from drit.settings.schema import changed

ROUNDS = 5
STYLES = (1, 4)
METHODS = ("drit", "drit-feature", "drit-film", "drit-resize", "drit++", "munit", "unit", "cyclegan", "bicyclegan")


PUBLISHED = {"network.generator": "concat", "network.upsample": "transposed"}  # where a method has other forms


def published(name: str) -> Method:
    """A method in its default size, in its published form or the one that is named, with fresh weights."""
    base, _, form = name.partition("-") if name.startswith("drit-") else (name, "", "")
    settings = changed(preset("default", base), PUBLISHED, ignore_unknown=True)
    if form:
        settings = changed(settings, {"network.upsample" if form == "resize" else "network.generator": form})
    torch.manual_seed(0)
    method = method_class(base)(settings, {"a": 3, "b": 3}).eval().requires_grad_(False)
    return method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def turns(sides: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Of each side its least seconds, and the median of the ratios to the first one in the same turn."""
    for side in sides.values():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - began)
    first = next(iter(seconds.values()))
    return {
        name: (min(own), statistics.median(a / b for a, b in zip(own, first, strict=True)))
        for name, own in seconds.items()
    }


Run = Callable[..., Any]  # a graph: its inputs by name, as arrays


def openvino_runner(part: Part) -> Run | None:
    """A graph in OpenVINO in float32 and one thread; None where it is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(part.model.SerializeToString()), "CPU", options)
    return lambda **inputs: compiled(inputs)


def runners(part: Part, images: torch.Tensor | None = None) -> dict[str, Run]:
    """A graph in each runtime. images: that show the ranges for 8 bits, of a graph that takes images."""
    found: dict[str, Run] = {"onnxruntime": Runner(part.model.SerializeToString(), 1)}
    if (other := openvino_runner(part)) is not None:
        found["openvino"] = other
    if images is not None:
        found["onnxruntime int8"] = Runner(quantised(part, images).model.SerializeToString(), 1)
    return found


def sides(ours: Callable[[], Any], graphs: dict[str, Run], inputs: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Ours, and a graph in each runtime with the same inputs."""
    return {"torch": ours} | {name: functools.partial(run, **inputs) for name, run in graphs.items()}


def measure(name: str, size: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Figures of each graph of a method, by its name; `render` for each number of styles."""
    method = published(name)
    parts = of_direction(method, "a", "b")
    image = (2 * torch.rand(1, 3, size, size) - 1).contiguous(memory_format=torch.channels_last)
    given = {"image": image.contiguous().numpy()}
    found: dict[str, dict[str, tuple[float, float]]] = {}

    def prepare() -> tuple[torch.Tensor, ...]:
        return method.prepare(method.content(image, "a"), "b")

    with torch.no_grad():
        if TRANSLATE in parts:
            none = torch.zeros(1, 0)
            every = sides(lambda: method.render(prepare(), none, "b"), runners(parts[TRANSLATE]), given)
            return {TRANSLATE: turns(every)}
        if any(node.op_type == "Conv" for node in parts[CONTENT].model.graph.node):
            found[CONTENT] = turns(sides(prepare, runners(parts[CONTENT], image.contiguous()), given))
        if STYLE in parts:
            found[STYLE] = turns(sides(lambda: method.style(image, "b"), runners(parts[STYLE]), given))
        prepared, graphs = prepare(), runners(parts[RENDER])
        maps = {f"prepared_{i}": map_.contiguous().numpy() for i, map_ in enumerate(prepared)}
        for count in STYLES:
            styles = torch.randn(count, method.capabilities.style_dim)
            ours = functools.partial(method.render, prepared, styles, "b")
            found[f"{RENDER}, {count} styles"] = turns(sides(ours, graphs, maps | {"styles": styles.numpy()}))
    return found


def main() -> None:
    size, names = int(sys.argv[1]) if len(sys.argv) > 1 else 256, sys.argv[2:] or METHODS
    torch.set_num_threads(1)
    for name in names:
        for part, found in measure(name, size).items():
            shown = (f"{side} {1e3 * s:.0f} ms ({ratio:.2f})" for side, (s, ratio) in found.items())
            print(f"{name}, {part}: {', '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
