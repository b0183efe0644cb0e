"""Pages in a real browser: every request elsewhere is refused, and what a page complains of fails the test."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

TIMEOUT = 60_000  # ms: machines are busy
_PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@contextmanager
def started() -> Iterator[Browser]:
    """The system's Chromium, without a window; skips where it or playwright is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if _PROGRAM is None:
        pytest.skip("there is no Chromium on this system: install the package 'chromium'")
    api.expect.set_options(timeout=TIMEOUT)
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_PROGRAM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def visited(address: str, browser: Browser) -> Iterator[Page]:
    """A page; what it asks of other places, and its errors, fail the test."""
    wrong: list[str] = []

    def told(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # a refusal
            wrong.append(message.text)

    def allow(route: Route) -> None:
        if route.request.url.startswith((address, "blob:", "data:")):
            route.continue_()
        else:
            wrong.append(route.request.url)
            route.abort()

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", told)
    page.route("**/*", allow)
    page.goto(address)
    yield page
    page.close()
    assert wrong == []


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder of static files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check_accessible(page: Page) -> None:
    """The rules of axe-core, in light and dark, for use without a mouse or sharp eyes.

    Every control has a name, text has a contrast of 4.5 at least, roles fit, and what is hidden takes no focus.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == [], scheme
    page.emulate_media(color_scheme="light")
