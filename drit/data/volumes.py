"""NIfTI: a volume of many images, by nibabel: each slice along the body's axis from feet to head is one.

Volumes are turned to the nearest canonical orientation (as `nibabel.as_closest_canonical`), without reading more than a
slice. Slice 0 is the lowest. Its rows go from the front of the body to its back, its columns from the body's right to
its left, as the axial slices of DICOM do. Numbers are float32 in units: scl_slope and scl_inter are applied.
"""

from __future__ import annotations

import gzip
import io
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from drit.data.containers import check_size, needs, opened
from drit.data.names import VOLUMES, slice_name, slice_of, suffix_of
from drit.errors import DataError

CACHED = 256 << 20  # bytes of an unpacked .nii.gz that are kept for the next slice: one volume in each process
PACKED = 16 << 30  # bytes that a .nii.gz may unpack to
MAX_SLICES = 1 << 15

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # what it complains of is judged here


@dataclass(frozen=True)
class Volume:
    """What the header of a NIfTI file says of its slices."""

    height: int  # of a slice
    width: int
    count: int  # slices
    further: bool  # further volumes follow the first, as in a series over time
    shape: tuple[int, ...]  # as stored
    dtype: np.dtype[Any]  # as stored
    offset: int
    scaling: tuple[float | None, float | None]  # slope and intercept
    axes: tuple[int, int, int]  # stored axes that run to the body's right, front and top
    flipped: tuple[bool, bool, bool]  # whether they run the other way

    @property
    def size(self) -> int:
        """Bytes of the file, unpacked, up to the end of its first volume."""
        return self.offset + math.prod(self.shape[:3]) * self.dtype.itemsize


def expand(path: Path) -> list[Path]:
    """The images of a file: the slices of a volume, by name; itself for any other file, and for a volume that cannot be
    read, which is named when it is."""
    if slice_of(path) or suffix_of(path) not in VOLUMES:
        return [path]
    try:
        with opened(path) as (file, content):
            if content != "NIfTI":
                return [path]
            return [slice_name(path, place) for place in range(read_volume(file).count)]
    except DataError:
        return [path]


def read_volume(file: BinaryIO) -> Volume:
    """The header of a volume. Raises ValueError for what is not read, and anything for a damaged file."""
    global _header
    key = _key(file)
    if _header is None or _header[0] != key:
        _header = key, _read_volume(file)
    return _header[1]


def _key(file: BinaryIO) -> tuple[int, ...]:
    """What tells an opened file from others, and from what it was before a change."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


_header: tuple[tuple[int, ...], Volume] | None = None  # of the volume that was read last: its slices come together
_unpacked: tuple[tuple[int, ...], bytes] | None = None


def _read_volume(file: BinaryIO) -> Volume:
    try:
        import nibabel
        from nibabel.orientations import io_orientation
    except ImportError as error:
        raise needs("nibabel", "NIfTI") from error
    stream = _stream(file)
    block = stream.read(540)  # of NIfTI-2; NIfTI-1 has 348
    second = block[4:8] == b"n+2\0"
    header = (nibabel.Nifti2Header if second else nibabel.Nifti1Header)(block[: 540 if second else 348])
    stored = tuple(int(n) for n in header.get_data_shape())
    if not 2 <= len(stored) <= 7 or min(stored) < 1:
        raise ValueError(f"its volume has shape {stored}")
    dtype = header.get_data_dtype()
    if dtype.kind not in "uif":
        raise ValueError(f"it holds colours or complex numbers ({dtype}): convert it to one number for each place")
    shape = (*stored, 1)[:3] if len(stored) == 2 else stored
    turns = io_orientation(header.get_best_affine())
    if not np.isfinite(turns).all():
        raise ValueError("its orientation in space is not told: mend its affine")
    order = [int(np.flatnonzero(turns[:, 0] == axis)[0]) for axis in range(3)]
    right, front, top = order
    volume = Volume(
        height=shape[front],
        width=shape[right],
        count=shape[top],
        further=math.prod(shape[3:]) > 1,
        shape=shape,
        dtype=dtype,
        offset=int(header.get_data_offset()),
        scaling=header.get_slope_inter(),
        axes=(right, front, top),
        flipped=(turns[right, 1] < 0, turns[front, 1] < 0, turns[top, 1] < 0),
    )
    check_size(volume.height, volume.width, max(4, dtype.itemsize))
    if volume.count > MAX_SLICES:
        raise ValueError(f"it has {volume.count} slices, more than {MAX_SLICES}")
    if stream is not file and volume.size > PACKED:
        raise ValueError(f"it unpacks to {volume.size / 2**30:.0f} GiB: unpack it first (gunzip)")
    return volume


def _stream(file: BinaryIO) -> BinaryIO:
    """The file from its start, unpacked as it is read where it is packed."""
    file.seek(0)
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[return-value]


def place_in(volume: Volume, path: Path) -> int:
    """Which slice a path names. Raises ValueError where it names none, or one that is not there."""
    found = slice_of(path)
    if found is None:
        if volume.count == 1:
            return 0
        raise ValueError(
            f"it is a volume of {volume.count} slices: name one, {slice_name(path, 0).name} to "
            f"{slice_name(path, volume.count - 1).name}, or give its folder"
        )
    if found[1] >= volume.count:
        raise ValueError(f"it has {volume.count} slices, counted from 0, and no slice {found[1]}")
    return found[1]


def read_slice(file: BinaryIO, path: Path) -> tuple[np.ndarray, Volume]:
    """The slice that a path names: (H, W, 1) of float32, in units."""
    from nibabel.arrayproxy import ArrayProxy

    volume = read_volume(file)
    place = place_in(volume, path)
    right, front, top = volume.axes
    wanted: list[slice | int] = [slice(None)] * 3 + [0] * (len(volume.shape) - 3)
    wanted[top] = volume.count - 1 - place if volume.flipped[2] else place
    data = ArrayProxy(_data(file, volume), (volume.shape, volume.dtype, volume.offset, *volume.scaling), mmap=False)
    values = np.asarray(data[tuple(wanted)], np.float32)
    if front > right:
        values = values.T  # rows to the front, columns to the right, before they are turned
    # down the image is to the back, along a row to the left: against the canonical axes, unless they were flipped
    values = values[:: 1 if volume.flipped[1] else -1, :: 1 if volume.flipped[0] else -1]
    return np.ascontiguousarray(values)[:, :, None], volume


def _data(file: BinaryIO, volume: Volume) -> BinaryIO:
    """What the numbers are read from: the file, or the bytes of an unpacked one, kept for its next slice."""
    global _unpacked
    stream = _stream(file)
    if stream is file or volume.size > CACHED:
        return stream
    key = _key(file)
    if _unpacked is None or _unpacked[0] != key:
        _unpacked = None  # before the next is unpacked
        _unpacked = key, stream.read(volume.size)
    return io.BytesIO(_unpacked[1])
