"""Sizes for a purpose, the same for every method: images, networks, iterations, learning rates. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from drit.settings.common import TrainSettings
from drit.settings.schema import changed

S = TypeVar("S", bound=TrainSettings)


@dataclass(frozen=True)
class Size:
    """What a purpose asks for. The defaults are the published sizes of DRIT (arXiv 1808.00948)."""

    steps: int = 100_000
    batch: int = 4
    resize: int = 256
    crop: int = 216
    flip: bool = True
    width: int = 64
    content_blocks: int = 3
    generator_blocks: int = 3
    attribute_width: int = 64
    attribute_blocks: int = 3
    discriminator_width: int = 64
    discriminator_layers: int = 4
    discriminator_scales: int = 3
    lr: float = 1e-4
    content_discriminator_lr: float = 4e-5
    ema: float = 0.999

    @property
    def residual_blocks(self) -> int:
        """Residual blocks of a content encoder and a generator of DRIT together, a shared one in each."""
        return self.content_blocks + self.generator_blocks + 2

    @property
    def patch_layers(self) -> int:
        """Downsamplings of a patch discriminator: patches of 70 pixels, of 34 where the crop is not much larger."""
        return 3 if self.crop >= 128 else 2


_DEFAULT = Size()
# 32-pixel digits: small networks, no mirroring (a mirrored digit is another thing).
_DIGITS = Size(
    steps=6_000,
    batch=16,
    resize=32,
    crop=32,
    flip=False,
    width=24,
    content_blocks=2,
    generator_blocks=2,
    attribute_width=32,
    attribute_blocks=2,
    discriminator_width=32,
    discriminator_layers=3,
    discriminator_scales=2,
    lr=4e-4,
    content_discriminator_lr=1.6e-4,
)
SIZES: dict[str, Size] = {
    # What trains best on one machine (docs/results.md has the experiments behind it).
    "default": _DEFAULT,
    "digits": _DIGITS,
    # Digits again, readable after five minutes on two cores: what `make demo` trains.
    "demo": replace(
        _DIGITS,
        steps=1200,
        crop=28,  # of 32, of which a border of 2 is empty
        width=16,
        lr=5e-4,
        content_discriminator_lr=2e-4,
        ema=0.99,
    ),
    # A first look at photographs within the hour on a laptop: half the width, 128-pixel crops.
    "quick": replace(
        _DEFAULT,
        steps=10_000,
        batch=2,
        resize=144,
        crop=128,
        width=32,
        attribute_width=32,
        discriminator_width=32,
        lr=4e-4,
        content_discriminator_lr=8e-5,
    ),
}
_GROUPS = {"steps": "", "batch": "", "resize": "data.", "crop": "data.", "flip": "data."}
_OPTIM = ("lr", "content_discriminator_lr", "ema")


def sized(settings: S, name: str) -> S:
    """Settings of a method in the size of that name, which becomes their preset; what the method lacks is left out."""
    values = {
        f"{_GROUPS.get(field, 'optim.' if field in _OPTIM else 'network.')}{field}": value
        for field, value in asdict(SIZES[name]).items()
    }
    return changed(settings, values | {"preset": name}, ignore_unknown=True)
