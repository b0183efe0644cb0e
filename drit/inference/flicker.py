"""How much a translated clip flickers: what changes between neighbouring frames beside the motion.

    E = mean |y_(t+1) - warp(y_t)|   over pixels that the motion explains in the input

warp moves frame t to where the optical flow of the *input* says that its pixels are at t + 1 (Lai et al., Learning
Blind Video Temporal Consistency, arXiv 1808.00449, equation 8). A pixel counts where the input itself, warped, differs
by less than 10 of 255: elsewhere something was covered or the flow is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

EXPLAINED = 10.0  # of 255
_MIN_SIDE = 16  # of an image that a flow is computed of


class Motion(NamedTuple):
    """The motion between two frames of the input."""

    places: np.ndarray  # (H, W, 2) float32: where in frame t each pixel of frame t + 1 was, column and row
    explained: np.ndarray  # (H, W) bool: pixels that count


def motion(before: np.ndarray, after: np.ndarray) -> Motion:
    """The motion from one input frame to the next, (H, W, C) of uint8 or uint16 each."""
    one, other = _grey(before), _grey(after)
    height, width = one.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(np.float32)
    if min(height, width) < _MIN_SIDE:
        places = grid
    else:
        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        places = grid + method.calc(other.astype(np.uint8), one.astype(np.uint8), None)  # type: ignore[call-overload]
    inside = (places >= 0).all(2) & (places <= np.array([width - 1, height - 1])).all(2)
    return Motion(places, inside & (np.abs(other - _warped(one, places)) < EXPLAINED))


def flicker(before: np.ndarray, after: np.ndarray, moved: Motion) -> float:
    """The mean absolute difference, of 255, of a frame and the warped one before it, both (H, W, C) of uint8 or uint16.

    NaN where no pixel counts.
    """
    if not moved.explained.any():
        return float("nan")
    one, other = _levels(before), _levels(after)
    difference = np.abs(other - _warped(one, moved.places))
    return float(difference[moved.explained].mean())


def steadied(image: Tensor, before: Tensor, moved: Motion, share: float) -> Tensor:
    """An output with a share of the one before it, moved along, where the motion of the input is explained.

    image, before: (C, H, W) in [-1, 1], which the result is too. share: from 0 to less than 1.
    """
    along = torch.from_numpy(_warped(before.permute(1, 2, 0).numpy(), moved.places)).permute(2, 0, 1)
    return torch.where(torch.from_numpy(moved.explained), torch.lerp(image, along, share), image)


def _levels(image: np.ndarray) -> np.ndarray:
    """(H, W, C) of uint8 or uint16 as float32 in 0 .. 255."""
    return image.astype(np.float32) / (257 if image.dtype == np.uint16 else 1)


def _grey(image: np.ndarray) -> np.ndarray:
    """(H, W, C) of uint8 or uint16 as float32 (H, W) in 0 .. 255."""
    return _levels(image).mean(2)


def _warped(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) of float32 at other places (H, W, 2)."""
    if image.ndim == 3:  # OpenCV takes four channels at most
        return np.stack([_warped(np.ascontiguousarray(image[..., i]), places) for i in range(image.shape[2])], 2)
    return cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
