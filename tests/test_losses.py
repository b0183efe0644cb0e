"""Each loss by hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch

from drit import losses


def test_adversarial_is_binary_cross_entropy_summed_over_scales() -> None:
    # sigmoid(log 3) = 3/4: to 1 costs log 4/3, to 0 costs log 4, to 1/2 their mean
    maps = [torch.full((2, 1, 3, 3), math.log(3)), torch.zeros(2, 1, 1, 1)]
    assert float(losses.adversarial(maps, 1.0)) == pytest.approx(math.log(4 / 3) + math.log(2))
    assert float(losses.adversarial(maps[0], 0.0)) == pytest.approx(math.log(4))
    assert float(losses.content_adversarial(maps[0])) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert float(losses.content_adversarial(maps[1])) == pytest.approx(math.log(2))  # its min
    assert float(losses.discrimination(maps, maps)) == pytest.approx(math.log(4 / 3) + math.log(4) + 2 * math.log(2))


def test_content_discrimination_tells_a_as_0_from_b_as_1() -> None:
    one, three = torch.tensor([[-math.log(3)]]), torch.tensor([[math.log(3)]])
    assert float(losses.content_discrimination(one, three)) == pytest.approx(2 * math.log(4 / 3))
    assert float(losses.content_discrimination(three, one)) == pytest.approx(2 * math.log(4))


def test_reconstruction_and_latent_regression_are_mean_absolute_errors() -> None:
    fake, image = torch.tensor([[[[0.0, 1.0], [2.0, -1.0]]]]), torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert float(losses.reconstruction(fake, image)) == 1.0
    assert float(losses.latent_regression(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 1.0]]))) == 2.0


def test_kl_of_known_gaussians() -> None:
    # KL(N(m, s^2) | N(0, 1)) = (s^2 + m^2 - 1 - log s^2) / 2, summed over the code, averaged over images
    mean, log_variance = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
    assert float(losses.kl_to_normal(mean, log_variance)) == pytest.approx((2.0 + (3 - math.log(4)) / 2) / 2)
    assert float(losses.kl_to_normal(torch.zeros(3, 8), torch.zeros(3, 8))) == 0
    assert float(losses.mean_square(torch.tensor([[1.0, -3.0]]))) == 5


def test_mode_seeking_is_the_inverse_ratio_of_distances() -> None:
    one, other = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    z1, z2 = torch.zeros(2, 8), torch.full((2, 8), 2.0)
    assert float(losses.mode_seeking(one, other, z1, z2)) == pytest.approx(1 / (0.25 + 1e-5))
    assert float(losses.mode_seeking(one, one, z1, z2)) == pytest.approx(1e5)  # styles ignored: the largest
    for end, gradient in ((0.6, True), (0.4, False)):  # images differ by 0.5
        other.requires_grad_()
        loss = losses.mode_seeking(one, other, z1, z2, end)
        assert float(loss.detach()) == pytest.approx(1 / (min(0.5, end) / 2 + 1e-5))
        assert bool(torch.autograd.grad(loss, other)[0].any()) == gradient
    ends = torch.tensor([0.2, math.inf])  # of each image: (min(0.5, 0.2) + 0.5) / 2
    loss = losses.mode_seeking(one, other, z1, z2, ends)
    assert float(loss.detach()) == pytest.approx(1 / (0.35 / 2 + 1e-5))
    gradient = torch.autograd.grad(loss, other)[0]
    assert not gradient[0].any() and gradient[1].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    x = torch.linspace(-1, 1, 999).to(dtype).reshape(1, 1, 27, 37)
    assert losses.reconstruction(x, -x).dtype == torch.float32
    assert float(losses.reconstruction(x, -x)) == pytest.approx(float((2 * x.double()).abs().mean()), rel=1e-6)


def test_least_squares_by_hand() -> None:
    """Logits 2 and 0 against 1: (1 + 1) / 2; a second scale of 3: 4. Real 2, fake 3: 1 + 9."""
    maps = [torch.tensor([[[[2.0, 0.0]]]]), torch.full((1, 1, 1, 1), 3.0)]
    assert float(losses.least_squares(maps, 1.0)) == pytest.approx(5.0)
    assert float(losses.least_squares(maps[0], 0.0)) == pytest.approx(2.0)
    assert float(losses.discrimination(torch.tensor([2.0]), torch.tensor([3.0]), "least_squares")) == pytest.approx(
        10.0
    )
    assert losses.gan("least_squares") is losses.least_squares and losses.gan("logistic") is losses.adversarial


def test_a_discriminator_that_cannot_tell_is_at_chance() -> None:
    half = {"logistic": torch.zeros(2, 1, 3, 3), "least_squares": torch.full((2, 1, 3, 3), 0.5)}
    for kind, logits in half.items():
        assert float(losses.discrimination(logits, logits, kind)) == pytest.approx(losses.at_chance(kind))  # type: ignore[arg-type]
        assert float(losses.gan(kind)(logits, 1.0)) == pytest.approx(losses.at_chance(kind) / 2)  # type: ignore[arg-type]


def test_relativistic_pairs_by_hand() -> None:
    # softplus(-(log 3 - 0)) = log 4/3, softplus(-(0 - log 3)) = log 4; patches are paired by place, scales summed
    three, zero = torch.full((1, 1, 1, 2), math.log(3)), torch.zeros(1, 1, 1, 2)
    assert float(losses.relativistic(three, zero)) == pytest.approx(math.log(4 / 3))
    assert float(losses.relativistic(zero, three)) == pytest.approx(math.log(4))
    mixed = torch.tensor([math.log(3), 0.0]).view(1, 1, 1, 2)
    expected = (math.log(4 / 3) + math.log(2)) / 2 + math.log(2)
    assert float(losses.relativistic([mixed, zero], [zero, zero])) == pytest.approx(expected)


def test_gradient_penalty_by_hand() -> None:
    # differences of 0.1 and 0.3 at the first scale, 0.2 at the second: (0.05 + 0.04) / (2 0.1^2)
    at = [torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)]
    beside = [torch.tensor([0.1, -0.3]).view(2, 1, 1, 1), torch.full((2, 1, 1, 1), 0.8)]
    assert float(losses.gradient_penalty(at, beside, 0.1)) == pytest.approx(4.5, rel=1e-5)


def test_lecam_by_hand() -> None:
    # real logits 2 against the average 0.5 of generated ones, generated -1 against the average 1 of real ones
    real, fake = torch.full((2, 1, 3, 3), 2.0), torch.full((2, 1, 3, 3), -1.0)
    averages = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.0])
    assert float(losses.lecam([real], [fake], averages[0][:1], averages[1][:1])) == pytest.approx(1.5**2 + 2**2)
    assert float(losses.lecam([real] * 2, [fake] * 2, *averages)) == pytest.approx(2.25 + 4 + 4 + 1)


def test_classification_of_pixels() -> None:
    """One pixel is right with probability 3/4, one wrong with 1/4, two have no class: (ln 4/3 + ln 4) / 4."""
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1] = math.log(3)
    target = torch.tensor([[[1, 0], [-100, -100]]])
    expected = (math.log(4 / 3) + math.log(4)) / 4
    assert losses.classification(logits, target).item() == pytest.approx(expected, rel=1e-6)
    assert losses.classification(logits, torch.full((1, 2, 2), -100)).item() == 0
