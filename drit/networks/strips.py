"""Networks computed strip by strip: the numbers of the whole map, in memory that does not grow with its height.

A `Strips` stands for a map (1, C, H, W) and gives its rows on demand. Networks take it in place of a tensor and do not
know: what they call of torch, and the functions of `drit.networks.fast` and its neighbours, is carried out on strips.

- Pointwise operations are computed when their rows are asked for, and kept nowhere.
- A convolution, and any sum of two maps, is computed at once, strip by strip, and kept in a file without a name. A
  strip takes along as many rows of its neighbours as the kernel reaches (its halo), so there are no seams.
- A normalisation takes mean and variance of the *whole* map. Their sums, in float64, are gathered while the map is
  written. Then it is a pointwise operation.

So each layer is computed once, as without strips. What it costs is disk: the maps that are alive at once (`Scratch`).
Results differ from those of the whole map by rounding alone (tests/networks/test_strips.py). How each function is
carried out is in `strip_layers`.
"""

from __future__ import annotations

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from drit.errors import DritError, UsageError
from drit.runtime import full, full_precision

HANDLERS: dict[Any, Callable[..., Any]] = {}  # how functions are carried out on strips: `strip_layers` fills it


class Scratch:
    """Where maps are kept, how large a strip is, and how much has been computed.

    pixels: of a strip, at most (but for single rows). folder: of the files, "" for the system's own; they have no name
    there and vanish with the process. advance: called with the share of a network's products in each strip.
    """

    def __init__(self, pixels: int, folder: str | Path = "", advance: Callable[[float], None] | None = None) -> None:
        self.pixels = pixels
        self.folder = str(folder) or None
        self.advance = advance or (lambda products: None)
        self.bytes = 0  # of the files
        self._free: list[ScratchFile] = []

    def rows(self, width: int) -> int:
        """Rows of a strip of a map of this width."""
        return max(1, self.pixels // width)

    def strips(self, height: int, width: int) -> Iterator[tuple[int, int]]:
        """First row and end of each strip of a map."""
        step = self.rows(width)
        for begin in range(0, height, step):
            yield begin, min(begin + step, height)

    def take(self, size: int) -> ScratchFile:
        """A file for a map of `size` bytes: one that is free, since its pages are faster to write again than new ones.

        The smallest that is large enough, else the largest. Raises DritError where the disk refuses.
        """
        if self._free:
            fitting = [f for f in self._free if f.size >= size]
            file = min(fitting, key=lambda f: f.size) if fitting else max(self._free, key=lambda f: f.size)
            self._free.remove(file)
        else:
            try:
                file = ScratchFile(tempfile.TemporaryFile(dir=self.folder, buffering=0))
            except OSError as error:
                raise self.refused(error) from error
        self.bytes += max(0, size - file.size)
        file.size = max(file.size, size)
        return file

    def give_back(self, file: ScratchFile) -> None:
        """Let another map have a file."""
        self._free.append(file)

    @property
    def in_use(self) -> int:
        """Bytes of the files that maps have; 0 is none."""
        return self.bytes - sum(f.size for f in self._free)

    def refused(self, error: OSError) -> DritError:
        """What is said where the disk refuses."""
        where = self.folder or tempfile.gettempdir()
        return DritError(
            f"The maps of the image could not be kept in {where}: {error.strerror}. They take "
            f"{self.bytes / (1 << 30):.1f} GiB or more. Make room there, or translate in another folder."
        )


@dataclass
class ScratchFile:
    """A file without a name. size: bytes that it has had, or will have once its map is written."""

    file: Any
    size: int = 0


class Strips(ABC):
    """A map (1, C, H, W), any real values, that gives its rows on demand."""

    def __init__(self, scratch: Scratch, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        self.scratch = scratch
        self.shape = torch.Size(shape)
        self.dtype = dtype
        self.device = device

    @abstractmethod
    def rows(self, begin: int, end: int) -> Tensor:
        """Rows begin .. end - 1: (1, C, h, W), h = end - begin. May be overwritten by who asked for it."""

    # What networks ask of a tensor

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        handler = HANDLERS.get(function)
        if handler is None:
            name = getattr(function, "__name__", str(function))
            raise UsageError(f"This method cannot be computed in strips: it uses {name} on a whole map.")
        return handler(*args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UsageError(f"This method cannot be computed in strips: it uses {name} of a whole map.")

    def __len__(self) -> int:
        return self.shape[0]

    def __add__(self, other: Any) -> Strips:
        return _sum(self, other)

    __radd__ = __add__

    def __getitem__(self, places: Any) -> Strips:
        return _Cropped(self, places)

    def dim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return math.prod(self.shape)

    def is_contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> bool:
        return memory_format == torch.channels_last  # as the rows are

    def float(self) -> Strips:
        return pointwise(Tensor.float, self)

    def to(self, *arguments: Any) -> Strips:
        return pointwise(Tensor.to, self, *arguments)

    def repeat(self, *times: int) -> Strips:
        """The map for several styles: strips have one image and one style. Raises UsageError for another number."""
        if any(number != 1 for number in times):
            raise UsageError(f"This method cannot be computed in strips: it repeats a whole map {times} times.")
        return self

    def new_zeros(self, *size: int) -> Tensor:
        """A tensor of zeros of any shape."""
        return torch.zeros(*size, dtype=self.dtype, device=self.device)


class FromRows(Strips):
    """A map (1, C, H, W) whose rows a function gives: of begin and end, (1, C, h, W) with h = end - begin."""

    def __init__(self, scratch: Scratch, height: int, give: Callable[[int, int], Tensor]) -> None:
        row = give(0, 1)
        super().__init__(scratch, (1, row.shape[1], height, row.shape[3]), row.dtype, row.device)
        self.give = give

    def rows(self, begin: int, end: int) -> Tensor:
        """As `Strips.rows`: (1, C, h, W)."""
        return self.give(begin, end)


class Sums:
    """Sums over the pixels of a map, gathered strip by strip: what its mean and variance follow from."""

    def __init__(self, x: Strips) -> None:
        self._pixels = x.shape[2] * x.shape[3]
        self._total = torch.zeros(2, x.shape[1], dtype=torch.float64, device=x.device)  # of values and squares
        self._about: Tensor | None = None  # (C,): the means of the first strip; squares about them do not cancel out

    def add(self, strip: Tensor) -> None:
        """Take up the next strip (1, C, h, W)."""
        by_row = full(strip)[0].permute(1, 2, 0)
        if self._about is None:
            self._about = by_row.mean((0, 1))
        by_row = by_row - self._about
        # float32 sums up one row at most, float64 all rows: as exact as needed, and faster than float64 throughout
        self._total[0] += by_row.sum(1).double().sum(0)
        self._total[1] += by_row.square_().sum(1).double().sum(0)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel (C,), float64, once all strips are taken up."""
        assert self._about is not None
        mean, square = self._total / self._pixels
        return self._about.double() + mean, (square - mean.square()).clamp_min(0)


class Kept(Strips):
    """A map in a file, rows one after another in channels_last, with the sums that normalisations need."""

    def __init__(self, scratch: Scratch, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(scratch, shape, dtype, device)
        self.row_bytes = shape[1] * shape[3] * torch.empty(0, dtype=dtype).element_size()
        self.sums = Sums(self)
        self._scratch_file = scratch.take(self.row_bytes * shape[2])
        self._file = self._scratch_file.file

    def __del__(self) -> None:
        if hasattr(self, "_scratch_file"):
            self.scratch.give_back(self._scratch_file)

    def write(self, begin: int, strip: Tensor) -> None:
        """Keep the rows from `begin` on: (1, C, h, W). Raises DritError where the disk refuses."""
        pixels = strip.permute(0, 2, 3, 1).contiguous()
        self.sums.add(strip)
        content = memoryview(pixels.cpu().view(torch.uint8).numpy()).cast("B")
        try:
            self._file.seek(begin * self.row_bytes)
            while content:
                content = content[self._file.write(content) :]
        except OSError as error:
            raise self.scratch.refused(error) from error

    def rows(self, begin: int, end: int) -> Tensor:
        """As `Strips.rows`: (1, C, h, W)."""
        _, c, _, w = self.shape
        buffer = torch.empty((1, end - begin, w, c), dtype=self.dtype)
        target = memoryview(buffer.view(torch.uint8).numpy()).cast("B")
        self._file.seek(begin * self.row_bytes)
        while target:
            target = target[self._file.readinto(target) :]
        return buffer.to(self.device).permute(0, 3, 1, 2)


class _Pointwise(Strips):
    """A function of each pixel of one or several maps of one size, and of what is no map."""

    def __init__(self, function: Callable[..., Tensor], arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        self.function = function
        self.arguments = arguments
        self.options = options
        first = next(a for a in arguments if isinstance(a, Strips))
        # rows are computed later, in the arithmetic that holds now
        self.autocast = torch.is_autocast_enabled(first.device.type)
        row = self.rows(0, 1)
        super().__init__(first.scratch, (*row.shape[:2], first.shape[2], row.shape[3]), row.dtype, row.device)

    def rows(self, begin: int, end: int) -> Tensor:
        """As `Strips.rows`: (1, C, h, W)."""
        given = [a.rows(begin, end) if isinstance(a, Strips) else a for a in self.arguments]
        first = next(g for g in given if isinstance(g, Tensor))
        with torch.autocast(first.device.type, torch.bfloat16, enabled=self.autocast):
            return self.function(*given, **self.options)


def pointwise(function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Strips:
    """A function of each pixel of maps (1, C, H, W) of one size and of other arguments, computed on demand."""
    return _Pointwise(function, arguments, options)


class _Cropped(Strips):
    """The first rows and columns of a map: x[:, :, :h, :w]."""

    def __init__(self, x: Strips, places: Any) -> None:
        slices = isinstance(places, tuple) and len(places) == 4 and all(isinstance(p, slice) for p in places)
        if not slices or places[:2] != (slice(None),) * 2 or any(p.start or p.step for p in places[2:]):
            raise UsageError("This method cannot be computed in strips: it cuts parts out of a whole map.")
        height, width = (len(range(size)[s]) for size, s in zip(x.shape[2:], places[2:], strict=True))
        super().__init__(x.scratch, (*x.shape[:2], height, width), x.dtype, x.device)
        self.x = x

    def rows(self, begin: int, end: int) -> Tensor:
        """As `Strips.rows`: (1, C, h, W)."""
        return self.x.rows(begin, end)[..., : self.shape[3]]


class Extended(Strips):
    """A map with its last row and column repeated."""

    def __init__(self, x: Strips, rows: int, columns: int) -> None:
        super().__init__(x.scratch, (*x.shape[:2], x.shape[2] + rows, x.shape[3] + columns), x.dtype, x.device)
        self.x = x
        self.columns = columns

    def rows(self, begin: int, end: int) -> Tensor:
        """As `Strips.rows`: (1, C, h, W)."""
        last = self.x.shape[2]
        inside = self.x.rows(min(begin, last - 1), min(end, last))
        # a row past the end is the last one; one asked for alone has been read in its place
        missing = end - begin - inside.shape[2]
        with full_precision(inside):  # autocast would widen the rows
            return F.pad(inside, (0, self.columns, 0, missing), mode="replicate")


def kept(scratch: Scratch, height: int, products: float, strip: Callable[[int, int], Tensor]) -> Kept:
    """Compute a map (1, C, H, W) of that height strip by strip and keep it.

    strip: gives its rows begin .. end - 1. products: of each of its numbers, for the progress. Raises DritError where
    the disk refuses.
    """
    kept_map, begin, step = None, 0, 1
    while begin < height:
        rows = strip(begin, min(begin + step, height))
        if kept_map is None:
            kept_map = Kept(scratch, (1, rows.shape[1], height, rows.shape[3]), rows.dtype, rows.device)
            step = scratch.rows(rows.shape[3])  # the first strip, of one row, has told the width
        kept_map.write(begin, rows)
        scratch.advance(products * rows.shape[1] * rows.shape[2] * rows.shape[3])
        begin += rows.shape[2]
    assert kept_map is not None
    return kept_map


def _sum(x: Strips, other: Any) -> Strips:
    """x + other. A sum of two maps is kept: else each block of a network would sum up all before it again."""
    added = pointwise(torch.add, x, other)
    return kept(x.scratch, x.shape[2], 0.0, added.rows) if isinstance(other, Strips) else added


def local(
    x: Strips, layer: Callable[[Tensor], Tensor], halo: int, products: float, height: int, up: int = 1, down: int = 1
) -> Kept:
    """A layer (1, C, H, W) -> (1, C', H', W') whose output row r depends on input rows within `halo` of r down / up.

    layer: takes strips (1, C, h, W) and treats their upper and lower edge as it treats that of the whole map: outputs
    near an edge that is none are computed and dropped. products: of an output pixel. height: of the output; one of
    `up` and `down` is 1. A strip begins where the layer's steps do: at multiples of `down`.
    """

    def strip(begin: int, end: int) -> Tensor:
        first = max(0, begin * down // up - halo) // down * down
        last = min(x.shape[2], -(-end * down // up) + halo)
        out = layer(x.rows(first, last))
        offset = first * up // down
        return out[:, :, begin - offset : end - offset]

    return kept(x.scratch, height, products, strip)
