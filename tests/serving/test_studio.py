"""The studio in a real browser, end to end, with every request elsewhere refused."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
import uvicorn
from playwright.sync_api import Browser, Page, expect

import drit
from drit.cli import main as cli
from drit.data.images import decode
from drit.inference.state import read_state
from drit.serving.api import create_app
from drit.serving.served import ServedRuns
from drit.serving.server import open_socket
from drit.serving.settings import ServeSettings
from drit.settings.schema import changed
from drit.training import launch
from tests.browser import check_accessible, started, visited
from tests.conftest import tiny, write_images


@contextmanager
def running(*runs: Path) -> Iterator[str]:
    """The address of a studio of these runs."""
    settings = ServeSettings(port=0)
    listening = open_socket(settings)
    app = create_app(ServedRuns.load([*map(str, runs)], precision="float32", threads=1), settings, studio=True)
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    listening.listen()
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def studio(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a studio, and its run."""
    copy = tmp_path_factory.mktemp("studio") / "tiny run"
    shutil.copytree(run, copy)
    with running(copy) as address:
        yield address, copy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def page(studio: tuple[str, Path], browser: Browser) -> Iterator[Page]:
    with visited(studio[0], browser) as page:
        yield page


def drop(page: Page, image: Path) -> None:
    page.set_input_files("#file", str(image))
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One of each domain."""
    folder = tmp_path_factory.mktemp("dropped")
    write_images(folder / "grey", 1, 1, (40, 60), seed=3)
    write_images(folder / "colour", 1, 3, (40, 60), seed=4)
    return folder / "grey" / "000.png", folder / "colour" / "000.png"


def pixels(page: Page, download: str) -> np.ndarray:
    with page.expect_download() as waiting:
        page.click(download)
    return np.asarray(Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes())))


def test_a_visit(page: Page, studio: tuple[str, Path], images: tuple[Path, Path], tmp_path: Path) -> None:
    """An image dropped, a style chosen, borrowed, mixed, kept; and the command that is shown gives what is shown."""
    run, (grey, colour) = studio[1], images
    drop(page, grey)
    expect(page.locator("#chosen-name")).to_have_text("Style 1 of seed 0")  # the first comes first, and is shown
    page.click("#random .tile:nth-child(3) button")
    expect(page.locator("#chosen-name")).to_have_text("Style 3 of seed 0")
    shown = pixels(page, "#download")
    assert shown.shape == (20, 30, 3)  # the run was trained at 20 pixels
    scaled = tmp_path / "small.png"
    Image.open(grey, formats=["PNG"]).resize((30, 20), Image.Resampling.BOX).save(scaled)
    words = shlex.split(page.inner_text("#command"), comments=True)
    assert words[:4] == ["drit", "translate", str(run), "000.png"]
    there = {"000.png": str(scaled), "out": str(tmp_path / "out")}
    assert cli.main([*(there.get(word, word) for word in words[1:]), "--threads", "1"]) == 0
    given = decode(tmp_path / "out" / "small_style003.png")[0]
    assert np.abs(given.astype(int) - shown).mean() < 2  # scaled by another program

    page.set_input_files("#exemplar", str(colour))
    expect(page.locator("#own .tile:not(.waiting)")).to_have_count(1)
    expect(page.locator("#chosen-name")).to_have_text("As 000.png")
    assert "--style-from 000.png" in page.inner_text("#command")

    page.click("#slot-a")
    page.click("#random .tile:nth-child(5) button")
    page.click("#slot-b")
    expect(page.locator("#chosen-name")).to_have_text("50 % As 000.png, 50 % Style 5")
    page.locator("#blend").fill("25")
    expect(page.locator("#chosen-name")).to_have_text("75 % As 000.png, 25 % Style 5")
    with page.expect_download() as waiting:
        page.click("#walk")
    assert waiting.value.suggested_filename == "000_As 000.png to Style 5.webp"
    with Image.open(waiting.value.path()) as walk:
        assert 1 < walk.n_frames <= 46  # type: ignore[attr-defined]  (equal ones are one)
    page.select_option("#walk-format", "gif")
    with page.expect_download() as waiting:
        page.click("#walk")
    with Image.open(waiting.value.path()) as walk:
        assert walk.format == "GIF" and walk.size == (30, 20)
    page.fill("#keep-name", "warm/cold")
    page.click("#keep button")
    expect(page.locator("#error")).to_contain_text("cannot be called")
    page.click("#error button")
    page.fill("#keep-name", "warm")
    page.press("#keep-name", "Enter")
    expect(page.locator("#chosen-name")).to_have_text("warm")
    kept = json.loads((run / "styles.json").read_text())
    assert np.allclose(kept["styles"]["warm"], shown_style(page), atol=1e-5)
    assert kept["domains"] == {"warm": "b"}
    check_accessible(page)
    assert cli.main(["translate", str(run), str(scaled), "--to", "b", "--out", str(tmp_path / "named"), "--style",
                     f"{run}/styles.json:warm", "--threads", "1"]) == 0  # fmt: skip
    assert (tmp_path / "named" / "small_warm.png").is_file()

    page.reload()
    drop(page, grey)
    expect(page.locator("#own .tile:not(.waiting)")).to_have_count(1)  # kept; the borrowed one was not
    page.click("#own .label button:last-child")
    expect(page.locator("#own .tile")).to_have_count(0)
    assert json.loads((run / "styles.json").read_text())["styles"] == {}


def test_more_styles_the_other_direction_and_the_whole_grid(page: Page, images: tuple[Path, Path]) -> None:
    drop(page, images[0])
    page.click("#more")
    expect(page.locator("#random [aria-pressed=true]")).to_have_count(0)  # the chosen style stays, its tile does not
    expect(page.locator("#chosen-name")).to_have_text("Style 1 of seed 0")
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)
    page.click("#random .tile:nth-child(1) button")
    expect(page.locator("#chosen-name")).to_have_text("Style 1 of seed 1")
    grid = pixels(page, "#download-grid")
    assert grid.shape[1] == 8 + 4 * 38 and grid.shape[0] == 8 + 3 * (20 + 22 + 8)
    page.select_option("#size", "0")
    expect(page.locator("#status")).to_contain_text("full size")
    assert pixels(page, "#download").shape == (40, 60, 3)
    page.locator("#directions label").first.click()
    expect(page.locator("#own-hint")).to_contain_text("grey")
    drop(page, images[1])
    assert pixels(page, "#download").shape == (40, 60)


def free_corner(page: Page) -> dict[str, float]:
    """A corner of the map where no image lies: where to click, and its place in per cent, from left and bottom."""
    found: dict[str, float] = page.evaluate(
        """() => {
          const plane = document.querySelector("#plane");
          plane.scrollIntoView();
          const box = plane.getBoundingClientRect();
          for (const across of [1, 99])
            for (const up of [1, 99]) {
              const x = box.left + (box.width * across) / 100, y = box.bottom - (box.height * up) / 100;
              if (!document.elementFromPoint(x, y)?.closest(".point")) return { x, y, across, up };
            }
        }"""
    )
    return found


def test_the_map_of_styles(page: Page, images: tuple[Path, Path]) -> None:
    """By pointer and by keyboard: an image's own style; between two images, what lies there."""
    drop(page, images[0])
    page.click("#tab-map")
    expect(page.locator("#plane .point")).to_have_count(4)  # all training images of the domain
    expect(page.locator("#map-note")).to_contain_text("4 training images of “colour”")
    page.locator("#plane .point").first.click()
    expect(page.locator("#chosen-name")).to_have_text("As 000.png")
    assert "colour/000.png" in page.inner_text("#command")
    assert page.locator("#plane [aria-pressed=true]").count() == 1
    corner = free_corner(page)
    with page.expect_response("**/v1/translate") as answer:
        page.mouse.click(corner["x"], corner["y"])
    expect(page.locator("#chosen-name")).to_contain_text("Map at ")
    assert answer.value.status == 200
    expect(page.locator("#plane [aria-pressed=true]")).to_have_count(0)
    for name, wanted in (("#map-x", corner["across"]), ("#map-y", corner["up"])):
        assert abs(int(page.locator(name).input_value()) - wanted) <= 1
    page.locator("#map-x").fill("50")
    expect(page.locator("#map-x")).to_have_attribute("aria-valuetext", re.compile(r"-?\d\.\d\d"))
    page.locator("#plane .point").first.focus()
    keys = {"ArrowRight": (1, 0), "ArrowLeft": (-1, 0), "ArrowDown": (0, 1), "ArrowUp": (0, -1)}
    before = page.evaluate("[document.activeElement.offsetLeft, document.activeElement.offsetTop]")
    for key, (x, y) in keys.items():
        page.keyboard.press(key)
        after = page.evaluate("[document.activeElement.offsetLeft, document.activeElement.offsetTop]")
        assert (after[0] - before[0]) * x + (after[1] - before[1]) * y >= 0
        before = after
    page.keyboard.press("Enter")
    expect(page.locator("#chosen-name")).to_contain_text("As 00")
    check_accessible(page)
    page.focus("#tab-map")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#random")).to_be_visible()


def test_images_times_styles(page: Page, images: tuple[Path, Path], studio: tuple[str, Path], tmp_path: Path) -> None:
    """Two images in the locked styles; the file holds each where it stands; a cell shows large."""
    write_images(tmp_path / "more", 1, 1, (20, 30), seed=5)
    second = tmp_path / "more" / "second.png"
    (tmp_path / "more" / "000.png").rename(second)
    page.set_input_files("#file", [str(images[0]), str(second)])
    expect(page.locator("#matrix-table tbody tr")).to_have_count(2)
    expect(page.locator("#matrix-table thead th")).to_have_count(4)  # no style is locked: the first random ones
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)
    page.click("#tab-styles")
    page.get_by_role("button", name="Lock Style 3", exact=True).click()
    page.get_by_role("button", name="Lock Style 7", exact=True).click()
    page.click("#random .tile:nth-child(7) button")
    page.click("#tab-matrix")
    expect(page.locator("#matrix-table thead th")).to_have_text(["Style 3", "Style 7"])
    expect(page.locator("#matrix-table .cell:not(.waiting) img")).to_have_count(4)
    sheet = pixels(page, "#download-matrix")
    assert sheet.shape[:2] == (8 + 22 + 2 * (20 + 22 + 8), 8 + 3 * (30 + 8))
    translator = drit.load(studio[1], precision="float32", threads=1)
    styles = translator.sample(7, "b", 0)[[2, 6]]
    for row, file in ((1, second),):
        wanted = translator.translate(decode(file)[0], "b", styles=styles)
        for column in range(2):
            top, left = 30 + row * 50, 8 + (column + 1) * 38
            found = sheet[top : top + 20, left : left + 30, :3]
            assert np.abs(found.astype(int) - wanted[column]).max() <= 1
    page.get_by_role("button", name="second.png in Style 7").click()
    expect(page.locator("#chosen-name")).to_have_text("Style 7 of seed 0")
    assert "second.png" in page.inner_text("#command")
    assert np.abs(pixels(page, "#download").astype(int) - wanted[1]).max() <= 1
    page.click("#matrix-table tbody tr:first-child th button")
    expect(page.locator("#matrix-table tbody tr")).to_have_count(1)
    check_accessible(page)


def test_two_checkpoints_side_by_side(page: Page, images: tuple[Path, Path], studio: tuple[str, Path]) -> None:
    """The other checkpoint of the run beside the shown one, in the same styles; and each as the shown one."""
    drop(page, images[0])
    page.click("#tab-compare")
    expect(page.locator("#left-title")).to_have_text("3 iterations")
    expect(page.locator("#right-title")).to_have_text("6 iterations")
    expect(page.locator("#pairs .half:not(.waiting) img")).to_have_count(8)
    sheet = pixels(page, "#download-pairs")
    assert sheet.shape[:2] == (30 + 2 * 50, 8 + 5 * 38)
    page.select_option("#size", "0")
    page.click("#pairs .pair:nth-child(2)")
    expect(page.locator("#left-tag")).to_have_text("3 iterations")
    expect(page.locator("#chosen-name")).to_have_text("Style 2 of seed 0")
    array = decode(images[0])[0]
    old = drit.load(studio[1] / "checkpoints" / "step_00000003", precision="float32", threads=1)
    (wanted,) = old.translate(array, "b", styles=old.sample(2, "b", 0)[1:])
    page.select_option("#checkpoint", "3")
    expect(page.locator("#left-title")).to_have_text("6 iterations")  # the other of the two
    expect(page.locator("#chosen-name")).to_have_text("Style 1 of seed 0")
    page.click("#tab-styles")
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)
    page.click("#random .tile:nth-child(2) button")
    expect(page.locator("#left-tag")).to_have_text("original")
    assert np.abs(pixels(page, "#download").astype(int) - wanted).max() <= 1
    assert "step_00000003" in page.inner_text("#command")


def test_locked_styles_stay_and_are_mixed_by_weights(
    page: Page, images: tuple[Path, Path], studio: tuple[str, Path], tmp_path: Path
) -> None:
    drop(page, images[0])
    for style in ("Style 2", "Style 5", "Style 6"):
        page.get_by_role("button", name=f"Lock {style}", exact=True).click()
    page.click("#more")
    expect(page.locator("#status")).to_contain_text("12 styles")
    translator = drit.load(studio[1], precision="float32", threads=1)
    drawn, new = (translator.sample(12, "b", seed) for seed in (0, 1))
    expect(page.locator("#random .tile:nth-child(2) .label span")).to_have_attribute("title", "Style 2 of seed 0")
    expect(page.locator("#random .tile:nth-child(3) .label span")).to_have_attribute("title", "Style 3 of seed 1")
    page.click("#random .tile:nth-child(5) > button")
    assert shown_style(page) == pytest.approx(drawn[4].tolist(), abs=1e-5)
    page.click("#random .tile:nth-child(4) > button")
    assert shown_style(page) == pytest.approx(new[3].tolist(), abs=1e-5)

    weights = page.locator("#weights input")
    expect(weights).to_have_count(3)
    for slider, value in zip(weights.all(), ("20", "60", "0"), strict=True):
        slider.fill(value)
    expect(page.locator("#chosen-name")).to_have_text("25 % Style 2, 75 % Style 5")
    assert shown_style(page) == pytest.approx((0.25 * drawn[1] + 0.75 * drawn[4]).tolist(), abs=1e-5)
    write_images(tmp_path, 1, 1, (40, 60), seed=9)
    page.set_input_files("#file", str(tmp_path / "000.png"))  # another image: they stay, with their weights
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)
    expect(page.locator("#random .lock[aria-pressed=true]")).to_have_count(3)
    assert [slider.input_value() for slider in weights.all()] == ["20", "60", "0"]
    page.locator("#directions label").first.click()
    expect(page.locator("#random .lock[aria-pressed=true]")).to_have_count(0)  # of another domain


def shown_style(page: Page) -> list[float]:
    found = re.search(r"styles=\[\[(.*)\]\]", page.inner_text("#python"))
    assert found
    return [float(value) for value in found[1].split(",")]


def test_tags_filter_the_kept_styles(page: Page, images: tuple[Path, Path], studio: tuple[str, Path]) -> None:
    drop(page, images[0])
    for number, (name, tags) in enumerate({"sun": "warm, bright", "ice": "cold,bright", "mud": ""}.items(), 1):
        page.click(f"#random .tile:nth-child({number}) > button")
        page.fill("#keep-name", name)
        page.press("#keep-name", "Enter")
        expect(page.locator("#chosen-name")).to_have_text(name)
        page.fill("#tags", tags)
        page.press("#tags", "Enter")
        expect(page.locator("#status")).to_contain_text(f"“{name}”" + (" has no tags" if not tags else ": "))
    assert json.loads((studio[1] / "styles.json").read_text())["tags"] == {
        "sun": ["warm", "bright"],
        "ice": ["cold", "bright"],
    }
    page.reload()
    drop(page, images[0])
    expect(page.locator("#own .tile:not(.waiting)")).to_have_count(3)
    page.select_option("#tag", "bright")
    expect(page.locator("#own .tile:visible .label span")).to_have_text(["sun", "ice"])
    page.select_option("#tag", "")
    expect(page.locator("#own .tile:visible")).to_have_count(3)
    for left in (2, 1, 0):
        page.locator("#own .label button:last-child").first.click()
        expect(page.locator("#own .tile")).to_have_count(left)
    expect(page.locator("#tag-choice")).to_be_hidden()


def test_the_full_size_of_a_large_image(
    page: Page, studio: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown small, and downloaded whole: in strips, with progress, and it can be stopped."""
    monkeypatch.setattr("drit.serving.large.TILE", 64)
    write_images(tmp_path, 1, 1, (2100, 2010), seed=5)
    page.set_input_files("#file", str(tmp_path / "000.png"))
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)
    assert page.locator("#size [value='0']").is_disabled()
    assert "--tile 512" in page.inner_text("#command") and "tile=512" in page.inner_text("#python")
    page.click("#random .tile:nth-child(2) > button")
    page.click("#full")
    expect(page.locator("#full-progress")).to_have_attribute("value", re.compile(r"0\.\d+"))
    expect(page.locator("#full")).to_have_text("Stop")
    page.click("#full")
    expect(page.locator("#status")).to_have_text("Stopped.")
    write_images(tmp_path / "less", 1, 1, (60, 50), seed=5)
    page.set_input_files("#file", str(tmp_path / "less" / "000.png"))
    expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(12)
    expect(page.locator("#size [value='0']")).to_be_enabled()
    page.click("#random .tile:nth-child(2) > button")
    found = pixels(page, "#full")
    translator = drit.load(studio[1], precision="float32", threads=1)
    (wanted,) = translator.translate(
        decode(tmp_path / "less" / "000.png")[0], "b", styles=translator.sample(2, "b", 0)[1:]
    )
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_a_run_that_changes_is_read_anew(page: Page, images: tuple[Path, Path], studio: tuple[str, Path]) -> None:
    drop(page, images[0])
    weights = studio[1] / "checkpoints" / "step_00000006" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes())
    page.click("#more")
    expect(page.locator("#status")).to_contain_text("iteration 6 was read anew")
    expect(page.locator("#random .tile:not(.waiting):not(.failed) img")).to_have_count(12)
    expect(page.locator("#error")).to_be_hidden()


def test_a_format_that_is_missing_says_what_to_install(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drit.serving.api.able", lambda: ["webp", "gif"])
    page.reload()
    expect(page.locator("#walk-format option")).to_have_text(["WebP", "GIF", "MP4: pip install 'drit[video]'"])
    assert page.locator("#walk-format option").last.is_disabled()


def test_two_runs_side_by_side(
    browser: Browser, run: Path, folders: tuple[Path, Path], images: tuple[Path, Path], tmp_path: Path
) -> None:
    """A run of styles of another length draws its own; one that has none gives its output."""
    for name, values in (("longer", {"network.style_dim": 5}), ("plain", {})):
        method = "cyclegan" if name == "plain" else "drit"
        launch.train(changed(tiny(*folders, method=method, steps=1), values), tmp_path / name)
    with running(run, tmp_path / "longer", tmp_path / "plain") as address, visited(address, browser) as page:
        drop(page, images[0])
        page.click("#tab-compare")
        expect(page.locator("#left-title")).to_have_text("longer")
        expect(page.locator("#compare-note")).to_contain_text("different lengths")
        expect(page.locator("#pairs .half:not(.waiting) img")).to_have_count(8)
        page.select_option("#other-run", "plain")
        expect(page.locator("#pairs .half:not(.waiting) img")).to_have_count(2)
        page.select_option("#run", "plain")
        expect(page.locator("#random .tile")).to_have_count(1)
        expect(page.locator("#tab-map")).to_be_hidden()
        expect(page.locator("#random .tile:not(.waiting) img")).to_have_count(1)
        page.click("#tab-compare")
        expect(page.locator("#right-title")).to_have_text("plain")
        expect(page.locator("#pairs .half:not(.waiting) img")).to_have_count(2)


def test_a_dropped_output_restores_run_direction_and_style(
    page: Page, studio: tuple[str, Path], images: tuple[Path, Path], tmp_path: Path
) -> None:
    drop(page, images[0])
    page.click("#random .tile:nth-child(3) button")
    with page.expect_download() as waiting:
        page.click("#download")
    made = tmp_path / "made.png"
    waiting.value.save_as(made)
    state = read_state(made)
    assert state and (state.to, state.name, state.seed) == ("b", "style003", 0)
    shown = np.asarray(Image.open(made))

    page.reload()
    page.locator("#directions label").first.click()  # to a
    page.set_input_files("#file", str(made))  # before there is an image
    expect(page.locator("#restored")).to_contain_text(
        "Style 3 of seed 0 of run tiny run, to colour. Now drop the image"
    )
    assert page.locator("#directions input").nth(1).is_checked()
    drop(page, images[0])
    expect(page.locator("#chosen-name")).to_have_text("Style 3 of seed 0")
    assert "--style-from made.png" in page.inner_text("#command")
    assert np.array_equal(pixels(page, "#download"), shown)

    page.locator("#directions label").first.click()
    drop(page, images[1])
    page.set_input_files("#file", str(made))  # with an image: it is translated at once
    expect(page.locator("#restored")).to_contain_text("Restored from made.png")
    expect(page.locator("#own .tile:not(.waiting)")).to_have_count(1)
    page.click("#use-itself")
    expect(page.locator("#restored")).to_be_hidden()

    content = made.read_bytes()
    foreign = content.replace(state.run.encode(), b"f" * 64)
    crc = foreign.index(b"iTXtdrit")
    length = struct.unpack(">I", foreign[crc - 4 : crc])[0]
    end = crc + 4 + length
    made.write_bytes(foreign[:end] + struct.pack(">I", zlib.crc32(foreign[crc:end])) + foreign[end + 4 :])
    page.set_input_files("#file", str(made))
    expect(page.locator("#error")).to_contain_text("a run with the weights ffffffffffff")


def test_a_dropped_grid_and_a_dropped_walk_restore_their_styles(
    page: Page, images: tuple[Path, Path], tmp_path: Path
) -> None:
    drop(page, images[0])
    page.click("#slot-a")
    page.click("#random .tile:nth-child(2) button")
    page.click("#slot-b")
    made = {}
    for name, button in (("grid.png", "#download-grid"), ("walk.webp", "#walk"), ("walk.gif", "#walk")):
        if name.endswith(".gif"):
            page.select_option("#walk-format", "gif")
        with page.expect_download() as waiting:
            page.click(button)
        waiting.value.save_as(tmp_path / name)
        made[name] = read_state(tmp_path / name)
        assert made[name], name
    page.click("#tab-matrix")
    expect(page.locator("#matrix-table .cell:not(.waiting) img")).to_have_count(5)  # the mix that is shown, too
    with page.expect_download() as waiting:
        page.click("#download-matrix")
    matrix = read_state(waiting.value.path())
    grid, walk = made["grid.png"], made["walk.webp"]
    assert made["walk.gif"] == walk and matrix.styles[1:] == grid.styles[:4] and grid.name == "grid"
    assert (matrix.styles[0].name, matrix.styles[0].seed) == ("50 % Style 1, 50 % Style 2", None)
    assert [(s.name, s.seed) for s in grid.styles] == [(f"style{i:03d}", 0) for i in range(1, 13)]
    assert walk.name == "walk" and len(walk.styles) == 24
    assert [walk.styles[i].style for i in (0, -1)] == [s.style for s in grid.styles[:2]]

    page.reload()
    drop(page, images[0])
    page.set_input_files("#file", str(tmp_path / "grid.png"))
    expect(page.locator("#restored")).to_contain_text("Restored from grid.png: 12 styles of run")
    expect(page.locator("#own .tile:not(.waiting) img")).to_have_count(12)
    expect(page.locator("#chosen-name")).to_have_text("Style 1 of seed 0")

    page.reload()
    drop(page, images[0])
    page.set_input_files("#file", str(tmp_path / "walk.gif"))
    expect(page.locator("#restored")).to_contain_text("Restored from walk.gif: A walk of run")
    expect(page.locator(".slot.filled")).to_have_count(2)
    page.locator("#blend").fill("25")
    expect(page.locator("#chosen-name")).to_contain_text("75 % ")


def test_the_keyboard_alone(page: Page, images: tuple[Path, Path]) -> None:
    drop(page, images[0])
    page.focus("#random .tile:nth-child(1) button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#chosen-name")).to_have_text("Style 2 of seed 0")
    page.keyboard.press("End")
    page.keyboard.press("Space")
    expect(page.locator("#chosen-name")).to_have_text("Style 12 of seed 0")
    page.focus("#share")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#compare").get_attribute("style") == "--share: 40%;"
    named = page.locator("button, input, select").evaluate_all(
        "all => all.filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)"
    )
    assert named == []  # each has words for who does not see it


def test_what_goes_wrong_is_said(page: Page, tmp_path: Path, images: tuple[Path, Path]) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nonsense" * 50)
    page.set_input_files("#file", str(broken))
    expect(page.locator("#error")).to_contain_text("not in an image format")


def test_a_phone(page: Page, images: tuple[Path, Path]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, images[0])
    for tab in ("map", "matrix", "compare", "styles"):
        page.click(f"#tab-{tab}")
        shown = {"map": "#plane .point", "matrix": ".cell img", "compare": ".half img", "styles": "#random img"}[tab]
        expect(page.locator(shown).first).to_be_visible()
        wide = page.locator("body *:not(.scroll *)").evaluate_all(
            "all => all.filter(e => e.getBoundingClientRect().right > 391).map(e => e.id || e.className)"
        )
        assert wide == [], tab  # nothing is cut off at the right
    first, second = (page.locator(f"#{name}").bounding_box() for name in ("styles", "mix"))
    assert first and second and first["y"] < second["y"]  # the styles come right after the image


def test_the_page_of_the_api(page: Page, studio: tuple[str, Path]) -> None:
    page.goto(f"{studio[0]}/docs")
    section = page.locator("section", has_text="POST /v1/translate")
    expect(section).to_contain_text("format")
    expect(section).to_contain_text("png, jpg, webp, tif")
    check_accessible(page)
