"""The gallery: numbers beside what to expect, and images with a sentence each. `make demo` writes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drit.reports.pages import Section, Table, write_page


@dataclass(frozen=True)
class Number:
    """A line of the table of numbers."""

    name: str
    value: str
    expected: str  # what the reader should expect, with its tolerance


@dataclass(frozen=True)
class GalleryPage:
    """What `gallery.html` shows."""

    title: str
    summary: str
    numbers: Table
    sections: tuple[Section, ...]
    footer: str


def write_gallery(
    path: Path, title: str, summary: str, numbers: Sequence[Number], sections: Sequence[Section], footer: str = ""
) -> None:
    """Write the page, whole or not at all. Texts are plain and get escaped. Raises OSError when the disk refuses."""
    rows = tuple((number.name, number.value, number.expected) for number in numbers)
    table = Table(("measured", "", "to expect"), rows, strong=1)
    write_page(path, "gallery.html", GalleryPage(title, summary, table, tuple(sections), footer))
