"""Values of a graph that is being written, which networks take in place of tensors.

A `Symbol` stands for maps or vectors that are known only when the graph runs. What networks call of torch, and the
functions of `drit.networks.fast` and its neighbours, writes nodes instead of computing: `onnx_layers` has the table.
(`drit.networks.strips` computes large images in the same way.)

Two sizes are open:

- The batch. Symbols of images have the length 1 here and those of styles 2, whatever the graph is given later. Networks
  only compare and divide these lengths, to repeat images for their styles.
- Height and width, each a `Side`. It knows a lower bound, by which networks decide what they would decide by the size.
  Where the bound does not suffice, `TooSmallError` says so, and the graph is written for larger images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from drit.errors import UsageError
from drit.exporting.graph import Graph

IMAGES, STYLES = 1, 2  # lengths of a batch while a graph is written
HANDLERS: dict[Any, Callable[..., Any]] = {}  # how functions are written as nodes: `onnx_layers` fills it


class TooSmallError(Exception):
    """What a network does depends on whether a side is larger than the graph's smallest image makes it."""


class Side:
    """The height or width of a map, at least `minimum` pixels. `vector` is its name in the graph."""

    def __init__(self, vector: str, minimum: int) -> None:
        self.vector = vector
        self.minimum = minimum

    def __add__(self, more: int) -> Side:
        return Side(self.vector, self.minimum + more)  # compared, and never written

    def __gt__(self, other: Any) -> bool:
        if isinstance(other, Side):
            return self.minimum > other.minimum
        if self.minimum > other:
            return True
        raise TooSmallError

    def __lt__(self, other: Any) -> bool:
        if isinstance(other, Side):
            return self.minimum < other.minimum
        if self.minimum >= other:
            return False
        raise TooSmallError

    def __mod__(self, divisor: int) -> Remainder:
        return Remainder(self, divisor)


class Remainder:
    """What is left of a side divided by a number: taken for one that can be 1 or more."""

    def __init__(self, side: Side, divisor: int) -> None:
        self.side = side
        self.divisor = divisor

    def __bool__(self) -> bool:
        return True


Size = int | Side


def unsupported(what: str) -> UsageError:
    """What is raised where a method does something that no handler writes."""
    return UsageError(
        f"This method cannot be exported as ONNX: {what}. Use --format safetensors or hub, which keep the weights."
    )


class Symbol:
    """A value of the graph. shape: (N, ...) with N `IMAGES` or `STYLES`, or 1 for a constant; sides are `Side`s."""

    def __init__(self, graph: Graph, name: str, shape: Sequence[Size]) -> None:
        self.graph = graph
        self.name = name
        self.shape = tuple(shape)
        self.dtype = graph.dtype
        self.device = torch.device("cpu")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in HANDLERS:
            raise unsupported(f"it uses {getattr(function, '__name__', function)}")
        return HANDLERS[function](*args, **(kwargs or {}))

    def __len__(self) -> int:
        return int(self.shape[0])  # type: ignore[arg-type]

    def dim(self) -> int:
        return len(self.shape)

    def __getattr__(self, name: str) -> Any:
        """Methods of a tensor are functions of torch, with the symbol as their first argument."""
        function = getattr(Tensor, name, None)
        if function is None or name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **options: Symbol.__torch_function__(function, (), (self, *args), options)

    def __getitem__(self, places: Any) -> Symbol:
        return HANDLERS[Tensor.__getitem__](self, places)

    def __add__(self, other: Any) -> Symbol:
        return HANDLERS[torch.add](self, other)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Symbol:
        return HANDLERS[torch.mul](self, other)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Symbol:
        return HANDLERS[torch.sub](self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return HANDLERS[torch.sub](other, self)

    def __matmul__(self, other: Any) -> Symbol:
        return HANDLERS[torch.matmul](self, other)
