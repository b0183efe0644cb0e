"""Measure the service against the batch translator, and the studio's figures, in one process.

    python -m benchmarks.serving [SIZE [REQUESTS [CLIENTS [WIDTH]]]]

Networks of the published sizes (WIDTH 64), colour images of noise of SIZE pixels. Both sides do the same: decode PNG
files, translate each in one random style, encode PNG files. The batch translator takes as many images at once as are
best (`Translator.batch_size`); the service gets them from CLIENTS clients that send one after another. The two take
turns. Every image is sent once only: nothing is in the cache.

The studio's figures are those of a client that sends an image for the first time and asks for twelve styles as the page
does: the first alone, then the others at once; then for one new style of the same image.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import torch
import uvicorn

from benchmarks.worker import CHANNELS, images, paper
from drit.data.images import encoded, from_tensor, to_tensor
from drit.inference.reading import read_image
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT
from drit.runs import checkpoint
from drit.runs.record import describe
from drit.serving.api import create_app
from drit.serving.served import ServedRuns
from drit.serving.server import open_socket
from drit.serving.settings import ServeSettings

ROUNDS = 3  # turns of the two
GRID = 12  # styles of the studio's grid
GRIDS = 7


def make_run(folder: Path, size: int, width: int) -> Path:
    """A run with fresh weights: their values do not matter for time."""
    settings = paper(size, 1, width)
    method = DRIT(settings, CHANNELS)
    checkpoint.save(folder, 1, method.state_dict(), {}, {}, describe(settings, CHANNELS, {"a": 8, "b": 8}, {}))
    return folder


def in_batches(translator: Translator, files: list[bytes], size: int) -> float:
    """Seconds for all files, in one style each."""
    began, count = time.perf_counter(), translator.batch_size(size, size)
    with tempfile.TemporaryDirectory() as folder:
        for begin in range(0, len(files), count):
            arrays = []
            for data in files[begin : begin + count]:
                path = Path(folder, "image.png")
                path.write_bytes(data)
                arrays.append(to_tensor(read_image(path, translator.method, "a")[0]))
            styles = torch.cat([translator.sample(1, "b", begin + i) for i in range(len(arrays))])
            for output in translator.batch(torch.stack(arrays), styles, "b"):
                encoded(from_tensor(output), "x.png")
    return time.perf_counter() - began


def by_clients(address: str, files: list[bytes], clients: int) -> tuple[float, list[float]]:
    """Seconds for all files, and those of each request."""
    waiting, lock, seconds = list(enumerate(files)), threading.Lock(), []

    def client() -> None:
        with httpx.Client(base_url=address, timeout=600) as http:
            while True:
                with lock:
                    if not waiting:
                        return
                    seed, data = waiting.pop()
                began = time.perf_counter()
                form = {"to": "b", "seed": seed, "answer": "image"}
                answer = http.post("/v1/translate", data=form, files={"image": data})
                assert answer.status_code == 200, answer.text
                seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(client) for _ in range(clients)]:
            future.result()
    return time.perf_counter() - began, seconds


def as_the_studio(address: str, data: bytes) -> dict[str, float]:
    """Seconds to the first of a grid of styles, to all of them, and of one new style."""
    with httpx.Client(base_url=address, timeout=600) as http:

        def ask(style: list[float], **form: Any) -> Any:
            answer = http.post(
                "/v1/translate",
                data={"to": "b", "numbers": json.dumps([style])} | {k: v for k, v in form.items() if k != "image"},
                files={"image": form["image"]} if "image" in form else None,
            )
            assert answer.status_code == 200, answer.text
            base64.b64decode(answer.json()["outputs"][0]["image"])
            return answer.json()

        began = time.perf_counter()
        styles = http.get("/v1/styles", params={"to": "b", "count": GRID + 1}).json()["styles"]
        content = ask(styles[0], image=data)["content"]
        first = time.perf_counter() - began
        with ThreadPoolExecutor(6) as pool:  # connections that a browser opens
            list(pool.map(lambda style: ask(style, content=content), styles[1:GRID]))
        grid = time.perf_counter() - began
        again = time.perf_counter()
        ask(styles[GRID], content=content)
        return {"first": first, "grid": grid, "new style": time.perf_counter() - again}


def measure(size: int, requests: int, clients: int, width: int) -> dict[str, Any]:
    # clients have a process of their own: in this one they would hold up the service by Python's lock
    apart = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder, apart:
        runs = ServedRuns.load([str(make_run(Path(folder, "run"), size, width))])
        settings = ServeSettings(port=0)
        listening = open_socket(settings)
        server = uvicorn.Server(uvicorn.Config(create_app(runs, settings), http="h11", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        listening.listen()
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        translator = runs.all[0].translator
        warm = [encoded(array, "x.png") for array in images(size, 2 * clients, 10**6)]
        in_batches(translator, warm, size)
        apart.submit(by_clients, address, warm, clients).result()
        batch, served, latencies = [], [], []
        for r in range(ROUNDS):
            files = [encoded(array, "x.png") for array in images(size, requests, r)]
            batch.append(in_batches(translator, files, size) / requests)
            seconds, each = apart.submit(by_clients, address, files, clients).result()
            served.append(seconds / requests)
            latencies += each
        new = [encoded(image, "x.png") for image in images(size, GRIDS, 100)]
        grids = [apart.submit(as_the_studio, address, data).result() for data in new]
        server.should_exit = True
        thread.join()
        listening.close()
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "size": size,
        "clients": clients,
        "batch_per_second": 1 / statistics.median(batch),
        "service_per_second": 1 / statistics.median(served),
        "share": statistics.median(b / s for b, s in zip(batch, served, strict=True)),
        "p50": cuts[49],
        "p95": cuts[94],
        "p99": cuts[98],
        "studio": {name: statistics.median(g[name] for g in grids) for name in grids[0]},
        "studio_best": {name: min(g[name] for g in grids) for name in grids[0]},
    }


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    print(json.dumps(measure(*given, *(256, 48, 16, 64)[len(given) :])))


if __name__ == "__main__":
    main()
