"""Small real images and a tiny trained run, shared by the tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

from drit.data.folders import ImageSet
from drit.data.images import encode
from drit.methods.registry import method_class, settings_class
from drit.settings.common import TrainSettings
from drit.settings.schema import changed
from drit.training import launch as loop
from drit.training.checks import open_sets
from drit.training.trainer import Trainer

# No example has a time limit: machines are busy, and time is asserted in no test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def write_images(folder: Path, count: int, channels: int, size: tuple[int, int] = (24, 30), seed: int = 0) -> Path:
    """PNG images of smooth random colours."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        coarse = rng.integers(0, 256, (4, 5, channels))
        image = np.kron(coarse, np.ones((size[0] // 4 + 1, size[1] // 5 + 1, 1)))[: size[0], : size[1]]
        encode(image.astype(np.uint8), folder / f"{i:03d}.png")
    return folder


def tiny(a: Path | str, b: Path | str, method: str = "drit", **values: object) -> Any:
    """The smallest settings that use every part: 16-pixel crops, averages, two batches in an iteration.

    values: others, by the names of fields of the whole settings.
    """
    small = {
        "steps": 6,
        "batch": 2,
        "threads": 1,
        "precision": "float32",
        "deterministic": torch.cuda.is_available(),  # for tests that compare bits
        "data.a": str(a),
        "data.b": str(b),
        "data.resize": 20,
        "data.crop": 16,
        "data.flip": True,
        "network.style_dim": 3,
        "network.width": 4,
        "network.content_blocks": 1,
        "network.generator_blocks": 1,
        "network.attribute_width": 4,
        "network.attribute_blocks": 2,
        "network.discriminator_width": 4,
        "network.discriminator_layers": 2,
        "optim.ema": 0.9,
        "optim.content_discriminator_steps": 2,
        "log.metrics_every": 1,
        "log.sample_every": 3,
        "log.watch_every": 6,
        "log.checkpoint_every": 3,
        "log.tensorboard": False,
    }
    presets = settings_class(method).presets()
    settings = changed(presets.get("digits", presets["default"]), small, ignore_unknown=True)
    return replace(settings, **values)  # type: ignore[arg-type]


def opened(settings: TrainSettings) -> dict[str, ImageSet]:
    """The domains of a training."""
    return open_sets(method_class(settings.method), settings)


def trainer_of(settings: TrainSettings, run: Path | None = None) -> Trainer:
    """A trainer with the images that the settings name."""
    return Trainer(method_class(settings.method), settings, opened(settings), run)


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


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine reaches: those of pytest belong to one."""
    folder = Path(tempfile.mkdtemp(dir="/tmp" if Path("/tmp").is_dir() else None))
    folder.chmod(0o777)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    shutil.rmtree(folder)


@contextmanager
def as_another_user() -> Iterator[None]:
    """With the rights of a user whom the system refuses something: root is refused nothing.

    What is imported in here may be out of this user's reach: use it once before.
    """
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side: one thread each, and none of them leaves another number behind."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)
