"""Cycle/Bicycle: two stages, what each moves, and pairs that the CycleGAN makes of real images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from drit.errors import UsageError
from drit.methods.bicyclegan.objective import BicycleGAN
from drit.methods.cycle_bicycle.objective import CycleBicycle
from drit.methods.cyclegan.objective import CycleGAN
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.runs import checkpoint
from drit.settings.common import TrainSettings
from drit.settings.schema import common
from drit.training import launch as loop
from tests.conftest import tiny, trainer_of

CHANNELS = {"a": 1, "b": 3}


def build(config: TrainSettings) -> CycleBicycle:
    torch.manual_seed(0)
    return CycleBicycle(config, CHANNELS)


def batch(count: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, c, 16, 16, generator=g) * 2 - 1 for d, c in CHANNELS.items()}


def test_the_paper_has_the_networks_and_weights_of_both() -> None:
    """9-block ResNets and 70 x 70 patches for the pairs; for each direction what BicycleGAN's paper trains."""
    config, cycle, bicycle = (preset("paper", name) for name in ("cycle-bicycle", "cyclegan", "bicyclegan"))
    channels = {"a": 3, "b": 3}
    with torch.device("meta"):
        model = CycleBicycle(config, channels)
        parts = CycleGAN(cycle, channels), BicycleGAN(bicycle, channels)
    count = [sum(p.numel() for p in m.parameters()) for m in (model, *parts)]
    assert count[0] == count[1] + 2 * count[2]
    assert sum(p.numel() for p in model.cycle_generator.parameters()) == 2 * 11_378_179  # type: ignore[union-attr]
    for name in ("cross_cycle", "identity", "gan", "domain_adversarial"):
        assert getattr(config.loss, name) == getattr(cycle.loss, name)
    for name in ("paired", "kl", "latent_regression", "gan", "domain_adversarial"):
        assert getattr(config.loss, name) == getattr(bicycle.loss, name)
    assert common(type(cycle.optim), config.optim) == cycle.optim and config.steps == 2 * cycle.steps


def test_each_stage_is_the_objective_of_its_paper() -> None:
    """First CycleGAN's updates; then BicycleGAN's on (real, made) and (made, real) pairs by turns, to both domains."""
    config = dataclasses.replace(tiny("", "", "cycle-bicycle"), steps=10)
    model, x = build(config), batch()
    first = list(model.updates(iter([x]), 4, Noise(0, 4)))
    expected = list(model._cycle[0].updates(iter([x]), 4, Noise(0, 4)))
    for one, other in zip(first, expected, strict=True):
        assert one.total().item() == pytest.approx(other.total().item(), rel=1e-6)
        assert set(one.networks) <= {"cycle_generator", "cycle_discriminator"}
    with torch.no_grad():
        made = {"b": model.cycle_generator["b"](x["a"]), "a": model.cycle_generator["a"](x["b"])}  # type: ignore[index]
    for step, pairs in ((6, {"a": x["a"], "b": made["b"]}), (7, {"a": made["a"], "b": x["b"]})):
        second = list(model.updates(iter([x]), step, Noise(0, step)))
        noise = Noise(0, step)
        to_a = model._bicycle["a"].updates(iter([{"a": pairs["b"], "b": pairs["a"]}]), step, noise)
        to_b = model._bicycle["b"].updates(iter([pairs]), step, noise)
        totals = [one.total() + other.total() for one, other in zip(to_a, to_b, strict=True)]
        assert [u.total().item() for u in second] == pytest.approx([t.item() for t in totals], rel=1e-6)
        assert not {n for u in second for n in u.networks if n.startswith("cycle")}
        assert {"paired_a", "paired_b", "latent_regression_a"} <= set(second[-1].losses)


def test_learning_rates_run_their_course_in_each_stage(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders, "cycle-bicycle", steps=8)
    optim = dataclasses.replace(config.optim, decay_from=0.0, pairing_share=0.5, lr=4e-3)
    config = dataclasses.replace(config, optim=optim)
    assert [build(config).stage(step, 8) for step in (0, 3, 4, 7)] == [(0, 4), (0, 4), (4, 8), (4, 8)]
    with trainer_of(config, tmp_path) as trainer:
        trainer.start_stream()
        rates = []
        for _ in range(8):
            trainer.iterate()
            rates.append(trainer.optimizers["generator"].param_groups[0]["lr"])
    assert rates == pytest.approx(2 * [4e-3, 3e-3, 2e-3, 1e-3])


def test_the_cyclegan_stays_as_it_is_in_the_second_stage(folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders, "cycle-bicycle", steps=6)
    loop.train(config, tmp_path / "run")
    half, whole = (checkpoint.load_weights(p)[0] for p in checkpoint.checkpoints(tmp_path / "run"))
    for name, weight in half.items():
        # normalisation removes some biases, which stay 0
        stays = torch.equal(weight, whole[name])
        assert stays if name.startswith("cycle_") else not stays or name.endswith("bias"), name


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_leaves_a_stage_out_is_refused(share: float, folders: tuple[Path, Path], tmp_path: Path) -> None:
    config = tiny(*folders, "cycle-bicycle")
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, pairing_share=share))
    with pytest.raises(UsageError, match=r"--optim\.pairing-share is .* more than 0 and less than 1"):
        loop.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
