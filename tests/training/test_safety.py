"""Steps that overflow or become NaN are skipped, told and backed off from, and a resume knows of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drit import losses
from drit.errors import DivergedError
from drit.runs import checkpoint as files
from drit.runs.metrics import read_metrics
from drit.settings.common import TrainSettings
from drit.training import launch, safety
from drit.training import trainer as trainer_module
from drit.training.optimizers import DenseAdam
from drit.training.safety import MAX_HALVINGS, RECOVERY, Safety, weight_of
from drit.training.trainer import Trainer
from tests.conftest import tiny, trainer_of
from tests.training.test_resume import same


def weight(gradient: float) -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.full((3,), gradient)
    return parameter


@pytest.mark.parametrize(
    ("total", "gradient", "skipped"),
    [(1.0, 2.0, 0), (float("nan"), 2.0, 1), (float("inf"), 2.0, 1), (1.0, float("nan"), 1), (1.0, float("inf"), 1)],
)
def test_what_is_skipped(total: float, gradient: float, skipped: int) -> None:
    """Neither the weight nor the moments nor their count move; else they move as without the flag, bit for bit."""
    p, plain = weight(gradient), weight(gradient)
    ours, theirs = (DenseAdam([q], lr=0.1, fused=True) for q in (p, plain))
    for q, optimizer in ((p, ours), (plain, theirs)):
        kept = q.grad
        q.grad = torch.full((3,), 0.5)
        optimizer.step()
        q.grad = kept
    before = p.detach().clone(), {k: v.clone() for k, v in ours.state[p].items()}
    judge = Safety()
    flag = judge.judge(["x"], torch.tensor(total), [p])
    assert float(flag) == skipped
    ours.step(skip=flag)
    theirs.step()
    moved = not torch.equal(before[0], p)
    assert moved == (not skipped) == (not same(before[1], dict(ours.state[p])))
    if not skipped:
        assert torch.equal(p, plain) and same(dict(ours.state[p]), dict(theirs.state[plain]))
    assert judge.read() == (["x"] if skipped else []) and judge.skipped == skipped


def test_a_norm_that_overflows_is_skipped() -> None:
    assert float(Safety().judge(["x"], torch.tensor(1.0), [weight(3e38)])) == 1


def reading(judge: Safety, bad: bool, iterations: int = 1) -> None:
    for _ in range(iterations):
        judge.judge(["x"], torch.tensor(float("nan") if bad else 1.0), [])
        judge.iterated()
        judge.read()


def test_backing_off_and_recovering() -> None:
    judge = Safety()
    reading(judge, True)
    reading(judge, True)
    assert (judge.factor, judge.skipped) == (0.25, 2)
    reading(judge, False, RECOVERY - 1)
    assert judge.factor == 0.25
    reading(judge, False)
    assert judge.factor == 0.5
    reading(judge, False, 3 * RECOVERY)
    assert judge.factor == 1.0 and not judge.diverged
    reading(judge, True, MAX_HALVINGS - 1)
    assert not judge.diverged
    reading(judge, True)
    assert judge.diverged
    other = Safety()
    with pytest.raises(ValueError, match="skips"):
        other.load({"halvings": -1})
    reading(other, True)
    again = Safety()
    again.load(other.state())
    assert again.state() == other.state() == {"skipped": 1, "halvings": 1, "clean": 0}


def poison(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    """Have the first update of these iterations end in NaN."""
    gradients = trainer_module.gradients
    done: set[int] = set()

    def poisoned(method: Any, turns: Any, seen: dict[str, torch.Tensor], arithmetic: Any) -> Any:
        found = gradients(method, turns, seen, arithmetic)
        step = running[0].step
        if found is not None and step in bad and step not in done:
            done.add(step)
            return found[0], found[1], found[2] * float("nan")
        if step not in bad:
            done.discard(step)
        return found

    running: list[Trainer] = []
    iterate = Trainer.iterate

    def noted(self: Trainer) -> dict[str, torch.Tensor]:
        running[:] = [self]
        done.clear()
        return iterate(self)

    monkeypatch.setattr(trainer_module, "gradients", poisoned)
    monkeypatch.setattr(Trainer, "iterate", noted)


def quiet(settings: TrainSettings) -> TrainSettings:
    return replace(settings, log=replace(settings.log, sample_every=0, watch_every=0))


def test_a_training_goes_on_and_resumes_to_the_same_bits(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Skips before and after the stop; the learning rates of the resumed run are backed off as they were."""
    monkeypatch.setattr(safety, "RECOVERY", 3)
    poison(monkeypatch, {1, 4})
    config = quiet(tiny(*folders, steps=9))
    assert launch.train(config, tmp_path / "whole").finished
    assert capsys.readouterr().err.count("was not finite; its step was skipped") == 2
    launch.train(config, tmp_path / "halves", stop_after=3)
    assert files.load_state(files.find(tmp_path / "halves"))["safety"] == {"skipped": 1, "halvings": 1, "clean": 1}
    assert launch.resume(tmp_path / "halves").finished
    one, other = (files.find(tmp_path / name) for name in ("whole", "halves"))
    assert same(files.load_weights(one), files.load_weights(other))
    assert same(files.load_state(one), files.load_state(other))
    lines = read_metrics(tmp_path / "whole")
    assert lines == read_metrics(tmp_path / "halves")
    assert [line.get("skipped/updates", 0) for line in lines] == [0, 1, 1, 1, 2, 2, 2, 2, 2]
    rates = [line["rate/generator"] / config.optim.lr for line in lines]  # the decay begins at half of the steps
    assert rates[:5] == pytest.approx([1, 1, 0.5, 0.5, 0.5 * rates[4] / rates[4]], rel=1e-4)
    assert lines[-1]["skipped/updates"] == 2


def test_a_skipped_update_moves_its_networks_not(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one of an iteration is skipped, the others step."""
    poison(monkeypatch, {0})
    settings = tiny(*folders)
    with trainer_of(replace(settings, optim=replace(settings.optim, content_discriminator_steps=1))) as trainer:
        trainer.start_stream()
        before = {name: t.clone() for name, t in trainer.method.state_dict().items()}
        trainer.iterate()
        moved = {name.partition(".")[0] for name, t in trainer.method.state_dict().items() if not same(t, before[name])}
        (skipped,) = trainer.safety.read()
        assert not set(skipped.split(" and ")) & moved and len(moved) >= 3, (skipped, moved)


def test_the_weight_of_terms() -> None:
    weights = ["kl", "gradient_penalty", "latent_regression", "domain_adversarial", "domain"]
    assert weight_of(["discriminators/gradient_penalty_a", "discriminators/gradient_penalty_b"], weights) == (
        "gradient_penalty"
    )
    assert weight_of(["generators/domain_adversarial_a"], weights) == "domain_adversarial"  # the longest
    assert weight_of(["generators/kl_a", "generators/latent_regression_a"], weights) == ""  # two
    assert weight_of(["generators/other"], weights) == "" == weight_of([], weights)


def test_a_term_that_overflows_is_named_with_its_weight(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As a gradient penalty does in a narrow type: who reads it knows which weight to lower."""
    penalty = losses.gradient_penalty
    monkeypatch.setattr(losses, "gradient_penalty", lambda *a: penalty(*a) * 1e38 * 1e38)
    config = tiny(*folders, steps=30)
    config = replace(config, loss=replace(config.loss, gradient_penalty=0.3, penalty_every=1))  # type: ignore[call-arg]
    with pytest.raises(DivergedError, match=r"gradient_penalty_a.* or a smaller --loss.gradient-penalty\."):
        launch.train(config, tmp_path / "run")
    assert "was not finite (discriminators/gradient_penalty_a" in capfd.readouterr().err
