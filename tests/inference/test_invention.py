"""The map of invention: its definition on methods whose answer is known, what has none, and the files it gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import drit
from drit.cli import main as cli
from drit.data.images import decode, encode
from drit.errors import UsageError
from drit.inference.heat import TOP, heat_map
from drit.inference.invention import missing_notes
from drit.inference.translator import Translator
from drit.methods.base import Capabilities, Method, Prepared
from drit.methods.registry import method_class, settings_class
from drit.training import launch as loop
from tests.conftest import tiny, write_images


class Known(Method):
    """A method whose translations are known: content is the image; a style (N, 1) is added to the output of b.

    Back in a, `lost` of the distance from the image's mean is gone.
    """

    Settings = settings_class("drit")
    stride, min_side = 1, 1

    def __init__(self, lost: float) -> None:
        super().__init__(Known.Settings(), {"a": 1, "b": 1})
        self.lost = lost
        self.weight = torch.nn.Parameter(torch.zeros(1))

    @classmethod
    def capabilities_for(cls, settings: Any, domains: tuple[str, ...]) -> Capabilities:
        return Capabilities(multimodal=True, exemplar=True, directions=("a", "b"), style_dim=1)

    def updates(self, *arguments: Any) -> Any:
        raise NotImplementedError

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x if domain == "a" else x - x.mean((2, 3), keepdim=True)

    def style(self, x: Tensor, domain: str) -> Tensor:
        return x.mean((1, 2, 3))[:, None]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (content if domain == "b" else (1 - self.lost) * content,)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return prepared[0] + style[:, :, None, None]


@pytest.fixture
def image() -> Tensor:
    """A ramp of mean 0, and of variance 1/12 but for the steps."""
    return torch.linspace(-0.5, 0.5, 8).repeat(6, 1)[None]


def test_the_maps_are_what_they_say(image: Tensor) -> None:
    """Styles -0.1 and 0.3: their std is 0.2 everywhere. A quarter of each deviation is lost: error 0.25 |x|, and of the
    variance a sixteenth."""
    translator = Translator(Known(0.25), {}, "cpu", "float32", 1)
    made = translator.translate_map(image, "b", styles=[[-0.1], [0.3]])
    assert made.style_std is not None and made.cycle_error is not None and made.invention is not None
    np.testing.assert_allclose(made.style_std, 127.5 * 0.2, rtol=1e-5)
    np.testing.assert_allclose(made.cycle_error, [127.5 * 0.25 * image[0].abs().numpy()] * 2, atol=1e-4)
    np.testing.assert_allclose(made.invention, [1 / 16] * 2, rtol=1e-4)
    torch.testing.assert_close(made.outputs[1], image + 0.3)
    perfect = Translator(Known(0.0), {}, "cpu", "float32", 1).translate_map(image, "b", styles=3)
    assert perfect.invention is not None and perfect.invention.max() < 1e-9
    nothing = Translator(Known(1.0), {}, "cpu", "float32", 1).translate_map(image, "b", styles=1)
    assert nothing.invention == pytest.approx([1.0]) and nothing.style_std is None  # one style has no std


def test_an_image_of_one_colour_has_nothing_to_lose() -> None:
    translator = Translator(Known(0.5), {}, "cpu", "float32", 1)
    flat = translator.translate_map(torch.full((1, 4, 4), 0.25), "b", styles=2)
    assert flat.invention is not None and np.isfinite(flat.invention).all()


def test_outputs_are_those_of_translate(run: Path) -> None:
    translator = drit.load(run, device="cpu", precision="float32", threads=1)
    image = np.random.default_rng(0).integers(0, 256, (17, 22, 1)).astype(np.uint8)
    made = translator.translate_map(image, "b", seed=3)
    for one, other in zip(made.outputs, translator.translate(image, "b", 5, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert made.style_std is not None and made.cycle_error is not None
    outputs = np.stack([o.transpose(2, 0, 1) for o in made.outputs]).astype(float)
    np.testing.assert_allclose(made.style_std, outputs.std(0).mean(0), atol=0.6)  # of rounded outputs
    style = translator.style(image, "a")
    back = translator.translate(made.outputs[2], "a", styles=style)[0].astype(float)
    assert abs(np.abs(back - image)[:, :, 0] - made.cycle_error[2]).mean() < 1


def method(name: str, folders: tuple[Path, Path]) -> Method:
    return method_class(name)(tiny(*folders, method=name), {"a": 1, "b": 3})


def test_methods_that_have_one_map_or_none(folders: tuple[Path, Path]) -> None:
    assert missing_notes(method("drit", folders), "a") == missing_notes(method("cycle-bicycle", folders), "b") == []
    for name in ("cyclegan", "unit"):
        assert "the cycle error alone: this method gives one output" in missing_notes(method(name, folders), "a")[0]
    noise, bicycle = (missing_notes(method(name, folders), "a") for name in ("cyclegan-noise", "bicyclegan"))
    assert "the std over styles alone, without a number: this method does not take the style" in noise[0]
    assert "without a number: this method does not translate to a." in bicycle[0]
    with pytest.raises(UsageError, match="nothing to map: this method gives one output for each image and does not"):
        missing_notes(method("pix2pix", folders), "a")
    one = Translator(method("cyclegan", folders), {}, "cpu", "float32", 1)
    made = one.translate_map(torch.zeros(1, 16, 16), "b")
    assert made.style_std is None and made.cycle_error is not None and len(made.outputs) == 1


def test_colours_of_the_scale() -> None:
    """Black at 0, lighter with every level, the same from the top on."""
    colours = heat_map(np.array([[0.0, TOP / 4, TOP / 2, TOP, 255.0]]))
    assert colours.shape == (1, 5, 3) and colours[0, 0].max() < 8
    brightness = colours[0].astype(int) @ [299, 587, 114]
    assert (np.diff(brightness)[:3] > 0).all() and brightness[3] == brightness[4]


def test_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Maps and numbers beside the outputs; a folder of translations is read without its maps."""
    folder, out = write_images(tmp_path / "in", 2, 1), tmp_path / "out"
    command = ["translate", str(run), str(folder), "--to", "b", "--styles", "3", "--threads", "1"]
    assert cli.main([*command, "--out", str(out), "--map", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    noted = json.loads((out / "outputs.json").read_text())
    name = "000_style002.png"
    assert noted[name]["invention"] == result["invention"][str(out / name)] > 0 and noted[name]["cycle_error"] > 0
    of_image = result["maps"][str(folder / "000.png")]
    mean = np.mean([noted[f"000_style{k:03d}.png"]["invention"] for k in (1, 2, 3)])
    assert of_image["invention"] == pytest.approx(mean, abs=1e-4) and of_image["style_std"] > 0
    assert of_image["map"] == str(out / "maps" / "000.png")
    shown = decode(out / "maps" / "000.png")[0]
    assert shown.shape[2] == 3 and shown.shape[1] > 4 * 120  # input and three outputs, enlarged
    assert cli.main([*command, "--out", str(out), "--map"]) == 0  # its own files again
    assert f"Most invented: {out}/00" in capsys.readouterr().out
    back = ["translate", str(run), str(out), "--to", "a", "--styles", "1", "--out", str(tmp_path / "back")]
    assert cli.main([*back, "--threads", "1"]) == 0
    assert len(json.loads((tmp_path / "back" / "outputs.json").read_text())) == 6


def test_command_with_a_method_of_one_output(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop.train(tiny(*folders, method="cyclegan", steps=1), tmp_path / "run")
    encode(np.full((20, 24, 1), 99, np.uint8), tmp_path / "x.png")
    command = ["translate", str(tmp_path / "run"), str(tmp_path / "x.png"), "--to", "b", "--out", str(tmp_path / "out")]
    assert cli.main([*command, "--map", "--threads", "1"]) == 0
    assert "note: The map shows the cycle error alone: this method gives one output" in capsys.readouterr().err
    noted = json.loads((tmp_path / "out" / "outputs.json").read_text())
    assert "cycle_error" in noted["maps/x.png"] and "style_std" not in noted["maps/x.png"]


def test_several_domains_need_the_source(folders: tuple[Path, Path]) -> None:
    names = {"a": 3, "b": 3, "c": 3}
    several = Translator(method_class("drit++")(tiny(*folders, method="drit++"), names), {}, "cpu", "float32", 1)
    image = torch.zeros(3, 16, 16)
    with pytest.raises(UsageError, match="this run has several: name it"):
        several.translate_map(image, "b")
    to_a, to_c = (several.translate_map(image, "b", styles=1, source=s).cycle_error for s in ("a", "c"))
    assert to_a is not None and to_c is not None and np.abs(to_a - to_c).max() > 0
    with pytest.raises(UsageError, match="are of the domain that they would be translated to"):
        several.translate_map(image, "b", source="b")
