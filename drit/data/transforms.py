"""Resizing, cropping and flipping of arrays (H, W, C), any number of channels, type kept."""

from __future__ import annotations

import cv2
import numpy as np


def resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) of uint8 or uint16 to (height, width, C): by area when shrinking, bicubic when growing.

    Values stay within the type's range.
    """
    if array.shape[:2] == (height, width):
        return array
    shrinking = height * width < array.shape[0] * array.shape[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    # OpenCV takes at most four channels for some methods, and drops an axis of length 1
    planes = [cv2.resize(array[:, :, i], (width, height), interpolation=method) for i in range(array.shape[2])]
    return np.stack(planes, axis=2)


def resized_shape(height: int, width: int, size: int, mode: str) -> tuple[int, int]:
    """Height and width after resizing: short side to `size`, or both ("square"); size 0 changes nothing."""
    if not size:
        return height, width
    if mode == "square":
        return size, size
    short = min(height, width)
    return max(size, round(height * size / short)), max(size, round(width * size / short))


def random_crop_flip(array: np.ndarray, crop: int, flip: bool, rng: np.random.Generator) -> np.ndarray:
    """A random square (crop, crop, C) of (H, W, C), mirrored left to right half of the time if `flip`.

    H and W are at least `crop`.
    """
    top = int(rng.integers(array.shape[0] - crop + 1))
    left = int(rng.integers(array.shape[1] - crop + 1))
    part = array[top : top + crop, left : left + crop]
    return mirrored(part) if flip and rng.random() < 0.5 else part


def mirrored(array: np.ndarray) -> np.ndarray:
    """(H, W, C) with left and right swapped."""
    if array.shape[2] > 4:
        return array[:, ::-1]
    return cv2.flip(array, 1).reshape(array.shape)  # for few channels twenty times as fast as numpy's copy


def centre_crop(array: np.ndarray, size: int) -> np.ndarray:
    """The square of `size` pixels in the middle of (H, W, C)."""
    top, left = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return array[top : top + size, left : left + size]
