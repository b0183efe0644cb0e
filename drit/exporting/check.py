"""Exported graphs against the run that they come from, in ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from drit.errors import DritError
from drit.exporting.graphs import CONTENT, RENDER, STYLE, TRANSLATE, Part
from drit.inference.translator import Translator

TOLERANCE = 1e-3  # of images in [-1, 1], and of styles, whose std is about 1
_LEAST = 64  # pixels of the smallest image that is compared


class Runner:
    """A graph in ONNX Runtime, on the CPU. graph: its file, or what the file holds. threads: 0 is all cores."""

    def __init__(self, graph: str | Path | bytes, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors alone
        given = graph if isinstance(graph, bytes) else str(graph)
        self._session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        self._outputs = [value.name for value in self._session.get_outputs()]

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for inputs of float32, all by their names in the graph."""
        return dict(zip(self._outputs, self._session.run(None, inputs), strict=True))


def sizes_compared(translator: Translator, parts: Mapping[str, Part]) -> list[tuple[int, int]]:
    """Heights and widths of three images: a square one, one of odd sides where the method takes them, a wide one."""
    stride = translator.method.stride
    side = math.ceil(max(_LEAST, *(part.min_side for part in parts.values())) / stride) * stride
    return [(side, side), (side + 3 * stride, side + stride), (side + 2 * stride, 2 * side + 5 * stride)]


def compare(translator: Translator, source: str, to: str, parts: Mapping[str, Part]) -> dict[str, float]:
    """The largest difference of styles and images that graphs and run give for three images of noise.

    translator: in float32 on the CPU. parts: some or all that the method has for this direction; those that need one
    another are compared together. Returns differences by the name of the output.
    """
    run = {name: Runner(part.model.SerializeToString(), torch.get_num_threads()) for name, part in parts.items()}
    generator = torch.Generator().manual_seed(0)
    method, worst = translator.method, dict[str, float]()

    def note(name: str, expected: Tensor, given: np.ndarray) -> None:
        error = float(np.abs(expected.numpy() - given).max())
        worst[name] = max(worst.get(name, 0.0), error if math.isfinite(error) else math.inf)

    def noise(count: int, domain: str, size: tuple[int, int]) -> Tensor:
        return 2 * torch.rand(count, method.channels[domain], *size, generator=generator) - 1

    for i, size in enumerate(sizes_compared(translator, parts)):
        count = 2 if i == 0 else 1  # images
        with translator.computing(*size):
            if STYLE in run:
                image = noise(count, to, size)
                note("styles", method.style(image, to), run[STYLE](image=image.numpy())["styles"])
            image = noise(count, source, size)
            if TRANSLATE in run:
                prepared, styles = method.prepare(method.content(image, source), to), torch.zeros(count, 0)
                note("images", method.render(prepared, styles, to), run[TRANSLATE](image=image.numpy())["images"])
            if CONTENT in run or RENDER in run:
                prepared = method.prepare(method.content(image, source), to)
                given = {f"prepared_{j}": map_.numpy() for j, map_ in enumerate(prepared)}
            if CONTENT in run:
                given = run[CONTENT](image=image.numpy())
                if RENDER not in run:
                    for j, map_ in enumerate(prepared):
                        note(f"prepared_{j}", map_, given[f"prepared_{j}"])
            if RENDER in run:
                styles = torch.cat([method.sample_style(1, to, generator) for _ in range((3 - i) * count)])
                images = run[RENDER](**given, styles=styles.numpy())["images"]
                note("images", method.render(prepared, styles, to), images)
    return worst


def refuse_worse(direction: str, errors: Mapping[str, float], tolerance: float) -> None:
    """Raises DritError that names the worst difference, where one is more than the tolerance."""
    name = max(errors, key=lambda n: errors[n])
    if errors[name] > tolerance:
        raise DritError(
            f"The graphs of {direction} do not give what the run gives: {name} differ by up to {errors[name]:.2g}, "
            f"more than {tolerance:g}. Nothing was written. Use --format safetensors or hub, and report it."
        )


def runtime() -> str:
    """What the graphs were compared in."""
    return f"onnxruntime {onnxruntime.__version__}"


def sizes(part: Part) -> dict[str, Any]:
    """What a graph takes and gives, for the record."""
    return {"inputs": part.inputs, "outputs": part.outputs, "min_side": part.min_side}
