"""What networks call, written as ONNX nodes: one function here for each of theirs (see `drit.exporting.symbols`).

The forms are those that ONNX Runtime computes fast on a CPU; all are exact. Maps are (N, C, H, W), any real values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from drit.exporting.graph import Graph
from drit.exporting.symbols import HANDLERS, STYLES, Remainder, Side, Size, Symbol, TooSmallError, unsupported
from drit.networks import decoder_layers, fast, fast_unet, layers, upsample

Operand = Symbol | Tensor | int | float
# A convolution to so few channels is a matrix product: the runtime would bring its map into another order first.
_FEW_CHANNELS = 4


def _written(x: Symbol, operator: str, *others: str, shape: Sequence[Size] | None = None, **attributes: Any) -> Symbol:
    """A node on x: of the same shape, or of another."""
    name = x.graph.add(operator, x.name, *others, **attributes)
    return Symbol(x.graph, name, x.shape if shape is None else shape)


def _sized(x: Symbol, name: str, channels: int, height: int, width: int) -> Symbol:
    """A map made of x, with sides of its own: at least height and width, or just these where those of x are known."""
    sides: list[Size] = [
        least if isinstance(side, int) else Side(x.graph.size(name, axis), least)
        for axis, side, least in ((2, x.shape[2], height), (3, x.shape[3], width))
    ]
    return Symbol(x.graph, name, (len(x), channels, *sides))


def _minimum(side: Size) -> int:
    return side if isinstance(side, int) else side.minimum


def _vector(side: Size) -> int | str:
    return side if isinstance(side, int) else side.vector


def _reshaped(x: Symbol, sizes: Sequence[int | str], shape: Sequence[Size]) -> Symbol:
    """x in other sizes. sizes: as the node takes them (0: as it was, -1: the rest); shape: what networks see."""
    return _written(x, "Reshape", x.graph.sizes(sizes), shape=shape)


# Sums and products


def _pair(operator: str) -> Callable[[Operand, Operand], Symbol]:
    def write(a: Operand, b: Operand) -> Symbol:
        symbol = a if isinstance(a, Symbol) else b
        assert isinstance(symbol, Symbol)
        names, shapes = [], []
        for value in (a, b):
            if isinstance(value, Symbol):
                names.append(value.name)
                shapes.append(value.shape)
            else:
                value = value if isinstance(value, Tensor) else torch.tensor(float(value))
                names.append(symbol.graph.constant(value.to(symbol.dtype)))
                shapes.append(tuple(value.shape))
        if isinstance(a, Symbol) and isinstance(b, Symbol) and len(a) != len(b) and a.dim() == b.dim():
            raise unsupported("it joins images to styles by itself, not by a function of drit.networks")
        return Symbol(symbol.graph, symbol.graph.add(operator, *names), _broadcast(*shapes))

    return write


def _broadcast(a: Sequence[Size], b: Sequence[Size]) -> tuple[Size, ...]:
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(s)) + tuple(s) for s in (a, b))
    return tuple(j if isinstance(i, int) and i == 1 else i for i, j in zip(a, b, strict=True))


def _matmul(x: Symbol, weight: Tensor) -> Symbol:
    return _written(x, "MatMul", x.graph.constant(weight), shape=(*x.shape[:-1], weight.shape[-1]))


def _linear(x: Symbol, weight: Tensor, bias: Tensor | None = None) -> Symbol:
    product = _matmul(x, weight.t())
    return product if bias is None else product + bias


def _einsum(equation: str, x: Symbol, *weights: Tensor) -> Symbol:
    """Of vectors (N, S) and constants: the constants are contracted now, one matrix product is written."""
    terms, _, result = equation.replace(" ", "").partition("->")
    own, *others = terms.split(",")
    if len(own) != 2 or result[0] != own[0] or own[1] in result:
        raise unsupported(f"it uses einsum {equation}")
    matrix = torch.einsum(f"{','.join(others)}->{own[1]}{result[1:]}", *weights)
    return _unflatten(_matmul(x, matrix.flatten(1)), 1, matrix.shape[1:])


# Shapes


def _unflatten(x: Symbol, dim: int, sizes: Sequence[int]) -> Symbol:
    if dim != 1 or x.dim() != 2:
        raise unsupported("it unflattens a map")
    return _reshaped(x, [0, *map(int, sizes)], (len(x), *map(int, sizes)))


def _flatten(x: Symbol, start: int = 0, end: int = -1) -> Symbol:
    rest = x.shape[1:]
    if start != 1 or end != -1 or not all(isinstance(s, int) for s in rest):
        raise unsupported("it flattens a map")
    whole = int(torch.tensor([int(s) for s in rest if isinstance(s, int)]).prod())
    return _reshaped(x, [0, whole], (len(x), whole))


def _getitem(x: Symbol, places: Any) -> Symbol:
    """Whole axes, new axes, one place of an axis, or the first places of a map's sides."""
    axis = 0
    for place in places if isinstance(places, tuple) else (places,):
        if place is None:
            shape = (*x.shape[:axis], 1, *x.shape[axis:])
            x = _written(x, "Unsqueeze", x.graph.constant([axis]), shape=shape)
        elif isinstance(place, int) and axis:
            shape = (*x.shape[:axis], *x.shape[axis + 1 :])
            x = _written(x, "Gather", x.graph.constant(place), shape=shape, axis=axis)
            continue
        elif isinstance(place, slice) and place == slice(None, place.stop) and (place.stop is None or axis > 1):
            if place.stop is not None:
                ends = x.graph.sizes([_vector(place.stop)])
                shape = (*x.shape[:axis], place.stop, *x.shape[axis + 1 :])
                x = _written(x, "Slice", x.graph.constant([0]), ends, x.graph.constant([axis]), shape=shape)
        else:
            raise unsupported("it cuts parts out of a map")
        axis += 1
    return x


def _split(x: Symbol, sizes: int | Sequence[int], dim: int = 0) -> tuple[Symbol, ...]:
    channels = x.shape[1]
    assert isinstance(channels, int)
    if dim != 1:
        raise unsupported("it splits another axis than the channels")
    parts = [sizes] * (channels // sizes) if isinstance(sizes, int) else list(sizes)
    graph, begin, out = x.graph, 0, []
    for part in parts:
        places = (graph.constant([begin]), graph.constant([begin + part]), graph.constant([1]))
        out.append(_written(x, "Slice", *places, shape=(len(x), part, *x.shape[2:])))
        begin += part
    return tuple(out)


def _chunk(x: Symbol, count: int, dim: int = 0) -> tuple[Symbol, ...]:
    channels = x.shape[1]
    assert isinstance(channels, int)
    return _split(x, channels // count, dim)


def _unbind(x: Symbol, dim: int = 0) -> tuple[Symbol, ...]:
    count = x.shape[dim]
    assert isinstance(count, int)
    return tuple(x[(*[slice(None)] * dim, i)] for i in range(count))


def _repeat(x: Symbol, count: int, *others: int) -> Symbol:
    """Images as often as there are styles: all N, then all N again."""
    if any(n != 1 for n in others) or count not in (1, STYLES // len(x)):
        raise unsupported("it repeats a map")
    if count == 1:
        return x
    graph = x.graph
    times = graph.add("Div", graph.size("styles", 0), graph.size(x.name, 0))
    repeats = graph.sizes([times, *[1] * (x.dim() - 1)])
    return _written(x, "Tile", repeats, shape=(STYLES, *x.shape[1:]))


def _cat(parts: Sequence[Symbol | Tensor], dim: int = 0) -> Symbol:
    """Channels of maps or numbers of vectors; a constant among them has the same row for each of the batch."""
    first = next(p for p in parts if isinstance(p, Symbol))
    if dim != 1:
        raise unsupported("it joins maps to a batch")
    symbols = [p if isinstance(p, Symbol) else _constant_rows(first, p) for p in parts]
    channels = sum(map(_channels, symbols))
    name = first.graph.add("Concat", *(s.name for s in symbols), axis=1)
    return Symbol(first.graph, name, (len(first), channels, *first.shape[2:]))


def _constant_rows(like: Symbol, rows: Tensor) -> Symbol:
    """A constant (N, S) of which all rows are the same, for the batch of another value."""
    if rows.dim() != 2 or bool((rows != rows[:1]).any()):
        raise unsupported("it joins a constant that differs from image to image")
    graph = like.graph
    sizes = graph.sizes([graph.size(like.name, 0), rows.shape[1]])
    row = graph.constant(rows[:1].to(like.dtype))
    return Symbol(graph, graph.add("Expand", row, sizes), (len(like), rows.shape[1]))


def _with_planes(x: Symbol, code: Symbol | Tensor) -> Symbol:
    """`layers.with_planes`."""
    graph = x.graph
    rows = code if isinstance(code, Symbol) else _constant_rows(x, code)
    sizes = graph.sizes([graph.size(x.name, 0), _channels(rows), *map(_vector, x.shape[2:])])
    planes = graph.add("Expand", rows[:, :, None, None].name, sizes)
    return _cat([x, Symbol(graph, planes, (len(x), _channels(rows), *x.shape[2:]))], 1)


def _mean(x: Symbol, dim: Sequence[int], keepdim: bool = False) -> Symbol:
    shape: list[Size] = [1 if i in dim else s for i, s in enumerate(x.shape) if keepdim or i not in dim]
    return _written(x, "ReduceMean", x.graph.constant(list(dim)), shape=shape, keepdims=int(keepdim))


# Padding and pooling


def _pad(x: Symbol, amounts: Sequence[int | Remainder], mode: str = "constant", value: float | None = None) -> Symbol:
    """`F.pad` of channels and sides. An amount may be what is left of a side divided by a number."""
    graph = x.graph
    if value or mode not in ("constant", "reflect", "replicate"):
        raise unsupported(f"it pads by {mode}")
    befores, afters = ([0] * x.dim() for _ in range(2))
    names: list[list[int | str]] = [list(befores), list(afters)]
    least = [_minimum(s) for s in x.shape]
    for i, amount in enumerate(amounts):
        axis, end = x.dim() - 1 - i // 2, i % 2
        if isinstance(amount, Remainder):
            names[end][axis] = graph.add("Mod", amount.side.vector, graph.constant([amount.divisor]))
            least[axis] += least[axis] % amount.divisor
            continue
        if mode == "reflect" and amount and least[axis] <= amount:
            raise TooSmallError
        names[end][axis] = amount
        least[axis] += amount
    pads = graph.sizes([*names[0], *names[1]])
    name = graph.add("Pad", x.name, pads, mode={"replicate": "edge"}.get(mode, mode))
    return _sized(x, name, least[1], *least[2:])


def _average_pool(x: Symbol, kernel: Sequence[int | Side]) -> Symbol:
    if list(kernel) != [2, 2]:
        raise unsupported("it pools by other windows than 2 x 2")
    name = x.graph.add("AveragePool", x.name, kernel_shape=[2, 2], strides=[2, 2])
    return _sized(x, name, _channels(x), *(_minimum(s) // 2 for s in x.shape[2:]))


def _channels(x: Symbol) -> int:
    channels = x.shape[1]
    assert isinstance(channels, int)
    return channels


# Convolutions


def _both(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)] * 2


def _plain(dilation: Any, groups: int) -> None:
    if _both(dilation) != [1, 1] or groups != 1:
        raise unsupported("its convolutions have gaps or groups")


def _conv(
    x: Symbol,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Symbol:
    """`F.conv2d`."""
    _plain(dilation, groups)
    graph, (outputs, inputs, *kernel) = x.graph, weight.shape
    (top, left), steps = _both(padding), _both(stride)
    if kernel == [1, 1] and steps == [1, 1] and not (top or left) and outputs <= _FEW_CHANNELS:
        flat = graph.add("Reshape", x.name, graph.constant([0, inputs, -1]))
        product = graph.add("MatMul", graph.constant(weight.flatten(1)), flat)
        sizes = graph.sizes([0, outputs, *map(_vector, x.shape[2:])])
        out = Symbol(graph, graph.add("Reshape", product, sizes), (len(x), outputs, *x.shape[2:]))
        return out if bias is None else out + bias[:, None, None]
    least = [
        (_minimum(s) + 2 * p - k) // d + 1 for s, p, k, d in zip(x.shape[2:], (top, left), kernel, steps, strict=True)
    ]
    if min(least) < 1:
        raise TooSmallError
    constants = [graph.constant(t) for t in (weight, bias) if t is not None]
    name = graph.add("Conv", x.name, *constants, kernel_shape=kernel, strides=steps, pads=[top, left, top, left])
    return _sized(x, name, outputs, *least)


def _conv_transpose(
    x: Symbol,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Symbol:
    """`F.conv_transpose2d`."""
    _plain(dilation, groups)
    graph, (_, outputs, *kernel) = x.graph, weight.shape
    steps, (top, left), more = _both(stride), _both(padding), _both(output_padding)
    least = [
        (_minimum(s) - 1) * d - 2 * p + k + e
        for s, d, p, k, e in zip(x.shape[2:], steps, (top, left), kernel, more, strict=True)
    ]
    constants = [graph.constant(t) for t in (weight, bias) if t is not None]
    pads = [top, left, top, left]
    options = {"kernel_shape": kernel, "strides": steps, "pads": pads, "output_padding": more}
    return _sized(x, graph.add("ConvTranspose", x.name, *constants, **options), outputs, *least)


def _padded_conv(
    x: Symbol, weight: Tensor, bias: Tensor, stride: Any, amount: int, slope: float | None = None
) -> Symbol:
    """`fast.padded_conv`."""
    h = x if slope is None else _leaky_relu(x, slope)
    return _conv(_pad(h, [amount] * 4, "reflect") if amount else h, weight, bias, stride)


def _upsample_conv(x: Symbol, weight: Tensor, bias: Tensor) -> Symbol:
    """`upsample.upsample_conv` as a transposed convolution of stride 2 and kernel k + 1, with the same sums of weights.

    Output row 2 i + p of a transposed convolution sees source row j through tap 2 (i - j) + p + r, where r is half the
    kernel of the convolution. Through the upsampled map it sees row j through two taps of the convolution, or the
    outermost one: taps t - 1 and t of the kernel, from the other end, belong to tap t of the transposed one. The source
    is padded by repetition, and what the padding itself gives is cut off.
    """
    graph, kernel = x.graph, weight.shape[-1]
    if min(_minimum(s) for s in x.shape[2:]) <= kernel // 4:
        raise TooSmallError  # the reflected border of the large map
    flipped = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
    sums = sum(flipped[:, :, i : i + kernel + 1, j : j + kernel + 1] for i in (0, 1) for j in (0, 1))
    assert isinstance(sums, Tensor)
    around = _pad(x, [1] * 4, "replicate")
    padding = kernel // 2 + 2
    options = {"kernel_shape": [kernel + 1] * 2, "strides": [2, 2], "pads": [padding] * 4}
    constants = (graph.constant(sums.transpose(0, 1)), graph.constant(bias))
    inner = graph.add("ConvTranspose", around.name, *constants, **options)
    least = [2 * _minimum(s) for s in x.shape[2:]]
    if kernel == 3:  # with a 5 x 5 convolution the outermost outputs see the border otherwise
        return _sized(x, inner, weight.shape[0], *least)
    left, right = (_cut(graph, _outermost(x, weight, bias, 3, last), 2, 1, -1) for last in (False, True))
    middle = _cut(graph, _cut(graph, inner, 2, 1, -1), 3, 1, -1)
    middle = graph.add("Concat", left, middle, right, axis=3)
    top, bottom = (_outermost(x, weight, bias, 2, last) for last in (False, True))
    return _sized(x, graph.add("Concat", top, middle, bottom, axis=2), weight.shape[0], *least)


def _binomial(x: Symbol) -> Symbol:
    """`upsample.binomial`: a convolution of each channel by itself."""
    channels = _channels(x)
    kernel = x.graph.constant(upsample.binomial_kernel(channels))
    options = {"kernel_shape": [3, 3], "group": channels}
    return _written(_pad(x, [1] * 4, "replicate"), "Conv", kernel, shape=x.shape, **options)


def _outermost(x: Symbol, weight: Tensor, bias: Tensor, axis: int, last: bool) -> str:
    """The first or last row (axis 2) or column (axis 3) of what a 5 x 5 convolution gives of the upsampled map.

    It sees the two outermost rows of the source alone, because the border is reflected (`upsample.OUTERMOST`).
    """
    graph, other = x.graph, 5 - axis
    edge = _cut(graph, x.name, axis, -2, _END) if last else _cut(graph, x.name, axis, 0, 2)
    scales = [2.0 if i == other else 1.0 for i in range(4)]
    pads = [2 if i % 4 == other else 0 for i in range(8)]
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    wide = graph.add("Resize", edge, "", graph.float32(scales), **options)
    wide = graph.add("Pad", wide, graph.constant(pads), mode="reflect")
    taps = torch.tensor(upsample.OUTERMOST, dtype=weight.dtype, device=weight.device)
    if last:
        taps = taps.flip(0)
    own = torch.einsum("ockl,ak->ocal" if axis == 2 else "ockl,al->ocka", weight, taps)
    kernel = list(own.shape[2:])
    return graph.add("Conv", wide, graph.constant(own), graph.constant(bias), kernel_shape=kernel)


_END = 1 << 62  # beyond the last place of any axis


def _cut(graph: Graph, value: str, axis: int, begin: int, end: int) -> str:
    return graph.add("Slice", value, *(graph.constant([v]) for v in (begin, end, axis)))


# Normalisations and styles


def _normalise(x: Symbol, gain: Tensor | None = None, bias: Tensor | None = None) -> Symbol:
    """`fast.normalise`."""
    channels = _channels(x)
    if gain is None or bias is None:
        gain, bias = torch.ones(channels), torch.zeros(channels)
    constants = (x.graph.constant(gain), x.graph.constant(bias))
    return _written(x, "InstanceNormalization", *constants, epsilon=fast.EPS)


def _group_norm(
    x: Symbol, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = fast.EPS
) -> Symbol:
    """`F.group_norm` of all channels together: an image is one channel of an instance normalisation."""
    if groups != 1:
        raise unsupported("it normalises groups of channels")
    graph, channels = x.graph, _channels(x)
    zeros, ones = torch.zeros(channels), torch.ones(channels)
    flat = graph.add("Reshape", x.name, graph.constant([0, 1, -1]))
    normed = graph.add("InstanceNormalization", flat, graph.constant(ones[:1]), graph.constant(zeros[:1]), epsilon=eps)
    out = Symbol(graph, graph.add("Reshape", normed, _sizes_of(x)), x.shape)
    if weight is None or bias is None:
        return out
    # gain x + bias in one pass: a batch normalisation of mean 0 and variance 1
    constants = (graph.constant(v) for v in (weight, bias, zeros, ones))
    return _written(out, "BatchNormalization", *constants, epsilon=0.0)


def _sizes_of(x: Symbol) -> str:
    """The sizes of a map, for Reshape: its batch is what is left."""
    return x.graph.sizes([-1, *map(_vector, x.shape[1:])])


def _modulate(normed: Symbol, gain: Symbol, bias: Symbol) -> Symbol:
    """`layers.modulate`: a batch normalisation of mean 0 and variance 1, the channels of all images side by side."""
    graph = normed.graph
    h = _repeat(normed, len(gain) // len(normed), 1, 1, 1)
    side_by_side = graph.add("Reshape", h.name, graph.sizes([1, -1, *map(_vector, normed.shape[2:])]))
    gains, biases = (graph.add("Reshape", v.name, graph.constant([-1])) for v in (gain, bias))
    count = graph.add("Shape", gains)
    zeros, ones = (graph.add("Expand", graph.constant(torch.tensor([v])), count) for v in (0.0, 1.0))
    out = graph.add("BatchNormalization", side_by_side, gains, biases, zeros, ones, epsilon=0.0)
    return Symbol(graph, graph.add("Reshape", out, _sizes_of(normed)), h.shape)


def _add_per_image(x: Symbol, bias: Symbol) -> Symbol:
    """`layers.add_per_image`."""
    return _repeat(x, len(bias) // len(x), 1, 1, 1) + bias[:, :, None, None]


def _add_code_planes(x: Symbol, planes: Symbol) -> Symbol:
    """`decoder_layers.add_code_planes`: nine masks, and one matrix product of the classes' values with them."""
    graph, channels = x.graph, _channels(x)
    masks = _class_masks(graph, *map(_vector, x.shape[2:]))
    values = graph.add("Reshape", planes.name, graph.constant([0, channels, 9]))
    added = graph.add("Reshape", graph.add("MatMul", values, masks), _sizes_of(x))
    return _repeat(x, len(planes) // len(x), 1, 1, 1) + Symbol(graph, added, (len(planes), *x.shape[1:]))


def _class_masks(graph: Graph, height: int | str, width: int | str) -> str:
    """Masks (9, H W) of the classes of pixels: even, odd and last rows by even, odd and last columns."""
    of_sides = []
    for side, axes in ((height, [1, 3]), (width, [0, 2])):
        size = graph.sizes([side])
        first, end, step = (graph.add("Squeeze", v) for v in (graph.constant([0]), size, graph.constant([1])))
        places = graph.add("Range", first, end, step)
        last = graph.add("Equal", places, graph.add("Sub", size, graph.constant([1])))
        own = graph.add("Where", last, graph.constant([2]), graph.add("Mod", places, graph.constant([2])))
        mask = graph.add(
            "Equal", graph.constant(np.arange(3)[:, None]), graph.add("Unsqueeze", own, graph.constant([0]))
        )
        mask = graph.add("Cast", mask, to=graph.kind)
        of_sides.append(graph.add("Unsqueeze", mask, graph.constant(axes)))
    return graph.add("Reshape", graph.add("Mul", *of_sides), graph.constant([9, -1]))


# Pointwise functions


def _pointwise(operator: str) -> Callable[..., Symbol]:
    def write(x: Symbol) -> Symbol:
        return _written(x, operator)

    return write


def _relu(x: Symbol, inplace: bool = False) -> Symbol:
    return _written(x, "Relu")


def _leaky_relu(x: Symbol, negative_slope: float = 0.01, inplace: bool = False) -> Symbol:
    return _written(x, "LeakyRelu", alpha=float(negative_slope)) if negative_slope else _written(x, "Relu")


def _same(x: Symbol, *_: Any, **options: Any) -> Symbol:
    return x


def _dropout(x: Symbol, p: float = 0.5, training: bool = True, inplace: bool = False) -> Symbol:
    if training:
        raise unsupported("it drops out values in use")
    return x


def _new_zeros(x: Symbol, *sizes: int) -> Tensor:
    return torch.zeros(*sizes, dtype=x.dtype)


def _register(handler: Callable[..., Any], *functions: Any) -> None:
    HANDLERS.update(dict.fromkeys(functions, handler))


for _operator, _functions in {
    "Add": (torch.add, Tensor.add),
    "Mul": (torch.mul, Tensor.mul),
    "Sub": (torch.sub, Tensor.sub),
}.items():
    _register(_pair(_operator), *_functions)
_register(_relu, F.relu, torch.relu, F.relu_, torch.relu_, Tensor.relu)
_register(_leaky_relu, F.leaky_relu, F.leaky_relu_)
_register(_pointwise("Tanh"), torch.tanh, Tensor.tanh)
_register(_pointwise("Sigmoid"), torch.sigmoid, Tensor.sigmoid)
_register(_pointwise("Softplus"), F.softplus)
_register(_same, Tensor.to, Tensor.float, Tensor.contiguous)
_register(_new_zeros, Tensor.new_zeros)
_register(_dropout, F.dropout)
_register(_matmul, torch.matmul, Tensor.matmul)
_register(_linear, F.linear)
_register(_einsum, torch.einsum)
_register(_unflatten, Tensor.unflatten)
_register(_flatten, torch.flatten, Tensor.flatten)
_register(_getitem, Tensor.__getitem__)
_register(_split, torch.split, Tensor.split)
_register(_chunk, torch.chunk, Tensor.chunk)
_register(_unbind, torch.unbind, Tensor.unbind)
_register(_repeat, Tensor.repeat)
_register(_mean, torch.mean, Tensor.mean)
_register(_cat, torch.cat)
_register(_pad, F.pad)
_register(_average_pool, F.avg_pool2d)
_register(_conv, F.conv2d, torch.conv2d)
_register(_conv_transpose, F.conv_transpose2d)
_register(_group_norm, F.group_norm)
_register(_normalise, fast.normalise)
_register(_padded_conv, fast.padded_conv)
_register(lambda layer, x: layer(x), fast_unet.downsample, fast_unet.upsample)
_register(_with_planes, layers.with_planes)
_register(_add_per_image, layers.add_per_image)
_register(_modulate, layers.modulate)
_register(_upsample_conv, upsample.upsample_conv)
_register(_binomial, upsample.binomial)
_register(_add_code_planes, decoder_layers.add_code_planes)
