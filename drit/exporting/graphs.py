"""The graphs of a trained method: what an application calls in place of `Translator`.

    content(image) -> prepared        the content encoder, and the generator's part that no style changes
    style(image) -> styles            the style of an exemplar, where the method takes one from an image
    render(prepared, styles) -> images

A method without styles has one graph, `translate(image) -> images`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import Tensor

from drit.errors import UsageError
from drit.exporting import onnx_layers  # noqa: F401  (fills the table of symbols)
from drit.exporting.graph import Graph
from drit.exporting.symbols import IMAGES, STYLES, Side, Symbol, TooSmallError, unsupported
from drit.methods.base import Method

CONTENT, STYLE, RENDER, TRANSLATE = "content", "style", "render", "translate"
PARTS = (CONTENT, STYLE, RENDER, TRANSLATE)
_LARGEST = 1 << 12  # the smallest image of a graph is at most so large

Sizes = list[int | str]


@dataclass(frozen=True)
class Part:
    """A graph, and the sizes of what goes in and comes out; words are sizes that are open."""

    model: onnx.ModelProto
    inputs: dict[str, Sizes]
    outputs: dict[str, Sizes]
    min_side: int  # of an image, in pixels: below it the graph would not do what the network does


def parts_of(method: Method) -> tuple[str, ...]:
    """The graphs that a method has. Raises UsageError for one that translates nothing."""
    able = method.capabilities
    if not able.directions:
        raise UsageError(
            f"{method.settings.method} draws images from codes and translates none: there is nothing to export as "
            "ONNX. Use --format safetensors."
        )
    if not able.style_dim:
        return (TRANSLATE,)
    return (CONTENT, STYLE, RENDER) if able.exemplar else (CONTENT, RENDER)


def of_direction(method: Method, source: str, to: str, dtype: torch.dtype = torch.float32) -> dict[str, Part]:
    """The graphs that translate images of `source` to domain `to`, by name.

    dtype: of the graphs, float32; float64 for tests. Raises UsageError where a network calls what no node is known for.
    """
    writers = {CONTENT: _content, STYLE: _style, RENDER: _render, TRANSLATE: _translate}
    return {name: _for_sizes(writers[name], method, source, to, dtype) for name in parts_of(method)}


def _for_sizes(write: Callable[..., Part], method: Method, source: str, to: str, dtype: torch.dtype) -> Part:
    """A part for the smallest images that it can be written for."""
    side = method.min_side
    while side <= _LARGEST:
        try:
            with torch.no_grad():
                return write(method, source, to, Graph(dtype), side)
        except TooSmallError:
            side *= 2
    raise unsupported(f"what it does depends on the size of images of more than {_LARGEST} pixels")


def _image(graph: Graph, channels: int, side: int) -> Symbol:
    name = graph.input("image", ["images", channels, "height", "width"])
    return Symbol(graph, name, (IMAGES, channels, Side(graph.size(name, 2), side), Side(graph.size(name, 3), side)))


def _content(method: Method, source: str, to: str, graph: Graph, side: int) -> Part:
    image: Any = _image(graph, method.channels[source], side)
    maps = _named(method.prepare(method.content(image, source), to))
    return _part(graph, maps, side)


def _style(method: Method, source: str, to: str, graph: Graph, side: int) -> Part:
    image: Any = _image(graph, method.channels[to], side)
    return _part(graph, {"styles": method.style(image, to)}, side)


def _render(method: Method, source: str, to: str, graph: Graph, side: int) -> Part:
    # How many maps `prepare` gives, and their sizes, is known once it is written; that graph is thrown away.
    given: Any = _image(Graph(graph.dtype), method.channels[source], side)
    prepared = []
    for name, symbol in _named(method.prepare(method.content(given, source), to)).items():
        graph.input(name, _sizes(symbol, name))
        sides = (Side(graph.size(name, a), s.minimum) for a, s in ((2, symbol.shape[2]), (3, symbol.shape[3])))
        prepared.append(Symbol(graph, name, (IMAGES, symbol.shape[1], *sides)))
    count = method.capabilities.style_dim
    styles: Any = Symbol(graph, graph.input("styles", ["styles", count]), (STYLES, count))
    images = method.render(tuple(prepared), styles, to)  # type: ignore[arg-type]
    return _part(graph, {"images": images}, side)


def _translate(method: Method, source: str, to: str, graph: Graph, side: int) -> Part:
    image: Any = _image(graph, method.channels[source], side)
    images = method.render(method.prepare(method.content(image, source), to), torch.zeros(1, 0), to)
    return _part(graph, {"images": images}, side)


def _named(prepared: tuple[Tensor, ...]) -> dict[str, Any]:
    return {f"prepared_{i}": symbol for i, symbol in enumerate(prepared)}


def _sizes(symbol: Symbol, name: str) -> Sizes:
    """Sizes of an input or output. What `prepare` gives has sides of its own, named after it."""
    count = {IMAGES: "images", STYLES: "styles"}[len(symbol)]
    prefix = f"{name}_" if name.startswith("prepared") else ""
    return [count, int(symbol.shape[1]), *(f"{prefix}{s}" for s in ("height", "width")[: symbol.dim() - 2])]  # type: ignore[arg-type]


def _part(graph: Graph, outputs: dict[str, Any], side: int) -> Part:
    for name, value in outputs.items():
        if not isinstance(value, Symbol):
            raise unsupported(f"its {name} do not depend on the image")
    sizes = {name: _sizes(symbol, name) for name, symbol in outputs.items()}
    model = graph.model({name: (symbol.name, sizes[name]) for name, symbol in outputs.items()})
    return Part(model, dict(graph.inputs), sizes, side)
