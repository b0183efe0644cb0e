"""Translation: any size, the same kind out, seeds, exemplars, interpolation; exact against the plain computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import drit
from drit.errors import UsageError
from drit.inference import translator as module
from drit.inference.translator import Translator, _reflected
from reference import formulation as reference


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


def grey(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 1)).astype(np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (31, 19), (5, 40), (1, 1), (2, 3)])
def test_any_size(translator: Translator, size: tuple[int, int]) -> None:
    """Padded by reflection to what the networks need; the result is the crop of the padded one's translation."""
    x = grey(*size)
    made = translator.translate(x, to="b", styles=2, seed=3)
    assert [m.shape for m in made] == [(*size, 3)] * 2
    height, width = (max(16, -(-s // 4) * 4) for s in size)
    mode = {"mode": "reflect"} if min(size) > 1 else {"mode": "edge"}
    padded = np.pad(x, ((0, height - size[0]), (0, width - size[1]), (0, 0)), **mode)  # type: ignore[call-overload]
    whole = translator.translate(padded, to="b", styles=2, seed=3)
    for part, full in zip(made, whole, strict=True):
        np.testing.assert_array_equal(part, full[: size[0], : size[1]])


def test_outputs_equal_the_plain_computation(translator: Translator) -> None:
    """Encode once, render many, in chunks: what one plain pass for each style gives (float32)."""
    x = torch.from_numpy(grey(20, 24)).permute(2, 0, 1).float() / 127.5 - 1
    styles = translator.sample(5, "b", seed=1)
    fast = torch.stack(list(translator.outputs(x, styles, "b")))
    method = translator.method
    with torch.no_grad():
        code = reference.content(method, x[None], "a")  # type: ignore[arg-type]
        plain = torch.cat([reference.generate(method, code, s[None], "b") for s in styles])  # type: ignore[arg-type]
    assert float((fast - plain).abs().max()) < 1e-5


def test_chunks_do_not_change_the_result(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, styles = torch.zeros(1, 16, 16), translator.sample(7, "b")
    whole = torch.stack(list(translator.outputs(x, styles, "b")))
    monkeypatch.setattr(module, "CHUNK_PIXELS", 16 * 16 * 3)
    parts = torch.stack(list(translator.outputs(x, styles, "b")))
    assert float((whole - parts).abs().max()) < 1e-6


def test_the_same_kind_comes_out(translator: Translator) -> None:
    x = grey(18, 22)
    image = translator.translate(Image.fromarray(x[:, :, 0]), to="b")[0]
    assert isinstance(image, Image.Image) and (image.mode, image.size) == ("RGB", (22, 18))
    array = translator.translate(x, to="b")[0]
    np.testing.assert_array_equal(np.asarray(image), array)
    wide = translator.translate(x.astype(np.uint16) * 257, to="b")[0]
    assert wide.dtype == np.uint16
    assert np.abs(wide.astype(float) / 257 - array).max() <= 0.51
    number = translator.translate(x / 255, to="b")[0]
    assert number.dtype == np.float64 and np.abs(number * 255 - array).max() <= 0.52
    half = translator.translate((x / 255).astype(np.float16), to="b")[0]
    assert half.dtype == np.float16 and np.abs(half.astype(float) * 255 - array).max() <= 2
    tensor = translator.translate(torch.from_numpy(x).permute(2, 0, 1) / 127.5 - 1, to="b")[0]
    assert tensor.shape == (3, 18, 22) and -1 <= float(tensor.min()) <= float(tensor.max()) <= 1
    colour = translator.translate(np.repeat(x, 3, 2), to="b")[0]  # a colour image for a grey domain: made grey
    np.testing.assert_array_equal(colour, array)
    back = translator.translate(array, to="a")[0]
    assert back.shape == (18, 22, 1)


def test_pil_images_of_every_mode(translator: Translator) -> None:
    """Palettes and CMYK by their colours, 16-bit grey with all its bits, as a file of the same would be."""
    colour = Image.new("RGB", (20, 18), (200, 30, 40))
    colour.paste((10, 90, 200), (5, 5, 15, 15))
    palette = colour.convert("P", palette=Image.Palette.ADAPTIVE)
    of_colours = np.asarray(translator.translate(colour, "b")[0])
    assert np.abs(np.asarray(translator.translate(palette, "b")[0]).astype(int) - of_colours).max() <= 3
    inks = translator.translate(colour.convert("CMYK"), "b")[0]
    np.testing.assert_array_equal(np.asarray(inks), translator.translate(colour.convert("CMYK").convert("RGB"), "b")[0])
    transparent = colour.convert("RGBA")
    transparent.putalpha(255)
    np.testing.assert_array_equal(np.asarray(translator.translate(transparent, "b")[0]), of_colours)
    deep = Image.fromarray(grey(18, 22)[:, :, 0].astype(np.uint16) * 257)
    wide, narrow = (translator.translate(p, "b")[0] for p in (deep, grey(18, 22)))
    np.testing.assert_array_equal(np.asarray(wide), narrow)  # colour: PIL has no 16 bits of it
    back = translator.translate(colour, "a")[0]
    assert back.mode == "L"
    with pytest.raises(UsageError, match="mode F cannot be used: it holds floating-point"):
        translator.translate(Image.fromarray(np.zeros((8, 8), np.float32)), "b")


def test_seeds(translator: Translator) -> None:
    assert torch.equal(translator.sample(3, "b", seed=4), translator.sample(8, "b", seed=4)[:3])
    assert not torch.equal(translator.sample(3, "b", seed=4), translator.sample(3, "b", seed=5))
    x = grey(16, 16)
    one, other = (translator.translate(x, "b", styles=2, seed=7) for _ in range(2))
    assert all((p == q).all() for p, q in zip(one, other, strict=True))


def test_an_exemplar_gives_its_own_style(translator: Translator) -> None:
    """The posterior mean: the same each time, and what translating with that code gives."""
    x, exemplar = grey(16, 20), np.repeat(grey(20, 24), 3, 2)
    code = translator.style(exemplar, "b")
    assert code.shape == (1, 3)
    borrowed = translator.translate(x, "b", style_from=exemplar)
    np.testing.assert_array_equal(borrowed[0], translator.translate(x, "b", styles=code)[0])
    assert len(translator.translate(x, "b", style_from=[exemplar, exemplar])) == 2


def test_interpolation() -> None:
    ends = torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 4.0]])
    steps = Translator.interpolate(ends, 5)
    assert steps.tolist() == [[0, 0], [0.5, 1], [1, 2], [1, 3], [1, 4]]
    for styles, count in ((ends[:1], 3), (ends, 1)):
        with pytest.raises(UsageError, match="at least two"):
            Translator.interpolate(styles, count)


def test_domains_by_name(translator: Translator) -> None:
    assert (translator.domain("colour"), translator.domain("grey"), translator.domain("b")) == ("b", "a", "b")
    assert translator.source("colour") == "a"
    with pytest.raises(UsageError, match=r"no domain 'winter'. Domains of this run: a \(grey\), b \(colour\)"):
        translator.domain("winter")


def test_what_does_not_fit(run: Path, translator: Translator) -> None:
    with pytest.raises(UsageError, match=r"\(2, 4\) do not fit: this model takes \(K, 3\)"):
        translator.translate(grey(16, 16), "b", styles=torch.zeros(2, 4))
    with pytest.raises(UsageError, match=r"domain a takes \(1, H, W\)"):
        translator.translate(torch.zeros(3, 16, 16), "b")
    with pytest.raises(UsageError, match="0 styles were asked for"):
        translator.translate(grey(16, 16), "b", styles=0)
    assert len(translator.translate(grey(16, 16), "b", styles=np.int64(2))) == 2  # type: ignore[arg-type]
    image = grey(16, 16)
    for styles, words in ((None, "Styles must be"), ("2", "Styles must be"), ([[1.0], [1.0, 2.0]], "Styles must be")):
        with pytest.raises(UsageError, match=words):
            translator.translate(image, "b", styles=styles)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"\(0, 3\) do not fit"):
        translator.translate(image, "b", styles=torch.zeros(0, 3))
    for number in (torch.nan, -torch.inf, 1e30):  # the last overflows in the networks: black images, before
        with pytest.raises(UsageError, match="Styles must be finite numbers from -1000000 to 1000000"):
            translator.translate(image, "b", styles=torch.full((1, 3), number))
        with pytest.raises(UsageError, match="pixels of a tensor must be finite numbers"):
            translator.translate(torch.full((1, 16, 16), number), "b")
    assert translator.translate(image, "b", styles=torch.full((1, 3), 1e6))[0].any()
    for seed in (-1, 1.5, 10**18):
        with pytest.raises(UsageError, match="is no whole number from 0"):
            translator.translate(image, "b", seed=seed)  # type: ignore[arg-type]
    assert len(translator.translate(image, "b", seed=np.int64(3))) == 1  # type: ignore[arg-type]
    for wrong, words in (
        (np.full((4, 4), np.nan), r"outside \[0, 1\]"),
        (image.astype(float), r"outside \[0, 1\]"),
        (np.zeros((0, 4, 1), np.uint8), "no pixels"),
        (torch.zeros(1, 16, 16, dtype=torch.uint8), "uint8 does not fit"),
        (torch.zeros(1, 0, 16), "no pixels"),
    ):
        with pytest.raises(UsageError, match=words):
            translator.translate(wrong, "b")
    with pytest.raises(UsageError, match="no precision 'f16'"):
        drit.load(run, precision="f16")
    with pytest.raises(UsageError, match="An image must be"):
        translator.translate(np.zeros((4, 4, 1), np.int64), "b")


def test_averaged_weights_are_used(run: Path) -> None:
    """The run keeps a moving average: it translates with it, and without it on demand."""
    x = grey(16, 16)
    averaged, last = (drit.load(run, average=a, precision="float32").translate(x, "b")[0] for a in (True, False))
    assert (averaged != last).any()


def test_bfloat16_is_close(run: Path, translator: Translator) -> None:
    x = torch.from_numpy(grey(32, 32)).permute(2, 0, 1) / 127.5 - 1
    low = drit.load(run, precision="bfloat16", threads=1)
    one, other = (torch.stack(t.translate(x, "b", styles=4)) for t in (low, translator))
    assert 0 < float((one - other).abs().mean()) < 0.02


def test_reflection_as_often_as_needed() -> None:
    assert _reflected(3, 8).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert _reflected(1, 3).tolist() == [0, 0, 0]
    assert _reflected(5, 6).tolist() == [0, 1, 2, 3, 4, 3]
