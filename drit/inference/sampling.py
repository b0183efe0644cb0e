"""Drawing from a model that translates nothing: grids over its codes; its categories against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from drit.data.folders import ImageSet, open_domain
from drit.data.images import from_tensor, to_tensor
from drit.data.transforms import centre_crop
from drit.errors import UsageError
from drit.inference.translator import Translator
from drit.methods.base import Grid
from drit.probes.matching import agreement
from drit.runs.run import refuse_run_folder
from drit.runtime import autocast
from drit.settings.common import DataSettings
from drit.sheets import save_sheet, sheet

BATCH = 500  # images read at once


def grid_rows(grid: Grid) -> list[list[np.ndarray | None]]:
    """A grid's images as rows of a sheet."""
    return [[from_tensor(image, 8) for image in row] for row in grid.images]


@torch.inference_mode()
def draw(translator: Translator, out: Path, count: int, seed: int) -> list[str]:
    """Write one PNG for each grid of the model's codes into `out`, with `count` rows. Returns the files.

    Raises UsageError for a model that translates, and for an `out` that is a run.
    """
    if translator.method.capabilities.directions:
        raise UsageError(
            "This model translates images and draws none of its own: "
            "drit translate RUN IMAGES --to DOMAIN --out DIR --styles N."
        )
    refuse_run_folder(out)
    with autocast(translator.dtype, translator.device):
        grids = translator.method.grids(count, torch.Generator().manual_seed(seed))
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for grid in grids:
        path = out / f"{grid.name.replace(' ', '_')}.png"
        save_sheet(sheet(grid_rows(grid), column_titles=grid.columns), path)
        written.append(str(path))
    return written


def labelled(path: str, data: DataSettings) -> ImageSet:
    """Images with labels, opened as training opens them. Raises UsageError when there are no labels."""
    images = open_domain(path, data, "a")
    if images.labels is None:
        raise UsageError(
            f"{path} has no labels. Give an .npz file with an array 'labels' beside 'images' (or 'train_labels' beside "
            "'train_images', named as file.npz:train_images)."
        )
    return images


@torch.inference_mode()
def code_agreement(translator: Translator, images: ImageSet, crop: int, quiet: bool) -> dict[str, Any]:
    """Real images classified by their most probable category, against their labels.

    Returns images, error in percent, the class of each category, and counts (categories x classes).
    """
    method = translator.method
    count = method.capabilities.categories
    if not count:
        raise UsageError("This model has no categories to compare with labels: leave --data.a out.")
    found = []
    starts = range(0, len(images), BATCH)
    for start in track(starts, "classifying", console=Console(stderr=True), disable=quiet, transient=True):
        stop = min(start + BATCH, len(images))
        crops = torch.stack([to_tensor(centre_crop(images.get(i), crop)) for i in range(start, stop)])
        with autocast(translator.dtype, translator.device):
            found.append(method.categorise(crops.to(translator.device)).cpu())
    assert images.labels is not None
    agreed = agreement(torch.cat(found).numpy(), images.labels, count)
    return {
        "images": len(images),
        "error_percent": round(100 * agreed.error, 3),
        "class_of_category": {str(k): str(agreed.classes[c]) for k, c in sorted(agreed.matching.items())},
        "counts": agreed.counts.tolist(),
    }
