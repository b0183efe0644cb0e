"""Arrays of pixels: channels, transparency, orientation, and the way to tensors and back.

Arrays are (H, W, C) of uint8 or uint16; tensors (C, H, W) float32 in [-1, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drit.errors import DataError


def from_unit(array: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], of any precision, as uint16. Raises ValueError for others, and for NaN."""
    if not (array.min(initial=0) >= 0 and array.max(initial=0) <= 1):
        raise ValueError("floats outside [0, 1]")
    # half precision has no 65535
    return np.rint(array.astype(np.promote_types(array.dtype, np.float32)) * 65535).astype(np.uint16)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8; others mean upright) to an array."""
    quarter_turns = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0)  # counter-clockwise
    array = np.rot90(array, quarter_turns)
    if orientation in (2, 4, 5, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def on_white(array: np.ndarray) -> np.ndarray:
    """(H, W, C + 1) with straight alpha last, laid on white: (H, W, C)."""
    max_value = np.iinfo(array.dtype).max
    opacity = array[:, :, -1:].astype(np.float64) / max_value
    mixed = array[:, :, :-1] * opacity + max_value * (1 - opacity)
    return np.rint(mixed).astype(array.dtype)


def convert_channels(array: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) to another number of channels: grey repeated to colour, colour weighted to grey (ITU-R BT.601), full
    alpha added, alpha laid on white. Raises DataError for what has no meaning (say, 3 to 5)."""
    have = array.shape[2]
    if have == channels:
        return array
    if not {have, channels} <= {1, 2, 3, 4}:
        raise DataError(
            f"An image of {have} channels cannot become one of {channels}: the domains or the model expect other "
            "images."
        )
    transparent, wanted = have in (2, 4), channels in (2, 4)  # 2: grey and alpha, 4: colour and alpha
    if transparent and not wanted:
        array = on_white(array)
    colour = array[:, :, : 1 if have < 3 else 3]
    if have < 3 <= channels:
        colour = np.repeat(colour, 3, axis=2)
    elif channels < 3 <= have:
        colour = np.rint(colour @ np.array([0.299, 0.587, 0.114]))[:, :, None].astype(array.dtype)
    if not wanted:
        return colour
    alpha = array[:, :, -1:] if transparent else np.full_like(colour[:, :, :1], np.iinfo(array.dtype).max)
    return np.concatenate([colour, alpha], axis=2)


def to_tensor(array: np.ndarray) -> Tensor:
    """(..., H, W, C) of uint8 or uint16 to float32 (..., C, H, W) in [-1, 1]; a batch is in channels_last."""
    max_value = np.iinfo(array.dtype).max
    values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return values.mul_(2 / max_value).sub_(1).movedim(-1, -3)


def from_tensor(tensor: Tensor, depth: int = 8) -> np.ndarray:
    """(..., C, H, W) in [-1, 1] (more is clipped) to (..., H, W, C) of uint8 (depth 8) or uint16 (16), rounded."""
    max_value = (1 << depth) - 1
    values = (tensor.detach().cpu().double() + 1) * (max_value / 2)
    array = values.clamp_(0, max_value).round_().movedim(-3, -1).numpy()
    return np.ascontiguousarray(array.astype(np.uint8 if depth == 8 else np.uint16))
