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
from drit.evaluation.features.network import FeatureNetwork, at_most
from drit.evaluation.metrics import perceptual
from drit.settings.common import DataSettings

_AT_ONCE = 64


class Images:
    """`count` images of a set, chosen by the seed (0: all), as squares cut from the middle, each by its place 0 ..
    len - 1."""

    def __init__(self, found: ImageSet, crop: int, count: int, seed: int) -> None:
        self.set = found
        self.crop = crop
        n = len(found)
        wanted = min(count or n, n)
        self.indices = np.sort(np.random.default_rng(seed).permutation(n)[:wanted])
        self.labels = None if found.labels is None else found.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def shows_what(self, other: Images) -> bool:
        """Whether image n of both shows the same scene: files of the same names, as paired sets have them."""
        folders = all(p.set.fingerprint()["kind"] == "folder" for p in (self, other))
        if not folders or len(self) != len(other):
            return False
        return [self.set.key(int(i)) for i in self.indices] == [other.set.key(int(i)) for i in other.indices]

    def batch(self, begin: int, end: int, like: Images | None = None) -> Tensor:
        """Images begin .. end - 1: (N, C, crop, crop) in [-1, 1]. like: stretched to the sizes of these before the
        square is cut, so that images of one scene stay aligned."""
        squares = []
        for i in self.indices[begin:end]:
            array = self.set.get(int(i))
            if like is not None:
                array = resize(array, *like.set.size(int(i)))
            squares.append(to_tensor(centre_crop(array, self.crop)))
        return torch.stack(squares)

    def batches(self, size: int) -> Iterator[Tensor]:
        for begin in range(0, len(self), size):
            yield self.batch(begin, min(begin + size, len(self)))

    def shrunk(self, side: int) -> Tensor:
        """All of them, with at most `side` pixels: (N, C, h, w)."""
        return torch.cat([at_most(x, side) for x in self.batches(_AT_ONCE)])

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


class Real(NamedTuple):
    """Features of real images: vectors (n, D) float64, and the perceptual distance of each to the next one (n,)."""

    vectors: np.ndarray
    pairs: np.ndarray


class RealFeatures:
    """Features of real images, computed when first asked for and kept: hand one to several evaluations, and each
    real image is encoded once for all runs."""

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}

    def vectors(self, network: FeatureNetwork, images: Images, device: torch.device) -> np.ndarray:
        """(n, D) float64."""
        return self._features(network, images, device).vectors

    def pairs(self, network: FeatureNetwork, images: Images, device: torch.device) -> np.ndarray:
        """Perceptual distances (n,) of each image to the next, the last to the first."""
        return self._features(network, images, device).pairs

    def _features(self, network: FeatureNetwork, images: Images, device: torch.device) -> Real:
        key = (network.record["sha256"], *images.key())
        if key not in self._kept:
            vectors, pairs = [], []
            first = last = None
            for x in images.batches(_AT_ONCE):
                found = network(x.to(device))
                points = perceptual.unit(found.maps, network.heads)
                vectors.append(found.vectors.double().cpu().numpy())
                if last is not None:
                    pairs.append(perceptual.between(last, points[:1]))
                else:
                    first = points[:1].clone()
                pairs.append(perceptual.between(points[:-1], points[1:]))
                last = points[-1:].clone()
            assert first is not None and last is not None  # a domain has at least two images
            pairs.append(perceptual.between(last, first))
            self._kept[key] = Real(np.concatenate(vectors), torch.cat(pairs).double().cpu().numpy())
        kept: Real = self._kept[key]
        return kept
