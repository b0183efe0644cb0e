"""The watch: numbers by hand and on a method made for it, warnings on made-up series; training is not touched."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drit.methods.base import Batch, Capabilities, Method, Prepared, Update
from drit.methods.drit.objective import DRIT
from drit.methods.drit.settings import DRITSettings
from drit.methods.noise import Noise
from drit.methods.registry import method_class, preset
from drit.probes.linear import pooled, probe_accuracy
from drit.runs import checkpoint as files
from drit.runs.metrics import read_lines, read_metrics
from drit.runs.warnings import active
from drit.settings.common import TrainSettings
from drit.training import launch as loop
from drit.training.watch import findings, looks
from drit.training.watch.watch import Watch
from tests.conftest import tiny, trainer_of, write_images
from tests.training.test_resume import same


class Painter(Method):
    """A method whose numbers are known: a style (N, 1) is added to the image, times `strength`."""

    inference = ("strength",)
    stride = min_side = 1

    def __init__(self, strength: float, style_dim: int = 1, directions: tuple[str, ...] = ("a", "b")) -> None:
        super().__init__(TrainSettings(), {"a": 1, "b": 1})
        self.strength = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.strength.weight, strength)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(1)
        self.capabilities = Capabilities(
            multimodal=True, exemplar=style_dim > 0, directions=directions, style_dim=style_dim
        )

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        return Capabilities(multimodal=True, exemplar=True, directions=domains, style_dim=1)

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        raise NotImplementedError

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.norm(self.dropout(x))

    def style(self, x: Tensor, domain: str) -> Tensor:
        return torch.zeros(len(x), self.capabilities.style_dim)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (content,)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return 0.1 * prepared[0] + 0.1 * self.strength(style)[:, :, None, None]


def flat(levels: list[float]) -> Tensor:
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 4, 4).clone()


IMAGES = {"a": flat([0.0, 0.2]), "b": flat([-0.5, 0.5])}


def test_numbers_of_a_method_that_adds_its_style() -> None:
    z = torch.randn(looks.STYLES, 1, generator=torch.Generator().manual_seed(3))  # of domain a, drawn first
    found = looks.measure(Painter(2.0, directions=("a",)), IMAGES, seed=3)
    pairs = [abs(float(z[i] - z[j])) for i in range(4) for j in range(i)]
    assert found["watch/diversity_a"] == pytest.approx(127.5 * 0.2 * sum(pairs) / 6, rel=1e-5)
    assert found["watch/diversity_share_a"] == pytest.approx(0.2 * sum(pairs) / 6 / 0.2, rel=1e-5)
    inputs, styles = 0.05**2, 0.2**2 * float(z.var(correction=0))  # content of -0.5, 0.5: +-0.05 about 0
    assert found["watch/style_share_a"] == pytest.approx(styles / (styles + inputs), rel=1e-4)
    assert found["watch/style_error_a"] == pytest.approx(1.0)  # always answers 0
    assert found["watch/visible_style_a"] == pytest.approx(1.0, abs=0.01)  # a level of grey for each style
    names = ("diversity", "diversity_share", "style_share", "style_error", "visible_style")
    assert set(found) == {f"watch/{n}_a" for n in names}
    assert looks.measure(Painter(1e-4), IMAGES, seed=3)["watch/visible_style_a"] < 0.01  # far below a level of 255


def test_methods_without_styles_or_with_one_direction() -> None:
    assert looks.measure(Painter(1.0, style_dim=0), IMAGES, seed=0) == {}
    one = looks.measure(Painter(1.0, directions=("b",)), IMAGES, seed=0)
    assert {name[-2:] for name in one} == {"_b"}
    assert looks.measure(Painter(1.0, directions=()), {"a": IMAGES["a"]}, seed=0) == {}  # draws, translates nothing
    many = {d: torch.rand(8, 1, 4, 4) for d in "abc"}
    three = Painter(1.0, directions=("a", "b", "c"))
    assert {"watch/diversity_c", "watch/content_probe"} <= set(looks.measure(three, many, seed=0))


def test_a_look_leaves_modes_statistics_and_random_numbers_alone() -> None:
    method = Painter(1.0)
    method.norm.eval()  # a frozen layer stays so
    before = {name: t.clone() for name, t in method.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = looks.measure(method, IMAGES, seed=0)
    assert torch.equal(torch.rand(3), expected)
    assert method.training and method.dropout.training and not method.norm.training
    assert all(torch.equal(t, before[name]) for name, t in method.state_dict().items())
    assert looks.measure(method, IMAGES, seed=0) == first


def test_probe_reads_domains_that_differ_and_no_others() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(200, 6, generator=generator) for _ in range(2))
    assert probe_accuracy([one, other]) == pytest.approx(0.5, abs=0.08)  # 400 trials: sd 0.025
    shifted = other + torch.tensor([6.0, 0, 0, 0, 0, 0])
    assert probe_accuracy([one, shifted]) > 0.99
    assert probe_accuracy([one, shifted, other - 6]) > 0.95
    constant = torch.cat([shifted, torch.full((200, 1), 7.0)], 1)  # a channel that never changes is no trouble
    assert probe_accuracy([torch.cat([one, torch.full((200, 1), 7.0)], 1), constant]) > 0.99


def test_probe_agrees_with_a_library() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    rng = np.random.default_rng(1)
    x = np.stack([rng.normal(0, 1, (40, 5)), rng.normal(0.7, 1, (40, 5))])
    truth, right = np.repeat([0, 1], 20), 0
    for learnt, tried in ((x[:, :20], x[:, 20:]), (x[:, 20:], x[:, :20])):
        rows = learnt.reshape(-1, 5)
        model = linear.RidgeClassifier(alpha=5).fit((rows - rows.mean(0)) / rows.std(0), truth)
        right += (model.predict((tried.reshape(-1, 5) - rows.mean(0)) / rows.std(0)) == truth).sum()
    assert 0.5 < right / 80 < 1
    assert probe_accuracy([torch.from_numpy(part) for part in x]) == pytest.approx(right / 80)


def test_pooled_codes() -> None:
    code = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]]]])
    assert pooled(code).tolist() == [[2.0, 2.0, 1.0, 0.0]]
    assert pooled(torch.ones(2, 3)).shape == (2, 6)


def test_balance_of_guessing_discriminators_is_one() -> None:
    """Discriminators whose last layer is zero give logits of 0: every term of the real objective is at its chance."""
    for seeking in (0.0, 1.0):
        config = tiny("a", "b")
        config = replace(config, loss=replace(config.loss, mode_seeking=seeking))
        method = DRIT(config, {"a": 1, "b": 3})
        for network in (method.discriminator, method.random_discriminator, method.content_discriminator):
            for p in network.parameters():
                nn.init.zeros_(p)
        batches = iter(lambda: {"a": torch.rand(2, 1, 16, 16), "b": torch.rand(2, 3, 16, 16)}, None)
        losses = {
            f"{update.name}/{name}": float(value.detach())
            for update in method.updates(batches, 0, Noise(0, 0))
            for name, value in update.losses.items()
        }
        found = looks.balance(losses, method.at_chance())
        assert len(found) == 5 and all(v == pytest.approx(1.0, rel=1e-5) for v in found.values()), found


# Warnings on made-up series

CONFIG = DRITSettings.from_preset("default")
CONFIG = replace(CONFIG, steps=8000, loss=replace(CONFIG.loss, mode_seeking=0.3))
CONFIG = replace(CONFIG, network=replace(CONFIG.network, generator="concat", upsample="transposed"))


def series(count: int, **last: float) -> list[dict[str, float]]:
    """`count` healthy looks, 200 iterations apart; names with two underscores for the slash."""
    healthy = {
        "watch/diversity_b": 30.0,
        "watch/diversity_share_b": 0.4,
        "watch/content_probe": 0.6,
        "watch/balance_domain_adversarial_b": 0.8,
        "discriminators/domain_adversarial_b": 0.8 * 4.1589,
        "generators/domain_adversarial_b": 2.5,
        "generators/self_reconstruction_b": 0.1,
        "generators/cross_cycle_b": 0.2,
    }
    changes = {name.replace("__", "/"): value for name, value in last.items()}
    return [{"step": 200 * (i + 1), **(healthy | changes)} for i in range(count)]


def method_of(config: TrainSettings) -> Method:
    """The method of a configuration, without weights."""
    with torch.device("meta"):
        return method_class(config.method)(config, {"a": 3, "b": 3})


def told(seen: list[dict[str, float]], config: TrainSettings = CONFIG) -> dict[str, str]:
    return {warned.finding.name: warned.message for warned in findings.warnings(seen, method_of(config))}


def test_healthy_training_is_not_warned_of() -> None:
    assert told([]) == {} and told(series(40)) == {}


def test_ignored_styles() -> None:
    bad = {"watch__diversity_share_b": 0.006, "watch__diversity_b": 0.4}
    assert told(series(5, **bad)) == {}  # 800 iterations: not yet
    (message,) = told(series(6, **bad)).values()
    assert "styles are being ignored to b: diversity 0.4 of 255 for 1000 iterations" in message
    assert "real images 67" in message and "--loss.mode-seeking 0.6, or --network.generator feature" in message
    assert told([*series(6, **bad), series(7)[-1]]) == {}  # recovered
    config = replace(CONFIG, network=replace(CONFIG.network, init="published", generator="feature"))
    config = replace(config, loss=replace(config.loss, mode_seeking=0.5))
    (message,) = told(series(6, **bad), config).values()
    assert message.endswith("try --network.init scaled (a new run), or --loss.mode-seeking 1")
    (message,) = told(series(6, **bad), replace(preset("default", "munit"), steps=8000)).values()
    assert "mode-seeking" not in message and message.endswith("--loss.latent-regression 2")
    (message,) = told(series(6, **bad), preset("default", "cyclegan-noise")).values()
    assert message.endswith("try another method: nothing ties the outputs of this one to their codes")


def test_hidden_styles() -> None:
    """Read by the encoder, and less than half of that is left without details: 0.9 x 0.5 for an error of 0.32."""
    bad = {"watch__style_error_b": 0.32, "watch__visible_style_b": 0.44}
    assert told(series(5, **bad)) == {}
    message = told(series(6, **bad))["styles_hidden_b"]
    assert "styles are hidden in details of outputs to b for 1000 iterations" in message and "style 0.44" in message
    assert message.endswith("try --network.generator film --network.upsample resize (a new run)")
    assert told(series(6, **(bad | {"watch__visible_style_b": 0.46}))) == {}
    assert told(series(6, **(bad | {"watch__style_error_b": 0.6}))) == {}  # not read either: weak, but not hidden
    network = replace(CONFIG.network, generator="film", upsample="resize")
    message = told(series(6, **bad), replace(CONFIG, network=network))["styles_hidden_b"]
    assert message.endswith("(visible style 0.44)")


def test_content_that_tells_the_domains_apart() -> None:
    bad = {"watch__content_probe": 1.0, "generators__content_adversarial_a": 1.0}
    assert told(series(9, **bad)) == {}  # the first quarter of 8000 iterations: every code does
    found = told(series(10, **bad))
    assert list(found) == ["content_tells_domain"]
    assert "domain probe accuracy 100% on held-out images" in found["content_tells_domain"]
    assert "--loss.content-adversarial 2" in found["content_tells_domain"]
    assert told(series(40, watch__content_probe=0.9)) == {}
    other = replace(preset("default", "munit"), steps=8000)
    message = told(series(10, watch__content_probe=1.0), other)["content_tells_domain"]
    assert message.endswith("; try images of the domains that are closer in what they show")


def test_discriminators_that_win() -> None:
    found = told(series(6, watch__balance_domain_adversarial_b=0.1))
    assert list(found) == ["discriminators_win"]
    assert "domain_adversarial_b at 0.10 of its loss at chance for 1000 iterations" in found["discriminators_win"]
    assert "--optim.lr 5e-05" in found["discriminators_win"]


def test_discriminators_that_only_guess() -> None:
    chance = 3 * 2 * math.log(2)
    at_chance = {"watch__balance_domain_adversarial_b": 1.0, "discriminators__domain_adversarial_b": chance}
    found = told(series(6, generators__domain_adversarial_b=chance / 2, **at_chance))
    assert list(found) == ["discriminators_guess"] and "--optim.lr than 0.0001" in found["discriminators_guess"]
    assert told(series(6, generators__domain_adversarial_b=0.6 * chance, **at_chance)) == {}  # a game, at its balance


def test_reconstruction_that_gets_worse() -> None:
    seen = series(20)
    for line in seen[12:]:
        line["generators/cross_cycle_b"] = 0.6
    (message,) = told(seen).values()
    assert "reconstruction gets worse: 0.7 now, 0.3 around iteration 1000" in message and "--optim.clip 5" in message
    noisy = series(20)
    for i, line in enumerate(noisy):
        line["generators/cross_cycle_b"] *= 1 + 0.3 * (-1) ** i
    assert told(noisy) == {}


# In training


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Enough images for the content probe."""
    root = tmp_path_factory.mktemp("many")
    return write_images(root / "a", 8, 1, seed=1), write_images(root / "b", 9, 3, seed=2)


def watched(folders: tuple[Path, Path], every: int) -> TrainSettings:
    config = tiny(*folders)
    return replace(config, log=replace(config.log, watch_every=every, sample_every=0, metrics_every=3))


def test_training_with_and_without_a_watch_gives_the_same_bits(many: tuple[Path, Path], tmp_path: Path) -> None:
    loop.train(watched(many, 0), tmp_path / "without")
    loop.train(watched(many, 2), tmp_path / "with")
    found = [files.find(tmp_path / name) for name in ("without", "with")]
    assert same(*(files.load_weights(path) for path in found))
    assert same(*(files.load_state(path) for path in found))
    looks = [int(line["step"]) for line in read_metrics(tmp_path / "with") if findings.is_look(line)]
    assert looks == [2, 4, 6] and not any(map(findings.is_look, read_metrics(tmp_path / "without")))


def test_numbers_are_those_of_the_averaged_weights_and_go_into_tensorboard(
    many: tuple[Path, Path], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from drit.inference.translator import Translator

    config = watched(many, 6)
    config = replace(config, log=replace(config.log, tensorboard=True))
    run = tmp_path / "run"
    loop.train(config, run)
    line = read_metrics(run)[-1]
    kinds = ("diversity", "style_share", "style_error", "visible_style")
    names = {"content_probe", *(f"{n}_{d}" for n in kinds for d in "ab")}
    assert {f"watch/{name}" for name in names} <= set(line)
    with trainer_of(config, run) as trainer:
        images = trainer.fixed_images(looks.PROBED)
    method = Translator.load(run, precision="float32").method
    again = looks.measure(method, images, config.seed, config.batch)
    assert {name: line[name] for name in again} == pytest.approx(again, rel=1e-4)
    raw = Translator.load(run, precision="float32", average=False).method
    assert looks.measure(raw, images, config.seed)["watch/diversity_b"] != pytest.approx(line["watch/diversity_b"])
    events = EventAccumulator(str(run)).Reload()
    assert [e.value for e in events.Scalars("watch/diversity_b")] == pytest.approx(
        [line["watch/diversity_b"]], rel=1e-5
    )


def test_warnings_are_kept_told_once_and_cut_back_at_a_resume(
    many: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(findings, "PATIENCE", 2)
    monkeypatch.setattr(findings, "LOOKS", 3)
    monkeypatch.setattr(findings, "EARLY", 0.0)
    monkeypatch.setattr(findings, "IGNORED", 100.0)  # every style is

    def causes(run: Path) -> list[Any]:
        events = read_lines(run / "warnings.jsonl")
        return [(e["step"], e["cause"]) for e in events if e["cause"].startswith("styles")]

    run = tmp_path / "whole"
    loop.train(watched(many, 1), run)
    assert causes(run) == [(3, "styles_ignored_a"), (3, "styles_ignored_b")]
    assert capsys.readouterr().err.count("warning: styles are being ignored to b") == 1
    halves = tmp_path / "halves"
    loop.train(watched(many, 1), halves, stop_after=2)
    with open(halves / "warnings.jsonl", "w", encoding="utf-8") as file:
        file.write(json.dumps({"step": 3, "cause": "styles_ignored_b", "message": "after the checkpoint"}) + '\n{"ste')
    loop.resume(halves)
    assert read_lines(halves / "warnings.jsonl") == read_lines(run / "warnings.jsonl")
    assert read_metrics(halves) == read_metrics(run)


def test_recovery_is_told_and_a_resumed_watch_remembers(tmp_path: Path) -> None:
    bad = series(6, watch__diversity_share_b=0.006, watch__diversity_b=0.4)
    steps: list[list[str]] = []
    first = Watch(tmp_path, method_of(CONFIG), dict, 0)  # type: ignore[arg-type]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in bad), encoding="utf-8")
    for line in bad:
        steps.append(first.judge(int(line["step"]), {k: v for k, v in line.items() if k != "step"}))
    assert [len(words) for words in steps] == [0, 0, 0, 0, 0, 1]
    resumed = Watch(tmp_path, method_of(CONFIG), dict, 1200)  # type: ignore[arg-type]
    assert resumed.judge(1400, {k: v for k, v in bad[0].items() if k != "step"}) == []  # told before
    (words,) = resumed.judge(1600, {k: v for k, v in series(1)[0].items() if k != "step"})
    assert words == "recovered at iteration 1600: styles are being ignored to b"
    events = read_lines(tmp_path / "warnings.jsonl")
    assert [e.get("recovered", False) for e in events] == [False, True]
    assert active(events) == {} and list(active(events[:1])) == ["styles_ignored_b"]
