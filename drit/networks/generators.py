"""The forms of DRIT's generator by name."""

from __future__ import annotations

from drit.networks.decoders import ConcatGenerator, FeatureGenerator
from drit.networks.film import FilmGenerator
from drit.settings.groups import Form, Upsample

Generator = ConcatGenerator | FeatureGenerator | FilmGenerator


def make_generator(
    form: Form, sizes: tuple[dict[str, int], int, int, int, int, int], share: bool, smooth: bool, upsample: Upsample
) -> Generator:
    """A generator with fresh weights.

    sizes: channels of each domain, channels of the content code, numbers of a style, shared blocks, own blocks,
    upsamplings. share: of the feature-wise form alone. smooth: the upsamplings start as bilinear ones.
    """
    if form == "feature":
        return FeatureGenerator(*sizes, share=share, smooth=smooth, upsample=upsample)
    return (FilmGenerator if form == "film" else ConcatGenerator)(*sizes, smooth=smooth, upsample=upsample)
