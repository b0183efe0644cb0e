"""What a run on MNIST and its blended twin has learnt, measured with classifiers.

    python -m experiments.digits RUN --mnist mnist.npz --mnist-m mnist_m.npz [--adapt 1] [--pictures 20000]

Read: the share of translated test digits that a classifier trained on real pictures of the target domain reads rightly.
Spread: mean absolute difference between two styles of one input, of 255. --adapt K: a classifier trained on K
translations of each labelled digit of a alone, without one label of b, is tested on real test pictures of b.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from drit.demo import pairwise_difference
from drit.errors import DritError
from drit.evaluate.probe import accuracy, train_probe
from drit.flags import fail
from drit.translate import Translator

INPUTS, STYLES = 1000, 5


def tensors(images: np.ndarray) -> Tensor:
    """(N, H, W) or (N, H, W, C) of uint8 to (N, C, H, W) in [-1, 1]."""
    x = torch.from_numpy(images[..., None] if images.ndim == 3 else images)
    return x.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def translated(translator: Translator, x: Tensor, to: str, styles: int, seed: int, shared: bool) -> Tensor:
    """(N, C, H, W) to (N, styles, C', H, W) in [-1, 1]. shared: the same styles for all, else each picture its own."""
    generator = torch.Generator().manual_seed(seed)
    size = translator.method.capabilities.style_dim
    fixed = torch.randn(styles, size, generator=generator)
    made = []
    for part in x.split(translator.batch_size(*x.shape[-2:])):
        n = len(part)
        codes = fixed.repeat_interleave(n, 0) if shared else torch.randn(styles * n, size, generator=generator)
        made.append(translator.batch(part, codes, to).unflatten(0, (styles, n)).transpose(0, 1))
    return torch.cat(made)


def measure(run: Path, mnist: Path, mnist_m: Path, pictures: int, adapt: int, epochs: int) -> dict[str, float]:
    translator = Translator.load(run)
    sets = {"a": np.load(mnist), "b": np.load(mnist_m)}
    found: dict[str, float] = {}
    for source, target in (("a", "b"), ("b", "a")):
        train, test = sets[target], sets[target]
        images, labels = train["train_images"][:pictures], train["train_labels"][:pictures]
        probe = train_probe(tensors(images), labels, epochs=epochs)
        found[f"real_{target}"] = accuracy(probe, tensors(test["test_images"]), test["test_labels"])
        made = translated(translator, tensors(sets[source]["test_images"][:INPUTS]), target, STYLES, 1, True)
        wanted = np.repeat(sets[source]["test_labels"][:INPUTS], STYLES)
        found[f"read_{target}"] = accuracy(probe, made.flatten(0, 1), wanted)
        found[f"spread_{target}"] = pairwise_difference(made)
        print(json.dumps(found), file=sys.stderr, flush=True)
    if adapt:
        a, b = sets["a"], sets["b"]
        plain = tensors(a["train_images"][:pictures]).repeat(1, 3, 1, 1)
        tests = tensors(b["test_images"])
        probe = train_probe(plain, a["train_labels"][:pictures], epochs=epochs)
        found["source_only"] = accuracy(probe, tests, b["test_labels"])
        made = translated(translator, tensors(a["train_images"][:pictures]), "b", adapt, 2, False).transpose(0, 1)
        probe = train_probe(made.flatten(0, 1), np.tile(a["train_labels"][:pictures], adapt), epochs=epochs)
        found[f"adapted_x{adapt}"] = accuracy(probe, tests, b["test_labels"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--mnist-m", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=20000, help="training pictures of the classifiers")
    parser.add_argument("--epochs", type=int, default=5, help="passes over them")
    parser.add_argument("--adapt", type=int, default=0, metavar="K")
    values = parser.parse_args()
    try:
        found = measure(values.run, values.mnist, values.mnist_m, values.pictures, values.adapt, values.epochs)
    except DritError as error:
        return fail(error, error.exit_code)
    print(json.dumps({k: round(v, 4) for k, v in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
