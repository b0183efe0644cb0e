"""The page of `drit doctor`: findings with thumbnails, and what the training will take."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from drit.data.arrays import array_file, read_arrays
from drit.data.doctor.findings import Finding
from drit.data.images import decode
from drit.data.ranges import Reading, read_array_images
from drit.errors import DataError
from drit.reports.pages import Note, Section, Table, encoded, write_page
from drit.sheets import as_image

SIDE = 112  # pixels of a thumbnail
MAX_THUMBS = 16  # of a finding
TITLES = {"stops": "stops the training", "spoils": "spoils the training", "advice": "to look at"}


@dataclass(frozen=True)
class Thumb:
    """A small image with its name; one that cannot be read has no image. first: it begins a group."""

    name: str
    uri: str
    first: bool


@dataclass(frozen=True)
class FindingSection(Section):
    """A finding on the page."""

    severity: str = ""
    thumbs: tuple[Thumb, ...] = ()
    more: int = 0  # images that are not shown


@dataclass(frozen=True)
class DoctorPage:
    """What `doctor.html` shows."""

    title: str
    summary: str
    numbers: Table
    sections: tuple[Section, ...]


class Thumbnails:
    """Small images by name: files, slices, and rows of array files, each of which is read once."""

    def __init__(self, readings: dict[str, Reading]) -> None:
        """readings: how the images of each source are read, by its path."""
        self._readings = readings
        self._arrays: dict[str, np.ndarray] = {}

    def uri(self, name: str) -> str:
        """An address that holds the image; empty where it cannot be read."""
        try:
            image = as_image(self._pixels(name))
        except (DataError, ValueError, IndexError):
            return ""
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        return encoded(buffer.getvalue(), "image/jpeg")

    def _pixels(self, name: str) -> np.ndarray:
        source = max((p for p in self._readings if name.startswith(p)), key=len)
        reading = self._readings[source]
        file = array_file(source)
        if not file:
            return decode(Path(name), *reading)[0]
        if source not in self._arrays:
            self._arrays[source] = read_arrays(*file, raw=reading.value_range is not None).images
        place = int(name[len(source) + 1 : -1])
        return read_array_images(self._arrays[source][place : place + 1], source, reading)[0]


def write_doctor_page(
    path: Path,
    summary: str,
    numbers: Sequence[tuple[str, str]],
    found: Sequence[Finding],
    notes: Sequence[str],
    readings: dict[str, Reading],
) -> None:
    """Write the page, whole or not at all. Raises OSError when the disk refuses.

    numbers: what the training takes, name and value. notes: what to change, and what was converted.
    """
    thumbnails = Thumbnails(readings)
    sections: list[Section] = [_section(finding, thumbnails) for finding in found]
    if notes:
        sections.append(Section("Notes", notes=tuple(Note(note) for note in notes)))
    page = DoctorPage("Images of a training", summary, Table(("", ""), tuple(numbers)), tuple(sections))
    write_page(path, "doctor.html", page)


def _section(finding: Finding, thumbnails: Thumbnails) -> FindingSection:
    """A finding, with the first of its images: whole groups."""
    thumbs: list[Thumb] = []
    for group in finding.images:
        if thumbs and len(thumbs) + len(group) > MAX_THUMBS:
            break
        for k, name in enumerate(group[:MAX_THUMBS]):
            thumbs.append(Thumb(name, thumbnails.uri(name), k == 0 and len(group) > 1))
    title = f"{finding.where}: {finding.kind}"
    return FindingSection(
        title,
        notes=(Note(finding.message, past=finding.severity == "advice"),),
        severity=TITLES[finding.severity],
        thumbs=tuple(thumbs),
        more=finding.count - len(thumbs),
    )
