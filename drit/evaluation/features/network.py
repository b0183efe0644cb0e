"""Feature networks: what images are compared with. Which network made a number is part of the number.

| name | what it is | needs |
|---|---|---|
| inception | Inception-v3, 2048 features: with it the Fréchet distance is FID | its weights file |
| alexnet, squeezenet | with the linear heads file, their distance is LPIPS | weights file[, heads file] |
| classifier | a probe trained on labelled real images of the target domain | labels |
| domains | a small network trained on the real images of both domains | nothing |

Files are read without running anything in them, and checked by names and shapes of their tensors.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.atomic import sha256, write_atomically
from drit.errors import DataError, DritError, UsageError, nearest
from drit.evaluation.features import backbones
from drit.probes.classifier import Probe

FILES: dict[str, type[nn.Module]] = {
    "inception": backbones.Inception,
    "alexnet": backbones.AlexNet,
    "squeezenet": backbones.SqueezeNet,
}
TRAINED = ("domains", "classifier")
RECIPE = 1  # of `train_domains`: raised when anything of it changes
DOMAIN_SIDE = 128  # larger images are shrunk for the domains network
DOMAIN_IMAGES = 2000  # of each domain, that it learns from
PROBE_SIDE = 64  # larger images are shrunk for probes
_AT_ONCE = 64  # images in one pass, at most
_PIXELS = 1 << 19  # in one pass, at most: the maps of more leave the processor's caches


class Features(NamedTuple):
    """vectors: (N, D), the means of the last map. maps: (N, C, h, w) of each layer that is compared."""

    vectors: Tensor
    maps: list[Tensor]


class FeatureNetwork:
    """A network and what it is. `record` goes into every result: name, SHA-256, and for trained ones recipe, seed and
    the fingerprints of the images learnt from."""

    def __init__(
        self, name: str, body: nn.Module, channels: int, record: Mapping[str, Any], heads: tuple[Tensor, ...] = ()
    ) -> None:
        self.name = name
        self.channels = channels
        self.heads = heads
        self.record = {"name": name, **record}
        self.body = body.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def label(self) -> dict[str, str]:
        """What each number carries: the network's name and hash."""
        return {"name": self.name, "sha256": self.record["sha256"]}

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Features:
        """x: (N, C, H, W) in [-1, 1], of any number of channels."""
        size = min(_AT_ONCE, max(1, _PIXELS // (x.shape[2] * x.shape[3])))
        parts = [self.body(part) for part in as_channels(x, self.channels).split(size)]
        maps = [torch.cat(layer) for layer in zip(*parts, strict=True)]
        return Features(maps[-1].float().mean((2, 3)), maps)

    def to(self, device: torch.device) -> FeatureNetwork:
        self.body.to(device)
        self.heads = tuple(h.to(device) for h in self.heads)
        return self


def as_channels(x: Tensor, channels: int) -> Tensor:
    """Images (N, C, H, W) as 1 or 3 channels: grey repeated, colour weighed to grey (BT.601), of more
    the first three."""
    if x.shape[1] == channels:
        return x.contiguous(memory_format=torch.channels_last)
    colour = x[:, :1].expand(-1, 3, -1, -1) if x.shape[1] < 3 else x[:, :3]
    if channels == 1:
        colour = (colour * colour.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return colour.contiguous(memory_format=torch.channels_last)


def at_most(x: Tensor, side: int) -> Tensor:
    """Images shrunk, without aliasing, so that the long side has at most `side` pixels."""
    long = max(x.shape[2:])
    if long <= side:
        return x
    size = [max(8, round(s * side / long)) for s in x.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


# Networks of files


def parse(spec: str) -> tuple[str, list[Path]]:
    """`NAME[:FILE[,HEADS]]`. Raises UsageError for an unknown name (with the nearest) or a missing file."""
    name, _, rest = spec.partition(":")
    known = (*FILES, *TRAINED)
    if name not in known:
        raise UsageError(f"There is no feature network '{name}'.{nearest(name, known)} Networks: {', '.join(known)}.")
    paths = [Path(p) for p in rest.split(",") if p]
    if name in FILES and not paths:
        raise UsageError(
            f"The feature network '{name}' needs its weights, which are not part of this program: --features "
            f"{name}:FILE (a .pth or .safetensors file). Without one, --features domains trains a small one here."
        )
    for path in paths:
        if not path.is_file():
            raise UsageError(f"There is no file {path} (weights of the feature network '{name}').")
    return name, paths


def load_published(name: str, path: Path, heads: Path | None = None) -> FeatureNetwork:
    """A published network from its weights file, with LPIPS's linear heads where a file is given.

    Raises DataError for a file that is no such network's: tensors that lack or have another shape are named.
    """
    body = FILES[name]()
    unused: tuple[str, ...] = body.unused  # type: ignore[assignment]
    given = {k: v for k, v in read_tensors(path).items() if not k.startswith(unused)}
    own = body.state_dict()
    counters = [k for k in own if k.endswith("num_batches_tracked")]  # the FID file has none; nothing depends on them
    _check(
        {k: v for k, v in own.items() if k not in counters}, {k: v for k, v in given.items() if k not in counters}, path
    )
    body.load_state_dict({k: own[k] for k in counters} | given)
    record: dict[str, Any] = {"sha256": sha256(path), "file": path.name}
    weights: tuple[Tensor, ...] = ()
    if heads is not None:
        widths: tuple[int, ...] = body.widths  # type: ignore[assignment]
        shapes = {f"lin{i}.model.1.weight": torch.empty(1, w, 1, 1) for i, w in enumerate(widths)}
        found = read_tensors(heads)
        _check(shapes, {k: v for k, v in found.items() if k in shapes or not k.startswith("net.")}, heads)
        weights = tuple(found[k].float().flatten() for k in shapes)
        record |= {"heads": heads.name, "heads_sha256": sha256(heads)}
        record["sha256"] = hashlib.sha256((record["sha256"] + record["heads_sha256"]).encode()).hexdigest()
    return FeatureNetwork(name, body, 3, record, weights)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a torch state dict; nothing in the file is run. Raises DataError."""
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each library raises its own for a damaged or foreign file
        raise DataError(
            f"{path} cannot be read as weights: it is no torch state dict or .safetensors file, damaged, or holds more "
            "than tensors, which is not read."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise DataError(f"{path} is not a state dict: it must hold tensors by name and nothing else.")
    return found


def _check(own: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    lacking, unknown = sorted(set(own) - set(given)), sorted(set(given) - set(own))
    wrong = [k for k in own if k in given and own[k].shape != given[k].shape]
    for what, names in (("lacks", lacking), ("has the unknown", unknown), ("has another shape of", wrong)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise DataError(f"{path} {what} tensor '{names[0]}'{more}: it holds another network. Check --features.")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors by name, shape and values."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        found.update(f"{name}{tuple(values.shape)}\0".encode())
        found.update(values.numpy().tobytes())
    return found.hexdigest()


# Networks trained here


class DomainNetwork(nn.Module):
    """Four 3 x 3 convolutions with batch normalisation; three halvings; maps of 32, 64, 96, 128 channels."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, 1 if i == 3 else 2, 1, bias=False) for i, o in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        x = at_most(x, DOMAIN_SIDE)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
            maps.append(x)
        return maps


def train_domains(images: Mapping[str, Tensor], steps: int, seed: int) -> DomainNetwork:
    """The fallback network, recipe 1: it learns which domain an image is of and by how many quarter turns it was
    turned (8 classes; the turns: Gidaris et al., arXiv 1803.07728). 16 images of each domain in a batch, AdamW, one
    cycle to a rate of 4e-3.

    images: of each domain (N, C, H, H) in [-1, 1], square.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = DomainNetwork()
        head = nn.Linear(128, 8)
        optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], 4e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(2, steps))
        for _ in range(steps):
            turned, wanted = [], []
            for i, domain in enumerate(("a", "b")):
                of_domain = images[domain]
                chosen = as_channels(of_domain[torch.randint(len(of_domain), (16,))], 3)
                for turns, part in enumerate(chosen.split(4)):
                    turned.append(torch.rot90(part, turns, (2, 3)))
                    wanted += [4 * i + turns] * len(part)
            x = torch.cat(turned).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(head(body(x)[-1].mean((2, 3))), torch.tensor(wanted))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return body.eval()


class ProbeFeatures(nn.Module):
    """A probe's maps after each of its convolutions."""

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.probe = probe

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.probe.maps(at_most(x, PROBE_SIDE))


def keep(body: nn.Module, record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Write a network trained here with its record, whole or not at all; returns the record with the hash added."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in body.state_dict().items()}
    full = {**record, "sha256": digest(tensors)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, safetensors.torch.save(tensors, {"record": json.dumps(full)}))
    except OSError as error:
        raise DritError(f"Could not keep the feature network {path}: {error.strerror}.") from error
    return full


def load_kept(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and record of a network that `keep` wrote. Raises DataError for any other or a changed file."""
    tensors = read_tensors(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            record = json.loads((file.metadata() or {})["record"])
        known = record["sha256"]
    except Exception as error:
        raise DataError(f"{path} is no feature network that `drit evaluate` trained: it has no record.") from error
    if known != digest(tensors):
        raise DataError(f"{path} does not hold the tensors of its record: it was changed. Remove it, to train anew.")
    return tensors, record


def build_kept(name: str, path: Path) -> FeatureNetwork:
    """A network of this program's recipes from the file that `keep` wrote."""
    tensors, record = load_kept(path)
    if record.get("name") != name:
        raise DataError(f"{path} holds the feature network '{record.get('name')}', not '{name}'.")
    body: nn.Module
    channels = 3
    if name == "domains":
        body = DomainNetwork()
    else:
        probe = build_probe(tensors, path)
        body, channels = ProbeFeatures(probe), probe.convs[0].in_channels  # type: ignore[assignment]
    own = body.state_dict()
    _check(own, tensors, path)
    body.load_state_dict(tensors)
    return FeatureNetwork(name, body, channels, {k: v for k, v in record.items() if k != "name"})


def build_probe(tensors: Mapping[str, Tensor], path: Path) -> Probe:
    """A probe of the sizes of the tensors of `ProbeFeatures`. Raises DataError where they are not those of one."""
    first, head = tensors.get("probe.convs.0.weight"), tensors.get("probe.head.weight")
    if first is None or head is None:
        raise DataError(f"{path} does not hold a probe.")
    probe = Probe(first.shape[1], head.shape[0], first.shape[0])
    prefixed = {k.removeprefix("probe."): v for k, v in tensors.items()}
    _check(probe.state_dict(), prefixed, path)
    probe.load_state_dict(prefixed)
    return probe.eval()


@torch.inference_mode()
def read_labels(probe: Probe, x: Tensor) -> np.ndarray:
    """The class that a probe reads in each image (N, C, H, W) in [-1, 1], as an index: (N,)."""
    channels: int = probe.convs[0].in_channels  # type: ignore[assignment]
    return probe(at_most(as_channels(x, channels), PROBE_SIDE)).argmax(1).cpu().numpy()
