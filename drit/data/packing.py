"""Writing a folder of images as tar shards in webdataset's form, with an index (`shards.py` reads them).

A sample of webdataset is what lies in a row with one key: `winter/003.png`, and where images lie in folders of classes
`winter/003.cls` (the number of the class) and `winter/003.json` (its name, and the file), then the mask of the image,
`winter/003.mask.png`. Image files are copied byte for byte. The same folder gives the same bytes each time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drit.atomic import check_empty, not_written, sync_file, write_atomically
from drit.bounded import is_folder, resolved
from drit.data.containers import regular
from drit.data.fingerprints import file_digest
from drit.data.folders import list_images
from drit.data.masks import MASKS
from drit.data.names import slice_of
from drit.data.shards import FORMAT, INDEX
from drit.errors import DataError, UsageError

SHARD_BYTES = 256 << 20


def pack(
    folder: Path, out: Path, shard_bytes: int = SHARD_BYTES, step: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Write the images of a folder as shards of about `shard_bytes` each. Returns their numbers.

    step: called with the number of images of each sample that was written. Raises UsageError for a place that cannot
    be written to, DataError for a folder without images, DritError where the disk refuses.
    """
    if not is_folder(folder):
        raise DataError(f"There is no folder {folder}. Give a folder of images.")
    check_empty(out)
    if resolved(out).is_relative_to(resolved(folder)):
        raise UsageError(f"{out} lies in {folder}, whose images are packed. Choose another --out.")
    samples = _samples(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        index = _write(folder, out, samples, shard_bytes, step)
        # last: without it the folder is none of shards
        write_atomically(out / INDEX, json.dumps(index, separators=(",", ":")).encode())
    except OSError as error:
        raise not_written(error.filename or out, error, f"remove {out} before you give the command again") from error
    return {
        "out": str(out),
        "images": len(index["members"]),
        "shards": len(index["shards"]),
        "bytes": sum(s["bytes"] for s in index["shards"]),
        "classes": len(index["classes"]),
    }


def _samples(folder: Path) -> list[tuple[str, list[str]]]:
    """Keys, each with the place of an image in the folder and, where it has one, of its mask."""
    paths = list_images(folder)
    if volumes := [p for p in paths if slice_of(p)]:
        raise DataError(
            f"{volumes[0]} is a slice of a volume: volumes of NIfTI are not packed. Keep them as files, or write their "
            "slices as images."
        )
    places = [p.relative_to(folder).as_posix() for p in paths]
    if not places:
        raise DataError(f"No images in {folder}. Give a folder with .jpg, .png, .webp, .tif or .bmp files.")
    masks = {_bare(place.removeprefix(f"{MASKS}/")): place for place in places if place.startswith(f"{MASKS}/")}
    samples: list[tuple[str, list[str]]] = []
    taken: set[str] = set()
    for place in places:
        if place.startswith(f"{MASKS}/"):
            continue
        mask = masks.pop(_bare(place), None)
        samples.append((_key(_bare(place), taken), [place, mask] if mask else [place]))
    samples += [(_key(_bare(place), taken), [place]) for place in masks.values()]  # of no image
    return samples


def _bare(place: str) -> str:
    return place[: len(place) - len(Path(place).suffix)]


def _key(bare: str, taken: set[str]) -> str:
    """A key of its own. For webdataset it ends at the first dot of the name: other dots become underscores."""
    folder, _, name = bare.rpartition("/")
    key = key_of_name = f"{folder}/{name.replace('.', '_')}" if folder else name.replace(".", "_")
    number = 1
    while key in taken:
        number += 1
        key = f"{key_of_name}-{number}"
    taken.add(key)
    return key


def _classes(samples: list[tuple[str, list[str]]]) -> list[str]:
    """The folders of classes, in order; none where images lie in the folder itself."""
    places = [of[0] for _, of in samples if not of[0].startswith(f"{MASKS}/")]
    folders = [place.partition("/")[0] for place in places if "/" in place]
    return sorted(set(folders)) if len(folders) == len(places) else []


def _write(
    folder: Path, out: Path, samples: list[tuple[str, list[str]]], shard_bytes: int, step: Callable[[int], None]
) -> dict[str, Any]:
    """Write the shards. Returns the index."""
    classes = _classes(samples)
    shards: list[dict[str, Any]] = []
    members: list[dict[str, Any]] = []
    shard: _Shard | None = None
    try:
        for key, places in samples:
            contents = [_content(folder / place) for place in places]
            if shard is not None and shard.size and shard.size + sum(map(len, contents)) > shard_bytes:
                shards.append(shard.close())
                shard = None
            shard = shard or _Shard(out, len(shards))
            for place, content, kind in zip(places, contents, ("", ".mask"), strict=False):
                name = f"{key}{kind}{Path(place).suffix.lower() or '.dcm'}"
                label = place.partition("/")[0]
                if kind == "" and label in classes:
                    beside = {".cls": str(classes.index(label)), ".json": json.dumps({"label": label, "file": place})}
                else:
                    beside = {}
                members.append(
                    {
                        "place": place,
                        "shard": shard.name,
                        "name": name,
                        "offset": shard.add(name, content),
                        "bytes": len(content),
                        "sha256": hashlib.sha256(content).hexdigest(),
                        "sampled": file_digest(folder / place).hex(),
                    }
                )
                for ending, text in beside.items():
                    shard.add(f"{key}{ending}", text.encode())
            step(len(places))
        if shard is not None:
            shards.append(shard.close())
            shard = None
    finally:
        if shard is not None:
            shard.drop()
    return {"format": FORMAT, "classes": classes, "shards": shards, "members": members}


def _content(path: Path) -> bytes:
    """Raises DataError for what is no regular file, or cannot be read."""
    try:
        with regular(path) as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be packed: {getattr(error, 'strerror', None) or error}.") from error


class _Shard:
    """A tar file that grows under a temporary name."""

    def __init__(self, out: Path, number: int) -> None:
        self.name = f"shard-{number:06d}.tar"
        self._path, self._temporary = out / self.name, out / f".{self.name}.tmp"
        # owner, mode and time are no part of a sample: the same images give the same bytes
        self._tar = tarfile.open(self._temporary, "w", format=tarfile.PAX_FORMAT)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._tar.offset

    def add(self, name: str, content: bytes) -> int:
        """Append a file. Returns the offset of its first byte."""
        info = tarfile.TarInfo(name)
        info.size = len(content)
        self._tar.addfile(info, io.BytesIO(content))
        return self._tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE

    def close(self) -> dict[str, Any]:
        """Give it its name. Returns its entry in the index."""
        self._tar.close()
        sync_file(self._temporary)
        os.replace(self._temporary, self._path)
        return {"name": self.name, "bytes": self._path.stat().st_size}

    def drop(self) -> None:
        """Remove what was not closed."""
        self._tar.close()
        self._temporary.unlink(missing_ok=True)
