"""The in-browser page in a real browser, end to end, with every request elsewhere refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("onnxruntime")
from drit.cli.main import main
from drit.data.images import decode, from_tensor
from drit.exporting import page as web
from drit.inference.translator import Translator
from drit.runs import checkpoint
from drit.runs.record import describe
from tests.browser import TIMEOUT, check_accessible, served, started, visited
from tests.conftest import tiny, write_images


def test_without_the_runtime_the_line_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web, "RUNTIME", tmp_path / "none")
    assert main(["export", str(run), "--format", "web", "--out", str(tmp_path / "out")]) == 2
    assert "Run `make web-runtime`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_that_browsers_do_not_show_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from drit.methods.registry import method_class

    monkeypatch.setattr(web, "check_runtime", lambda: None)
    settings, channels = tiny("x", "y", method="unit"), {"a": 3, "b": 5}
    method = method_class("unit")(settings, channels)
    checkpoint.save(tmp_path / "run", 1, method.state_dict(), {}, {}, describe(settings, channels, {}, {}))
    assert main(["export", str(tmp_path / "run"), "--format", "web", "--out", str(tmp_path / "out")]) == 2
    assert "Images of domain b have 5 channels" in capsys.readouterr().err


def test_an_example_that_is_no_image_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web, "check_runtime", lambda: None)
    (tmp_path / "x.png").write_bytes(b"no image")
    words = ["export", str(run), "--out", str(tmp_path / "out"), "--examples", str(tmp_path / "x.png"), "--format"]
    assert main([*words, "web"]) == 2
    assert "x.png" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main([*words, "onnx"]) == 2
    assert "--examples is for --format web" in capsys.readouterr().err


@pytest.fixture(scope="module")
def address(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the tiny run's page."""
    if any(not (web.RUNTIME / name).is_file() for name in web.RUNTIME_FILES):
        pytest.skip("the page's runtime is not there: make web-runtime")
    out = tmp_path_factory.mktemp("export") / "web"
    example = write_images(out.parent / "examples", 1, 1, (37, 1100), 5) / "000.png"
    assert main(["export", str(run), "--format", "web", "--out", str(out), "--examples", str(example)]) == 0
    assert Image.open(out / "examples" / "0.png").size == (512, 17)

    with served(out) as address:
        yield address


def test_the_page_translates(address: str, run: Path, tmp_path: Path) -> None:
    """Random styles, an exemplar's, a slider, the way back: what is downloaded is what the translator gives."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    grey = write_images(tmp_path / "grey", 1, 1, (37, 50), 3) / "000.png"
    colour = write_images(tmp_path / "colour", 1, 3, (40, 44), 4) / "000.png"
    translator = Translator.load(run, "cpu", "float32", threads=1)

    with started() as browser, visited(address, browser) as page:
        api.expect(page.locator("#status")).to_contain_text("Ready (WebAssembly)")
        check_accessible(page)

        def downloaded() -> np.ndarray:
            with page.expect_download() as download:
                page.click("#save")
            return np.asarray(Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).convert("RGB"))

        def check(style: list[float], image: Path, to: str) -> None:
            pixels = decode(image)[0]
            ours = next(iter(translator.outputs(pixels, torch.tensor([style]), to)))
            assert (
                np.abs(np.broadcast_to(from_tensor(ours), (*ours.shape[1:], 3)).astype(int) - downloaded()).max() <= 1
            )

        def wait_for_styles(change: Callable[[], object]) -> None:
            """Until the grid is full of other styles than before a change."""
            tiles = page.locator(".tile")
            before = tiles.first.get_attribute("data-style") if tiles.count() else ""
            change()
            page.wait_for_function(
                "before => { const tiles = document.querySelectorAll('.tile:not(.waiting)');"
                "return tiles.length === 12 && tiles[0].dataset.style !== before; }",
                arg=before,
                timeout=TIMEOUT,
            )

        wait_for_styles(page.get_by_role("button", name="Example 1").click)
        wait_for_styles(lambda: page.set_input_files("#file", str(grey)))
        check_accessible(page)
        tile = page.locator(".tile").nth(4)
        tile.click()
        style = json.loads(tile.get_attribute("data-style") or "")
        check(style, grey, "b")
        page.locator("#sliders input").nth(1).fill("-1.5")
        api.expect(page.locator(".tile[aria-pressed=true]")).to_have_count(0)
        moved = [style[0], -1.5, *style[2:]]
        page.wait_for_function(
            "s => document.getElementById('result').dataset.style === JSON.stringify(s)", arg=moved, timeout=TIMEOUT
        )
        check(moved, grey, "b")

        page.set_input_files("#exemplar", str(colour))
        api.expect(page.locator(".tile:not(.waiting)")).to_have_count(13)
        borrowed = json.loads(page.locator(".tile").first.get_attribute("data-style") or "")
        assert np.abs(np.array(borrowed) - translator.style(decode(colour)[0], "b").numpy()[0]).max() < 1e-4
        check(borrowed, grey, "b")

        wait_for_styles(lambda: page.get_by_label("colour → grey").check(force=True))
        wait_for_styles(lambda: page.set_input_files("#file", str(colour)))
        check(json.loads(page.locator(".tile").first.get_attribute("data-style") or ""), colour, "a")

        page.set_input_files("#file", files=[{"name": "no.png", "mimeType": "image/png", "buffer": b"nothing"}])
        api.expect(page.locator("#error")).to_contain_text("no.png is no image that the browser can read")
