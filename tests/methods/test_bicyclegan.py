"""BicycleGAN: the paper's settings, the objective written out, what each term moves, what a code changes."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drit.errors import UsageError
from drit.inference.translator import Translator
from drit.methods.base import Update
from drit.methods.bicyclegan.objective import BicycleGAN
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.settings.common import TrainSettings
from drit.training import launch as loop
from tests.conftest import tiny, write_images
from tests.methods.gradients import with_settings


def small(network: dict[str, Any] | None = None, **loss: object) -> TrainSettings:
    config = tiny("", "", "bicyclegan")
    return dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, **(network or {})),
        loss=dataclasses.replace(config.loss, **loss),  # type: ignore[arg-type]
    )


def build(config: TrainSettings) -> BicycleGAN:
    torch.manual_seed(0)
    return BicycleGAN(config, {"a": 1, "b": 3})


def pair(count: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, c, 16, 16, generator=g) * 2 - 1 for d, c in (("a", 1), ("b", 3))}


def moved(model: BicycleGAN, update: Update, term: str) -> set[str]:
    """Networks, of those that the update moves, that one of its terms has a gradient for."""
    found = set()
    for name in update.networks:
        parameters = list(getattr(model, name).parameters())
        grads = torch.autograd.grad(update.losses[term], parameters, retain_graph=True, allow_unused=True)
        if any(g is not None and bool(g.any()) for g in grads):
            found.add(name)
    return found


def test_the_paper() -> None:
    """1711.11586, section 4: code of 8, L1 10, latent 0.5, KL 0.01, least squares, Adam 2e-4 and 0.5, batch 1; sizes of
    U-Net-256 with the code beside every input, of the residual encoder, of patches of 70 and 140 pixels."""
    config = preset("paper", "bicyclegan")
    with torch.device("meta"):
        model = BicycleGAN(config, {"a": 3, "b": 3})
    down = [(11, 64), (72, 128), (136, 256), (264, 512), *[(520, 512)] * 4]
    up = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 3)]
    assert [(c.in_channels, c.out_channels) for c in model.generator.down] == down  # type: ignore[union-attr]
    blocks = [(64, 128), (128, 192), (192, 256), (256, 256)]
    encoder = 3 * 64 * 16 + 64 + 2 * (256 * 8 + 8)
    encoder += sum(9 * i * i + i + 9 * i * o + o + i * o + o for i, o in blocks)
    patch = {w: (3 * w + 2 * w * w + 8 * w * w + 32 * w * w + 8 * w) * 16 + 15 * w + 1 for w in (64, 32)}
    assert {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()} == {
        "generator": sum(16 * i * o + o for i, o in [*down, *up]),
        "encoder": encoder,
        "discriminator": sum(patch.values()),
        "random_discriminator": sum(patch.values()),
    }
    loss, optim = config.loss, config.optim
    assert (loss.paired, loss.latent_regression, loss.kl, loss.domain_adversarial) == (10.0, 0.5, 0.01, 1.0)
    assert (loss.gan, config.batch, config.network.style_dim) == ("least_squares", 1, 8)
    assert (optim.lr, optim.beta1, optim.weight_decay) == (2e-4, 0.5, 0.0)


def test_the_objective_is_the_papers() -> None:
    """Both updates against section 3.4 written out."""
    model, x = build(small()), pair()
    of_discriminators, of_generators = model.updates(iter([x]), 0, Noise(0, 0))
    noise = Noise(0, 0)
    deviations, styles = (noise.normal(2, 3, like=x["b"]) for _ in range(2))
    with torch.no_grad():
        mean, log_variance = model.encoder(x["b"])
        encoded = model.generator(x["a"], mean + deviations * torch.exp(log_variance / 2))
        random = model.generator(x["a"], styles)
        judged = fooled = torch.zeros(())
        for network, fake in ((model.discriminator, encoded), (model.random_discriminator, random)):
            for real_map, fake_map in zip(network(x["b"]), network(fake), strict=True):
                judged = judged + (real_map - 1).square().mean() + fake_map.square().mean()
                fooled = fooled + (fake_map - 1).square().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        latent = (model.encoder(random)[0] - styles).abs().mean()
        expected = fooled + 10 * (encoded - x["b"]).abs().mean() + 0.01 * kl + 0.5 * latent
    assert float(of_discriminators.total().detach()) == pytest.approx(float(judged), rel=1e-5)
    assert float(of_generators.total().detach()) == pytest.approx(float(expected), rel=1e-5)


def test_terms_move_the_networks_that_the_paper_says() -> None:
    """Section 4: the latent regression moves G alone; each discriminator learns from its own images."""
    model = build(small())
    of_discriminators, of_generators = model.updates(iter([pair()]), 0, Noise(0, 0))
    assert moved(model, of_discriminators, "domain_adversarial") == {"discriminator"}
    assert moved(model, of_discriminators, "domain_adversarial_random") == {"random_discriminator"}
    assert moved(model, of_generators, "latent_regression") == {"generator"}
    assert moved(model, of_generators, "domain_adversarial_random") == {"generator"}
    assert moved(model, of_generators, "domain_adversarial") == {"encoder", "generator"}
    assert moved(model, of_generators, "paired") == {"encoder", "generator"}
    assert moved(model, of_generators, "kl") == {"encoder"}


@pytest.mark.parametrize(("loss", "updates"), [({}, 2), ({"domain_adversarial": 0.0}, 1)])
def test_terms_can_be_switched_off(loss: dict[str, float], updates: int) -> None:
    names = [u.name for u in build(small(**loss)).updates(itertools.repeat(pair()), 0, Noise(0, 0))]
    assert len(names) == updates and names[-1] == "generators"


def test_parts_of_a_batch_give_the_gradients_of_the_whole() -> None:
    """In parts, the outputs of the second update are computed again, with the same noise."""
    model, x = build(small()).double(), {d: v.double() for d, v in pair(4).items()}
    whole = list(model.updates(iter([x]), 3, Noise(1, 3)))
    shared = with_settings(model, accumulate=2)
    parts = [
        list(shared.updates(iter([{d: v[2 * k : 2 * k + 2] for d, v in x.items()}]), 3, Noise(1, 3, k, 2)))
        for k in range(2)
    ]
    for i, update in enumerate(whole):
        parameters = [p for name in update.networks for p in getattr(model, name).parameters()]
        expected = torch.autograd.grad(update.total(), parameters)
        own = [p for name in update.networks for p in getattr(shared, name).parameters()]
        halves = [torch.autograd.grad(part[i].total() / 2, own) for part in parts]
        for one, other, both in zip(*halves, expected, strict=True):
            assert torch.allclose(one + other, both, atol=1e-12)


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_style_changes_the_image_and_can_be_borrowed(everywhere: bool, tmp_path: Path) -> None:
    a, b = (write_images(tmp_path / d, 3, c) for d, c in (("a", 1), ("b", 3)))
    config = tiny(a, b, "bicyclegan", steps=2)
    network = dataclasses.replace(config.network, code_everywhere=everywhere)
    config = dataclasses.replace(config, network=network, data=dataclasses.replace(config.data, resize=24))
    loop.train(config, tmp_path / "run")
    translator = Translator.load(tmp_path / "run")
    image, exemplar = torch.rand(1, 21, 30) * 2 - 1, torch.rand(3, 40, 17) * 2 - 1
    one, other = translator.translate(image, "b", 2)
    assert one.shape == (3, 21, 30) and not torch.allclose(one, other, atol=1e-4)
    (borrowed,) = translator.translate(image, "b", style_from=[exemplar])
    assert torch.equal(borrowed, translator.translate(image, "b", translator.style(exemplar, "b"))[0])
    with pytest.raises(UsageError, match="only to b"):
        translator.translate(torch.zeros(3, 20, 20), "a")


def test_what_guessing_costs() -> None:
    """Discriminators whose logits say nothing lose what `at_chance` says, by the names of the metrics."""
    model = build(small())
    for name, part in model.named_modules():
        if name.endswith("logit"):
            torch.nn.init.zeros_(part.weight)  # type: ignore[arg-type]
            torch.nn.init.constant_(part.bias, 0.5)  # type: ignore[arg-type]
    update = next(model.updates(iter([pair()]), 0, Noise(0, 0)))
    found = {f"{update.name}/{term}": float(value.detach()) for term, value in update.losses.items()}
    assert found == pytest.approx(model.at_chance())
