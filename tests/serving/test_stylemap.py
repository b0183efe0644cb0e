"""The map of styles: principal components by hand, training images that are there and that are gone."""

from __future__ import annotations

import base64
import io
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
from fastapi.testclient import TestClient

from drit.data.folders import open_domain
from drit.data.images import to_tensor
from drit.serving.api import create_app
from drit.serving.served import ServedRuns
from drit.serving.settings import ServeSettings
from drit.serving.stylemap import principal
from drit.training import launch
from tests.conftest import tiny


def test_principal_axes_by_hand() -> None:
    """Points on a cross in the plane of the first and third number: 4 along one, 2 along the other."""
    styles = np.array([[5.0, 1, 0], [-3, 1, 0], [1, 1, 2], [1, 1, -2]])
    mean, axes, shares = principal(styles)
    assert np.allclose(mean, [1, 1, 0]) and np.allclose(axes, [[1, 0, 0], [0, 0, 1]])
    assert np.allclose(shares, [32 / 40, 8 / 40])
    assert np.allclose(mean + (styles - mean) @ axes.T @ axes, styles)  # nothing lies outside the plane


def test_styles_that_do_not_differ_have_no_axes() -> None:
    _, axes, shares = principal(np.ones((3, 4)))
    assert not axes.any() and not shares.any()
    _, axes, shares = principal(np.array([[1.0], [2.0], [4.0]]))  # one number: one axis
    assert np.allclose(axes, [[1], [0]]) and np.allclose(shares, [1, 0])


def asked(client: TestClient, **query: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while True:
        answer = client.get("/v1/map", params={"to": "b"} | query)
        assert answer.status_code == 200, answer.text
        if answer.json()["ready"]:
            found: dict[str, Any] = answer.json()
            return found
        assert time.monotonic() < until
        time.sleep(0.02)


def studio(run: Path) -> tuple[ServedRuns, TestClient]:
    runs = ServedRuns.load([str(run)], precision="float32", threads=1)
    return runs, TestClient(create_app(runs, ServeSettings(), studio=True), base_url="http://127.0.0.1")


def test_images_lie_where_their_styles_do(run: Path, folders: tuple[Path, Path]) -> None:
    runs, client = studio(run)
    with client:
        found = asked(client, to="colour")
        refusal = client.get("/v1/map", params={"to": "c"})
    translator = runs.all[0].translator
    images = open_domain(str(folders[1]), translator.method.settings.data, "b")
    assert [p["name"] for p in found["points"]] == [f"00{i}.png" for i in range(4)] and found["note"] == ""
    axes, mean = np.array(found["axes"]), np.array(found["mean"])
    for i, point in enumerate(found["points"]):
        style = translator.style(to_tensor(images.get(i)), "b")[0].numpy()
        assert np.allclose(point["style"], style, atol=1e-5)
        assert np.allclose([point["x"], point["y"]], axes @ (style - mean), atol=1e-5)
    sheet = Image.open(io.BytesIO(base64.b64decode(found["thumbnails"])))
    assert sheet.size == (720, 72)
    assert np.abs(np.asarray(sheet)[:, :288].astype(int).mean((0, 1)) - 128).max() < 60  # four images
    assert refusal.status_code == 422 and "no domain 'c'" in refusal.json()["error"]


def test_a_map_without_its_images_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The images were removed after training; or the method takes no style from an image; or it has no styles."""
    for folder in folders:
        shutil.copytree(folder, tmp_path / folder.name)
    settings = tiny(tmp_path / "grey", tmp_path / "colour", steps=1)
    launch.train(settings, tmp_path / "run")
    shutil.rmtree(tmp_path / "colour")
    runs, client = studio(tmp_path / "run")
    with client:
        found = asked(client)
    assert "random styles" in found["note"] and "There is no folder" in found["note"]
    assert found["thumbnails"] == "" and len(found["points"]) == 60
    random = runs.all[0].translator.sample(60, "b", 0).numpy()
    assert np.allclose([p["style"] for p in found["points"]], random)

    launch.train(tiny(*folders, method="cyclegan", steps=1), tmp_path / "plain")
    _, client = studio(tmp_path / "plain")
    with client:
        assert client.get("/v1/map", params={"to": "b"}).status_code == 422


def test_the_service_shows_no_training_images(run: Path) -> None:
    runs = ServedRuns.load([str(run)], threads=1)
    with TestClient(create_app(runs, ServeSettings()), base_url="http://127.0.0.1") as client:
        assert client.get("/v1/map", params={"to": "b"}).status_code == 404
