"""The real images of an evaluation: chosen, cropped and read in batches; their features, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from drit.data.folders import ImageSet, open_domain
from drit.data.images import to_tensor
from drit.data.transforms import centre_crop, resize
from drit.evaluation.features.network import FeatureNetwork, downscaled
from drit.evaluation.metrics import perceptual
from drit.evaluation.metrics.grid import grid_energy
from drit.settings.common import DataSettings

_AT_ONCE = 64


class Images:
    """`count` images of a set (0: all), chosen by the seed, as squares cut from the middle.

    labels: (N,) of any kind, or None where the set has none.
    """

    def __init__(self, image_set: ImageSet, crop: int, count: int, seed: int) -> None:
        self.set = image_set
        self.crop = crop
        n = len(image_set)
        self.indices = np.sort(np.random.default_rng(seed).permutation(n)[: min(count or n, n)])
        self.labels = None if image_set.labels is None else image_set.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def same_scenes_as(self, other: Images) -> bool:
        """Whether image n of both is taken to show the same scene: files of the same names, as in paired sets."""
        folders = all(p.set.fingerprint()["kind"] == "folder" for p in (self, other))
        if not folders or len(self) != len(other):
            return False
        return [self.set.key(int(i)) for i in self.indices] == [other.set.key(int(i)) for i in other.indices]

    def batch(self, begin: int, end: int, like: Images | None = None) -> Tensor:
        """Images begin .. end - 1: (N, C, crop, crop) in [-1, 1].

        like: each image is stretched to the size of its partner there before the square is cut, so that images of one
        scene stay aligned.
        """
        squares = []
        for i in self.indices[begin:end]:
            array = self.set.get(int(i))
            if like is not None:
                array = resize(array, *like.set.size(int(i)))
            squares.append(to_tensor(centre_crop(array, self.crop)))
        return torch.stack(squares)

    def batches(self, size: int) -> Iterator[Tensor]:
        """All of them in order, `size` at once: (N, C, crop, crop) in [-1, 1]."""
        for begin in range(0, len(self), size):
            yield self.batch(begin, min(begin + size, len(self)))

    def downscaled(self, max_side: int) -> Tensor:
        """All of them with sides of at most `max_side` pixels: (N, C, h, w) in [-1, 1]."""
        return torch.cat([downscaled(x, max_side) for x in self.batches(_AT_ONCE)])

    def key(self) -> tuple[str, int, str]:
        """What identifies the images: their hash, the crop, and which of them."""
        return self.set.fingerprint()["sha256"], self.crop, self.indices.tobytes().hex()


def as_trained(config: DataSettings, channels: Mapping[str, int]) -> DataSettings:
    """The settings that a run opened its images with, for domains a and b of these channels."""
    return replace(config, domains=(), channels_a=channels["a"], channels_b=channels["b"])


def open_images(path: str, domain: str, config: DataSettings, size: int) -> ImageSet:
    """A domain's images, resized as a run was trained, or (size not 0) to the short side `size`.

    Raises DataError for what training would refuse too: missing, too small, other channels.
    """
    if size:
        config = replace(config, resize=size, resize_mode="short_side", crop=size)
    return open_domain(path, config, domain)


class _Computed(NamedTuple):
    """Features of real images: vectors (n, D) float64, and the perceptual distance of each to the next one (n,)."""

    vectors: np.ndarray
    pairs: np.ndarray


class RealFeatures:
    """Features of real images, computed when first asked for and kept.

    Handed to several evaluations, it encodes each real image once for all of them.
    """

    def __init__(self) -> None:
        self._computed: dict[Any, _Computed] = {}
        self._grids: dict[Any, Tensor] = {}

    def grid(self, images: Images, device: torch.device) -> Tensor:
        """What `grid_energy` gives for N images: (N, 2)."""
        if images.key() not in self._grids:
            self._grids[images.key()] = torch.cat([grid_energy(x.to(device)) for x in images.batches(_AT_ONCE)])
        return self._grids[images.key()]

    def vectors(self, network: FeatureNetwork, images: Images, device: torch.device) -> np.ndarray:
        """Feature vectors (n, D) of n images, float64."""
        return self._features(network, images, device).vectors

    def pairs(self, network: FeatureNetwork, images: Images, device: torch.device) -> np.ndarray:
        """Perceptual distances (n,) of each image to the next, the last to the first."""
        return self._features(network, images, device).pairs

    def _features(self, network: FeatureNetwork, images: Images, device: torch.device) -> _Computed:
        key = (network.record["sha256"], *images.key())
        if key not in self._computed:
            vectors, pairs = [], []
            first = last = None
            for x in images.batches(_AT_ONCE):
                features = network(x.to(device))
                points = perceptual.feature_points(features.maps, network.heads)
                vectors.append(features.vectors.double().cpu().numpy())
                if last is not None:
                    pairs.append(perceptual.distance(last, points[:1]))
                else:
                    first = points[:1].clone()
                pairs.append(perceptual.distance(points[:-1], points[1:]))
                last = points[-1:].clone()
            assert first is not None and last is not None  # a domain has at least two images
            pairs.append(perceptual.distance(last, first))
            self._computed[key] = _Computed(np.concatenate(vectors), torch.cat(pairs).double().cpu().numpy())
        return self._computed[key]
