"""Whether a page can be used without a mouse or sharp eyes: the rules of axe-core, in light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page


def check_accessible(page: Page) -> None:
    """Every control has a name, text has a contrast of 4.5 at least, roles fit, and what is hidden takes no focus."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == [], scheme
    page.emulate_media(color_scheme="light")
