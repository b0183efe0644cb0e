"""The service: routes answer as the translator does, and everything that is wrong is refused by name."""

from __future__ import annotations

import base64
import io
import json
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import drit
from drit.data.images import Metadata, encoded, from_tensor
from drit.inference.state import State, read_state
from drit.training import launch
from tests import hostile
from tests.conftest import tiny

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
from fastapi.testclient import TestClient

from drit.serving import large
from drit.serving.animation import animated
from drit.serving.api import create_app
from drit.serving.served import ServedRuns
from drit.serving.settings import Limits, ServeSettings

URL = "http://127.0.0.1:8000"
PRECISE = {"precision": "float32", "threads": 1}


def png(shape: tuple[int, ...] = (20, 24), seed: int = 0, dtype: type = np.uint8) -> bytes:
    values = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def client_of(runs: ServedRuns, settings: ServeSettings | None = None, **options: Any) -> TestClient:
    app = create_app(runs, settings or ServeSettings(), **options)
    return TestClient(app, base_url=URL, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def served(run: Path) -> ServedRuns:
    return ServedRuns.load([str(run)], **PRECISE)


@pytest.fixture(scope="module")
def client(served: ServedRuns) -> Iterator[TestClient]:
    with client_of(served) as client:
        yield client


def limited(**limits: Any) -> ServeSettings:
    return ServeSettings(limit=replace(Limits(), **limits))


def refused(answer: Any, status: int, *words: str) -> None:
    """The answer has this status, and JSON that says what was wrong, with these words, and what to do."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "next"} and body["next"]
    for word in words:
        assert word in body["error"], body


def post(client: TestClient, image: bytes | None = None, **fields: Any) -> Any:
    data = {"to": "b"} | fields
    return client.post("/v1/translate", data=data, files={"image": ("x.png", image or png())})


def images(answer: Any) -> list[np.ndarray]:
    assert answer.status_code == 200, answer.text
    return [pixels(base64.b64decode(output["image"])) for output in answer.json()["outputs"]]


def expected(served: ServedRuns, image: bytes, styles: Any) -> list[np.ndarray]:
    outputs = served.all[0].translator.outputs(pixels(image), torch.as_tensor(styles), "b")
    return [from_tensor(output) for output in outputs]


def near(found: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    """Equal but for the order of sums, which depends on what shares a batch."""
    return len(found) == len(wanted) and all(
        np.abs(a.astype(int) - b.astype(int)).max() <= 1 for a, b in zip(found, wanted, strict=True)
    )


# What is answered


def test_random_styles_are_those_of_the_translator(client: TestClient, served: ServedRuns) -> None:
    answer = post(client, png(), count=3, seed=7)
    styles = served.all[0].translator.sample(3, "b", 7)
    assert near(images(answer), expected(served, png(), styles))
    body = answer.json()
    assert [o["name"] for o in body["outputs"]] == ["style001", "style002", "style003"]
    assert np.allclose([o["style"] for o in body["outputs"]], styles)
    assert (body["width"], body["height"], body["to"], body["media"]) == (24, 20, "b", "image/png")


def test_outputs_say_how_they_were_made(client: TestClient, served: ServedRuns, tmp_path: Path) -> None:
    run = served.all[0]
    styles = run.translator.sample(2, "b", 7)
    given = json.dumps([styles[1].tolist(), [0, 0, 1]])  # the second style of seed 7 again, and one of nobody
    answers = post(client, png(), count=2, seed=7), post(client, png(), numbers=given, count=2, seed=7, format="webp")
    files = [base64.b64decode(o["image"]) for answer in answers for o in answer.json()["outputs"]]
    states = []
    for file in files:
        (tmp_path / "x").write_bytes(file)
        states.append(read_state(tmp_path / "x"))
    assert [(s.name, s.seed) for s in states if s] == [
        ("style001", 7), ("style002", 7), ("style002", 7), ("given2", None),
    ]  # fmt: skip
    assert states[2] and states[2].style == tuple(styles[1].tolist()) and states[2].run == run.weights

    found = client.post("/v1/state", files={"image": ("x", files[2])}).json()
    assert (found["run"], found["why"], found["state"]["to"]) == (run.name, "", "b")
    assert found["state"]["style"] == styles[1].tolist()
    plain = client.post("/v1/state", files={"image": ("x", png())}).json()
    assert plain == {"state": None, "run": "", "why": "", "height": 20, "width": 24}
    nothing = client.post("/v1/state", files={"image": ("x", b"none")}).json()
    assert nothing == plain | {"height": 0, "width": 0}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"run": "f" * 64}, "weights ffffffffffff"),
        ({"to": "z"}, "no direction to 'z'"),
        ({"style": (1.0,)}, "its style has 1 numbers, not 3"),
        ({"style": (float("nan"),)}, "'style' cannot be"),
    ],
)
def test_states_that_cannot_be_restored(
    changes: dict[str, Any], why: str, client: TestClient, served: ServedRuns
) -> None:
    state = replace(State(served.all[0].weights, "a", "b", "x", (0.0, 0.0, 0.0)), **changes)
    image = encoded(np.zeros((8, 8, 3), np.uint8), "x.png", metadata=Metadata(note=state.text()))
    found = client.post("/v1/state", files={"image": ("x", image)}).json()
    assert found["run"] == "" and why in found["why"]


def test_one_image_as_the_answer(client: TestClient) -> None:
    answer = post(client, count=1, answer="image")
    assert answer.headers["content-type"] == "image/png" and pixels(answer.content).shape == (20, 24, 3)
    assert len(json.loads(answer.headers["x-drit-style"])) == 3
    refused(post(client, count=2, answer="image"), 422, "2 outputs")


def test_exemplars_names_and_numbers_together(
    client: TestClient, served: ServedRuns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = served.all[0].library
    monkeypatch.setattr(library, "path", tmp_path / "styles.json")
    library.keep("snow", "b", [0.5, 0.25, -1.0])
    exemplar = png((24, 30, 3), 5)
    answer = client.post(
        "/v1/translate",
        data={"to": "colour", "style": "snow", "numbers": "[[1, 2, 3], [0, 0, 0]]"},
        files=[("image", ("x", png())), ("exemplar", ("../../e", exemplar))],
    )
    taken = served.all[0].translator.style(pixels(exemplar), "b")[0]
    styles = [taken.tolist(), [0.5, 0.25, -1.0], [1, 2, 3], [0, 0, 0]]
    assert near(images(answer), expected(served, png(), styles))
    assert [o["name"] for o in answer.json()["outputs"]] == ["exemplar1", "snow", "given1", "given2"]
    assert client.get("/v1/library").json() == {
        "styles": [{"name": "snow", "domain": "b", "numbers": [0.5, 0.25, -1.0], "tags": []}]
    }
    encoded = client.post("/v1/encode-style", data={"domain": "b"}, files={"image": ("e", exemplar)})
    assert np.allclose(encoded.json()["style"], taken)


def test_an_image_is_encoded_once(client: TestClient, served: ServedRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    image, method = png(seed=11), served.all[0].translator.method
    first = post(client, image, count=1)
    monkeypatch.setattr(method, "content", None)  # nothing can be encoded from here on
    again = client.post("/v1/translate", data={"to": "b", "content": first.json()["content"], "seed": 3})
    assert near(images(again), expected_of_kept(served, image, again))
    assert near(images(post(client, image, count=1)), images(first))
    assert post(client, png(seed=12)).status_code == 500


def expected_of_kept(served: ServedRuns, image: bytes, answer: Any) -> list[np.ndarray]:
    translator = served.all[0].translator
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(translator.method, "content")  # of the instance: the class's own is back
        return expected(served, image, [o["style"] for o in answer.json()["outputs"]])


def test_a_content_that_is_not_kept(client: TestClient) -> None:
    refused(client.post("/v1/translate", data={"to": "b", "content": "0" * 64}), 410, "not kept")


def test_formats_depths_and_sizes(client: TestClient) -> None:
    deep = post(client, png((20, 24), dtype=np.uint16), answer="image", format="tif")
    assert deep.headers["content-type"] == "image/tiff" and deep.content[:4] in (b"II*\0", b"MM\0*")
    assert pixels(post(client, answer="image", format="jpg").content).shape == (20, 24, 3)
    assert pixels(post(client, png((40, 60)), answer="image", size=20).content).shape == (20, 30, 3)
    assert pixels(post(client, png((10, 12)), answer="image", size=20).content).shape == (10, 12, 3)
    refused(post(client, format="jpg", depth=16), 422, "jpg cannot hold 16 bits")


NUMBERS = json.dumps([[v, 0, 0] for v in (-3, -1, 1, 3)])


def test_large_images_in_strips(served: ServedRuns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Above the limit of whole images: the same outputs with their states; progress; what is refused."""
    monkeypatch.setattr(large, "TILE", 64)
    image = png((150, 121))
    with client_of(served, limited(pixels=5000, styles=8)) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        shares: list[float | None] = []
        translate = large.TiledImage

        def watched(*args: Any, advance: Any, **rest: Any) -> Any:
            def noted(share: float) -> None:
                advance(share)
                shares.append(service.large.share("my-token"))

            return translate(*args, advance=noted, **rest)

        monkeypatch.setattr(large, "TiledImage", watched)
        answer = post(client, image, count=2, seed=7, progress="my-token")
        styles = served.all[0].translator.sample(2, "b", 7)
        assert near(images(answer), expected(served, image, styles))
        assert answer.json()["content"] == "" and (answer.json()["height"], answer.json()["width"]) == (150, 121)
        (tmp_path / "x.png").write_bytes(base64.b64decode(answer.json()["outputs"][1]["image"]))
        state = read_state(tmp_path / "x.png")
        assert state and (state.name, state.seed) == ("style002", 7)
        known = [share for share in shares if share is not None]
        assert known == sorted(known) and len(known) > 20 and known[0] < 0.2 and known[-1] > 0.9
        assert client.get("/v1/progress", params={"token": "my-token"}).json() == {"share": None}  # it is done
        refused(client.get("/v1/progress", params={"token": "../x"}), 422, "'token'")
        assert client.get("/v1/runs").json()["whole_pixels"] == 5000
        assert pixels(post(client, image, answer="image", size=60).content).shape == (74, 60, 3)
        refused(post(client, image, count=3), 413, "at most 2 are taken")
        refused(post(client, image, answer="animation"), 413, "animation", "--limit.pixels")
    with client_of(served, limited(pixels=5000, strip_pixels=18_000)) as client:
        refused(post(client, image), 413, "121 x 150", "--limit.strip-pixels")
    with client_of(served, limited(pixels=5000, strip_pixels=0)) as client:
        refused(post(client, image), 413, "121 x 150", "--limit.pixels")
    with client_of(served, limited(pixels=5000, strip_seconds=0.02)) as client:
        refused(post(client, image), 504, "0.02 s", "--limit.strip-seconds")
        assert post(client, png()).status_code == 200


def test_an_animation_as_video(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames forwards and backwards in their colours, of which a video keeps a fourth; odd sides grow by one."""
    av = pytest.importorskip("av", reason="the extra 'video' is not installed")
    answer = post(client, png((21, 25)), numbers=NUMBERS, answer="animation", animation="mp4")
    assert answer.headers["content-type"] == "video/mp4"
    colours = [(1, -1, -1), (-1, 1, -1), (0.5, 0.5, 0), (-1, -1, 1)]
    images = [torch.tensor(colour)[:, None, None].expand(3, 21, 25) for colour in colours]
    for file in (answer.content, animated(images, "mp4")):
        with av.open(io.BytesIO(file)) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
            assert video.streams.video[0].average_rate == Fraction(1000, 60)
        assert len(frames) == 6 and frames[0].shape == (22, 26, 3)
    for frame, place in zip(frames, (0, 1, 2, 3, 2, 1), strict=True):
        assert np.abs(frame.mean((0, 1)) - 127.5 * (1 + np.array(colours[place]))).max() < 8
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    missing = post(client, numbers=NUMBERS, answer="animation", animation="mp4")
    refused(missing, 422, "pip install 'drit[video]'")


def test_an_animation_goes_there_and_back(client: TestClient) -> None:
    answer = post(client, numbers=NUMBERS, answer="animation")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as walk:
        assert walk.n_frames == 6 and walk.size == (24, 20)  # type: ignore[attr-defined]
    answer = post(client, numbers=NUMBERS, answer="animation", animation="gif")
    assert answer.headers["content-type"] == "image/gif"
    with Image.open(io.BytesIO(answer.content)) as walk:
        assert walk.n_frames == 6 and walk.info["loop"] == 0  # type: ignore[attr-defined]
    assert post(client, count=1, answer="animation").status_code == 200


def test_lists(client: TestClient, served: ServedRuns) -> None:
    (description,) = client.get("/v1/runs").json()["runs"]
    assert description["name"] == "tiny" and "path" not in description
    assert [d["name"] for d in description["domains"]] == ["grey", "colour"]
    assert {d["to"]: d["from"] for d in description["directions"]} == {"a": "b", "b": "a"}
    styles = client.get("/v1/styles", params={"to": "b", "count": 2, "seed": 4}).json()["styles"]
    assert np.allclose(styles, served.all[0].translator.sample(2, "b", 4))
    assert set(client.get("/v1/methods").json()["methods"]) == set(drit.list_methods())
    assert client.get("/health").json()["status"] == "ok" and client.get("/ready").json() == {"status": "ready"}
    fields = client.get("/openapi.json").json()
    assert "/v1/translate" in fields["paths"] and "/v1/library" in fields["paths"]
    assert "delete" not in fields["paths"]["/v1/library"]  # the studio alone writes


def test_metrics_count_requests(served: ServedRuns) -> None:
    with client_of(served) as client:
        post(client, count=2)
        client.get("/nowhere")
        lines = client.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['drit_requests_total{route="/v1/translate",status="200"}'] == "1.0"
    assert values['drit_requests_total{route="other",status="404"}'] == "1.0"
    assert values["drit_batch_outputs_sum"] == "2.0" and values["drit_requests_taken"] == "0.0"
    assert float(values["drit_cache_bytes"]) > 0 and values["drit_cache_images"] == "1.0"


def test_several_runs(run: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Names that are the same get a number; a method without styles gives one output and refuses more."""
    launch.train(replace(tiny(*folders, method="unit"), steps=1), tmp_path / "tiny")
    served = ServedRuns.load([str(run), str(tmp_path / "tiny")], **PRECISE)
    with client_of(served) as client:
        assert [r["name"] for r in client.get("/v1/runs").json()["runs"]] == ["tiny", "tiny_2"]
        refused(post(client), 422, "Several runs")
        refused(post(client, run="tinny"), 404, "no run 'tinny'", "Did you mean 'tiny'?")
        refused(post(client, run="../tiny"), 404, "no run")
        assert len(images(post(client, run="tiny"))) == 1
        one = post(client, run="tiny_2")
        assert len(images(one)) == 1 and one.json()["outputs"][0]["style"] == []
        refused(post(client, run="tiny_2", count=2), 422, "no styles")


def test_checkpoints_are_opened_and_read_anew(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    runs = ServedRuns.load([str(copy)], **PRECISE)
    given = runs.all[0]
    with client_of(runs, studio=True) as client:

        def opened(step: int) -> Any:
            return client.post("/v1/checkpoints", data={"step": step})

        assert given.description(True)["steps"] == [3, 6]
        older = opened(3).json()
        assert (older["name"], older["of"], older["step"]) == ("copy_step_00000003", "copy", 3)
        assert older["weights"] != given.weights and opened(6).json()["name"] == "copy"
        assert opened(3).json() == older and len(client.get("/v1/runs").json()["runs"]) == 2
        old = drit.load(copy / "checkpoints" / "step_00000003", **PRECISE)
        (wanted,) = old.translate(pixels(png()), "b", seed=2)
        assert near(images(post(client, run=older["name"], seed=2)), [wanted])
        assert len(images(post(client, seed=2))) == 1  # the run that was given needs no name still
        refused(opened(4), 404, "no checkpoint of iteration 4")

        shutil.copy(copy / "checkpoints/step_00000003/weights.safetensors", copy / "checkpoints/step_00000006")
        shutil.copy(copy / "checkpoints/step_00000003/meta.json", copy / "checkpoints/step_00000006")
        refused(post(client), 409, "changed")
        assert opened(6).json()["weights"] == older["weights"]  # read anew
        assert post(client, run="copy").status_code == 200
        for step in range(10, 16):
            shutil.copytree(copy / "checkpoints/step_00000003", copy / f"checkpoints/step_{step:08d}")
            assert opened(step).status_code == 200
    assert len(runs.all) == 5  # the run and the four that were opened last
    with client_of(runs) as client:
        refused(client.post("/v1/checkpoints", data={"step": 3}), 404)  # the studio alone


# What is refused


def test_wrong_fields(client: TestClient) -> None:
    refused(client.post("/v1/translate", files={"image": ("x", png())}), 422, "'to'")
    refused(client.post("/v1/translate", data={"to": "b"}), 422, "no image")
    refused(post(client, to="c"), 422, "no domain 'c'")
    for field, value in (("count", "0"), ("count", "many"), ("seed", "-1"), ("size", "-5"), ("format", "gif")):
        refused(post(client, **{field: value}), 422, f"'{field}'")
    refused(post(client, count=1000), 422, "1000 styles", "--limit.styles")
    for numbers in ("[1, 2]", "{", "[]", "[" * 100_000, '{"a": 1}'):
        refused(post(client, numbers=numbers), 422, "'numbers'")
    refused(post(client, numbers="[[1, 2]]"), 422, "(K, 3)")
    refused(post(client, numbers="[[1, 2, NaN]]"), 422, "finite")
    refused(post(client, numbers="[[1, 2, 1e30]]"), 422, "finite numbers from -1000000")
    refused(post(client, numbers=f"[[1, 2, 1{'0' * 400}]]"), 422, "too large")
    refused(post(client, style="nobody"), 404, "no style 'nobody'")
    refused(client.post("/v1/translate", data={"to": "b", "image": "text"}), 422, "'image'")
    refused(client.post("/v1/translate", content=b"x", headers={"content-type": "multipart/form-data"}), 400)
    refused(client.get("/v1/translate"), 405, "takes no GET")
    refused(client.get("/v1/../../etc/passwd"), 404)
    refused(client.get("/pages/%2e%2e/api.py"), 404)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header announces so many pixels; its data are a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_hostile_images(client: TestClient) -> None:
    refused(post(client, b"%PDF-1.7 " + bytes(600)), 422, "field 'image'", "PDF")
    refused(post(client, b"nonsense" * 40), 422, "field 'image'", "not in an image format")
    refused(post(client, png()[:-40]), 422, "field 'image'")
    refused(post(client, bomb(60000, 60000)), 422, "field 'image'", "larger than")
    refused(post(client, bomb(7000, 7000)), 413, "7000 x 7000", "--limit.upload-pixels")
    refused(post(client, bomb(6400, 6251)), 413, "6400 x 6251", "--limit.")
    empty = client.post("/v1/translate", data={"to": "b"}, files={"image": ("x", b"")})
    refused(empty, 422, "empty")
    for name in ("../../../etc/passwd", "/etc/passwd", "a\0b", "x" * 500, "con.png"):
        answer = client.post("/v1/translate", data={"to": "b"}, files={"image": (name, png())})
        assert answer.status_code == 200, name


def test_every_hostile_image(client: TestClient) -> None:
    """Each is translated or refused by its field, and none by a failure of the service; so are exemplars."""
    good = png()
    for one in hostile.images():
        if one.name.startswith("shape") or one.content[:40] == good[:40] or not one.content:
            continue
        for answer in (post(client, one.content, size=16), client.post("/v1/state", files={"image": one.content})):
            assert answer.status_code in (200, 413, 422), (one.name, answer.text)
            if answer.status_code != 200:
                assert set(answer.json()) == {"error", "next"} and "tmp" not in answer.json()["error"], answer.text
            elif one.outcome == hostile.REFUSED:
                assert answer.request.url.path == "/v1/state"  # which does not decode


def test_no_path_of_the_machine_is_told(client: TestClient) -> None:
    text = post(client, b"nonsense" * 40).text
    assert "/tmp" not in text and "upload" not in text


def test_too_many_bytes(served: ServedRuns) -> None:
    """By the announced length, before anything is read; and by the true one, where none is announced."""
    with client_of(served, limited(bytes=2000)) as client:
        assert post(client).status_code == 200
        refused(post(client, png((200, 200))), 413, "2000 bytes")
        sent: list[int] = []

        def endless() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
            for _ in range(100):
                sent.append(1000)
                yield b"0" * 1000

        headers = {"content-type": "multipart/form-data; boundary=x"}
        refused(client.post("/v1/translate", content=endless(), headers=headers), 413, "2000 bytes")


def test_a_full_queue_says_when_to_come_back(served: ServedRuns) -> None:
    with client_of(served, limited(queue=1)) as client:
        client.app.state.service.metrics.taken = 1  # type: ignore[attr-defined]
        answer = post(client)
        refused(answer, 429, "--limit.queue")
        assert int(answer.headers["retry-after"]) >= 1
        client.app.state.service.metrics.taken = 0  # type: ignore[attr-defined]
        assert post(client).status_code == 200


def test_a_time_limit_is_named_and_what_is_late_is_left_out(served: ServedRuns) -> None:
    with client_of(served, limited(seconds=0.05)) as client:
        worker = client.app.state.service.worker  # type: ignore[attr-defined]
        busy = worker.call(lambda: time.sleep(0.4))
        refused(post(client), 504, "0.05 s", "--limit.seconds")
        busy.result()
        worker.call(lambda: None).result()  # what came before is done
        text = client.get("/metrics").text
    assert "drit_batch_outputs_count 0.0" in text


def test_a_failure_is_told_without_its_details(client: TestClient, served: ServedRuns, monkeypatch: Any) -> None:
    monkeypatch.setattr(served.all[0].translator, "render_batch", lambda *_: 1 / 0)
    answer = post(client)
    refused(answer, 500, "ZeroDivisionError")
    assert "Traceback" not in answer.text and ".py" not in answer.text


# Who may ask


def test_the_key(served: ServedRuns) -> None:
    with client_of(served, key="secret") as client:
        refused(client.get("/v1/runs"), 401, "key")
        refused(client.get("/v1/runs", headers={"X-API-Key": "secre"}), 401)
        refused(client.get("/v1/runs", headers={"X-API-Key": "s\u00e9cret".encode()}), 401)  # type: ignore[dict-item]
        refused(client.get("/metrics"), 401)
        assert client.get("/v1/runs", headers={"X-API-Key": "secret"}).status_code == 200
        assert client.get("/v1/runs", headers={"Authorization": "Bearer secret"}).status_code == 200
        assert client.get("/health").status_code == client.get("/ready").status_code == 200


def test_pages_of_others(served: ServedRuns) -> None:
    """A page elsewhere sends nothing through a visitor's browser: neither by its origin nor by its own name."""
    with client_of(served) as client:
        refused(client.get("/v1/runs", headers={"Origin": "https://evil.example"}), 403, "evil.example")
        refused(client.get("/v1/runs", headers={"Origin": "null"}), 403)
        refused(client.get("/v1/runs", headers={"Host": "evil.example:8000"}), 403, "evil.example")
        assert client.get("/v1/runs", headers={"Origin": URL}).status_code == 200
        assert client.get("/v1/runs", headers={"Host": "[::1]:8000"}).status_code == 200
        assert "access-control-allow-origin" not in client.get("/v1/runs", headers={"Origin": URL}).headers
    with client_of(served, ServeSettings(cors=("https://good.example",)), key="k") as client:
        asked = client.options(
            "/v1/translate", headers={"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
        )
        assert asked.headers["access-control-allow-origin"] == "https://good.example"
        given = client.get("/v1/runs", headers={"Origin": "https://good.example", "X-API-Key": "k"})
        assert given.status_code == 200


def test_a_run_that_changes_while_it_is_served(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    runs = ServedRuns.load([str(copy)], **PRECISE)
    with client_of(runs) as client:
        assert post(client).status_code == 200
        (weights,) = [p for p in copy.rglob("weights.safetensors") if "00000006" in str(p)]
        weights.write_bytes(weights.read_bytes())
        refused(post(client), 409, "changed")
        refused(client.get("/ready"), 503, "changed")
        shutil.rmtree(weights.parent)
        refused(post(client), 409, "replaced")
        shutil.rmtree(copy)
        refused(post(client), 503, "gone")
        assert client.get("/health").status_code == 200
