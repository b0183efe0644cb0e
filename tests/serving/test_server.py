"""The process of the service: real sockets, load, hostile connections, its end; and the clients of docs/serving.md."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
import uvicorn

from drit.cli import main as cli
from drit.data.images import decode
from drit.errors import UsageError
from drit.serving.api import create_app
from drit.serving.served import ServedRuns
from drit.serving.server import open_socket, read_key
from drit.serving.settings import Limits, ServeSettings
from tests.conftest import write_images

ROOT = Path(__file__).resolve().parents[2]
Say = pytest.CaptureFixture[str]


class Running:
    """The application behind a real socket, in a thread of this process."""

    def __init__(self, run: Path, limits: Limits) -> None:
        settings = ServeSettings(port=0, limit=limits)
        self._socket = open_socket(settings)
        self.host, self.port = self._socket.getsockname()[:2]
        self.app = create_app(ServedRuns.load([str(run)], precision="float32", threads=1), settings)
        self._server = uvicorn.Server(uvicorn.Config(self.app, http="h11", ws="none", log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._socket.listen()
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    @property
    def taken(self) -> int:
        return int(self.app.state.service.metrics.taken)


LIMITS = Limits(bytes=200_000, queue=20)


@pytest.fixture(scope="module")
def running(run: Path) -> Iterator[Running]:
    service = Running(run, LIMITS)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("one"), 1, 1) / "000.png"


def form(image: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a form with an image and fields."""
    head = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head += '--x\r\nContent-Disposition: form-data; name="image"; filename="i"\r\n\r\n'
    return head.encode() + image + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def test_a_burst_loses_nothing_that_was_taken(running: Running, image: Path) -> None:
    """A thousand requests by 100 clients, more than the queue takes: each is answered, or told when to come back."""
    content = image.read_bytes()

    def client(number: int) -> list[tuple[int, Any]]:
        connection, answers = running.connection(), []
        for i in range(10):
            body, headers = form(content, to="b", seed=str(10 * number + i), answer="image")
            connection.request("POST", "/v1/translate", body, headers)
            answer = connection.getresponse()
            data = answer.read()
            answers.append((answer.status, answer.headers["retry-after"] if answer.status == 429 else data[:4]))
        connection.close()
        return answers

    with ThreadPoolExecutor(100) as pool:
        answers = [answer for answers in pool.map(client, range(100)) for answer in answers]
    counts = Counter(status for status, _ in answers)
    assert len(answers) == 1000 and set(counts) <= {200, 429} and counts[200] >= LIMITS.queue
    assert all(what == b"\x89PNG" if status == 200 else int(what) >= 1 for status, what in answers)
    _until(lambda: running.taken == 0)


def test_a_body_of_a_gigabyte_is_refused_at_its_announcement(running: Running) -> None:
    connection = running.connection()
    connection.putrequest("POST", "/v1/translate")
    connection.putheader("Content-Length", str(1 << 30))
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413 and "200000 bytes" in json.loads(answer.read())["error"]


def test_a_slow_client_is_told_so(run: Path) -> None:
    running = Running(run, Limits(upload_seconds=0.5))
    try:
        with socket.create_connection((running.host, running.port), timeout=60) as client:
            client.sendall(
                b"POST /v1/translate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                b"Content-Length: 5000\r\n\r\n--x\r\n"
            )
            answer = b""
            while b"}" not in answer and (part := client.recv(1 << 16)):  # head and body may come apart
                answer += part
        assert b" 408 " in answer and b"--limit.upload-seconds" in answer
        _until(lambda: running.taken == 0)
    finally:
        running.stop()


def test_a_cut_connection_leaves_nothing_behind(running: Running, image: Path) -> None:
    """In the middle of its body, and while it waits for the answer."""
    service, go = running.app.state.service, threading.Event()
    body, headers = form(image.read_bytes(), to="b")
    head = "POST /v1/translate HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    busy = service.worker.call(go.wait)
    for sent in (whole[:-100], whole):
        with socket.create_connection((running.host, running.port), timeout=30) as client:
            client.sendall(sent)
            _until(lambda: running.taken == 1)
        _until(lambda: running.taken == 0)
    go.set()
    busy.result()
    connection = running.connection()
    connection.request("POST", "/v1/translate", *form(image.read_bytes(), to="b"))
    assert connection.getresponse().status == 200


def _until(holds: Any) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_cannot_start_says_why(run: Path, tmp_path: Path, capsys: Say) -> None:
    with open_socket(ServeSettings(port=0)) as taken:
        taken.listen()
        assert cli.main(["serve", str(run), "--port", str(taken.getsockname()[1])]) == 2
        assert "--port 0 takes a free one" in capsys.readouterr().err
    for words, told in (
        ([str(tmp_path)], "is not a run"),
        ([str(run), "--host", "999.1.1.1"], "There is no address"),
        ([str(run), "--port", "70000"], "at most 65535"),
        ([str(run), "--limit.styles", "0"], "at least 1"),
        ([str(run), "--limit.second", "5"], "--limit.seconds"),
        ([str(run), "--workers", "0"], "at least 1"),
        ([str(run), "--key-file", str(tmp_path / "none")], "cannot be read"),
        ([], "RUN"),
    ):
        code = cli.main(["serve", *words, *(["--port", "0"] if "--port" not in words else [])])
        error = capsys.readouterr().err
        assert code in (1, 2) and told in error and "Traceback" not in error, words
    assert cli.main(["studio", str(run), "--port", "0", "--workers", "2"]) == 2
    assert "leave --workers out" in capsys.readouterr().err
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        read_key(ServeSettings(key_file=str(tmp_path / "empty")))
    (tmp_path / "key").write_text("long and random \nmore\n")
    assert read_key(ServeSettings(key_file=str(tmp_path / "key"))) == "long and random"


def test_without_the_extra_one_line_installs_it(run: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    for command in ("serve", "studio"):
        assert cli.main([command, str(run)]) == 2
        error = capsys.readouterr().err
        assert "uvicorn" in error and "pip install 'drit[serve]'" in error


def test_the_core_does_not_load_the_service() -> None:
    code = "import sys, drit.cli.main; sys.exit('fastapi' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def examples(language: str) -> list[str]:
    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_command_its_clients_and_its_end(run: Path, image: Path, tmp_path: Path) -> None:
    """`drit serve` as a process; the clients of the document; SIGTERM while a request waits: it is answered."""
    words = [sys.executable, "-m", "drit", "serve", str(run), "--port", "0", "--threads", "1", "--json"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            address = json.loads(process.stdout.readline())["address"]
            Image.open(image, formats=["PNG"]).save(tmp_path / "photo.png")

            def here(text: str) -> str:
                return text.replace("http://127.0.0.1:8000", address)

            for script in examples("python"):
                subprocess.run([sys.executable, "-c", here(script)], cwd=tmp_path, check=True)
            assert decode(tmp_path / "style001.png")[0].shape == (24, 30, 3)
            for script in examples("bash"):
                subprocess.run(["sh", "-e", "-c", here(script)], cwd=tmp_path, check=True, capture_output=True)
            assert decode(tmp_path / "winter.png")[0].shape == (24, 30, 3)
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
            large = write_images(tmp_path / "large", 1, 1, (300, 300)) / "000.png"
            connection.request("POST", "/v1/translate", *form(large.read_bytes(), to="b", count="32"))
            _until(lambda: b"drit_requests_taken 1.0" in urllib.request.urlopen(f"{address}/metrics").read())
            process.send_signal(signal.SIGTERM)
            answer = connection.getresponse()
            assert answer.status == 200 and len(json.loads(answer.read())["outputs"]) == 32
            assert process.wait(60) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_workers_share_the_port(run: Path, image: Path, tmp_path: Path) -> None:
    """Two processes answer; SIGHUP replaces them, with the weights that are there then; SIGTERM ends all."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    words = [sys.executable, "-m", "drit", "serve", str(copy), "--port", "0", "--workers", "2", "--threads", "1"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*words, "--json"], cwd=ROOT, start_new_session=True, **pipes) as p:
        assert p.stdout is not None and p.stderr is not None
        try:
            address = json.loads(p.stdout.readline())["address"]

            def answered() -> tuple[str, str]:
                """The process that answers a new connection, and the weights it has."""
                connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
                answers = []
                for path in ("/metrics", "/v1/runs"):
                    connection.request("GET", path)
                    answers.append(connection.getresponse().read().decode())
                connection.close()
                found = re.search(r'drit_worker{pid="(\d+)"}', answers[0])
                assert found
                return found[1], json.loads(answers[1])["runs"][0]["weights"]

            first: dict[str, str] = {}

            def both() -> bool:
                process, weights = answered()
                first[process] = weights
                return len(first) == 2

            _until(both)
            assert str(p.pid) not in first and len(set(first.values())) == 1
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
            connection.request("POST", "/v1/translate", *form(image.read_bytes(), to="b"))
            assert connection.getresponse().status == 200
            connection.close()
            for name in ("weights.safetensors", "meta.json"):
                shutil.copy(copy / "checkpoints/step_00000003" / name, copy / "checkpoints/step_00000006")
            p.send_signal(signal.SIGHUP)

            def replaced() -> bool:
                process, weights = answered()
                return process not in first and weights not in first.values()

            _until(replaced)
            p.send_signal(signal.SIGTERM)
            assert p.wait(60) == 0
            assert p.stderr.read() == ""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)  # the workers too
