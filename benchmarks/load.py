"""Clients that ask a service for all it does, and for what it must refuse: the load of benchmarks/soak.py.

Each client repeats these requests, with images of its own: random styles, an exemplar, an encoded image again, the
numbers of a style, the metrics, and in between a damaged image, a wrong field, a run that is not there, an image with
too many pixels, and a connection that is cut in the middle of its body.
"""

from __future__ import annotations

import io
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

SIDES = (28, 32, 40, 57)  # of images, in pixels
TOO_LARGE = 320  # pixels of a side: more than the service is told to take
PATIENCE = 120.0  # seconds for an answer


class Load:
    """Clients in threads, at work from the start until `stop`.

    unexpected: the first requests whose answer was another one than they had to get.
    """

    def __init__(self, address: str, clients: int) -> None:
        """address: such as http://127.0.0.1:8000."""
        self.address = address
        self.unexpected: list[str] = []
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._clients = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(clients)]
        for client in self._clients:
            client.start()

    def counts(self) -> dict[str, int]:
        """Requests so far: answered, refused as they had to be, told to come again (429), cut, unexpected."""
        with self._lock:
            return {name: self._counts[name] for name in ("answered", "refused", "busy", "cut", "unexpected")}

    def stop(self) -> None:
        """End the clients, after the requests that they are at."""
        self._stopped.set()
        for client in self._clients:
            client.join()

    def _work(self, number: int) -> None:
        rng = np.random.default_rng(number)
        with httpx.Client(base_url=self.address, timeout=PATIENCE) as client:
            asked = itertools.cycle(self._requests(client, rng))
            while not self._stopped.is_set():
                name, expected, ask = next(asked)
                try:
                    status = ask()
                except (httpx.HTTPError, OSError) as error:
                    self._note("unexpected", f"{name}: {error!r}")
                    self._stopped.wait(0.5)  # a service that is gone is not asked again and again
                    continue
                if status == expected:
                    self._note("cut" if not status else "answered" if status < 300 else "refused")
                elif status == 429:
                    self._note("busy")
                    self._stopped.wait(0.2)
                else:
                    self._note("unexpected", f"{name}: {status} in place of {expected}")

    def _note(self, what: str, why: str = "") -> None:
        with self._lock:
            self._counts[what] += 1
            if why and len(self.unexpected) < 100:
                self.unexpected.append(why)

    def _requests(self, client: httpx.Client, rng: np.random.Generator) -> list[tuple[str, int, Callable[[], int]]]:
        """Name, expected status (0: cut), and what asks and returns the status."""
        kept: list[str] = []  # the name of the image that was encoded last

        def translate(fields: dict[str, object], **files: bytes) -> int:
            answer = client.post(
                "/v1/translate",
                data={"to": "b"} | fields,
                files={name: ("x.png", data) for name, data in files.items()},
            )
            if answer.status_code == 200:
                kept[:] = [answer.json()["content"]]
            return answer.status_code

        def again() -> int:
            if not kept:
                return 200
            answer = client.post(
                "/v1/translate", data={"to": "b", "content": kept[0], "seed": int(rng.integers(1_000_000))}
            )
            return 200 if answer.status_code == 410 else answer.status_code  # it need not be kept any more

        def image(side: int = 0) -> bytes:
            return png(rng, side or int(rng.choice(SIDES)), 1)

        return [
            (
                "random styles",
                200,
                lambda: translate({"count": 3, "seed": int(rng.integers(1_000_000))}, image=image()),
            ),
            ("again", 200, again),
            ("a damaged image", 422, lambda: translate({}, image=image()[:-40])),
            ("an exemplar", 200, lambda: translate({}, image=image(), exemplar=png(rng, 32, 3))),
            ("a wrong field", 422, lambda: translate({"count": "many"}, image=image())),
            ("a cut connection", 0, lambda: cut(self.address, image())),
            ("a style", 200, lambda: encode_style(client, png(rng, 32, 3))),
            ("too many pixels", 413, lambda: translate({}, image=image(TOO_LARGE))),
            ("metrics", 200, lambda: client.get("/metrics").status_code),
            ("no such run", 404, lambda: translate({"run": "none"}, image=image())),
        ]


def png(rng: np.random.Generator, side: int, channels: int) -> bytes:
    """An image of noise: a PNG of (side, side, channels)."""
    array = rng.integers(0, 256, (side, side, channels)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if channels == 1 else array).save(buffer, "PNG")
    return buffer.getvalue()


def encode_style(client: httpx.Client, image: bytes) -> int:
    answer = client.post("/v1/encode-style", data={"domain": "b"}, files={"image": ("x.png", image)})
    return answer.status_code


def cut(address: str, image: bytes) -> int:
    """Send half of a request and close. Returns 0."""
    place = urlsplit(address)
    head = f"POST /v1/translate HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head += f"Content-Length: {2 * len(image)}\r\n\r\n--x\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + image[: len(image) // 2])
    return 0
