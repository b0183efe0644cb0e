"""Translation of files: folders in, images of the same format and depth out, with a contact sheet."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from drit.atomic import write_json
from drit.data.folders import list_images
from drit.data.images import decode, encode, fit_channels, from_tensor
from drit.errors import DataError, UsageError
from drit.inference.translator import Translator
from drit.methods.registry import no_styles
from drit.runs.run import refuse_run_folder
from drit.sheets import save_sheet, sheet

SHEET_ROWS = 12  # inputs on the contact sheet
SHEET_COLUMNS = 16  # outputs of each on it
SHEET_CELL = 192  # pixels of the long side of a cell, at most


@dataclass(frozen=True)
class Style:
    """A style with the name that files and columns carry."""

    name: str
    code: Tensor  # (S,)
    image: np.ndarray | None = None  # the exemplar it was taken from (H, W, C)


def find_inputs(inputs: Sequence[str], out: Path) -> list[tuple[Path, Path]]:
    """Images that `inputs` (files and folders) name: each with its place under the output folder, without suffix.

    Raises DataError for one that is missing or a folder without images.
    """
    found: list[tuple[Path, Path]] = []
    for word in inputs:
        path = Path(word)
        if path.is_dir():
            if out.resolve() == path.resolve():
                raise UsageError(f"--out {out} is an input folder. Choose another, so that nothing is overwritten.")
            images = list_images(path)
            if not images:
                raise DataError(f"No images in {path}. Give a folder with .jpg, .png, .webp, .tif or .bmp files.")
            found += [(p, p.relative_to(path).with_suffix("")) for p in images]
        elif path.is_file():
            found.append((path, Path(path.stem)))
        else:
            raise DataError(f"There is no image or folder {path}.")
    places = _numbered([str(place) for _, place in found])  # x.png and x.jpg, or two folders with the same names
    return [(path, Path(place)) for (path, _), place in zip(found, places, strict=True)]


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, of which those that come again get a number that makes them names of their own: x, x_2, x_3."""
    given, taken, found = set(names), set[str](), []
    for name in names:
        own, count = name, 1
        while own in taken or (count > 1 and own in given):
            count += 1
            own = f"{name}_{count}"
        taken.add(own)
        found.append(own)
    return found


def chosen_styles(
    translator: Translator,
    to: str,
    count: int,
    seed: int,
    exemplars: Sequence[str] = (),
    saved: Sequence[str] = (),
    interpolate: int = 0,
) -> list[Style]:
    """The styles that the flags ask for: of exemplar images and saved files, else `count` random ones.

    interpolate: replace them by so many steps between each and the next (random ends when fewer than two are given).
    """
    if not translator.method.capabilities.style_dim:
        if exemplars or saved or interpolate or count > 1:
            raise UsageError(f"{no_styles()} Leave the style flags out.")
        return [Style("output", torch.zeros(0))]
    styles = []
    for word in exemplars:
        for path, place in find_inputs([word], Path("/nonexistent")):
            array, kind = decode(path)
            array = fit_channels(array, translator.method.channels[translator.domain(to)], kind.extra, kind.alpha)
            styles.append(Style(f"as_{place.name}", translator.style(array, to)[0], array))
    for word in saved:
        styles += read_styles(Path(word), translator)
    if not styles or (interpolate and len(styles) < 2):
        wanted = max(2 - len(styles), 1 if styles else count) if interpolate else count
        codes = translator.sample(wanted, to, seed)
        styles += [Style(f"style{i + 1:03d}", code) for i, code in enumerate(codes)]
    if interpolate:
        steps = translator.interpolate(torch.stack([s.code for s in styles]), interpolate)
        return [Style(f"step{i + 1:03d}", code) for i, code in enumerate(steps)]
    names = _numbered([s.name for s in styles])
    return [replace(style, name=name) for style, name in zip(styles, names, strict=True)]


def read_styles(path: Path, translator: Translator) -> list[Style]:
    """Styles of a JSON file as `translate` writes it: {"styles": {name: [numbers]}}."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["styles"]
        codes = translator.checked(list(found.values()))
    except OSError as error:
        raise UsageError(f"The style file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f'{path} is not a style file: it must hold {{"styles": {{"name": [numbers]}}}}, as translate writes it.'
        ) from error
    for name in found:
        if not name or name != Path(name).name:
            raise UsageError(f"{path}: the style's name {name!r} cannot be part of a file name. Rename it in the file.")
    return [Style(name, code) for name, code in zip(found, codes, strict=True)]


def translate_files(
    translator: Translator,
    inputs: Sequence[tuple[Path, Path]],
    to: str,
    out: Path,
    styles: Sequence[Style],
    quiet: bool,
) -> dict[str, Any]:
    """Translate images in all styles into `out`: PLACE_STYLE.SUFFIX each, `sheet.png`, and `styles.json`.

    An unreadable image is named and skipped. Returns counts, files, skipped images and the rate.
    """
    refuse_run_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    source, target = translator.source(to), translator.domain(to)
    codes = torch.stack([s.code for s in styles])
    rows: list[list[np.ndarray | None]] = []
    if any(s.image is not None for s in styles):
        rows.append([None, *(s.image for s in styles[:SHEET_COLUMNS])])
    written, skipped = [], {}
    began = time.monotonic()
    progress = Progress(
        TextColumn("translating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    with progress:
        for path, place in progress.track(list(inputs)):
            try:
                array, kind = decode(path)
                array = fit_channels(array, translator.method.channels[source], kind.extra, kind.alpha)
            except DataError as error:
                skipped[str(path)] = str(error)
                continue
            row: list[np.ndarray | None] = [array]
            for style, made in zip(styles, translator.outputs(array, codes, target), strict=True):
                pixels = from_tensor(made, kind.depth)
                name = out / place.with_name(f"{place.name}_{style.name}{kind.suffix}")
                name.parent.mkdir(parents=True, exist_ok=True)
                encode(pixels, name)
                written.append(str(name))
                if len(row) <= SHEET_COLUMNS:
                    row.append(pixels)
            if len(rows) < SHEET_ROWS:
                rows.append(row)
    seconds = time.monotonic() - began
    if not written:
        raise DataError("None of the images could be read: " + "; ".join(skipped.values()))
    named = {s.name: [round(float(v), 6) for v in s.code] for s in styles}
    write_json(out / "styles.json", {"domain": target, "styles": named})
    cell = min(SHEET_CELL, max(max(c.shape[:2]) for row in rows for c in row if c is not None))
    titles = ["input", *(s.name for s in styles[:SHEET_COLUMNS])]
    save_sheet(sheet(rows, column_titles=titles, cell=max(64, cell)), out / "sheet.png")
    return {
        "to": target,
        "images": len(inputs) - len(skipped),
        "styles": len(styles),
        "files": written,
        "sheet": str(out / "sheet.png"),
        "skipped": skipped,
        "seconds": round(seconds, 3),
        "outputs_per_second": round(len(written) / max(seconds, 1e-9), 3),
    }
