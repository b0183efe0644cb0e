"""The same seed gives the same bits: always on a CPU, with --deterministic on a GPU too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drit.errors import DritError
from drit.runs import checkpoint as files
from drit.training import launch
from drit.training.trainer import Trainer
from tests.conftest import tiny
from tests.training.test_resume import same


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The process computes afterwards as it did before."""
    kept = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(kept[0])
    torch.backends.cudnn.benchmark = kept[1]


def weights(folders: tuple[Path, Path], run: Path, **values: object) -> object:
    settings = tiny(*folders, steps=3, **values)
    launch.train(replace(settings, log=replace(settings.log, sample_every=0, watch_every=0)), run)
    return files.load_weights(files.find(run))


def test_it_changes_no_bit_on_a_cpu(folders: tuple[Path, Path], tmp_path: Path) -> None:
    plain = weights(folders, tmp_path / "plain", device="cpu", deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert same(weights(folders, tmp_path / "asked", device="cpu", deterministic=True), plain)
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["drit", "munit", "cyclegan"])
def test_twice_on_a_gpu(method: str, precision: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    settings = tiny(*folders, method, steps=5, deterministic=True, device="cuda", precision=precision)
    settings = replace(settings, log=replace(settings.log, sample_every=0, watch_every=0))
    for name in ("one", "other"):
        launch.train(settings, tmp_path / name)
    assert same(*(files.load_weights(files.find(tmp_path / name)) for name in ("one", "other")))


def test_what_has_no_such_algorithm_is_named(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Trainer) -> None:
        raise RuntimeError(
            "reflection_pad2d_backward_cuda does not have a deterministic implementation, but you set ..."
        )

    monkeypatch.setattr(Trainer, "iterate", refused)
    with pytest.raises(DritError, match=r"reflection_pad2d_backward_cuda .* --no-deterministic"):
        launch.train(tiny(*folders, deterministic=True), tmp_path / "run")
