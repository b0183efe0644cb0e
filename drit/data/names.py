"""Which files are images by their names, and how a slice of a volume is named: `scan.nii.gz[37]`.

A NIfTI file holds many images. Each is a path of its own, of the file and the slice's place in it, counted from 0, so
that whatever takes a path takes a slice too.
"""

from __future__ import annotations

import re
from pathlib import Path

VOLUMES = (".nii", ".nii.gz")
READ_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif"),
    *(".dcm", *VOLUMES),
)
_SLICE = re.compile(r"(.+\.nii(?:\.gz)?)\[(\d{1,9})\]", re.IGNORECASE)
_NUMBER = re.compile(r"(\.\d+)?")  # DICOM files are often named by an identifier: 1.2.840.10008.5


def suffix_of(path: Path) -> str:
    """The ending in lower case, with the dot; `.nii.gz` is one, and that of a slice is its volume's."""
    name = file_of(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def slice_of(path: Path) -> tuple[Path, int] | None:
    """The volume and the place in it, from 0, that a slice's name means; None for any other name."""
    match = _SLICE.fullmatch(path.name)
    return (path.with_name(match[1]), int(match[2])) if match else None


def slice_name(volume: Path, place: int) -> Path:
    return volume.with_name(f"{volume.name}[{place}]")


def file_of(path: Path) -> Path:
    """The file that holds an image: itself, or the volume of a slice."""
    found = slice_of(path)
    return found[0] if found else path


def without_ending(path: Path) -> Path:
    """The path without its ending, as outputs and pairs are named: of `scan.nii.gz[37]` it is `scan_0037`."""
    found = slice_of(path)
    if found:
        return path.with_name(f"{found[0].name[: -len(suffix_of(found[0]))]}_{found[1]:04d}")
    if suffix_of(path) in VOLUMES:
        return path.with_name(path.name[: -len(suffix_of(path))])
    return path if may_be_dicom(path) else path.with_suffix("")


def may_be_dicom(path: Path) -> bool:
    """Whether a file without an ending (a number is none) may be DICOM: its content is to be looked at."""
    return bool(_NUMBER.fullmatch(path.suffix)) and path.name.upper() != "DICOMDIR"
