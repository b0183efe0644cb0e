"""How much memory a translation takes, told before the work, and what happens where it is not there.

One small image is translated while every tensor that operations create is counted for as long as it lives. The most
that is alive at once grows with the pixels: what a pixel takes holds for any method, width and precision without a
formula to keep up to date.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from drit.errors import DritError
from drit.methods.base import Method
from drit.runtime import AliveBytes, autocast, choose, free_gpu_memory, free_memory

SIDES = (128, 256)  # pixels of the images that are counted; their difference is free of weights and borders
CHECKED_PIXELS = 512 * 512  # larger images are checked before the work
# What buffers of the convolution library and gaps of the allocator add: fitted to processes that translated images of
# 1 to 2.4 megapixels with six methods of width 16 and 64 in bfloat16 and float32: 0.85 to 1.16 of the prediction.
OVERHEAD = 1.2
_LARGE_BLOCK = 1 << 20  # bytes
_RESERVE = 64 << 20  # bytes that the C library takes at once more than it needs, as runtime.keep_freed_memory sets it
_M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -2, -3, -4  # numbers of malloc.h


class TooLargeError(DritError):
    """An image whose translation does not fit into memory."""


def bytes_per_pixel(method: Method, source: str, to: str, dtype: torch.dtype) -> float:
    """Memory of one translation (content, prepare, render of one style) for each pixel of its input, without weights.

    source, to: letters of domains. dtype: of the convolutions, as `runtime.choose` gives it.
    """
    device = next(method.parameters()).device
    # a processor without bfloat16 widens the maps to float32 on its way
    dtype = dtype if dtype == choose("auto", device) else torch.float32
    peaks = []
    for wanted in SIDES:
        side = max(method.min_side, -(-wanted // method.stride) * method.stride)
        style = torch.zeros(1, method.capabilities.style_dim, device=device)
        with torch.no_grad(), autocast(dtype, device), AliveBytes() as counter:
            x = torch.zeros(1, method.channels[source], side, side, device=device)
            x = x.contiguous(memory_format=torch.channels_last)
            content = method.content(x, source)
            prepared = method.prepare(content, to)
            method.render(prepared, style, to).float()
            del x, content, prepared
        peaks.append((side**2, counter.peak))
    (small, low), (large, high) = peaks
    return OVERHEAD * (high - low) / (large - small)


def available(device: torch.device) -> int | None:
    """Bytes that tensors on a device can still take, what this process holds in reserve among them; None: unknown."""
    if device.type == "cuda":
        return free_gpu_memory(device)
    return free_memory() + _freed_and_kept() if device.type == "cpu" else None


class _MallocInfo(ctypes.Structure):
    """struct mallinfo2 of malloc.h."""

    _fields_ = [
        *((f"before{i}", ctypes.c_size_t) for i in range(8)),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    ]


def _freed_and_kept() -> int:
    """Bytes that this process has freed and the C library keeps for it; 0 where the library does not tell."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if mallinfo is None:
        return 0
    mallinfo.restype = _MallocInfo
    return int(mallinfo().fordblks)


def check(needed: float, height: int, width: int, device: torch.device) -> None:
    """Raises TooLargeError, which names the largest size that fits, where `needed` bytes are not there for a
    translation of an image of this size."""
    free = available(device)
    if free is None or needed <= free:
        return
    scale = math.sqrt(free / needed)
    raise TooLargeError(
        f"An image of {width} x {height} pixels takes {_gib(needed)} GiB of memory to translate; {_gib(free)} GiB are "
        f"free. The largest of its shape that fits is {int(width * scale)} x {int(height * scale)}. Translate it in "
        "strips, which gives the same (--tile 512; in Python tile=512), scale it down, or free memory."
    )


def _gib(count: float) -> str:
    return f"{count / (1 << 30):.2f}"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in ("can't allocate memory", "not enough memory", "out of memory")
    )


@contextmanager
def named_size(height: int, width: int) -> Iterator[None]:
    """Where memory runs out in the block, it becomes a TooLargeError that names the image's size."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise TooLargeError(
            f"Memory ran out while an image of {width} x {height} pixels was translated. Translate it in strips "
            "(--tile 512; in Python tile=512) or in smaller ones, scale it down, or free memory."
        ) from None  # the error's frames hold tensors


@contextmanager
def large_blocks_given_back(wanted: bool) -> Iterator[None]:
    """In the block, freed memory of large tensors goes back to the system at once (glibc; elsewhere nothing happens).

    `runtime.keep_freed_memory` has the C library keep it, which is faster for small images. For large ones the gaps
    between kept blocks would take up to twice what the tensors do.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if wanted and sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
    mallopt(_M_TOP_PAD, _LARGE_BLOCK)
    mallopt(_M_MMAP_MAX, 65536)
    try:
        yield
    finally:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TOP_PAD, _RESERVE)
