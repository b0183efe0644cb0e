"""Grid energy by hand: a checkerboard, stripes, slopes, and what is as smooth as real images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drit.evaluation.metrics.grid import ROUNDING, grid_energy, relative_grid_energy

ROWS, COLUMNS = torch.arange(32.0)[:, None], torch.arange(48.0)[None]


def image(values: Tensor) -> Tensor:
    return values.expand(32, 48)[None, None].double()


def test_waves_of_two_and_of_four_pixels() -> None:
    board = image((-1.0) ** (ROWS + COLUMNS))
    assert grid_energy(board)[0].tolist() == pytest.approx([1, 0], abs=1e-12)
    assert grid_energy(0.1 * image((-1.0) ** COLUMNS))[0].tolist() == pytest.approx([0.01, 0], abs=1e-12)
    # a cosine of four pixels has amplitude 1/2 at either of two frequencies: (1/2)^2, in the cosine's own wave
    four = image(torch.cos(torch.pi / 2 * COLUMNS))
    assert grid_energy(four)[0].tolist() == pytest.approx([0, 0.25], abs=1e-12)
    assert grid_energy(0.5 * board + four)[0].tolist() == pytest.approx([0.25, 0.25], abs=1e-12)
    two_channels = torch.cat([board, 0 * board], dim=1)  # a mean over channels
    assert grid_energy(two_channels)[0].tolist() == pytest.approx([0.5, 0], abs=1e-12)


def test_a_grid_whose_sign_changes_is_still_one() -> None:
    """As a texture that follows the content: its mean over the image is 0."""
    board = image((-1.0) ** (ROWS + COLUMNS))
    assert float(grid_energy(board * torch.where(COLUMNS < 24, 1.0, -1.0))[0, 0]) > 0.6


def test_slopes_and_flats_have_hardly_any() -> None:
    assert grid_energy(image(torch.full((1, 1), 0.7))).abs().max() < 1e-20
    slope = image(COLUMNS / 24 - 1)  # from black to white over the image
    assert grid_energy(slope).max() < 1e-4


def test_relative_to_real_images() -> None:
    """As smooth as real images: 1. A checkerboard of 2 levels of 255 is 600 times what rounding leaves to see."""
    flat, slope = image(torch.zeros(1, 1)), image(COLUMNS / 24 - 1)
    real = grid_energy(torch.cat([flat, slope]))
    smooth = grid_energy(torch.cat([slope, flat]))
    assert relative_grid_energy(smooth, real).mean(0).tolist() == pytest.approx([1, 1])
    assert relative_grid_energy(grid_energy(flat), grid_energy(flat))[0].tolist() == [1, 1]
    board = grid_energy(2 / 127.5 * image((-1.0) ** (ROWS + COLUMNS)))
    ratio = relative_grid_energy(board, grid_energy(flat))[0]
    assert ratio.tolist() == pytest.approx([(2 / 127.5) ** 2 / ROUNDING + 1, 1], rel=1e-6)
    assert float(ratio[0]) > 600
