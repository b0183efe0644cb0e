"""Pix2Pix: the paper's settings, the objective written out, and what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drit.errors import DataError, UsageError
from drit.inference.translator import Translator
from drit.methods.noise import Noise
from drit.methods.pix2pix.objective import Pix2Pix
from drit.methods.registry import preset
from drit.settings.common import TrainSettings
from drit.settings.schema import to_dict
from drit.training import launch as loop
from tests.conftest import opened, tiny, write_images


def small(network: dict[str, Any] | None = None, **loss: object) -> TrainSettings:
    config = tiny("", "", "pix2pix")
    return dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, **(network or {})),
        loss=dataclasses.replace(config.loss, **loss),  # type: ignore[arg-type]
    )


def build(config: TrainSettings) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(config, {"a": 1, "b": 3})


def pair(count: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, c, 16, 16, generator=g) * 2 - 1 for d, c in (("a", 1), ("b", 3))}


def test_the_paper() -> None:
    """1611.07004, section 3.3, appendix 6: 100 L1, Adam 2e-4 and 0.5, batch 1, 286 to 256; the 54.4 M and 2.8 M
    weights of its authors' PyTorch program."""
    config = preset("paper", "pix2pix")
    with torch.device("meta"):
        model = Pix2Pix(config, {"a": 3, "b": 3})
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()}
    assert counts == {"generator": 54_413_955, "discriminator": 2_768_705}
    assert (config.optim.lr, config.optim.beta1, config.batch, config.optim.weight_decay) == (2e-4, 0.5, 1, 0.0)
    assert (config.data.resize, config.data.crop, config.network.dropout) == (286, 256, 0.5)
    assert (config.loss.paired, config.loss.domain_adversarial, config.loss.gan) == (100.0, 1.0, "logistic")
    assert set(to_dict(config.loss)) == {"paired", "domain_adversarial", "gan"}  # and no other term


@pytest.mark.parametrize("kind", ["logistic", "least_squares"])
def test_the_objective_is_the_papers(kind: str) -> None:
    """Both updates against equations 1, 3 and 4 written out, with dropout off."""
    model, x = build(small(gan=kind)).eval(), pair()
    of_discriminator, of_generator = model.updates(iter([x]), 0, Noise(0, 0))
    with torch.no_grad():
        fake = model.generator(x["a"])
        real_logits = model.discriminator(torch.cat([x["a"], x["b"]], 1))
        fake_logits = model.discriminator(torch.cat([x["a"], fake], 1))
    if kind == "logistic":
        judged = -F.logsigmoid(real_logits).mean() - F.logsigmoid(-fake_logits).mean()
        fooled = -F.logsigmoid(fake_logits).mean()
    else:
        judged = (real_logits - 1).square().mean() + fake_logits.square().mean()
        fooled = (fake_logits - 1).square().mean()
    assert float(of_discriminator.total().detach()) == pytest.approx(float(judged) / 2, rel=1e-5)  # section 3.3
    expected = float(fooled + 100 * (fake - x["b"]).abs().mean())
    assert float(of_generator.total().detach()) == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_sees_the_input() -> None:
    model, x = build(small()), pair()
    other = model.discriminator(torch.cat([-x["a"], x["b"]], 1))
    assert not torch.allclose(model.discriminator(torch.cat([x["a"], x["b"]], 1)), other, atol=1e-3)


@pytest.mark.parametrize(("loss", "updates"), [({}, 2), ({"domain_adversarial": 0.0}, 1)])
def test_terms_can_be_switched_off(loss: dict[str, float], updates: int) -> None:
    names = [u.name for u in build(small(**loss)).updates(itertools.repeat(pair()), 0, Noise(0, 0))]
    assert len(names) == updates and names[-1] == "generator"


def test_an_image_has_one_translation(tmp_path: Path) -> None:
    """Dropout is part of training alone; no style is asked for."""
    a, b = (write_images(tmp_path / d, 3, c) for d, c in (("a", 1), ("b", 3)))
    config = tiny(a, b, "pix2pix", steps=2)
    loop.train(dataclasses.replace(config, data=dataclasses.replace(config.data, resize=24)), tmp_path / "run")
    translator = Translator.load(tmp_path / "run")
    image = torch.rand(1, 21, 30) * 2 - 1
    one, other = (translator.translate(image, "b", 1, seed)[0] for seed in (0, 1))
    assert one.shape == (3, 21, 30) and torch.equal(one, other)
    with pytest.raises(UsageError, match="only to b"):
        translator.translate(torch.zeros(3, 20, 20), "a")
    with pytest.raises(UsageError, match="no styles"):
        translator.sample(2, "b")


def test_a_residual_network_in_place_of_the_u_net() -> None:
    """Nine blocks at 256 pixels are CycleGAN's 11.378 M; its objective, updates and use are the same."""
    paper = preset("paper", "pix2pix")
    network = dataclasses.replace(paper.network, backbone="resnet", generator_blocks=9)
    with torch.device("meta"):
        model = Pix2Pix(dataclasses.replace(paper, network=network), {"a": 3, "b": 3})
    assert sum(p.numel() for p in model.generator.parameters()) == 11_378_179
    model, x = build(small({"backbone": "resnet"})), pair()
    assert (model.stride, model.min_side) == (4, 16)
    names = [(u.name, u.networks) for u in model.updates(iter([x]), 0, Noise(0, 0))]
    assert names == [("discriminator", ("discriminator",)), ("generator", ("generator",))]
    made = model.render(model.prepare(model.content(x["a"], "a"), "b"), torch.zeros(4, 0), "b")
    assert made.shape == (4, 3, 16, 16) and torch.equal(made[:2], made[2:])


def test_unpaired_folders_are_refused(tmp_path: Path) -> None:
    a, b = write_images(tmp_path / "a", 3, 1), write_images(tmp_path / "b", 3, 3)
    for path in b.iterdir():
        path.rename(b / f"other_{path.name}")
    with pytest.raises(
        DataError,
        match=r"pix2pix learns from pairs, and no name is in every domain.*choose one of cycle-bicycle, ",
    ):
        opened(tiny(a, b, "pix2pix"))


@pytest.mark.parametrize("levels", [1, 5])
def test_levels_that_do_not_fit_are_refused(levels: int) -> None:
    config = small({"unet_levels": levels})
    with pytest.raises(UsageError, match="unet-levels .* does not fit crops of 16 pixels: 2 to 4 do"):
        config.check()


def test_what_guessing_costs() -> None:
    """Discriminators whose logits say nothing lose what `at_chance` says, by the names of the metrics."""
    model = build(small())
    for name, part in model.named_modules():
        if name.endswith("logit"):
            torch.nn.init.zeros_(part.weight)  # type: ignore[arg-type]
            torch.nn.init.constant_(part.bias, 0.0)  # type: ignore[arg-type]
    update = next(model.updates(iter([pair()]), 0, Noise(0, 0)))
    found = {f"{update.name}/{term}": float(value.detach()) for term, value in update.losses.items()}
    assert found == pytest.approx(model.at_chance())
