"""The tables of docs/formats.md, from what the decoder does: `python -m tests.data.formats` writes the page."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from drit.data import containers, metadata, volumes
from drit.data.folders import READ_SUFFIXES, open_domain
from drit.data.images import SUFFIXES, Metadata, decode, encode, read_header
from drit.data.labelled import open_labelled
from drit.data.metadata import Tag
from drit.data.ranges import reading_of
from drit.errors import DataError, UsageError
from drit.inference.reading import read_image
from drit.settings.common import DataSettings
from tests.data.dicom import dicom
from tests.data.layouts import LAYOUTS, Layout
from tests.data.samples import FILES, packed, pixels, tiff

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
TEXT = """# Image files

What is read, converted and refused. The tests write the tables of this page from what the program does.

All commands that read images use one decoder: `train`, `translate`, `evaluate`, `compare`, `augment` and `probe`. A
test reads every layout as each of them does.
Where the tables say *refused*, the file is named, with what to convert, and the other files are read.

## How a file is judged

- **Its content decides, not its ending.** `x.png` may hold a JPEG: it is read as one, and told.
- A folder is searched for these endings: {endings}. Files with other endings are counted and told.
- Files without an ending, or with a number for one, are read where they are DICOM.
- `.heic` needs a plug-in: `pip install pillow-heif`. DICOM and NIfTI need `pip install 'drit[medical]'`.
- **Never read**, whatever the ending: {foreign}.
- Pipes, sockets and devices are named and skipped.
- An image of more than {limit} pixels is refused.
- Of several pages or frames the first is read, and told.
- EXIF and TIFF orientations are applied.
- A colour profile other than sRGB is told. Pixels stay as they are.

## Layouts

*kept*: the file's own numbers. *converted*: to what is named. A lossy format keeps what it stored.

{layouts}

Transparency is laid on white, or kept as a channel with `--data.alpha keep`. A TIFF says by its tag ExtraSamples which
channel is transparency. A channel without a meaning is a band, and told.
CMYK becomes RGB without a profile, and is told.

## Packed folders

`drit data pack DIR --out SHARDS` writes the images of a folder as a few large tar files. Wherever a folder of images is
asked for, SHARDS serves. Image files stay as they are, byte for byte, and each keeps its place: a training draws the
same batches from SHARDS as from DIR, its record of the images is the same, and it can go on from either.

- The shards have webdataset's form: `winter/003.png`, with `winter/003.cls` and `winter/003.json` where images lie in
  folders of classes, and `winter/003.mask.png` for a mask. Other programs read them in a stream. Images lie in the
  order of their names: shuffle them there.
- `shards.json` is the index: of each image its place, shard, offset, bytes and SHA-256. Every image is compared with it
  when it is read.
- Missing or cut shards are named. `--data.max-lost-shards N` trains without the images of up to N of them. An image
  whose bytes have changed counts as an unreadable one (`--data.max-unreadable`).
- Volumes of NIfTI are not packed, nor are text files beside images.
- Shards are read from a disk or a mounted file system. Addresses such as `s3://` are not read.

## Storage of TIFF

{storage}

Strips and tiles, chunky samples and planes, both byte orders, BigTIFF and predictors all give the same pixels. JPEG
within a TIFF is read in 8 bits. Bilevel images, and grey or palettes of 2 and 4 bits, become 8 bits. Samples of 12 bits
are refused: convert them to 16 bits. So is CMYK of 16 bits: convert it to RGB of 16 bits.

## Medical images

They are read with `--data.range`, in the file's own units, as float32. Outputs are TIFF, and hold nothing that says who
the patient is.

**DICOM** (by pydicom): one image a file.

{dicom}

- Rescale slope and intercept give the units: Hounsfield for CT. Windows are not applied: `--data.range` is one.
- MONOCHROME1 (0 is white) is turned round within what the stored bits hold, so that high is bright, and
  told.
- Pixels of PixelPaddingValue are NaN: LOW. Of several frames the first is read, and told.
- Other compressions are refused by name. Save the file uncompressed, or install a decoder for pydicom.
- A DICOMDIR is left out, and told.

**NIfTI** (by nibabel): `.nii` and `.nii.gz`. Every slice of a volume is an image. `scan.nii.gz[37]` is one; the first
is 0.

- However it is stored, a volume is turned to the nearest canonical orientation. Slices go from the feet to the head.
- The top of a slice is the front of the body, and its left is the body's right, as in axial DICOM.
- `scl_slope` and `scl_inter` give the units. Of a series (4 axes) the first volume is read, and told.
- A slice of one value alone (air) is kept. How many of those looked at are so is told.
- A slice of a `.nii` is read alone. A `.nii.gz` is unpacked for each slice, but for the last of up to {cached} MiB:
  unpack large sets once with `gunzip`.
- Names for pairs and outputs are `scan_0037`.
- Two files (`.hdr`, `.img`), colours and complex numbers are refused.

## Beside the pixels

What an output keeps of its input. What its format cannot hold is named.

{beside}

- A georeference is the tags {geo}.
- It is kept where the output has the size of its input.
- EXIF is kept but for its orientation, since outputs are upright, and its preview, since that shows the input. Of a
  TIFF it is the directories of EXIF and GPS (not in BigTIFF), description, maker, model, date, artist and copyright.
- A profile of colours is not kept for grey.
- Of an input are not kept: XMP, IPTC, text of PNG, comments of JPEG, and GDAL's descriptions of bands.

**The state.** An output of `translate`, `sample`, the service and the studio says how it was made, in one JSON text:

```json
{{"format": 1, "version": "0.2.0", "run": "9f86d0...", "from": "a", "to": "b",
 "name": "style003", "style": [0.1, -0.3], "seed": 0}}
```

`run` is the SHA-256 of `weights.safetensors`. `style` has the exact numbers. `seed` is that of a random style, else
null; `style003` is the third of its seed. A contact sheet, and a grid, matrix or walk of the studio, show several
styles: `style` is empty, and `styles` has name, style and seed of each, in order. A PNG keeps the text in an iTXt chunk
with the keyword `drit.state`. A WebP, TIFF or JPEG keeps it in its XMP packet, as the property `state` of the namespace
`urn:drit:1#`. A GIF keeps it as its comment, after the same keyword and a blank. BMP keeps none. The pixels are the
same as without. A state that is malformed is ignored, and told.

GDAL's no-data value is taken as NaN with a range: LOW. Without one, numbers of 8 and 16 bits stay as they are. Both are
told.

## Bands

An image may have any number of bands. `--data.bands 4,3,2` takes three of them, in this order, counted from 1.
Without it all bands are channels. Domain b may have its own: `--data.bands-b`.

## Numbers

{numbers}

`--data.range LOW HIGH` says which values become black and white, in the file's own units: `--data.range 273 373`,
`--data.range -1000 3000`. Values between are mapped linearly to 16 bits, others are clipped, and NaN becomes LOW.
`auto` takes the 0.5 and 99.5 percentiles of the set, and the run records them. `full` is the type's whole range.
Domain b may have its own: `--data.range-b`.

Arrays in `.npz` files are (N, H, W) or (N, H, W, C): uint8, uint16, or floats in [0, 1]; others with a range.

## Outputs

What can be written. An output has its input's ending where that can hold it, else `.png`, or `.tif` for bands.

{outputs}
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _reason(error: Exception) -> str:
    """The part of a refusal that says why."""
    text = str(error).rstrip(".")
    return text.partition("as an image: ")[2] or text.partition(": ")[2] or text


def _as_a_domain(file: Path, data: DataSettings) -> np.ndarray:
    return open_domain(str(file.parent), data, "a").get(0)


def _as_an_input(file: Path, data: DataSettings) -> np.ndarray:
    channels = read_header(file, data.alpha).channels
    method: Any = SimpleNamespace(settings=SimpleNamespace(data=data), channels={"a": channels})
    return read_image(file, method, "a")[0]


def _as_a_labelled_image(file: Path, data: DataSettings) -> np.ndarray:
    labelled = open_labelled(str(file.parent.parent), reading=reading_of(data, "a"))
    return labelled.get(0, read_header(file, data.alpha).channels)


# How each command reads an image of a domain, by the functions that it calls.
WAYS: dict[str, Callable[[Path, DataSettings], np.ndarray]] = {
    "`train`, `evaluate`, `compare`": _as_a_domain,
    "`translate`": _as_an_input,
    "`augment`, `probe`": _as_a_labelled_image,
}


def _verdict(layout: Layout, dtype: Any, file: Path, read: Callable[[Path, DataSettings], np.ndarray]) -> str:
    """What a command makes of a folder of two such files, with transparency kept as a channel."""
    data = DataSettings(a=str(file.parent), resize=0, crop=16, alpha="keep", max_unreadable=0)
    try:
        array = read(file, data)
    except DataError as error:
        assert str(file) in str(error)
        return f"refused: {re.split('[.][ ,]', _reason(error))[0]}"  # what to do with the other files comes after it
    stored = layout.stored(dtype)
    right = layout.right(stored)
    assert array.shape == right.shape and np.abs(array.astype(int) - right).max() <= layout.tolerance, layout.name
    return layout.verdict


def layouts(folder: Path) -> str:
    rows = []
    for layout in LAYOUTS:
        for dtype in layout.depths:
            place = Path(tempfile.mkdtemp(dir=folder)) / "set" / "x"
            place.mkdir(parents=True)
            for name in ("0.png", "1.png"):
                (place / name).write_bytes(layout.write(layout.stored(dtype)))
            verdicts = [_verdict(layout, dtype, place / "0.png", read) for read in WAYS.values()]
            rows.append([layout.name, str(8 * np.dtype(dtype).itemsize), *verdicts])
    return table(["layout", "bits", *WAYS], rows)


def _storages() -> Iterator[tuple[str, Any]]:
    array = pixels(3, np.uint16)
    yield "none", lambda: tiff(array, photometric="rgb")
    yield "deflate", lambda: tiff(array, photometric="rgb", compression="deflate")
    yield "LZW", lambda: packed(array, "tiff_lzw", photometric="rgb")
    yield "PackBits", lambda: packed(array, "packbits", photometric="rgb")
    yield "LZMA", lambda: tiff(array, photometric="rgb", compression="lzma")
    for name, number in (("JPEG", 7), ("JPEG 2000", 34712), ("WebP", 50001), ("JPEG XL", 50002), ("LERC", 34887)):
        yield name, lambda number=number: recompressed(tiff(array, photometric="rgb"), number)


def recompressed(content: bytes, number: int) -> bytes:
    """The file with another number in its tag Compression (259)."""
    place = content.index(b"\x03\x01\x03\x00\x01\x00\x00\x00")
    return content[: place + 8] + number.to_bytes(2, "little") + content[place + 10 :]


def storage(folder: Path) -> str:
    rows = []
    for name, write in _storages():
        path = folder / "x.tif"
        path.write_bytes(write())
        try:
            kept = np.array_equal(decode(path)[0], pixels(3, np.uint16))
            rows.append([name, "kept" if kept else "WRONG"])
        except DataError as error:
            rows.append([name, f"refused: {_reason(error)}"])
    return table(["compression", "16 bits"], rows)


def numbers(folder: Path) -> str:
    rows = []
    for name in ("uint8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"):
        path = folder / "x.tif"
        path.write_bytes(tiff(np.arange(64).reshape(8, 8).astype(name), photometric="minisblack"))
        row = [name]
        for value_range in (None, (0.0, 63.0)):
            try:
                array = decode(path, value_range=value_range)[0]
                row.append("kept" if str(array.dtype) == name and value_range is None else f"mapped to {array.dtype}")
            except DataError as error:
                row.append(f"refused: {_reason(error).partition('. ')[0]}")
        rows.append(row)
    return table(["numbers", "without a range", "with a range"], rows)


def outputs(folder: Path) -> str:
    rows = []
    for suffix in SUFFIXES:
        row = [suffix]
        for dtype in ("uint8", "uint16", "float32"):
            held = []
            for channels, alpha, name in ((1, True, "grey"), (3, True, "RGB"), (4, True, "alpha"), (5, False, "bands")):
                try:
                    encode(np.zeros((8, 8, channels), dtype), folder / f"x{suffix}", alpha)
                    held.append(name)
                except UsageError:
                    pass
            row.append(", ".join(held) or "–")  # noqa: RUF001
        rows.append(row)
    return table(["ending", "8 bits", "16 bits", "float32, int16"], rows)


def dicom_kinds(folder: Path) -> str:
    grey, colour = np.arange(64).reshape(8, 8), pixels(3, size=(8, 8))
    files = [
        *((f"grey, {np.dtype(t)}", dicom(grey.astype(t), RescaleSlope=2)) for t in ("u1", "i1", "u2", "i2")),
        ("grey, 0 is white", dicom(grey.astype("u2"), "MONOCHROME1")),
        ("colour, 8 bits", dicom(colour, "RGB")),
        ("colour, 16 bits", dicom(colour.astype("u2"), "RGB")),
        ("palette", dicom(grey.astype("u1"), "PALETTE COLOR")),
        ("compressed as a whole", dicom(grey.astype("u2"), syntax="1.2.840.10008.1.2.1.99")),
    ]
    rows = []
    for name, content in files:
        (folder / "x.dcm").write_bytes(content)
        try:
            header = read_header(folder / "x.dcm", value_range=(0, 1))
            kept = header.dtype == "uint8"
            rows.append([name, "kept" if kept else f"{header.dtype}, in units"])
        except DataError as error:
            rows.append([name, f"refused: {_reason(error)}"])
    return table(["DICOM", "read as"], rows)


def beside() -> str:
    profile = bytes(16) + b"RGB "
    exif = Image.Exif()
    exif[271] = "a maker"
    tag = Tag(metadata.NODATA, "s", 0, "0")
    whole = Metadata((8, 8), profile, exif.tobytes(), (72.0, 72.0), (tag,))
    names = whole.kept(".tif", (8, 8, 3))
    rows = [[s, *("kept" if n in whole.kept(s, (8, 8, 3)) else "–" for n in names)] for s in SUFFIXES]  # noqa: RUF001
    return table(["ending", *names], rows)


def page() -> str:
    read = {*containers.READ, *containers.MEDICAL}
    foreign = sorted({name for _, _, name in containers.MAGIC} - read | {"Netpbm"}, key=str.lower)
    assert {kind.split()[0].upper() for kind in FILES} <= set(containers.READ)
    with tempfile.TemporaryDirectory() as folder:
        return TEXT.format(
            endings=", ".join(f"`{s}`" for s in READ_SUFFIXES),
            foreign=", ".join(foreign),
            limit=f"{containers.Image.MAX_IMAGE_PIXELS:,}",
            layouts=layouts(Path(folder)),
            storage=storage(Path(folder)),
            numbers=numbers(Path(folder)),
            outputs=outputs(Path(folder)),
            dicom=dicom_kinds(Path(folder)),
            cached=volumes.CACHED >> 20,
            beside=beside(),
            geo=", ".join(map(str, metadata.GEO)) + f" ({metadata.GEO_NAMES})",
        )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
