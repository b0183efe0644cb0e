"""Colour digits by the recipe of MNIST-M (Ganin and Lempitsky 2015): |digit - crop of a photograph|, as one .npz file.

    python -m experiments.mnist_m DATA --out mnist_m.npz

DATA holds mnist/mnist.npz (train_images, train_labels, test_images, test_labels), photographs in bsds500/train and
bsds500/test, and mnist_m/crops.npz, which says for each digit which photograph and which 28 x 28 crop of it. It is the
recipe, not the file of the paper.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np

from drit.atomic import write_atomically
from drit.cli.flags import fail
from drit.data.images import convert_channels, decode
from drit.errors import DataError, DritError


def blend(digits: np.ndarray, photographs: list[np.ndarray], crops: np.ndarray) -> np.ndarray:
    """|digit - crop|: digits (N, S, S) uint8, crops (N, 3) of photograph, top, left. Returns (N, S, S, 3) uint8."""
    side = digits.shape[1]
    made = np.empty((*digits.shape, 3), np.uint8)
    for i, (digit, (photograph, top, left)) in enumerate(zip(digits, crops, strict=True)):
        crop = photographs[photograph][top : top + side, left : left + side].astype(np.int16)
        made[i] = np.abs(crop - digit[:, :, None])
    return made


def make(data: Path) -> dict[str, np.ndarray]:
    """Arrays train_images, train_labels, test_images, test_labels. Raises DataError for a file that is missing."""
    needed = [data / "mnist" / "mnist.npz", data / "mnist_m" / "crops.npz"]
    for path in needed:
        if not path.is_file():
            raise DataError(f"There is no {path}. See: python -m experiments.mnist_m --help")
    mnist, crops = (np.load(path) for path in needed)
    made = {}
    for part in ("train", "test"):
        folder = data / "bsds500" / part
        photographs = [convert_channels(decode(folder / name)[0], 3) for name in crops[f"{part}_files"]]
        places = np.stack([crops[f"{part}_{key}"] for key in ("photo", "y", "x")], axis=1)
        made[f"{part}_images"] = blend(mnist[f"{part}_images"], photographs, places)
        made[f"{part}_labels"] = mnist[f"{part}_labels"]
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    values = parser.parse_args()
    try:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **make(values.data))
        write_atomically(values.out, buffer.getvalue())
    except DritError as error:
        return fail(error, error.exit_code)
    print(f"Wrote {values.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
