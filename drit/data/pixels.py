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


def straight(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours (H, W, C) that are multiplied by their alpha (H, W, 1), without it; Pillow's rounding, downwards.

    Where alpha is 0, grey stays as it is and colour becomes 0, as Pillow has it.
    """
    max_value = np.iinfo(colours.dtype).max
    quotient = colours.astype(np.uint64) * max_value // np.maximum(alpha, 1).astype(np.uint64)
    hidden = colours if colours.shape[2] == 1 else 0
    return np.where(alpha == 0, hidden, np.minimum(quotient, max_value)).astype(colours.dtype)


def from_units(array: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Numbers of any type (H, W, C), in a file's own units, as uint16: LOW..HIGH of the range to 0..65535, linearly.

    Values outside are clipped; NaN becomes 0, which is LOW.
    """
    low, high = value_range
    share = (array.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(np.nan_to_num(share, nan=0.0), 0, 1) * 65535).astype(np.uint16)


def to_units(tensor: Tensor, value_range: tuple[float, float], dtype: str = "float32") -> np.ndarray:
    """The inverse of `from_units` for outputs: (..., C, H, W) in [-1, 1] to (..., H, W, C) in LOW..HIGH, of `dtype`.

    More than [-1, 1] is clipped; whole numbers are rounded, and clipped to what their type holds.
    """
    low, high = value_range
    share = (tensor.detach().cpu().double().clamp(-1, 1) + 1) / 2
    values = (low + share * (high - low)).movedim(-3, -1).numpy()
    if np.dtype(dtype).kind in "ui":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return np.ascontiguousarray(values.astype(dtype))


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


def fit_channels(array: np.ndarray, channels: int, extra: int = 0, alpha: bool = False) -> np.ndarray:
    """(H, W, C) of a file to the channels that a model takes; what else is asked of `convert_channels`.

    extra, alpha: of the file's format (`ImageFormat`): how many channels have no meaning in it, and whether the last is
    transparency. Of RGB and such bands, RGB is taken where no more is wanted. Raises DataError for what would be a
    guess.
    """
    have = array.shape[2]
    if have == channels:
        return array
    if extra:
        colours = have - extra - alpha
        if colours != 3 or channels > 3 + alpha:
            raise DataError(
                f"An image of {have} channels, of which {extra} have no meaning in its file, cannot become one of "
                f"{channels}. Choose {channels} of its bands with --data.bands, counted from 1."
            )
        array = np.concatenate([array[:, :, :colours], array[:, :, have - alpha :]], axis=2)
    return convert_channels(array, channels)


def to_tensor(array: np.ndarray) -> Tensor:
    """(..., H, W, C) of uint8 or uint16 to float32 (..., C, H, W) in [-1, 1]; a batch is in channels_last."""
    max_value = np.iinfo(array.dtype).max
    values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return values.mul_(2 / max_value).sub_(1).movedim(-1, -3)


def from_tensor(tensor: Tensor, depth: int = 8) -> np.ndarray:
    """(..., C, H, W) in [-1, 1] (more is clipped) to (..., H, W, C) of uint8 (depth 8) or uint16 (16), rounded.

    NaN, as a training that diverges draws it, becomes 0.
    """
    max_value = (1 << depth) - 1
    values = (tensor.detach().cpu().double() + 1) * (max_value / 2)
    array = values.nan_to_num_(0).clamp_(0, max_value).round_().movedim(-3, -1).numpy()
    return np.ascontiguousarray(array.astype(np.uint8 if depth == 8 else np.uint16))
