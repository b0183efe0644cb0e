"""docs/formats.md says what the decoder does."""

from __future__ import annotations

import pytest

from tests.data.formats import PAGE, page


def test_the_page_is_what_the_decoder_does() -> None:
    pytest.importorskip("pydicom", reason="pydicom is not installed: pip install 'drit[medical]'")
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.data.formats"
