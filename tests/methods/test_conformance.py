"""The conformance suite that every method passes: it moves what its updates name, learns a tiny set, resumes
bit-exactly, and serves every command. Methods of installed packages pass it too (test_plugin.py)."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drit.cli import main as cli
from drit.data.images import decode, encode
from drit.inference import tiles
from drit.inference.translator import Translator
from drit.methods.base import Method
from drit.methods.noise import Noise
from drit.methods.registry import able, entries, method_class, settings_class
from drit.runs import checkpoint as files
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings
from drit.settings.schema import changed, settings_of
from drit.training import launch as loop
from drit.training.checks import settled
from drit.training.memory import predict
from drit.training.trainer import Trainer
from tests.conftest import opened, tiny, trainer_of, write_images
from tests.methods.gradients import all_gradients, assert_close, with_settings
from tests.training.test_resume import same

NAMES = list(entries())
# Losses that must fall on a tiny set, whichever of them a method has.
FALLING = ("self_reconstruction", "cross_cycle", "paired", "mutual_information")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Colour images in two folders, and the same images with their colours reversed under the same names."""
    root = tmp_path_factory.mktemp("conformance")
    for seed, name in enumerate(("a", "b", "c")):
        write_images(root / name, 4, 3, seed=seed)
    (root / "negative").mkdir()
    for path in (root / "a").iterdir():
        encode(255 - decode(path)[0], root / "negative" / path.name)
    write_masks(root / "masked")
    return {p.name: p for p in root.iterdir()}


def write_masks(folder: Path) -> None:
    """Images with masks of two classes, for the task loss."""
    images = list(write_images(folder, 4, 3).iterdir())
    (folder / "masks").mkdir()
    for path in images:
        pixels = decode(path)[0]
        encode((pixels[..., :1] > 127).astype(np.uint8), (folder / "masks" / path.name).with_suffix(".png"))


def case(name: str, images: dict[str, Path], **changes: object) -> TrainSettings:
    """A tiny configuration of a method with data of the kind that it takes."""
    method = method_class(name)
    most = method.domains[1]
    paired = method.capabilities_for(settings_class(name).from_preset("default"), ("a", "b")).paired
    other = images["negative" if paired else "b"]
    if most == 1:
        changes = {"batch": 32} | changes  # methods that draw images normalise over a batch
    config = tiny(images["a"], other if most > 1 else "", name, **changes)
    if most > 2:
        domains = tuple(str(images[d]) for d in "abc")
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, a="", b="", domains=domains))
    return dataclasses.replace(config, data=dataclasses.replace(config.data, resize=20))


def built(config: TrainSettings) -> Method:
    torch.manual_seed(0)
    sets = opened(config)
    return method_class(config.method)(settled(config, sets), {d: s.channels for d, s in sets.items()})


def batches(method: Method, count: int = 2) -> Iterator[dict[str, torch.Tensor]]:
    g = torch.Generator().manual_seed(1)
    while True:
        yield {d: torch.rand(count, c, 16, 16, generator=g) * 2 - 1 for d, c in method.channels.items()}


@pytest.mark.parametrize("name", NAMES)
def test_updates_name_their_networks_and_weights(name: str, images: dict[str, Path]) -> None:
    config = case(name, images)
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, clip=3.0))
    method = built(config)
    names = {n for n, child in method.named_children() if any(True for _ in child.parameters())}
    assert set(method.inference) <= names
    moved: set[str] = set()
    terms: set[str] = set()
    for step in (0, config.steps - 1):  # methods in stages move other networks later
        for update in method.updates(batches(method), step, Noise(0, step)):
            assert set(update.networks) <= names
            assert update.max_grad_norm == 3.0 or not {*update.networks} & {*method.inference, "cycle_generator"}
            assert set(update.losses) == set(update.weights)
            assert all(term.dim() == 0 and torch.isfinite(term) for term in update.losses.values())
            expected = sum(update.weights[n] * float(t.detach()) for n, t in update.losses.items())
            assert float(update.total().detach()) == pytest.approx(expected, rel=1e-4)
            for network in update.networks:  # really gets a gradient
                grads = torch.autograd.grad(
                    update.total(), list(getattr(method, network).parameters()), retain_graph=True, allow_unused=True
                )
                assert any(g is not None and bool(g.any()) for g in grads), network
            moved |= set(update.networks)
            terms |= {f"{update.name}/{term}" for term in update.losses}
    assert moved == names
    assert set(method.at_chance()) <= terms  # what the watch compares
    assert names <= set(method.learning_rates())


@pytest.mark.parametrize(
    ("name", "generator"), [*((name, "concat") for name in NAMES), ("drit", "feature"), ("drit", "film")]
)
def test_a_tiny_set_is_learnt(name: str, generator: str, images: dict[str, Path], tmp_path: Path) -> None:
    """A few 16-pixel images: what the method reconstructs, it reconstructs better than at the start.

    The iterations are the most that it may take; it is over as soon as the images are learnt.
    """
    steps = 240 if method_class(name).domains[1] > 1 else 300  # codes show in no image at first
    config = case(name, images, steps=steps)
    steps *= round(steps / built(config).stage(0, steps)[1])  # as many in each stage
    values = {
        "steps": steps,
        "data.resize": 16,
        "data.flip": False,
        "network.generator": generator,
        "network.width": 8,
        "network.content_noise": 0.1,
        # the folders hold images of one kind: nothing but memory tells their domains, against reconstruction
        "loss.domain_classification": 0.0,
        "loss.mode_seeking": 0.0,
        "optim.lr": 2e-3,
        "optim.ema": 0.0,
        "optim.decay_from": 1.0,
    }
    config = changed(config, values, ignore_unknown=True)
    with trainer_of(config, tmp_path) as trainer:
        trainer.start_stream()
        seen: list[dict[str, float]] = []
        learnt = False
        while len(seen) < config.steps and not learnt:
            seen += [{k: float(v) for k, v in trainer.iterate().items()} for _ in range(10)]
            falling = [k for k in seen[-1] if any(part in k.rpartition("/")[2] for part in FALLING)]
            first = {k: np.mean([s[k] for s in seen if k in s][:5]) for k in falling}
            last = {k: np.mean([s[k] for s in seen if k in s][-10:]) for k in falling}
            in_last_stage = trainer.method.stage(len(seen) - 1, config.steps)[1] == config.steps
            learnt = in_last_stage and sum(last.values()) < 0.75 * sum(first.values())
    assert falling, list(seen[-1])
    assert sum(last.values()) < 0.75 * sum(first.values()), (first, last)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_resumes_bit_exactly(name: str, images: dict[str, Path], tmp_path: Path) -> None:
    config = case(name, images)
    loop.train(config, tmp_path / "whole")
    loop.train(config, tmp_path / "halves", stop_after=2)
    assert loop.resume(tmp_path / "halves").finished
    one, other = (files.find(tmp_path / n) for n in ("whole", "halves"))
    assert same(files.load_weights(one), files.load_weights(other))
    assert same(files.load_state(one), files.load_state(other))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parts", [1, 2])
def test_less_memory_gives_the_same_gradients(name: str, parts: int, images: dict[str, Path]) -> None:
    """With layers computed again, and with a batch in two parts; by the loop's own functions.

    But for what a part has of its own: mode seeking, dropout, and the statistics of InfoGAN's batches.
    """
    config = case(name, images)
    config = changed(config, {"network.dropout": 0.0, "loss.mode_seeking": 0.0, "optim.pool": 0}, ignore_unknown=True)
    for changes in ({}, *VARIANTS.get(name, ())):
        method = built(changed(config, changes)).double()
        x = {d: t.double() for d, t in next(batches(method, 4)).items()}
        for step in (0, config.steps - 1):  # of each stage
            expected = all_gradients(method, x, 1, step)
            again = with_settings(method, recompute=parts == 1)
            if parts == 1 or name != "infogan":
                assert_close(all_gradients(again, x, parts, step), expected, 1e-11)


# Other forms of a method, which settings are of.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "drit": (
        {"network.generator": "feature"},
        {
            "network.generator": "film",
            "network.upsample": "resize",
            "network.content_filter": True,
            "network.bounded_variance": True,
            "network.discriminator_shift": 3,
            "data.crop": 20,
            "loss.gan": "relativistic",
            "loss.gradient_penalty": 0.3,
            "loss.lecam": 0.1,
            "loss.mode_seeking_end": 1.0,
        },
    ),
    "drit++": (
        {"network.generator": "feature"},
        {"network.generator": "film", "network.upsample": "resize"},
        {"network.generator": "film", "network.upsample": "smooth", "network.content_filter": True},
    ),
    "pix2pix": ({"network.backbone": "resnet"},),
}
# Forms that need images with masks.
MASKED: dict[str, dict[str, Any]] = {"drit": {"loss.task": 1.0, "loss.task_masks": True}}
# Files that read settings to copy or to check them, which is no use of them.
COPYING = ("dataclasses.py", "schema.py", "common.py", "settings.py")


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_a_method_accepts_are_looked_at(
    name: str, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is taken without a word and then ignored: building and training read each that the command line allows."""
    groups = (NetworkSettings, LossSettings, OptimSettings)
    read: set[tuple[type, str]] = set()

    def noting(self: object, key: str) -> object:
        frame = sys._getframe(1)
        while isinstance(getattr(type(frame.f_locals.get("self")), frame.f_code.co_name, None), property):
            frame = frame.f_back  # a property reads for who asks for it
        if not frame.f_code.co_filename.endswith(COPYING):
            read.add((next(g for g in groups if issubclass(type(self), g)), key))
        return object.__getattribute__(self, key)

    config = case(name, images)
    forms: list[dict[str, Any]] = [{}, *VARIANTS.get(name, ())]
    if name in MASKED:
        forms.append(MASKED[name] | {"data.a": str(images["masked"])})
    for changes in forms:
        varied = changed(config, {"loss.mode_seeking": 1.0} | changes, ignore_unknown=True)
        sets = opened(varied)
        varied = settled(varied, sets)
        with monkeypatch.context() as patched:
            for group in groups:
                patched.setattr(group, "__getattribute__", noting, raising=False)
            with Trainer(method_class(name), varied, sets) as trainer:
                trainer.start_stream()
                for trainer.step in (0, config.steps - 1):  # of each stage
                    trainer.iterate()
    names = {"network": NetworkSettings, "loss": LossSettings, "optim": OptimSettings}
    accepted = {(names[g], n) for g, _, n in (s.name.partition(".") for s in settings_of(type(config))) if g in names}
    assert accepted - read == set()


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_predicted_without_numbers(name: str, images: dict[str, Path]) -> None:
    """No method looks at a value in training, which would also make a GPU wait; the prediction covers all it keeps."""
    for changes in VARIANTS.get(name, ({},))[-1:]:  # one form: a prediction takes seconds
        config = changed(case(name, images), changes)
        method = built(config)
        trained = sum(4 * p.numel() for p in method.parameters())
        memory = predict(type(method), config, method.channels)
        assert (
            trained <= memory.weights < memory.peak and memory.peak > memory.weights + memory.optimizers + trained / 4
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_serves_every_method(
    name: str, images: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Translation of any size, the same for the same seed and in strips; styles differ where there are styles."""
    monkeypatch.setattr(tiles, "MIN_TILE", 16)
    run = tmp_path / "run"
    loop.train(case(name, images, steps=3), run)
    translator = Translator.load(run)
    capabilities = translator.method.capabilities
    assert capabilities.multimodal == (capabilities.style_dim > 0) or not capabilities.directions
    for to in capabilities.directions:
        for size in ((16, 16), (17, 41), (50, 23)):
            image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
            styles = 2 if capabilities.style_dim else 1
            made = translator.translate(image, to, styles, seed=3)
            assert len(made) == styles and made[0].shape == image.shape and made[0].dtype == np.uint8
            again = Translator.load(run).translate(image, to, styles, seed=3)
            assert all(np.array_equal(x, y) for x, y in zip(made, again, strict=True))
        tiled = translator.translate(image, to, styles, seed=3, tile=16)
        assert all(np.abs(x.astype(int) - y).max() <= 3 for x, y in zip(made, tiled, strict=True))  # bfloat16
        if capabilities.exemplar:
            assert translator.style(image, to).shape == (1, capabilities.style_dim)
            assert len(translator.translate(image, to, style_from=[image])) == 1
    if capabilities.directions:
        to = capabilities.directions[0]
        folder = images[translator.source(to)]
        assert cli.main(["translate", str(run), str(folder), "--to", to, "--out", str(tmp_path / "out")]) == 0
        assert len(list((tmp_path / "out").glob("*.png"))) >= 5
        protocol = tmp_path / "protocol.json"
        protocol.write_text('{"count": 4, "styles": 2, "learn_steps": 2, "resamples": 2}')
        data = ["--data.a", str(images["a"]), "--data.b", str(images["b"])]
        assert cli.main(["evaluate", str(run), *data, "--protocol", str(protocol), "--threads", "1"]) == 0
        numbers = json.loads((run / "evaluation_protocol" / "result.json").read_text())["to"].values()
        assert {n["self_reconstruction"] is not None for n in numbers} == {translator.method.reconstructs}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_method_can_do_is_known_without_building_it(name: str) -> None:
    """What errors and reports say is what the built method says; so do the lists of names."""
    cls = method_class(name)
    settings, domains = settings_class(name).from_preset("default"), tuple("abc"[: cls.domains[1]])
    with torch.device("meta"):
        built = cls(settings, dict.fromkeys(domains, 3))
    assert built.capabilities == cls.capabilities_for(settings, domains)
    assert (name in able(lambda c: c.style_dim > 0)) == (built.capabilities.style_dim > 0)
    assert (name in able(lambda c: c.exemplar)) == built.capabilities.exemplar


@pytest.mark.parametrize("name", NAMES)
def test_styles_are_rendered_k_major(name: str, images: dict[str, Path]) -> None:
    """render of k styles for each of N images is that of each pair alone."""
    variants = [built(changed(case(name, images), changes)).eval() for changes in ({}, *VARIANTS.get(name, ()))]
    for method, to in [(m, d) for m in variants for d in m.capabilities.directions]:
        source = next(d for d in method.channels if d != to)
        g = torch.Generator().manual_seed(0)
        x = torch.rand(2, method.channels[source], 16, 16, generator=g) * 2 - 1
        with torch.no_grad():
            styles = method.sample_style(4, to, g)
            whole = method.render(method.prepare(method.content(x, source), to), styles, to)
            assert whole.shape == (4, method.channels[to], 16, 16) and float(whole.abs().max()) <= 1
            for j in range(4):
                content = method.content(x[j % 2 : j % 2 + 1], source)
                alone = method.render(method.prepare(content, to), styles[j : j + 1], to)
                assert torch.allclose(whole[j], alone[0], atol=1e-4), (to, j)
