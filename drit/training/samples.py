"""Sample sheets: what the model does now, in every direction."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from drit.data.images import from_tensor
from drit.methods.base import Method
from drit.sheets import sheet

GRID_ROWS = 5  # of each grid over codes


@torch.no_grad()
def sample_sheet(method: Method, images: dict[str, torch.Tensor], seed: int, randoms: int = 4) -> Image.Image:
    """A sheet of what the model does now, in every direction: an RGB image.

    images: (N, C, H, W) of each domain in [-1, 1]. Columns: input, its true translation where domains are paired, its
    reconstruction, its translation with the style of each of the first images of the other domain, and with
    `randoms` random styles (the same ones for every row); one translation where there are no styles. Of a method that
    translates nothing: grids over its codes, one below the other.
    """
    generator = torch.Generator().manual_seed(seed)
    if not method.capabilities.directions:
        grids = method.grids(GRID_ROWS, generator)
        tables = [[[from_tensor(p) for p in row] for row in grid.images] for grid in grids]
        names = [grid.name if i == 0 else "" for grid in grids for i in range(GRID_ROWS)]
        return sheet([row for table in tables for row in table], row_titles=names)
    rows: list[list[np.ndarray | None]] = []
    titles: list[str] = []
    capabilities = method.capabilities
    columns = ["input"] + (["true"] if method.capabilities.paired else []) + (["self"] if method.reconstructs else [])
    exemplars = min(2, *(len(x) for x in images.values())) if capabilities.exemplar else 0
    randoms = randoms if capabilities.multimodal else 1
    columns += [f"exemplar {i + 1}" for i in range(exemplars)]
    columns += [f"random {i + 1}" for i in range(randoms)] if capabilities.multimodal else ["translation"]
    if exemplars:
        for d in capabilities.directions:
            shown = [from_tensor(p) for p in images[d][:exemplars]]
            rows.append([None] * (len(columns) - exemplars - randoms) + shown + [None] * randoms)
            titles.append(f"exemplars {d}")
    domains = list(images)
    for target in reversed(capabilities.directions):  # first the way from a to b
        source = domains[domains.index(target) - 1]
        x = images[source]
        n = len(x)
        content = method.content(x, source)
        prepared = method.prepare(content, target)
        outputs: list[torch.Tensor] = []
        if method.capabilities.paired:
            outputs.append(images[target])
        if method.reconstructs:
            outputs.append(method.render(method.prepare(content, source), method.own_style(x, source), source))
        if exemplars:
            exemplar_styles = method.style(images[target][:exemplars], target)
            outputs += list(method.render(prepared, exemplar_styles.repeat_interleave(n, 0), target).split(n))
        styles = method.sample_style(randoms, target, generator).to(x.device)
        outputs += list(method.render(prepared, styles.repeat_interleave(n, 0), target).split(n))
        for i in range(n):
            rows.append([from_tensor(x[i]), *(from_tensor(output[i]) for output in outputs)])
            titles.append(f"{source} to {target}")
    return sheet(rows, column_titles=columns, row_titles=titles)
