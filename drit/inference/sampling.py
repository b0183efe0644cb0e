"""Drawing from a model that translates nothing: grids over its codes; its categories against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from drit.atomic import not_written
from drit.data.arrays import check_labels
from drit.data.folders import ImageSet, open_domain
from drit.data.images import from_tensor, to_tensor
from drit.data.notes import KEYWORD
from drit.data.transforms import centre_crop
from drit.errors import UsageError
from drit.inference import outputs
from drit.inference.state import State
from drit.inference.translator import Translator
from drit.methods.base import Grid
from drit.probes.matching import agreement
from drit.progress import tracked
from drit.runtime import autocast
from drit.settings.common import DataSettings
from drit.sheets import save_sheet, sheet

BATCH = 500  # images read at once


def grid_rows(grid: Grid) -> list[list[np.ndarray | None]]:
    """A grid's images (rows, columns, C, H, W) in [-1, 1] as rows of a sheet: arrays (H, W, C) of uint8."""
    return [[from_tensor(image, 8) for image in row] for row in grid.images]


@torch.no_grad()
def draw(translator: Translator, out: Path, count: int, seed: int, overwrite: bool = False) -> list[str]:
    """Write one PNG for each grid of the model's codes into `out`, with `count` rows. Returns the files.

    overwrite: files that this program did not write may be overwritten. Raises UsageError for a model that translates,
    for an `out` that is a run, or for such files; DritError where the disk refuses.
    """
    if translator.method.capabilities.directions:
        raise UsageError(
            "This model translates images and draws none of its own: "
            "drit translate RUN IMAGES --to DOMAIN --out DIR --styles N."
        )
    outputs.check_free(out, [], overwrite)
    with autocast(translator.dtype, translator.device):
        grids = translator.method.grids(count, torch.Generator().manual_seed(seed))
    by_name = {f"{grid.name.replace(' ', '_')}.png": grid for grid in grids}
    outputs.check_free(out, list(by_name), overwrite)
    outputs.note(out, {name: {"input": None, "style": grid.name, "domain": None} for name, grid in by_name.items()})
    for name, grid in by_name.items():
        try:
            state = State(translator.weights, name=grid.name, seed=seed)
            save_sheet(sheet(grid_rows(grid), column_titles=grid.columns), out / name, {KEYWORD: state.text()})
        except OSError as error:
            raise not_written(out / name, error) from error
    return [str(out / name) for name in by_name]


def labelled(path: str, data: DataSettings) -> ImageSet:
    """Images with labels, opened as training opens them. Raises UsageError when there are no labels."""
    images = open_domain(path, data, "a")
    if images.labels is None:
        raise UsageError(
            f"{path} has no labels. Give an .npz file with an array 'labels' beside 'images' (or 'train_labels' beside "
            "'train_images', named as file.npz:train_images)."
        )
    check_labels(images.labels, path)
    return images


@torch.no_grad()
def code_agreement(translator: Translator, images: ImageSet, crop: int, quiet: bool) -> dict[str, Any]:
    """Real images classified by their most probable category, against their labels.

    Returns images, error in percent, the class of each category, and counts (categories x classes).
    """
    method = translator.method
    count = method.capabilities.categories
    if not count:
        raise UsageError("This model has no categories to compare with labels: leave --data.a out.")
    codes = []
    starts = range(0, len(images), BATCH)
    for start in tracked(starts, "classifying", len(starts), hidden=quiet):
        stop = min(start + BATCH, len(images))
        crops = torch.stack([to_tensor(centre_crop(images.get(i), crop)) for i in range(start, stop)])
        with autocast(translator.dtype, translator.device):
            codes.append(method.categorise(crops.to(translator.device)).cpu())
    assert images.labels is not None
    agreed = agreement(torch.cat(codes).numpy(), images.labels, count)
    return {
        "images": len(images),
        "error_percent": round(100 * agreed.error, 3),
        "class_of_category": {str(k): str(agreed.classes[c]) for k, c in sorted(agreed.matching.items())},
        "counts": agreed.counts.tolist(),
    }
