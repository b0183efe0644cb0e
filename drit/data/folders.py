"""Opening a domain: a folder of images or an array file, checked, with what a person should know of it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from drit.bounded import is_file, is_folder, is_there
from drit.data.arrays import array_file, read_arrays
from drit.data.containers import holds_dicom
from drit.data.fingerprints import ArrayDigest, FolderDigest
from drit.data.images import Header, fit_channels, read_header, read_values
from drit.data.imageset import Half, ImageSet, check_skipped
from drit.data.masks import MASKS, without_masks
from drit.data.names import READ_SUFFIXES, file_of, may_be_dicom, slice_of, suffix_of
from drit.data.ranges import (
    SURVEYED,
    Reading,
    auto_range,
    chosen_bands,
    chosen_range,
    range_notes,
    select_bands,
    survey,
)
from drit.data.shards import check_lost, shards_of
from drit.data.transforms import resized_shape
from drit.data.volumes import expand
from drit.errors import DataError, some
from drit.settings.common import MIN_CROP, DataSettings

__all__ = ["READ_SUFFIXES", "ImageSet", "list_images", "open_domain", "source_name"]

HALVES: dict[str, Half] = {"a": "left", "b": "right"}
MIN_IMAGES = 2
_LOOKED_AT = {8: 4, 16: 8}  # images of a set whose values are looked at, by their depth, where no range is asked for
_ADVICE = "Give a folder with .jpg, .png, .webp, .tif or .bmp files, or an .npz file."
_ENDINGS = {  # of formats, for those that say another one
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif"),
    "DICOM": (".dcm",),
    "NIfTI": (".nii", ".nii.gz"),
}


def list_images(folder: Path) -> list[Path]:
    """All images under a folder, by their ending, sorted by path; hidden files and folders are left out.

    Files without an ending count where they are DICOM. A NIfTI volume counts as its slices, in their order:
    `scan.nii.gz[0]`, `scan.nii.gz[1]` ... (`names.slice_of`). Of a folder of shards, the images that were packed.
    """
    if shards := shards_of(folder):
        return shards.paths()
    return _images(sorted(_files(folder)))


def _images(files: Sequence[Path]) -> list[Path]:
    """Those of the files that are images, in their order, volumes as their slices."""
    return [image for file in files if _counts(file) for image in expand(file)]


def _counts(file: Path) -> bool:
    """Whether a file of a folder is an image by its name, or by its content where the name says nothing."""
    return suffix_of(file) in READ_SUFFIXES or (may_be_dicom(file) and holds_dicom(file))


def _files(folder: Path) -> Iterator[Path]:
    """The files under a folder that are not hidden. Raises DataError for a folder within it that cannot be read."""
    for directory, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        here = os.path.realpath(directory)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not _holds(Path(directory, f), here))
        yield from (Path(directory, n) for n in names if not n.startswith("."))


def _refuse(error: OSError) -> None:
    """Not left out: nobody would know how many images are missing."""
    raise DataError(
        f"The folder {error.filename} cannot be read ({error.strerror}): what images it holds is not known. Have its "
        "owner allow it (chmod -R a+rX), or move it away."
    ) from error


def _holds(folder: Path, inner: str) -> bool:
    """Whether `folder` is `inner` or one that holds it: a link back, which would be followed for ever."""
    return folder.is_symlink() and Path(inner).is_relative_to(os.path.realpath(folder))


def source_name(path: str) -> str:
    """What a domain is called by: the name of its folder, or of its array file without the suffix."""
    file = array_file(path)
    return file[0].stem if file else Path(path).name


def open_domain(path: str, config: DataSettings, domain: str) -> ImageSet:
    """Open a folder, `file.npz` or `file.npz:KEY` as a domain and check it. Of `data.pairs`, domain a is the left
    half of each image, b the right one.

    Arrays are (N, H, W) or (N, H, W, C) of uint8, uint16 or float in [0, 1]; of any numbers with `data.range`. The
    set's `notes` say what was left out or converted. Raises DataError, saying what to do, for everything that training
    would stumble over: missing, empty, too few, too small, unreadable, mixed channels.
    """
    file = array_file(path)
    half = HALVES.get(domain, "") if path == config.pairs else ""
    try:
        images = _open_array(*file, config, domain) if file else _open_folder(Path(path), config, domain, half)
    except PermissionError as error:
        raise DataError(
            f"{path} (domain {domain}) may not be read by this user ({error.strerror}). Have its owner allow it "
            "(chmod -R a+rX), or name a copy."
        ) from error
    if len(images) < MIN_IMAGES:
        raise DataError(
            f"{path} has {len(images)} readable image{'s' if len(images) != 1 else ''}; "
            f"domain {domain} needs at least {MIN_IMAGES} (hundreds, to learn from)."
        )
    return images


def _open_folder(folder: Path, config: DataSettings, domain: str, half: Half) -> ImageSet:
    if not is_there(folder):
        raise DataError(f"There is no folder {folder} (domain {domain}). {_ADVICE}")
    if not is_folder(folder):
        raise DataError(f"{folder} (domain {domain}) is a file. {_ADVICE}")
    shards = shards_of(folder)
    files = [] if shards else sorted(_files(folder))
    found = shards.paths() if shards else _images(files)
    paths, others = without_masks(folder, found), _others(files, found)
    masks = len(found) - len(paths)
    lost = check_lost(shards, config.max_lost_shards) if shards else {}
    if shards and lost:
        paths = [p for p in paths if shards.member(p).shard.name not in lost]
    if not paths and shards:
        raise DataError(f"The shards of {folder} (domain {domain}) hold no image that can be read.")
    if not paths:
        if not others:
            raise DataError(f"The folder {folder} (domain {domain}) is empty. {_ADVICE}")
        count = sum(others.values())
        raise DataError(
            f"No images in {folder} ({count} file{'s' if count > 1 else ''}: {', '.join(sorted(others))}). {_ADVICE}"
        )
    bands, wanted = chosen_bands(config, domain), chosen_range(config, domain)
    numbers = (0.0, 1.0) if isinstance(wanted, str) else wanted  # any range, until auto has found one
    headers: dict[Path, Header] = {}
    skipped: dict[str, str] = {}
    for path in paths:
        try:
            header = read_header(path, config.alpha, bands, numbers)
            _check_memory(path, header.height, header.width, config)
        except DataError as error:
            skipped[str(path)] = str(error)
            check_skipped(skipped, config.max_unreadable)
            continue
        headers[path] = header
    if not headers:
        raise DataError(f"None of the {len(paths)} images of {folder} can be read: {next(iter(skipped.values()))}")
    channels = _settle_channels(list(headers.values()), config, domain, str(folder), list(headers))
    shapes = [(h.height, h.width // 2 if half else h.width) for h in headers.values()]
    for path, (height, width) in zip(headers, shapes, strict=True):
        _check_size(str(path), height, width, config)
    depth = max(h.depth for h in headers.values())
    _check_shared_range(str(folder), {h.dtype for h in headers.values()}, config, domain)
    looked_at = _spread(list(headers), SURVEYED if isinstance(wanted, str) else _LOOKED_AT[depth])
    seen = survey(_values(looked_at, bands))
    value_range = auto_range(seen, str(folder), _flag(config, domain)) if isinstance(wanted, str) else wanted
    notes = [f"shard {name} {why}: its images are left out" for name, why in lost.items()]
    notes += [f"the {masks} masks in {MASKS}/ are left out"] if masks else []
    notes += _left_out(others) + header_notes(headers, channels, config, value_range is not None)
    depths = Counter(h.depth for h in headers.values())
    if len(depths) > 1:
        notes.append(f"{depths[8]} of {len(headers)} files have 8 bits: their values are spread to 16")
    notes += range_notes(seen, value_range, _flag(config, domain))
    if seen is not None and seen.flat and any(map(slice_of, headers)):
        notes.append(
            f"{seen.flat} of {seen.images} slices looked at hold one value alone, such as air: they are kept; remove "
            "the ends of the volumes where they teach nothing"
        )
    return ImageSet(
        str(folder),
        list(headers),
        shapes,
        config,
        channels,
        depth,
        skipped,
        digest=FolderDigest(folder, list(headers), half),
        half=half,
        reading=Reading(config.alpha, bands, value_range),
        notes=[f"{folder}: {note}." for note in notes],
    )


def _open_array(path: Path, key: str, config: DataSettings, domain: str) -> ImageSet:
    if not is_file(path):
        raise DataError(f"There is no file {path} (domain {domain}). {_ADVICE}")
    bands, wanted = chosen_bands(config, domain), chosen_range(config, domain)
    arrays = read_arrays(path, key, raw=wanted is not None)
    array, where = arrays.images, f"{path}:{arrays.key}"
    array = select_bands(array, where, bands)
    if len(array):
        _check_size(where, array.shape[1], array.shape[2], config)
        _check_memory(path, array.shape[1], array.shape[2], config)
    _, height, width, own = array.shape
    header = Header(height, width, own, 8 if array.dtype == np.uint8 and wanted is None else 16, dtype=array.dtype.name)
    channels = _settle_channels([header] * len(array), config, domain, where)
    _check_shared_range(where, {header.dtype}, config, domain)
    count = SURVEYED if isinstance(wanted, str) else _LOOKED_AT[header.depth]
    seen = survey(array[i] for i in _spread(range(len(array)), count))
    value_range = auto_range(seen, where, _flag(config, domain)) if isinstance(wanted, str) else wanted
    digest = hashlib.sha256(np.ascontiguousarray(arrays.images).data).hexdigest()
    return ImageSet(
        where,
        array,
        [array.shape[1:3]] * len(array),
        config,
        channels,
        header.depth,
        {},
        arrays.labels,
        ArrayDigest(digest),
        reading=Reading(config.alpha, bands, value_range),
        notes=[f"{where}: {note}." for note in range_notes(seen, value_range, _flag(config, domain))],
    )


def _spread(items: Sequence, count: int) -> list:
    """At most `count` of them, evenly."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))]


def _values(paths: Sequence[Path], bands: Sequence[int]) -> Iterator[np.ndarray]:
    """The numbers of images as their files hold them; damaged ones, named when they are read, are left out."""
    for path in paths:
        try:
            yield read_values(path, bands)
        except DataError:
            continue


def _flag(config: DataSettings, domain: str) -> str:
    return "--data.range-b" if domain == "b" and not config.domains else "--data.range"


def _check_shared_range(where: str, dtypes: set[str], config: DataSettings, domain: str) -> None:
    """Raises DataError where a range that was given for the other domain would darken 8-bit images."""
    if domain == "b" and not config.domains and config.range and not config.range_b and dtypes == {"uint8"}:
        raise DataError(
            f"{where} (domain b) holds 8-bit images: is --data.range {' '.join(config.range)} meant for them too? Say "
            "--data.range-b full to keep them as they are, or --data.range-b LOW HIGH."
        )


def _settle_channels(
    headers: Sequence[Header], config: DataSettings, domain: str, where: str, paths: Sequence[Path] = ()
) -> int:
    """The channels of a domain: as set, else the maximum of its images.

    paths: of the images, where they are files. Raises DataError where images cannot be converted.
    """
    kinds = Counter((h.channels, h.extra, h.alpha) for h in headers)
    wanted = config.channels(domain)
    channels = wanted or max(kinds)[0]
    extra = any(extra for have, extra, _ in kinds if have == channels)
    for (have, own, alpha), count in kinds.items():
        try:
            fit_channels(np.zeros((1, 1, have), np.uint8), channels, own, alpha)
            if extra and have != channels:  # what would it have in these bands?
                raise DataError("mixed bands")
        except DataError as error:
            files = list(zip(paths, headers, strict=bool(paths)))
            odd = [p.name for p, h in files if (h.channels, h.extra, h.alpha) == (have, own, alpha)]
            like = [p.name for p, h in files if h.channels == channels]
            named, asked = f" ({some(odd)})" if odd else "", f" (as {some(like)})" if like and not wanted else ""
            flags = f"--data.channels-{domain if domain in 'ab' else 'a'}"
            raise DataError(
                f"{where}: {count} images have {have} channels{named}, domain {domain} takes {channels}{asked}. "
                + (
                    f"Choose bands with --data.bands, or set {flags}."
                    if own or extra
                    else f"Convert them, or set {flags}."
                )
            ) from error
    return channels


def _check_size(name: str, height: int, width: int, config: DataSettings) -> None:
    h, w = resized_shape(height, width, config.resize, config.resize_mode)
    if min(h, w) < config.crop:
        resized = f", {w} x {h} after --data.resize {config.resize}" if config.resize else ""
        smaller = f"--data.crop {min(h, w)} or less, or " if min(h, w) >= MIN_CROP else ""
        raise DataError(
            f"{name} is {width} x {height} pixels{resized}: smaller than the crop of {config.crop}. "
            f"Set {smaller}--data.resize {config.crop} or more."
        )


def _check_memory(path: Path, height: int, width: int, config: DataSettings) -> None:
    """Raises DataError for a long strip whose short side would be enlarged: 1 x 20000 pixels to 256 x 5120000."""
    h, w = resized_shape(height, width, config.resize, config.resize_mode)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and h * w > max(limit, height * width):
        raise DataError(
            f"{path} is {width} x {height} pixels, and {w} x {h} after --data.resize {config.resize}: more than "
            f"{limit} in all. Cut it, or set --data.resize-mode square."
        )


def left_out_notes(folder: Path, beside: Sequence[str] = ()) -> list[str]:
    """How many files of a folder are no images, as for `list_images`: a sentence without its full stop, or nothing.

    beside: endings of files that belong to an image, which are not counted.
    """
    if shards_of(folder):
        return []
    files = sorted(p for p in _files(folder) if p.suffix.lower() not in beside)
    return _left_out(_others(files, _images(files)))


def _others(files: Sequence[Path], images: Sequence[Path]) -> Counter[str]:
    """The endings of the files that hold none of the images."""
    read = {file_of(p) for p in images}
    return Counter(p.suffix.lower() or "without suffix" for p in files if p not in read)


def _left_out(others: Counter[str]) -> list[str]:
    if not others:
        return []
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common())
    return [f"{_files_with(sum(others.values()), 'other endings')}, left out: {kinds}"]


def header_notes(headers: Mapping[Path, Header], channels: int, config: DataSettings, ranged: bool) -> list[str]:
    """What was converted or not read, counted, each in a sentence without its full stop.

    headers: of files that are read as `config` says, with or without a range, to be of so many channels.
    """
    notes: list[str] = []

    def tell(chosen: list[Path], text: str) -> None:
        files = list(dict.fromkeys(map(file_of, chosen)))
        if files:
            notes.append(f"{_files_with(len(files), text)} ({some([p.name for p in files])})")

    def odd(path: Path, content: str) -> bool:
        return not (content == "DICOM" and may_be_dicom(path)) and suffix_of(path) not in _ENDINGS.get(
            content, (f".{content.lower()}",)
        )

    tell([p for p, h in headers.items() if odd(p, h.content)], "another format than the ending says: content counts")
    tell([p for p, h in headers.items() if h.further], "further pages or frames: the first of each is read")
    tell(
        [p for p, h in headers.items() if h.converted == "CMYK"],
        "CMYK: converted to RGB without a profile; convert them yourself if colours matter",
    )
    tell([p for p, h in headers.items() if h.converted == "MONOCHROME1"], "0 as white (MONOCHROME1): turned round")
    tell(
        [p for p, h in headers.items() if h.nodata is not None],
        "a value that stands for none (GDAL's no-data value): "
        + ("it is taken as LOW" if ranged else "it stays as it is; with --data.range it becomes LOW"),
    )
    tell([p for p, h in headers.items() if h.deeper], "10 or 12 bits, of which 8 are read: convert them to 16-bit PNG")
    tell(
        [p for p, h in headers.items() if h.profile],
        "a colour profile other than sRGB: pixels are taken as they are; convert them to sRGB if colours matter",
    )
    extra = [p for p, h in headers.items() if h.extra]
    fewer = any(headers[p].channels > channels for p in extra)
    tell(
        extra,
        "bands that the file gives no meaning: "
        + ("they are left out" if fewer else "they are taken as channels")
        + "; choose with --data.bands, counted from 1",
    )
    if config.alpha == "flatten":
        tell(
            [p for p, h in headers.items() if h.transparent],
            "transparency: laid on white; --data.alpha keep keeps it",
        )
    return notes


def _files_with(count: int, what: str) -> str:
    return f"{count} file{'s' if count > 1 else ''} with {what}"
