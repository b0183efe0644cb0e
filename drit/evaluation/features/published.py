"""Feature networks of published weights files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drit.atomic import sha256
from drit.evaluation.features.alexnet import AlexNet
from drit.evaluation.features.files import check_tensors, read_tensors
from drit.evaluation.features.inception import Inception
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.features.squeezenet import SqueezeNet

# Each takes images (N, 3, H, W) in [-1, 1] and gives maps, of which the last is averaged to the feature vector.
# `widths`: channels of the maps. `unused`: beginnings of names of tensors in the file that features do not need.
# `normalised`, where there is one: as of `FeatureNetwork`.
PUBLISHED: dict[str, type[nn.Module]] = {"inception": Inception, "alexnet": AlexNet, "squeezenet": SqueezeNet}


def load_published(name: str, path: Path, heads: Path | None = None) -> FeatureNetwork:
    """A published network from its weights file, with LPIPS's linear heads where a file is given.

    Raises DataError for a file of another network: tensors that lack or have another shape are named.
    """
    body = PUBLISHED[name]()
    unused: tuple[str, ...] = body.unused  # type: ignore[assignment]
    given = {k: v for k, v in read_tensors(path).items() if not k.startswith(unused)}
    own = body.state_dict()
    # The FID file has no counters of batches; nothing depends on them.
    counters = [k for k in own if k.endswith("num_batches_tracked")]
    own_weights, given_weights = ({k: v for k, v in t.items() if k not in counters} for t in (own, given))
    check_tensors(own_weights, given_weights, path)
    body.load_state_dict({k: own[k] for k in counters} | given)
    record: dict[str, Any] = {"sha256": sha256(path), "file": path.name}
    weights: tuple[Tensor, ...] = ()
    if heads is not None:
        widths: tuple[int, ...] = body.widths  # type: ignore[assignment]
        shapes = {f"lin{i}.model.1.weight": torch.empty(1, w, 1, 1) for i, w in enumerate(widths)}
        tensors = read_tensors(heads)
        check_tensors(shapes, {k: v for k, v in tensors.items() if k in shapes or not k.startswith("net.")}, heads)
        weights = tuple(tensors[k].float().flatten() for k in shapes)
        record |= {"heads": heads.name, "heads_sha256": sha256(heads)}
        record["sha256"] = hashlib.sha256((record["sha256"] + record["heads_sha256"]).encode()).hexdigest()
    normalised = bool(getattr(body, "normalised", False))
    if normalised:  # other numbers than those of the file's activations as they are
        record["sha256"] = hashlib.sha256(f"{record['sha256']} normalised".encode()).hexdigest()
        record["normalised"] = True
    return FeatureNetwork(name, body, 3, record, weights, normalised)
