"""Small real images and a tiny trained run, shared by the tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drit.data.images import encode
from drit.settings.common import TrainSettings
from drit.settings.presets import preset
from drit.training import launch as loop


def write_images(folder: Path, count: int, channels: int, size: tuple[int, int] = (24, 30), seed: int = 0) -> Path:
    """PNG images of smooth random colours."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        coarse = rng.integers(0, 256, (4, 5, channels))
        image = np.kron(coarse, np.ones((size[0] // 4 + 1, size[1] // 5 + 1, 1)))[: size[0], : size[1]]
        encode(image.astype(np.uint8), folder / f"{i:03d}.png")
    return folder


def tiny(a: Path | str, b: Path | str, method: str = "drit", **changes: object) -> TrainSettings:
    """The smallest configuration that uses every part: 16-pixel crops, averages, two batches in an iteration."""
    config = preset("digits", method)
    config = replace(
        config,
        steps=6,
        batch=2,
        threads=1,
        precision="float32",
        data=replace(config.data, a=str(a), b=str(b), resize=20, crop=16, flip=True),
        network=replace(
            config.network,
            style_dim=min(3, config.network.style_dim),
            width=4,
            content_blocks=1,
            generator_blocks=1,
            attribute_width=4,
            attribute_blocks=2,
            discriminator_width=4,
            discriminator_layers=2,
        ),
        optim=replace(config.optim, ema=0.9, content_discriminator_steps=2),
        log=replace(config.log, metrics_every=1, sample_every=3, watch_every=6, checkpoint_every=3, tensorboard=False),
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two domains: five grey images and four colour ones."""
    root = tmp_path_factory.mktemp("images")
    return write_images(root / "grey", 5, 1, seed=1), write_images(root / "colour", 4, 3, seed=2)


@pytest.fixture(scope="session")
def run(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run. Tests must not change it."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    loop.train(tiny(*folders), out)
    return out


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side: one thread each, and none of them leaves another number behind."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)
