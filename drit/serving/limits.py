"""The gate: what is refused before a request is read.

A key is compared in constant time. A page of another origin cannot send requests through a visitor's browser (its
`Origin` is refused), nor by giving its own name this machine's address (the `Host` is refused). A body is refused by
its announced length at once, and by its true one as soon as it is too long. Only so many requests are taken as `queue`
says: so memory is bounded, and who is refused knows when to come back.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drit.serving.metrics import Metrics
from drit.serving.refusal import Refusal
from drit.serving.settings import LOOPBACK, ServeSettings

OPEN = ("/health", "/ready", "/", "/docs", "/openapi.json")  # answered without the key, and the files of PAGES
PAGES = "/pages/"
WORK = ("/v1/translate", "/v1/encode-style", "/v1/state")  # counted as work, and bounded


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServeSettings,
        key: str,
        metrics: Metrics,
        wait: Callable[[int], float],
    ) -> None:
        """key: empty for none. wait: seconds in which so many requests are done, about."""
        self._app = app
        self._metrics = metrics
        self._settings = settings
        self._key = key.encode()
        self._wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, work = time.monotonic(), 500, False
        route = scope["path"] if scope["path"].startswith("/v1/") else "other"

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_sender(scope, headers)
            self._check_length(headers)
            if scope["path"] in WORK and scope["method"] == "POST":
                self._check_room()
                self._metrics.taken += 1
                work = True
            await self._app(scope, self._bounded(receive), noted)
        except Refusal as refusal:
            response = JSONResponse(refusal.body, refusal.status_code, refusal.headers)
            await response(scope, receive, noted)
        finally:
            self._metrics.taken -= work
            self._metrics.answered(route if status != 404 else "other", status, time.monotonic() - began)

    def _check_sender(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._settings.only_this_machine and _name(host) not in LOOPBACK:
            raise Refusal(
                403,
                f"The host '{host[:100]}' is not this machine.",
                "Ask for http://127.0.0.1, or start the service with --host.",
            )
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host and origin not in self._settings.cors:
            raise Refusal(
                403,
                f"Pages of {origin[:100]} may not call this service.",
                f"Start the service with --cors {origin[:100]} if they should.",
            )
        is_open = scope["path"] in OPEN or scope["path"].startswith(PAGES)
        if self._key and not is_open:
            given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key):
                raise Refusal(
                    401,
                    "The key is missing or wrong.",
                    "Send the header 'X-API-Key: KEY', or 'Authorization: Bearer KEY'.",
                )

    def _check_length(self, headers: Headers) -> None:
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._settings.limit.bytes:
            raise self._too_long()

    def _too_long(self) -> Refusal:
        return Refusal(
            413,
            f"The request has more than {self._settings.limit.bytes} bytes (--limit.bytes).",
            "Send smaller or fewer images; JPEG and WebP are smaller than PNG.",
        )

    def _check_room(self) -> None:
        taken = self._metrics.taken
        if taken >= self._settings.limit.queue:
            raise Refusal(
                429,
                f"{taken} requests are being answered (--limit.queue).",
                "Send the request again after the seconds that Retry-After gives.",
                self._wait(taken),
            )

    def _bounded(self, receive: Receive) -> Receive:
        """`receive`, refusing a body that is too long or comes too slowly."""
        total, ended, until = 0, False, time.monotonic() + self._settings.limit.upload_seconds

        async def bounded() -> Message:
            nonlocal total, ended
            if ended:  # what comes now is the end of the connection, which has no time limit
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise Refusal(
                    408,
                    f"The request was not sent within {self._settings.limit.upload_seconds:g} s "
                    "(--limit.upload-seconds).",
                    "Send smaller images, or use a faster connection.",
                ) from None
            total += len(message.get("body", b""))
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            if total > self._settings.limit.bytes:
                raise self._too_long()
            return message

        return bounded


def _name(host: str) -> str:
    """The name in a `Host` header, without its port: `[::1]:8000` gives ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
