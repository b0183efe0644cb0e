"""Make colour digits by the recipe of MNIST-M (Ganin and Lempitsky 2015), as one .npz file.

    python -m experiments.mnist_m DATA --out mnist_m.npz

Each image is |digit - crop of a photograph|. The recipe is that of the paper; the crops are not, so the images differ
from the paper's file. DATA holds:

    mnist/mnist.npz                train_images, train_labels, test_images, test_labels
    bsds500/train, bsds500/test    photographs
    mnist_m/crops.npz              for each digit, which photograph and which 28 x 28 crop of it
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np

from drit.atomic import write_atomically
from drit.cli.parser import fail
from drit.data.images import convert_channels, decode
from drit.errors import DataError, DritError


def blend(digits: np.ndarray, photographs: list[np.ndarray], crops: np.ndarray) -> np.ndarray:
    """Blend digits on photographs: |digit - crop|.

    digits: (N, S, S) uint8. photographs: each (H, W, 3) uint8. crops: (N, 3), of each digit the index of its
    photograph, top and left. Returns (N, S, S, 3) uint8, values 0 to 255.
    """
    side = digits.shape[1]
    blended = np.empty((*digits.shape, 3), np.uint8)
    for i, (digit, (photograph, top, left)) in enumerate(zip(digits, crops, strict=True)):
        crop = photographs[photograph][top : top + side, left : left + side].astype(np.int16)
        blended[i] = np.abs(crop - digit[:, :, None])
    return blended


def make(data: Path) -> dict[str, np.ndarray]:
    """Make train_images, train_labels, test_images and test_labels. Raises DataError for a missing file."""
    needed = [data / "mnist" / "mnist.npz", data / "mnist_m" / "crops.npz"]
    for path in needed:
        if not path.is_file():
            raise DataError(f"There is no {path}. See: python -m experiments.mnist_m --help")
    mnist, crops = (np.load(path) for path in needed)
    arrays = {}
    for part in ("train", "test"):
        folder = data / "bsds500" / part
        photographs = [convert_channels(decode(folder / name)[0], 3) for name in crops[f"{part}_files"]]
        places = np.stack([crops[f"{part}_{key}"] for key in ("photo", "y", "x")], axis=1)
        arrays[f"{part}_images"] = blend(mnist[f"{part}_images"], photographs, places)
        arrays[f"{part}_labels"] = mnist[f"{part}_labels"]
    return arrays


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with digits, photographs and crops")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="file to write")
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
