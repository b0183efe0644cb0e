"""Two real domains that lie in this package: line drawings, and coloured emoji (OpenMoji, CC BY-SA 4.0).

The training sets hold different emoji, so nothing is paired. The test sets hold the same emoji under the same names:
the true colours of each drawing.
"""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drit.atomic import write_atomically
from drit.data.demo import check_free
from drit.data.images import encode
from drit.errors import UsageError

MOST = 420  # training images of b; a has one less
PARTS = ("a", "b", "test_a", "test_b")


def make_emoji(out: Path, count: int = MOST, seed: int = 0, force: bool = False) -> dict[str, Any]:
    """Write the folders a, b, test_a and test_b (PNG, 128 x 128: drawings grey, emoji in colour) and README.txt.

    count: training images of each domain, at most 420 (a has 419), drawn by the seed. Raises UsageError when `out` is
    not empty (unless `force`), or the count is out of range. Returns counts and paths.
    """
    if not 2 <= count <= MOST:
        raise UsageError(f"--count {count}: the emoji have 2 to {MOST} training images of each domain.")
    check_free(out, force)
    counts: dict[str, Any] = {"out": str(out)}
    with resources.files("drit.data").joinpath("emoji.zip").open("rb") as file, zipfile.ZipFile(file) as archive:
        for part in PARTS:
            names = sorted(n for n in archive.namelist() if n.startswith(f"{part}/"))
            if part in ("a", "b"):
                chosen = np.random.default_rng([seed, PARTS.index(part)]).permutation(len(names))[:count]
                names = [names[i] for i in sorted(chosen)]
            (out / part).mkdir(parents=True, exist_ok=True)
            for name in names:
                image = np.asarray(Image.open(io.BytesIO(archive.read(name)), formats=["WEBP"]).convert("RGB"))
                grey = part.endswith("a")  # WebP has no grey: its three channels are equal
                encode(image[:, :, :1] if grey else image, (out / name).with_suffix(".png"))
            counts[part] = len(names)
        write_atomically(out / "README.txt", archive.read("README.txt"))
    return counts
