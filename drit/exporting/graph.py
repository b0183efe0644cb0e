"""An ONNX graph that is written node by node: names, constants, sizes that are known only when it runs.

The operators are those of opset 18 (2022), which every runtime of today has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from drit.version import VERSION

OPSET, IR_VERSION = 18, 9
_TYPES = {torch.float32: onnx.TensorProto.FLOAT, torch.float64: onnx.TensorProto.DOUBLE}


class Graph:
    """A graph in the making. dtype: of every map, style and weight, float32; float64 for tests."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.kind = _TYPES[dtype]  # the same as ONNX numbers it
        self.inputs: list[tuple[str, list[int | str]]] = []  # names and sizes; words are sizes of any number
        self.producers: dict[str, onnx.NodeProto] = {}  # of each value, in the order of computation
        self.constants: dict[str, np.ndarray] = {}
        self._names: dict[tuple[Any, ...], str] = {}  # of constants and nodes, by all that makes them

    def input(self, name: str, sizes: list[int | str]) -> str:
        """A value that is given. sizes: a word is a size that any call may choose."""
        self.inputs.append((name, sizes))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output; the same node twice is one. Returns the output's name."""
        key = (operator, inputs, repr(sorted(attributes.items())))
        if key not in self._names:
            name = f"{operator.lower()}_{len(self.producers)}"
            self.producers[name] = helper.make_node(operator, list(inputs), [name], name, **attributes)
            self._names[key] = name
        return self._names[key]

    def constant(self, value: Tensor | np.ndarray | Sequence[int] | int | float) -> str:
        """A constant: weights in the graph's type, whole numbers as int64. value: any shape. Returns its name."""
        if isinstance(value, Tensor):
            array = value.detach().cpu().to(self.dtype if value.is_floating_point() else torch.int64).numpy()
        else:
            array = np.asarray(value)
            floating = array.dtype.kind == "f"
            array = array.astype(str(self.dtype).removeprefix("torch.") if floating else np.int64)
        return self._keep(array)

    def _keep(self, array: np.ndarray) -> str:
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._names:
            self._names[key] = f"constant_{len(self.constants)}"
            self.constants[self._names[key]] = np.ascontiguousarray(array).reshape(array.shape)
        return self._names[key]

    def float32(self, values: Sequence[float]) -> str:
        """A constant of float32, whatever the graph's type: what Resize asks for."""
        return self._keep(np.array(values, np.float32))

    def size(self, name: str, axis: int) -> str:
        """The size of an axis of a value, as a vector of one number."""
        return self.add("Shape", name, start=axis, end=axis + 1)

    def sizes(self, parts: Sequence[int | str]) -> str:
        """A vector of sizes, each of them a number, or the name of a vector of one number."""
        if all(isinstance(p, int) for p in parts):
            return self.constant([int(p) for p in parts])
        return self.add("Concat", *(self.constant([p]) if isinstance(p, int) else p for p in parts), axis=0)

    def model(self, outputs: Mapping[str, tuple[str, list[int | str]]]) -> onnx.ModelProto:
        """The graph as a model, without what no output needs.

        outputs: the value and the sizes of each output.
        """
        needed = {value for value, _ in outputs.values()}
        nodes: list[onnx.NodeProto] = []
        for name, node in reversed(self.producers.items()):
            if name in needed:
                nodes.insert(0, node)
                needed.update(node.input)
        nodes += [helper.make_node("Identity", [value], [name], name) for name, (value, _) in outputs.items()]
        kind = self.kind
        graph = helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info(name, kind, sizes) for name, sizes in self.inputs],
            [helper.make_tensor_value_info(name, kind, sizes) for name, (_, sizes) in outputs.items()],
            [numpy_helper.from_array(a, name) for name, a in self.constants.items() if name in needed],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name=f"drit {VERSION}")
        onnx.checker.check_model(model)
        return model
