"""What steadies DRIT's discriminators, and mode seeking by domain: by hand-computed values, in parts, and resumed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drit.data.images import encode
from drit.methods.base import Terms
from drit.methods.drit.adversary import Adversary, Judge, LogitAverages
from drit.methods.drit.objective import DRIT, mode_seeking_end
from drit.methods.drit.settings import DRITLoss
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.networks.encoders import VariationalAttributeEncoder
from drit.runs import checkpoint as files
from drit.runs.record import recorded_settings
from drit.settings.schema import changed
from drit.training import launch as loop
from tests.conftest import tiny, trainer_of, write_images
from tests.training.test_resume import same


def adversary(**values: object) -> Adversary:
    names = {"shift": "network.discriminator_shift", "scales": "network.discriminator_scales"}
    return Adversary(changed(preset("paper"), {names.get(k, f"loss.{k}"): v for k, v in values.items()}))


def test_all_of_it_is_off_in_the_published_settings() -> None:
    for name in ("paper", "official"):
        config = preset(name)
        assert (config.network.generator, config.network.upsample) == ("concat", "transposed")
        assert not config.network.bounded_variance and not config.network.discriminator_shift
        assert config.loss.gan == "logistic" and not config.loss.gradient_penalty and not config.loss.lecam
    assert not adversary().state()


def test_shifts_are_crops_at_the_same_places_for_real_and_fake() -> None:
    """Of every pixel's own number: each image lacks 3 rows and columns, at the ends, and no pixel has changed."""
    x = torch.arange(2.0 * 8 * 8).view(2, 1, 8, 8)
    seen = set()
    for step in range(40):
        noise = Noise(0, step)
        real, fake = adversary(shift=3).views([x, x + 1000], noise)
        assert real.shape == fake.shape == (2, 1, 5, 5)
        assert torch.equal(fake, real + 1000)
        for image, whole in zip(real, x, strict=True):
            row, column = divmod(int(image[0, 0, 0] - whole[0, 0, 0]), 8)
            assert torch.equal(image, whole[:, row : row + 5, column : column + 5])
            seen.add((row, column))
    assert {r for r, _ in seen} == {c for _, c in seen} == {0, 1, 2, 3}  # images of a batch go apart
    assert len(seen) > 10
    assert torch.equal(adversary().views([x], Noise(0, 0))[0], x)


def test_places_are_shared_out_to_the_parts_of_a_batch() -> None:
    whole = Noise(3, 5).places(6, 10)
    parts = [Noise(3, 5, k, 3) for k in range(3)]
    assert [p for noise in parts for p in noise.places(2, 10)] == whole
    again = parts[0].copy()
    assert again.places(2, 10) == parts[0].places(2, 10) and len(set(whole)) > 2


class Slope(torch.nn.Module):
    """A discriminator with logits w . x at one scale: the square of its slope is |w|^2 everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [(x.flatten(1) @ self.weight.to(x.dtype)).view(-1, 1, 1, 1)]


def each(judge: torch.nn.Module) -> Judge:
    """A discriminator as the objective hands it on: several batches in, logits of each out."""
    return lambda batches: [judge(x) for x in batches]


def penalty(images: list[Tensor], judge: Slope, step: int = 0, **values: object) -> Terms:
    terms = Terms()
    game = adversary(gradient_penalty=0.3, scales=1, **values)
    game.add_regularisation(terms, "a", each(judge), images, [judge(x) for x in images], step, Noise(0, 1))
    return terms


def test_the_penalty_of_a_linear_discriminator() -> None:
    """1/2 |w|^2 at real images, and as much at generated ones: 25 for w = (3, 4, 0, 0)."""
    images = [torch.randn(4000, 1, 2, 2, dtype=torch.float64) for _ in range(2)]
    judge = Slope(torch.tensor([3.0, 4.0, 0.0, 0.0], dtype=torch.float64))
    terms = penalty(images, judge)
    loss = terms.losses["gradient_penalty_a"]
    assert float(loss.detach()) == pytest.approx(25, rel=0.05)
    assert terms.weights["gradient_penalty_a"] == pytest.approx(0.3 * 4)
    (grad,) = torch.autograd.grad(loss, [judge.weight])
    assert grad.tolist() == pytest.approx([6, 8, 0, 0], abs=0.5)  # of |w|^2


def test_the_penalty_comes_every_few_iterations() -> None:
    images, judge = [torch.randn(2, 1, 2, 2)] * 3, Slope(torch.ones(4))
    assert [bool(penalty(images, judge, step).losses) for step in range(9)] == [i % 4 == 0 for i in range(9)]
    assert all(penalty(images, judge, step, penalty_every=1).losses for step in range(3))


def test_the_penalty_is_computed_in_full_precision() -> None:
    """In bfloat16 the difference of two logits would be rounding alone."""
    config = changed(preset("quick"), {"network.discriminator_width": 4, "data.crop": 32, "network.width": 4})
    torch.manual_seed(0)
    model = DRIT(config, {"a": 3, "b": 3})
    images = [torch.rand(2, 3, 32, 32) * 2 - 1 for _ in range(2)]

    def value() -> float:
        return float(Adversary._gradient_penalty(each(model.discriminator["a"]), images, Noise(0, 0)).detach())

    exact = value()
    with torch.autocast("cpu", torch.bfloat16):
        assert value() == pytest.approx(exact, rel=1e-5)
    assert exact > 0


def test_averages_of_logits_by_hand() -> None:
    """Kept at 0.99 of what they were, plus 0.01 of an iteration's means; both parts of a batch see the same."""
    averages, maps = LogitAverages(2), [torch.full((2, 1, 3, 3), 4.0), torch.full((2, 1, 1, 1), -2.0)]
    ones = [torch.ones(2, 1, 1, 1)] * 2
    for _ in range(2):
        assert averages.before(0).tolist() == [[0, 0], [0, 0]]
        averages.add(maps, ones, parts=2)
    first = averages.before(1)
    assert first.flatten().tolist() == pytest.approx([0.04, -0.02, 0.01, 0.01])
    averages.add(ones, ones, parts=1)
    assert averages.before(1) is first
    assert averages.kept.flatten().tolist() == pytest.approx([0.0496, -0.0098, 0.0199, 0.0199])


def test_bounded_variance() -> None:
    """log s^2 = 1 - softplus(1 - v): below 1 however large v is, and v itself where v is far below 1."""
    encoder = VariationalAttributeEncoder(3, 4, 4, 2, bounded=True)
    with torch.no_grad():
        encoder.log_variance.weight.zero_()
        encoder.log_variance.bias.copy_(torch.tensor([1e30, 1.0, 0.0, -20.0]))
        _, log_variance = encoder(torch.zeros(1, 3, 16, 16))
    assert log_variance[0].tolist() == pytest.approx([1, 0.306853, -0.313262, -20], abs=1e-5)


def test_mode_seeking_of_each_domain(tmp_path: Path) -> None:
    config = changed(preset("demo"), {"network.width": 4, "loss.mode_seeking": 0.0, "loss.mode_seeking_b": 0.5})
    torch.manual_seed(0)
    model = DRIT(config, {"a": 1, "b": 3})
    batch = {"a": torch.rand(2, 1, 28, 28), "b": torch.rand(2, 3, 28, 28)}
    *_, last = model.updates(iter([batch]), 0, Noise(0, 0))
    assert {k: v for k, v in last.weights.items() if "mode" in k} == {"mode_seeking_b": 0.5}
    both = changed(config, {"loss.mode_seeking": 2.0, "loss.mode_seeking_b": -1.0}).loss
    assert both.mode_seeking_weights == {"a": 2.0, "b": 2.0}


def test_mode_seeking_ends_at_the_variation_of_real_images(tmp_path: Path) -> None:
    """Two levels of grey, 0 and 40 of 255, half of the images each; the other domain hardly varies."""
    for name, levels in (("a", (0, 40)), ("b", (100, 101))):
        (tmp_path / name).mkdir()
        for i in range(4):
            encode(np.full((20, 20, 3), levels[i % 2], np.uint8), tmp_path / name / f"{i}.png")
    config = changed(tiny(tmp_path / "a", tmp_path / "b"), {"loss.mode_seeking": 1.0, "loss.mode_seeking_end": 2.0})
    loop.train(config, tmp_path / "run", stop_after=1)
    found = recorded_settings(tmp_path / "run").loss
    # of 6 pairs 4 differ
    assert isinstance(found, DRITLoss)
    assert found.variation_a == pytest.approx(4 / 6 * 40 / 127.5, abs=1e-4)
    assert found.variation_b == pytest.approx(4 / 6 * 1 / 127.5, abs=1e-4)
    assert mode_seeking_end(found, "a") == pytest.approx(2 * found.variation_a)
    assert loop.resume(tmp_path / "run").finished
    assert recorded_settings(tmp_path / "run").loss == found
    given = changed(config, {"loss.variation_a": 0.3}).loss
    assert mode_seeking_end(given, "a") == pytest.approx(0.6)
    assert mode_seeking_end(changed(config, {"loss.mode_seeking_end": 0.0}).loss, "a") == math.inf


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"loss.mode_seeking": 1.0, "loss.mode_seeking_end": 2.0}, ("a", "b")),
        ({"loss.mode_seeking": 1.0, "loss.mode_seeking_end": 0.0}, ()),
        ({"loss.mode_seeking": 0.0, "loss.mode_seeking_end": 2.0}, ()),
        ({"loss.mode_seeking": 0.0, "loss.mode_seeking_b": 1.0, "loss.mode_seeking_end": 2.0}, ("b",)),
        ({"loss.mode_seeking": 1.0, "loss.mode_seeking_end": 2.0, "loss.variation_a": 0.3}, ("b",)),
    ],
)
def test_variation_is_measured_where_mode_seeking_ends_by_it(values: dict[str, float], wanted: tuple[str, ...]) -> None:
    assert changed(preset("demo"), values).needs_variation == wanted


def test_chance_of_relativistic_pairs() -> None:
    config = changed(preset("demo"), {"network.width": 4, "network.discriminator_width": 4, "loss.gan": "relativistic"})
    model = DRIT(config, {"a": 1, "b": 3})
    for discriminators in (model.discriminator, model.random_discriminator):
        for p in discriminators.parameters():
            torch.nn.init.zeros_(p)
    batch = {"a": torch.rand(2, 1, 28, 28), "b": torch.rand(2, 3, 28, 28)}
    first, *_ = model.updates(iter([batch]), 1, Noise(0, 0))
    for name, chance in model.at_chance().items():
        update, _, term = name.partition("/")
        if update == first.name:
            assert float(first.losses[term].detach()) == pytest.approx(chance)


def test_a_training_with_all_of_it_resumes_bit_exactly(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_images(tmp_path / name, 4, 3, seed=seed)
    values = {
        "network.discriminator_shift": 3,
        "network.bounded_variance": True,
        "loss.gan": "relativistic",
        "loss.gradient_penalty": 0.3,
        "loss.penalty_every": 2,
        "loss.lecam": 0.1,
        "loss.mode_seeking_b": 0.1,
        "data.crop": 20,
        "data.resize": 20,
    }
    config = changed(tiny(tmp_path / "a", tmp_path / "b"), values)
    loop.train(config, tmp_path / "whole")
    loop.train(config, tmp_path / "halves", stop_after=3)
    assert loop.resume(tmp_path / "halves").finished
    one, other = (files.find(tmp_path / n) for n in ("whole", "halves"))
    assert same(files.load_weights(one), files.load_weights(other))
    state = files.load_state(one)
    assert same(state, files.load_state(other))
    assert {k: v.shape for k, v in state["method"].items()}.keys() == {
        f"lecam_{kind}{d}" for kind in ("", "random_") for d in "ab"
    }
    assert all(bool(v.any()) for v in state["method"].values())


@pytest.mark.parametrize(("crop", "seen"), [(28, 20), (20, 16), (16, 16)])
def test_discriminators_see_16_pixels_at_least(crop: int, seen: int) -> None:
    config = changed(preset("quick"), {"data.crop": crop})
    config.check()
    x = torch.zeros(1, 3, crop, crop)
    assert Adversary(config).views([x], Noise(0, 0))[0].shape[2:] == (seen, seen)


def test_a_step_whose_penalty_overflows_is_skipped(tmp_path: Path) -> None:
    """Logits of 1e23 are finite, and so are the losses of them; their square is not."""
    for seed, name in enumerate("ab"):
        write_images(tmp_path / name, 4, 3, seed=seed)
    config = changed(tiny(tmp_path / "a", tmp_path / "b"), {"loss.gradient_penalty": 0.3})
    with trainer_of(config, tmp_path) as trainer:
        for discriminator in trainer.method.discriminator.values():
            for scale in discriminator.scales:
                scale.logit.weight.data.mul_(1e26)
        trainer.start_stream()
        before = [p.clone() for p in trainer.method.discriminator.parameters()]
        seen = {name: float(value) for name, value in trainer.iterate().items()}
        assert math.isinf(seen["discriminators/gradient_penalty_a"])
        assert math.isfinite(seen["discriminators/domain_adversarial_a"])
        assert "discriminator and random_discriminator" in trainer.safety.read()
        assert all(map(torch.equal, before, trainer.method.discriminator.parameters()))
