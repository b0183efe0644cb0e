"""DRIT++: pairs of domains, the objective by hand, the same networks for all domains, and several folders as a user
gives them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drit import losses
from drit.cli import main as cli
from drit.data.images import decode, encode
from drit.errors import UsageError
from drit.inference.translator import Translator
from drit.methods.drit.settings import DRITSettings
from drit.methods.dritpp.objective import ALL, DRITPP, Images
from drit.methods.dritpp.settings import DRITPPSettings
from drit.methods.noise import Noise
from drit.methods.registry import preset
from drit.runs.record import recorded_settings
from drit.settings.schema import changed
from drit.training import launch as loop
from tests.conftest import tiny, write_images
from tests.methods.gradients import with_settings


def build(domains: int = 3, **changes: object) -> DRITPP:
    config = tiny("a", "b", "drit++")
    config = dataclasses.replace(config, loss=dataclasses.replace(config.loss, **changes))  # type: ignore[arg-type]
    torch.manual_seed(0)
    return DRITPP(config, dict.fromkeys("abcdefgh"[:domains], 3))


def batch(method: DRITPP, count: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    return {d: torch.rand(count, 3, 16, 16, generator=g) * 2 - 1 for d in method.names}


@pytest.fixture(scope="module")
def seasons(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four folders: three of colour images, one of grey ones."""
    root = tmp_path_factory.mktemp("seasons")
    names = ("summer", "autumn", "winter", "etching")
    return [write_images(root / name, 3, 1 if name == "etching" else 3, seed=i) for i, name in enumerate(names)]


@pytest.fixture(scope="module")
def trained(seasons: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run on all four."""
    run = tmp_path_factory.mktemp("runs") / "seasons"
    config = tiny("", "", "drit++", steps=2)
    loop.train(
        dataclasses.replace(config, data=dataclasses.replace(config.data, domains=tuple(map(str, seasons)))), run
    )
    return run


def test_presets_draw_no_grid_but_the_published_one() -> None:
    """Styles as scale and shift, resized maps, and an end of mode seeking, as DRIT's presets have them."""
    for name in ("default", "digits", "demo", "quick"):
        ours, drit = preset(name, "drit++"), preset(name)
        assert isinstance(ours, DRITPPSettings) and isinstance(drit, DRITSettings)
        for form in ("generator", "upsample", "width"):
            assert getattr(ours.network, form) == getattr(drit.network, form), (name, form)
        assert ours.network.upsample == "resize" and ours.loss.mode_seeking_end == 1
    published = preset("paper", "drit++")
    assert isinstance(published, DRITPPSettings)
    assert (published.network.generator, published.network.upsample) == ("concat", "transposed")
    assert published.loss.mode_seeking_end == 0


def test_losses_of_several_domains_by_hand() -> None:
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0], [0.0, 0.0, 0.0]])
    expected = (-math.log(2 / 4) - math.log(1 / 3)) / 2
    assert losses.classification(logits, torch.tensor([0, 2])).item() == pytest.approx(expected)
    mean_log = (math.log(2 / 4) + 2 * math.log(1 / 4)) / 3
    assert losses.confusion(logits).item() == pytest.approx((-mean_log + math.log(3)) / 2)


def test_losses_of_two_domains_are_those_of_drit() -> None:
    """For two domains, on maps of logits: the difference of the two logits is DRIT's one."""
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 2, 2, 3, generator=g)
    single = logits[:, 1:] - logits[:, :1]
    domain = torch.tensor([0, 0, 0, 1, 1, 1])
    drit = losses.content_discrimination(single[:3], single[3:])
    assert 2 * losses.classification(logits, domain).item() == pytest.approx(drit.item())
    assert losses.confusion(logits).item() == pytest.approx(losses.content_adversarial(single).item())


def test_pairs_are_of_two_domains_each_equally_often() -> None:
    method = build(3)
    count = 1200
    marked = {d: torch.full((count, 1, 1, 1), float(i)) for i, d in enumerate("abc")}
    images = method._pairs(marked, Noise(0, 4))
    assert torch.equal(images.x.flatten(), images.domain.float())  # the image is of the domain that is said
    first, second = images.domain.split(count)
    table = torch.bincount(3 * first + second, minlength=9).view(3, 3)
    assert table.diagonal().eq(0).all()
    assert all(150 < int(table[i, j]) < 250 for i in range(3) for j in range(3) if i != j)  # 200 expected
    again = method._pairs(marked, Noise(0, 4))
    assert torch.equal(again.domain, images.domain)
    assert not torch.equal(method._pairs(marked, Noise(0, 5)).domain, images.domain)


def test_perfect_networks_have_no_reconstruction_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content: an image less its mean; style: the mean. With these, self-reconstruction, cross-cycle and latent
    regression are 0, and a fake is the partner's content with its own mean."""
    method = build(3, domain_adversarial=0.0, domain_classification=0.0, content_adversarial=0.0, kl=0.0)
    mean = lambda x: x.mean(dim=(1, 2, 3))  # noqa: E731
    spread = lambda s: s.mean(1)[:, None, None, None]  # noqa: E731
    monkeypatch.setattr(method, "_content", lambda x, noise: x - mean(x)[:, None, None, None])
    monkeypatch.setattr(method, "_attribute", lambda x, domain: (mean(x)[:, None].expand(-1, 3), None))
    monkeypatch.setattr(method, "prepare", lambda content, domain: (content,))
    monkeypatch.setattr(
        method,
        "_render",
        lambda prepared, style, domain: prepared[0].repeat(len(style) // len(prepared[0]), 1, 1, 1) + spread(style),
    )
    images = method._pairs(batch(method), Noise(0, 0))
    codes, out = method._forward(images, Noise(0, 0))
    assert torch.allclose(out.fake[0], images.x[2] - mean(images.x)[2] + mean(images.x)[0], atol=1e-6)
    codes = codes._replace(random=[r.mean(1, keepdim=True).expand(-1, 3) for r in codes.random])
    terms = method._generators_update(images, codes, out, Noise(0, 1)).losses
    assert set(terms) == {"self_reconstruction", "cross_cycle", "latent_regression", "mode_seeking"}
    for name in ("self_reconstruction", "cross_cycle", "latent_regression"):
        assert terms[name].item() == pytest.approx(0, abs=1e-6), name
    assert terms["mode_seeking"].item() == pytest.approx(1, rel=1e-3)  # images differ as much as styles do
    assert not torch.allclose(out.fake, images.x, atol=0.1)


def test_the_domain_enters_as_a_code_beside_the_style() -> None:
    method = build(3).eval()
    x = batch(method)["a"]
    with torch.no_grad():
        prepared = method.prepare(method.content(x, "a"), "c")
        assert torch.equal(prepared[0], method.prepare(method.content(x, "b"), "a")[0])  # nothing before sees a domain
        styles = method.sample_style(4, "c", torch.Generator().manual_seed(0))
        assert styles.shape == (4, method.capabilities.style_dim) == (4, 3)
        code = torch.tensor([[0.0, 0.0, 1.0]]).expand(4, -1)
        expected = method.generator.render(prepared, torch.cat([styles, code], 1), ALL)
        assert torch.equal(method.render(prepared, styles, "c"), expected)
        assert not torch.allclose(method.render(prepared, styles, "b"), expected)
        assert not torch.allclose(method.style(x, "a"), method.style(x, "b"))


def test_what_a_domain_more_costs() -> None:
    """One content encoder for any number; elsewhere an input plane, a logit, a class. Published sizes, by hand."""
    config = preset("paper", "drit++")
    with torch.device("meta"):
        two, three = (DRITPP(config, dict.fromkeys("abc"[:n], 3)) for n in (2, 3))
    size = lambda m, name: sum(p.numel() for p in getattr(m, name).parameters())  # noqa: E731
    grown = {n: size(three, n) - size(two, n) for n, _ in two.named_children()}
    trunk = (3 * 49 + 1) * 64 + (64 * 9 + 1) * 128 + (128 * 9 + 1) * 256 + 4 * 2 * (256 * 9 + 1) * 256
    assert size(two, "content_encoder") == trunk and grown["content_encoder"] == 0
    assert grown["attribute_encoder"] == 64 * 16  # one input plane more into its 4 x 4 layer
    assert grown["content_discriminator"] == 256 + 1
    assert grown["discriminator"] == 3 * (512 + 1)
    assert (config.loss.mode_seeking, config.loss.domain_classification) == (1.0, 5.0)


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_have_the_gradients_of_the_whole(parts: int) -> None:
    """Pairs and noise are shared out: --accumulate changes nothing (but mode seeking, a ratio over the batch)."""
    method = build(3, mode_seeking=0.0).double()
    drawn = [{d: x.double() for d, x in batch(method, 4).items()} for _ in range(2)]

    def gradients(parts: int) -> list[Tensor]:
        shared = with_settings(method, accumulate=parts)
        batches = [iter([{d: x.chunk(parts)[k] for d, x in b.items()} for b in drawn]) for k in range(parts)]
        turns = [shared.updates(batches[k], 7, Noise(0, 7, k, parts)) for k in range(parts)]
        found = []
        for updates in zip(*turns, strict=True):
            parameters = [p for name in updates[0].networks for p in getattr(shared, name).parameters()]
            for p in parameters:
                p.grad = None
            for update in updates:
                torch.autograd.backward(update.total() / parts, inputs=parameters)
            found += [p.grad for p in parameters if p.grad is not None]
        return found

    expected, found = gradients(1), gradients(parts)
    scale = max(float(e.abs().max()) for e in expected)
    assert len(found) == len(expected)
    assert max(float((o - e).abs().max()) for o, e in zip(found, expected, strict=True)) / scale < 1e-12


def test_translation_to_any_folder_by_name(
    trained: Path, seasons: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(seasons[0].iterdir())
    made = {}
    for folder in seasons[1:]:
        out = tmp_path / folder.name
        words = ["translate", str(trained), str(image), "--to", folder.name, "--out", str(out), "--styles", "2"]
        assert cli.main([*words, "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        made[folder.name] = [decode(Path(f))[0] for f in result["files"]]
        assert [m.shape for m in made[folder.name]] == [(24, 30, 3)] * 2
    assert not np.array_equal(made["winter"][0], made["autumn"][0])
    translator = Translator.load(trained)
    assert translator.names == {"a": "summer", "b": "autumn", "c": "winter", "d": "etching"}
    assert set(translator.method.channels.values()) == {3}  # the grey folder was widened
    assert translator.domain(translator.source("summer")) != "a"
    assert cli.main(["translate", str(trained), str(image), "--to", "spring", "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert "There is no domain 'spring'" in error and "c (winter)" in error


def test_two_domains_may_be_given_as_a_and_b(seasons: list[Path], tmp_path: Path) -> None:
    """Of different channels too: both get as many as the wider."""
    config = tiny(seasons[3], seasons[0], "drit++", steps=1)
    loop.train(config, tmp_path / "run")
    assert Translator.load(tmp_path / "run").method.channels == {"a": 3, "b": 3}


def test_wrong_domains(seasons: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["train", "--method", "drit++", "--out", str(tmp_path / "run"), "--preset", "digits"]
    summer, autumn = str(seasons[0]), str(seasons[1])
    for words, expected in (
        (["--data.domains", summer], "names 1 domain: drit++ translates between at least 2"),
        (["--data.domains", *[summer] * 27], "names 27 domains; at most 26"),
        (["--data.domains", summer, autumn, summer], "Domains a and c are the same images"),
        (["--data.domains", summer, str(tmp_path / "none")], "There is no folder"),
        (["--data.a", summer], "No images of domain b"),
        (["--method", "drit", "--data.domains", summer, autumn], "drit knows domains a and b alone"),
    ):
        assert cli.main([*base, *words, "--data.resize", "24", "--data.crop", "16"]) == 2
        assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_mode_seeking_ends_in_each_domain_by_itself(tmp_path: Path) -> None:
    """Two levels of grey in each of three domains; what was found out stays that of the run."""
    places = []
    for name, levels in (("a", (0, 40)), ("b", (100, 101)), ("c", (0, 200))):
        (tmp_path / name).mkdir()
        places.append(str(tmp_path / name))
        for i in range(4):
            encode(np.full((20, 20, 3), levels[i % 2], np.uint8), tmp_path / name / f"{i}.png")
    config = changed(tiny("", "", "drit++"), {"data.domains": tuple(places), "loss.mode_seeking_end": 2.0})
    loop.train(config, tmp_path / "run", stop_after=1)
    found = recorded_settings(tmp_path / "run")
    expected = [4 / 6 * levels / 127.5 for levels in (40, 1, 200)]  # of 6 pairs 4 differ
    assert isinstance(found, DRITPPSettings)
    assert [float(v) for v in found.loss.variations] == pytest.approx(expected, abs=1e-4)
    assert loop.resume(tmp_path / "run").finished
    assert recorded_settings(tmp_path / "run").loss == found.loss
    for numbers, words in ((("0.1",), "1 numbers for 3 domains"), (("0.1", "-1", "2"), "has '-1': numbers such as")):
        with pytest.raises(UsageError, match=words):
            changed(config, {"loss.variations": numbers}).check()


def test_the_end_is_that_of_the_domain_of_each_output(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(mode_seeking_end=1.0, variations=("0.1", "0.2", "0.3"))
    seen: list[Tensor] = []
    seeking = losses.mode_seeking

    def recorded(*tensors: Tensor, end: Tensor) -> Tensor:
        seen.append(end)
        return seeking(*tensors, end=end)

    monkeypatch.setattr(losses, "mode_seeking", recorded)
    pairs: list[Images] = []
    drawn = method._pairs
    monkeypatch.setattr(method, "_pairs", lambda *given: pairs.append(drawn(*given)) or pairs[-1])
    list(method.updates(iter([batch(method), batch(method)]), 0, Noise(0, 0)))
    assert seen[0].tolist() == pytest.approx([0.1 * (1 + d) for d in pairs[-1].domain.tolist()])
