"""Visible style: read where it shows, and not where it is a grid of pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drit.probes.style import visible_features, visible_style


def outputs(draw: str, count: int = 6, styles: int = 30) -> tuple[Tensor, Tensor]:
    """Outputs (N, K, 3, 16, 16) of inputs that differ, and their styles of two numbers (N, K, 2)."""
    g = torch.Generator().manual_seed(0)
    content = torch.rand(count, 1, 3, 16, 16, generator=g) - 0.5
    z = torch.randn(count, styles, 2, generator=g)
    one, other = z[..., 0, None, None, None], z[..., 1, None, None, None]
    place = torch.arange(16)
    board = (-1.0) ** (place[:, None] + place)
    half = (place < 8).float()
    drawn = {
        "colour and half": 0.1 * one * torch.tensor([1.0, -1.0, 0.0])[:, None, None] + 0.1 * other * half,
        "colour": 0.1 * one * torch.ones(3, 1, 1),
        "grid": 0.1 * one * board + 0.1 * other * torch.cos(torch.pi / 2 * place) * torch.ones(3, 1, 1),
        "nothing": 0 * one,
    }[draw]
    return (content + drawn), z


@pytest.mark.parametrize(
    ("draw", "expected"), [("colour and half", 1.0), ("colour", 0.5), ("grid", 0.0), ("nothing", 0.0)]
)
def test_styles_are_read_where_they_show(draw: str, expected: float) -> None:
    images, z = outputs(draw)
    features = visible_features(images.flatten(0, 1)).unflatten(0, z.shape[:2])
    assert features.shape == (6, 30, 17 * 3)
    scores = visible_style(features, z)
    assert scores.shape == (6,)
    assert float(scores.mean()) == pytest.approx(expected, abs=0.06)


def test_noise_tells_nothing() -> None:
    """Tested on styles that were not fitted: at most chance, however many features there are."""
    g = torch.Generator().manual_seed(0)
    scores = visible_style(torch.randn(2, 32, 51, generator=g), torch.randn(2, 32, 8, generator=g))
    assert float(scores.mean()) < 0.05


def test_features_by_hand() -> None:
    """Means over 4 x 4 pixels, of which 4 x 4 places: of an image of 16 pixels its own. Then their deviation."""
    image = torch.zeros(1, 1, 16, 16)
    image[..., :4, :4] = (-1.0) ** torch.arange(4.0)  # a grid: gone
    image[..., 12:, 12:] = 1.0
    places = visible_features(image)[0]
    assert places[:16].tolist() == [0.0] * 15 + [1.0]
    assert float(places[16]) == pytest.approx((1 / 16 * 15 / 16) ** 0.5)
