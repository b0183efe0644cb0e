"""The perceptual distance against its equation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drit.evaluation.metrics import perceptual


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_perceptual_distance_of_pairs(seed: int, k: int) -> None:
    """The short cut over all pairs equals equation 1 of LPIPS, pair by pair and layer by layer."""
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.rand(k, c, s, s + 1, generator=generator) for c, s in ((3, 4), (5, 2))]
    heads = [torch.rand(3, generator=generator), torch.rand(5, generator=generator)]
    expected = []
    for i in range(k):
        for j in range(i):
            total = torch.zeros(())
            for f, w in zip(maps, heads, strict=True):
                u, v = (torch.nn.functional.normalize(f[n], dim=0) for n in (i, j))
                total += (w[:, None, None] * (u - v) ** 2).sum(0).mean()
            expected.append(total)
    points = perceptual.feature_points(maps, heads)
    assert perceptual.mean_pairwise_distance(points[None]).item() == pytest.approx(
        torch.stack(expected).mean().item(), rel=1e-4
    )
    assert perceptual.distance(points[1:2], points[:1]).item() == pytest.approx(expected[0].item(), rel=1e-4)
    assert perceptual.mean_pairwise_distance(points[:1, None].expand(1, k, -1)).item() == 0
