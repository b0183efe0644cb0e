"""Arithmetic: which type convolutions compute in, and where full precision is kept.

bfloat16 is applied by torch.autocast around a method's calls. Layers that handle a few numbers (heads, style codes) and
everything a loss compares stay in float32: 8 bits of mantissa would cost accuracy there and save no time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from drit.errors import UsageError


def full(x: Tensor) -> Tensor:
    """x in float32 if it is narrower; float32 and float64 stay as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which autocast does nothing on x's device."""
    return torch.autocast(x.device.type, enabled=False)


def choose(precision: str, device: torch.device) -> torch.dtype:
    """The type for convolutions: `auto` takes bfloat16 where the processor computes in it, else float32.

    A "float32" that was asked for is exact: the library, for the process, no longer takes 10 bits of mantissa for it
    (TF32) in convolutions and products on a GPU.
    """
    if precision == "float32":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"There is no precision '{precision}': auto, float32 or bfloat16.")
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """The context that computes convolutions in `dtype`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
