"""The feature networks of one evaluation: opened from files, or trained once for the images and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drit.errors import DataError
from drit.evaluation.features import network as features
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.images import Images
from drit.evaluation.protocol import Protocol
from drit.probes.classifier import Probe, train_probe

_PROBE_IMAGES = 60_000  # in all passes of a probe together
Say = Callable[[str], None]


class Learned:
    """A probe of one domain: what it reads, on what it learnt, and its classes, of which it gives the index."""

    def __init__(self, network: FeatureNetwork, probe: Probe, classes: list[Any]) -> None:
        self.network = network
        self.probe = probe
        self.classes = classes

    def indices(self, labels: np.ndarray) -> np.ndarray:
        """The probe's index of each label, -1 for a class that it does not know."""
        known = {c: i for i, c in enumerate(self.classes)}
        return np.array([known.get(label, -1) for label in labels.tolist()])


class Shelf:
    """Networks that are trained here: each once for its recipe and images, kept as files in a folder."""

    def __init__(self, folder: Path, training: Mapping[str, Images], protocol: Protocol, say: Say) -> None:
        """training: the real images of each domain that networks learn from, as many as the protocol allows."""
        self.folder = folder
        self.training = training
        self.protocol = protocol
        self.say = say
        self._probes: dict[str, Learned] = {}

    def domains(self) -> FeatureNetwork:
        """The fallback: trained on the real images of both domains."""
        p = self.protocol
        chosen = {d: Images(x.set, x.crop, features.DOMAIN_IMAGES, p.seed) for d, x in self.training.items()}
        record = self._record("domains", chosen) | {"steps": p.learn_steps}
        path = self._path(record)
        if not path.is_file():
            counts = " and ".join(str(len(x)) for x in chosen.values())
            self.say(f"Training the feature network 'domains' on {counts} real images.")
            images = {d: x.shrunk(features.DOMAIN_SIDE) for d, x in chosen.items()}
            features.keep(features.train_domains(images, p.learn_steps, p.seed), record, path)
        return features.build_kept("domains", path)

    def probe(self, domain: str) -> Learned:
        """A classifier of the real labelled images of a domain. Raises DataError where they have no labels."""
        if domain not in self._probes:
            images = self.training[domain]
            if images.labels is None:
                raise DataError(
                    f"The images of domain {domain} ({images.set.source}) have no labels, which a classifier "
                    "needs: give an .npz file with images and labels, or take --features domains."
                )
            classes = np.unique(images.labels).tolist()
            record = self._record("classifier", {domain: images}) | {"classes": classes}
            path = self._path(record)
            if not path.is_file():
                self.say(f"Training a classifier on {len(images)} real images of domain {domain}.")
                _, wanted = np.unique(images.labels, return_inverse=True)
                epochs = max(1, min(15, _PROBE_IMAGES // len(images)))
                probe = train_probe(images.shrunk(features.PROBE_SIDE), wanted, self.protocol.seed, epochs)
                features.keep(features.ProbeFeatures(probe), record, path)
            network = features.build_kept("classifier", path)
            self._probes[domain] = self._learned(network, classes)
        return self._probes[domain]

    @staticmethod
    def _learned(network: FeatureNetwork, classes: list[Any]) -> Learned:
        body = network.body
        assert isinstance(body, features.ProbeFeatures)
        return Learned(network, body.probe, classes)

    def given(self, name: str, domain: str, path: Path) -> FeatureNetwork:
        """A network of this program's recipes from a file; a classifier also serves as the probe of its domain."""
        network = features.build_kept(name, path)
        if name == "classifier":
            self._probes[domain] = self._learned(network, network.record["classes"])
        return network

    def _record(self, name: str, images: Mapping[str, Images]) -> dict[str, Any]:
        trained_on = {}
        for d, x in images.items():
            found = x.set.fingerprint()
            trained_on[d] = {"source": found["source"], "sha256": found["sha256"], "count": len(x), "crop": x.crop}
        return {"name": name, "recipe": features.RECIPE, "seed": self.protocol.seed, "trained_on": trained_on}

    def _path(self, record: Mapping[str, Any]) -> Path:
        key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
        domains = "_".join(record["trained_on"])
        return self.folder / f"{record['name']}_{domains}_{key}.safetensors"


def open_network(spec: str, shelf: Shelf, targets: tuple[str, ...]) -> dict[str, FeatureNetwork]:
    """The feature network that `NAME[:FILE[,HEADS]]` means, for the outputs of each target domain.

    Raises UsageError or DataError, saying what is missing or wrong.
    """
    name, paths = features.parse(spec)
    if name == "classifier":
        if paths:
            return {d: shelf.given(name, d, p) for d, p in zip(targets, _each(paths, targets), strict=True)}
        return {d: shelf.probe(d).network for d in targets}
    if name == "domains":
        network = shelf.given(name, "", paths[0]) if paths else shelf.domains()
    else:
        network = features.load_published(name, *paths[:2])
    return dict.fromkeys(targets, network)


def _each(paths: list[Path], targets: tuple[str, ...]) -> list[Path]:
    if len(paths) != len(targets):
        raise DataError(
            f"classifier needs one file for each domain translated to ({', '.join(targets)}): classifier:FILE,FILE; "
            f"{len(paths)} given."
        )
    return paths


def held_out_accuracy(learned: Learned, images: Images) -> float | None:
    """Accuracy of a probe on real images of its own domain; None where none has a label it knows."""
    if images.labels is None:
        return None
    wanted = learned.indices(images.labels)
    known = wanted >= 0
    if not known.any():
        return None
    device = next(learned.probe.parameters()).device
    parts = images.shrunk(features.PROBE_SIDE)[torch.from_numpy(known)].split(500)
    found = np.concatenate([features.read_labels(learned.probe, part.to(device)) for part in parts])
    return float((found == wanted[known]).mean())
