"""Pages for a browser: Jinja2 templates filled with plain data. A page is one file; it loads nothing from elsewhere.

Templates (`templates/`) hold all markup, `base.html` what the pages share. Python hands them frozen dataclasses.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from drit.atomic import write_atomically

_FLAG = re.compile(r"(--\w[\w.-]*\w)")


@dataclass(frozen=True)
class Table:
    """Rows of plain values below a head; numbers stand out. strong: a column of texts that stands out too."""

    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    strong: int | None = None


@dataclass(frozen=True)
class Note:
    """A warning; flags in it are set as code. when: what it is about, or nothing. past: whether it is over."""

    message: str
    when: str = ""
    past: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page. text: a sentence or two. image: embedded when the page is written, without loss. charts: inline
    SVG of `plots`."""

    title: str
    text: str = ""
    image: Image.Image | None = None
    tables: tuple[Table, ...] = ()
    charts: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


@cache
def environment() -> Environment:
    """The templates of all pages. What is inserted is escaped; a name that is missing raises UndefinedError."""
    templates = Environment(
        loader=PackageLoader("drit.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["data_uri"] = data_uri
    templates.filters["flag_parts"] = lambda text: list(flag_parts(text))
    return templates


def write_page(path: Path, template: str, page: Any) -> None:
    """Fill a template with a page's data, and write the file whole or not at all.

    page: what the template calls `page`; it has at least `title` and `sections`. Raises OSError when the disk refuses.
    """
    content = environment().get_template(template).render(page=page)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode("utf-8", "replace"))


def data_uri(image: Image.Image) -> str:
    """An image as an address that holds it: PNG, without loss."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return encoded(buffer.getvalue(), "image/png")


def encoded(content: bytes, kind: str) -> str:
    """The bytes of a file as an address that holds them. kind: its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def flag_parts(text: str) -> Iterator[tuple[str, bool]]:
    """A message in parts, each with whether it is a command-line flag, such as `--loss.kl`."""
    for i, part in enumerate(_FLAG.split(text)):
        if part:
            yield part, i % 2 == 1
