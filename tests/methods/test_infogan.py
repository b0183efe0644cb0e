"""InfoGAN: the paper's networks, the bound by hand, what each step moves, the grids, and `drit sample`."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import drit
from drit import losses
from drit.cli import main as cli
from drit.errors import UsageError
from drit.inference.translator import Translator
from drit.methods.infogan.objective import Codes, InfoGAN
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.settings.schema import changed
from drit.training import launch as loop
from tests.conftest import tiny


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of images of 28 pixels, six of each, with labels; and an array without labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat([2, 5, 9], 6)
    images = (rng.random((18, 28, 28)) * 40 + 70 * (labels[:, None, None] % 4)).astype(np.uint8)
    path = tmp_path_factory.mktemp("labelled") / "digits.npz"
    np.savez(path, train_images=images, train_labels=labels, others=images)
    return path


@pytest.fixture(scope="module")
def drawn(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run."""
    run = tmp_path_factory.mktemp("runs") / "codes"
    config = tiny(f"{digits}:train_images", "", "infogan", batch=4, steps=2)
    network = dataclasses.replace(config.network, categories=4)
    loop.train(dataclasses.replace(config, network=network), run)
    return run


def test_networks_are_those_of_the_paper() -> None:
    """Appendix C.1: G 74 - 1024 - 7 x 7 x 128 - 64 - 1; D 64 - 128 - 1024 - 1; Q 128 - 10 + 2; by hand."""
    method = InfoGAN(preset("paper", "infogan"), {"a": 1})
    # weights, biases, and two numbers a channel for batch normalisation
    generator = (74 + 1 + 2) * 1024 + (1024 + 1 + 2) * 6272 + (128 * 16 + 1 + 2) * 64 + 64 * 16 + 1
    discriminator = (16 + 1) * 64 + (64 * 16 + 1 + 2) * 128 + (6272 + 1 + 2) * 1024 + 1024 + 1
    assert count(method.generator) == generator == 6_652_481
    assert count(method.discriminator) == discriminator == 6_559_169
    assert count(method.recogniser) == (1024 + 1 + 2) * 128 + (128 + 1) * 12
    rates = method.learning_rates()
    assert rates == {"generator": pytest.approx(1e-3), "discriminator": 2e-4, "recogniser": 2e-4}


def test_images_within_are_from_0_to_1_and_biases_0() -> None:
    """The program's scale: what D pads with is black, and G's output is that of a sigmoid."""
    method = InfoGAN(tiny("a", "", "infogan"), {"a": 1}).eval()
    for name, p in method.named_parameters():
        assert p.dim() > 1 or bool(p.eq(1 if name.split(".")[-1] == "weight" else 0).all())
    seen: list[torch.Tensor] = []
    hook = method.discriminator.first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    method.discriminator.features(torch.full((2, 1, 16, 16), -1.0))
    hook.remove()
    assert bool(seen[0].eq(0).all())
    logits: list[torch.Tensor] = []
    hook = method.generator.last.register_forward_hook(lambda _, args, out: logits.append(out))
    (grid, *_) = method.grids(1, torch.Generator().manual_seed(0))
    hook.remove()
    expected = 2 * torch.sigmoid(logits[0].double()) - 1
    assert torch.allclose(grid.images.flatten(0, 1).double(), expected, atol=1e-6)


def test_each_step_draws_codes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    method = InfoGAN(tiny("a", "", "infogan"), {"a": 1})
    drawn: list[Codes] = []
    draw = method._draw_codes
    monkeypatch.setattr(method, "_draw_codes", lambda *args: drawn.append(draw(*args)) or drawn[-1])
    list(method.updates(iter([{"a": torch.rand(8, 1, 16, 16) * 2 - 1}]), 0, Noise(0, 0)))
    first, second = drawn
    for a, b in zip(first[1:], second[1:], strict=True):
        assert not torch.equal(a, b) and float(a.abs().max()) <= 1 and float(a.min()) < 0


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3)])
def test_images_of_both_sizes(side: int, channels: int) -> None:
    config = tiny("a", "", "infogan")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, crop=side))
    method = InfoGAN(config, {"a": channels}).eval()
    (categories, *rest) = method.grids(3, torch.Generator().manual_seed(0))
    assert categories.images.shape == (3, 10, channels, side, side) and categories.columns[9] == "9"
    assert [g.name for g in rest] == ["continuous 1", "continuous 2"]
    logits, mean = method.recognise(categories.images.flatten(0, 1))
    assert logits.shape == (30, 10) and mean.shape == (30, 2)


def test_the_bound_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    expected = (-math.log(3 / 4) - math.log(1 / 2)) / 2
    assert losses.category_information(logits, torch.tensor([0, 1])).item() == pytest.approx(expected)
    mean, code = torch.tensor([[0.5, 0.0]]), torch.tensor([[-0.5, 0.0]])
    found = losses.continuous_information(mean, code).item()
    assert found == pytest.approx(0.5 + math.log(2 * math.pi))
    assert found == pytest.approx(-torch.distributions.Normal(mean, 1.0).log_prob(code).sum().item())


def test_codes_are_a_function_of_seed_and_step_and_are_shared_out() -> None:
    like = torch.zeros(1)
    whole = Noise(3, 5)
    drawn = whole.integers(6, 10, like=like), whole.uniform(6, 2, like=like)
    assert 0 <= int(drawn[0].min()) and int(drawn[0].max()) < 10 and bool(((drawn[1] >= 0) & (drawn[1] < 1)).all())
    parts = [Noise(3, 5, part, 2) for part in (0, 1)]
    assert torch.equal(torch.cat([p.integers(3, 10, like=like) for p in parts]), drawn[0])
    assert torch.equal(torch.cat([p.uniform(3, 2, like=like) for p in parts]), drawn[1])
    assert not torch.equal(Noise(3, 6).integers(6, 1000, like=like), Noise(3, 5).integers(6, 1000, like=like))


def test_generator_and_q_raise_the_bound_together() -> None:
    """Both steps hold the same terms; the first differentiates D and Q on detached images, the second G."""
    method = InfoGAN(tiny("a", "", "infogan"), {"a": 1})
    first, second = method.updates(iter([{"a": torch.rand(8, 1, 16, 16) * 2 - 1}]), 0, Noise(0, 0))
    assert first.networks == ("discriminator", "recogniser") and second.networks == ("generator",)
    assert set(first.losses) == set(second.losses)
    assert first.weights == {
        "domain_adversarial": 1.0,
        "mutual_information": 1.0,
        "mutual_information_continuous": 1.0,
    }
    for parameters, update, reached in (
        (method.generator, first, False),
        (method.generator, second, True),
        (method.recogniser, first, True),
    ):
        term = update.losses["mutual_information"]
        grads = torch.autograd.grad(term, list(parameters.parameters()), retain_graph=True, allow_unused=True)
        assert any(g is not None and bool(g.any()) for g in grads) == reached


def warping(warp: float) -> InfoGAN:
    torch.manual_seed(0)
    return InfoGAN(changed(tiny("a", "", "infogan"), {"network.category_warp": warp}), {"a": 1})


def test_the_category_is_read_from_warped_images_and_the_rest_from_them_as_drawn() -> None:
    """In both steps; and the image still learns from what is read in its warped form."""
    batch = {"a": torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1}
    updates = {warp: list(warping(warp).updates(iter([batch]), 0, Noise(0, 0))) for warp in (0.0, 0.3)}
    plain, warped = ([u.losses for u in updates[warp]] for warp in (0.0, 0.3))
    assert not torch.equal(plain[0]["mutual_information"], warped[0]["mutual_information"])
    for name in ("domain_adversarial", "mutual_information_continuous"):  # the first step: codes drawn before the warp
        assert torch.equal(plain[0][name], warped[0][name])
    method = warping(0.3)
    *_, last = method.updates(iter([batch]), 0, Noise(0, 0))
    (gradient,) = torch.autograd.grad(last.losses["mutual_information"], method.generator.last.weight)
    assert bool(gradient.any())


def test_warps_are_linear_maps_near_the_identity() -> None:
    x = torch.full((4, 1, 16, 16), -1.0)
    x[:, :, 6:10, 6:10] = 1
    assert torch.allclose(warping(1e-7)._warped(x, Noise(0, 0)), x, atol=1e-5)
    method = warping(0.3)
    warped = method._warped(x, Noise(0, 0))
    assert warped.shape == x.shape and float(warped.min()) >= -1 and float(warped.max()) <= 1
    assert not torch.equal(warped[0], warped[1])  # each image another
    # a map of areas: the square keeps between (1 - 0.3)^2 - 0.3^2 and (1 + 0.3)^2 + 0.3^2 of its area, as maps back do
    areas = (warped + 1).sum((1, 2, 3)) / (x[:1] + 1).sum()
    assert bool(((areas > 1 / 1.78) & (areas < 1 / 0.4)).all())
    shift = method._warped(torch.zeros(200, 1, 16, 16) - 1, Noise(0, 1))
    assert float((shift + 1).abs().max()) < 1e-6  # the border is repeated: no frame


def test_the_presets_but_that_of_the_paper_warp() -> None:
    warps = {name: s.network.category_warp for name, s in InfoGAN.Settings.presets().items()}  # type: ignore[attr-defined]
    assert warps == {"default": 0.3, "paper": 0.0, "quick": 0.3, "digits": 0.3, "demo": 0.3}


def test_an_image_of_a_grid_does_not_depend_on_those_beside_it() -> None:
    method = InfoGAN(tiny("a", "", "infogan"), {"a": 1})
    few, many = (method.grids(rows, torch.Generator().manual_seed(1)) for rows in (2, 5))
    assert all(torch.allclose(a.images, b.images[:2], atol=1e-6) for a, b in zip(few, many, strict=True))
    assert method.training and method.generator.first[1].running_mean.eq(0).all()  # statistics are not touched
    for grid in few:
        assert float((grid.images[:, 0] - grid.images[:, -1]).abs().max()) > 0


def test_sample_draws_grids_and_tells_the_agreement(
    drawn: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grids"
    words = ["sample", str(drawn), "--out", str(out), "--count", "3", "--data.a", f"{digits}:train_images"]
    assert cli.main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert sorted(p.name for p in out.glob("*.png")) == ["category.png", "continuous_1.png", "continuous_2.png"]
    found = result["agreement"]
    counts = np.array(found["counts"])
    assert counts.shape == (4, 3) and counts.sum(0).tolist() == [6, 6, 6] and found["images"] == 18
    matched = sum(counts[int(k), ["2", "5", "9"].index(c)] for k, c in found["class_of_category"].items())
    assert found["error_percent"] == pytest.approx(100 * (1 - matched / 18), abs=1e-3)
    state = drit.read_state(out / "category.png")
    assert state and (state.name, state.seed, state.to, state.style) == ("category", 0, "", ())
    before = (out / "category.png").read_bytes()
    assert cli.main(["sample", str(drawn), "--out", str(out), "--count", "3"]) == 0
    assert (out / "category.png").read_bytes() == before
    assert "Grids: " in capsys.readouterr().out


def test_sample_refuses(
    drawn: Path, run: Path, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    for words, code, expected in (
        ((run, *out), 2, "translates images and draws none of its own: drit translate"),
        ((drawn, *out, "--count", 0), 2, "at least 1"),
        ((drawn, "--out", drawn), 2, "is a run folder"),
        ((drawn, *out, "--data.a", f"{digits}:others"), 2, "has no labels"),
        ((drawn, *out, "--data.a", tmp_path / "none.npz"), 2, "There is no file"),
        ((tmp_path / "none", *out), 1, "There is no run at"),
    ):
        assert cli.main(["sample", *(str(w) for w in words)]) == code
        output = capsys.readouterr()
        assert output.out == "" and expected in output.err, output.err
    assert not (tmp_path / "out").exists()


def test_what_needs_translation_is_refused_by_name(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["translate", str(drawn), "image.png", "--to", "b", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2 and "drit sample RUN" in capsys.readouterr().err
    translator = Translator.load(drawn)
    image = np.zeros((16, 16), np.uint8)
    for call in (
        lambda: translator.content(image, "a"),
        lambda: translator.style(image, "a"),
        lambda: translator.sample(1, "a"),
        lambda: translator.translate(image, "a"),
        lambda: translator.method.content(torch.zeros(1, 1, 16, 16), "a"),
        lambda: translator.method.prepare(torch.zeros(1, 1, 16, 16), "a"),
    ):
        with pytest.raises(UsageError, match="drit sample RUN"):
            call()


def test_settings_that_do_not_suit(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "--method", "infogan", "--preset", "paper", "--data.a", f"{digits}:train_images"]
    for words, expected in (
        (["--data.crop", "26"], "multiple of 4, at most 64"),
        (["--data.crop", "68", "--data.resize", "68"], "multiple of 4, at most 64"),
        (["--network.categories", "1"], "at least 2"),
        (["--batch", "4", "--accumulate", "4"], "at least 2"),
        (["--data.b", f"{digits}:others"], "one set of images: leave --data.b out"),
    ):
        assert cli.main([*base, "--out", str(tmp_path / "run"), *words]) == 2
        assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
