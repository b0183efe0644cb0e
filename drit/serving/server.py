"""The process of the service: its socket, its signals, its end."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess

from drit.errors import DritError, UsageError
from drit.runtime import cores
from drit.serving.api import create_app
from drit.serving.served import ServedRuns
from drit.serving.settings import ServeSettings

INTERRUPTED = 130
_LOADING = 60  # seconds that a worker may take to answer whether it lives: it loads the models first
_PATIENCE = 5.0  # seconds, beyond the limit of a request, that the end waits for requests


def open_socket(settings: ServeSettings) -> socket.socket:
    """The socket that the service will listen on. Raises UsageError where the address cannot be used."""
    place = f"port {settings.port} of {settings.host}"
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family)
        if sys.platform != "win32":  # there it would let two services share the port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except PermissionError as error:
        raise UsageError(f"This account may not listen on {place}. Choose a port above 1023: --port 8000.") from error
    except socket.gaierror as error:
        raise UsageError(f"There is no address {settings.host} here. Use --host 127.0.0.1, or 0.0.0.0.") from error
    except OSError as error:
        raise UsageError(
            f"The service cannot listen on {place}: {error.strerror or error}. Choose another port with --port; "
            "--port 0 takes a free one."
        ) from error
    return found


def read_key(settings: ServeSettings) -> str:
    """The key of the key file; empty without one. Raises UsageError for a file without a key."""
    if not settings.key_file:
        return ""
    try:
        with open(settings.key_file, encoding="utf-8") as file:
            key = file.readline(1 << 12).strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"The key file {settings.key_file} cannot be read: {error}. Give one line of text.") from error
    if not key:
        raise UsageError(f"The key file {settings.key_file} is empty. Write a long random key into its first line.")
    return key


def serve(
    paths: list[str],
    settings: ServeSettings,
    studio: bool,
    browser: bool,
    announce: Callable[[str, list[str]], None],
    **options: Any,
) -> int:
    """Serve runs until a signal ends it; returns the exit code. What was taken is finished first.

    studio: with the page, which `browser` opens. announce: called with the address and the names of the runs, when
    requests are taken. options: of `Translator.load`. Raises DritError where it cannot start.
    """
    if studio and settings.workers > 1:
        raise UsageError("The studio is one process: leave --workers out. drit serve takes it.")
    key = read_key(settings)
    listening = open_socket(settings)
    with listening:
        if settings.workers > 1:  # each takes its part of the cores
            options["threads"] = options.get("threads") or max(1, cores() // settings.workers)
        runs = ServedRuns.load(paths, **options)
        names = [run.name for run in runs.all]
        address = address_of(listening)
        listening.listen()  # who connects from now on waits for the server
        if settings.workers > 1:
            del runs  # it was loaded to say what is wrong with it: each worker has its own
            announce(address, names)
            return _Workers(_config(partial(_app, paths, settings, key, options), settings), [listening]).serve()
        server = _Server(_config(partial(create_app, runs, settings, key, studio), settings))
        announce(address, names)
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        return server.run_until_signal(listening)


def _config(make_app: Callable[[], FastAPI], settings: ServeSettings) -> uvicorn.Config:
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a client's wrong form is told to the client
    return uvicorn.Config(
        make_app,
        factory=True,
        workers=settings.workers,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.limit.seconds + _PATIENCE),
        timeout_worker_healthcheck=_LOADING,
    )


def _app(paths: list[str], settings: ServeSettings, key: str, options: dict[str, Any]) -> FastAPI:
    """The application of a worker."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return create_app(ServedRuns.load(paths, **options), settings, key)


def address_of(listening: socket.socket) -> str:
    """The address that a person types."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server, which tells by which signal it ended in place of ending the process by it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended_by = 0

    def run_until_signal(self, listening: socket.socket) -> int:
        """Serve; returns the exit code: 0 after SIGTERM, 130 after ctrl-C."""
        handled = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.run(sockets=[listening])
        finally:
            for number, handler in handled.items():
                signal.signal(number, handler)
        return INTERRUPTED if self.ended_by == signal.SIGINT else 0

    def _note(self, number: int, frame: Any) -> None:
        """uvicorn raises the signal again when it is done."""
        self.ended_by = number
        self.should_exit = True


class _Workers(Multiprocess):
    """uvicorn's processes that share a socket. SIGHUP replaces one after another, which reads the runs anew."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        super().__init__(config, sockets)
        self.ended_by = 0

    def serve(self) -> int:
        """Serve; returns the exit code: 0 after SIGTERM, 130 after ctrl-C. Raises DritError where a worker cannot
        start."""
        try:
            self.run()
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        if not self.ended_by:
            raise DritError("A worker could not start: what it said stands above. Start the service again.")
        return INTERRUPTED if self.ended_by == signal.SIGINT else 0

    def handle_int(self) -> None:
        self.ended_by = signal.SIGINT
        super().handle_int()

    def handle_term(self) -> None:
        self.ended_by = signal.SIGTERM
        super().handle_term()
