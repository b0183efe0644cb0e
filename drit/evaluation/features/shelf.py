"""The feature networks of one evaluation: opened from files, or trained once for the images and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drit.bounded import is_file
from drit.data.arrays import check_labels
from drit.errors import DataError, UsageError, nearest
from drit.evaluation.features import files, trained
from drit.evaluation.features.network import FeatureNetwork
from drit.evaluation.features.published import PUBLISHED, load_published
from drit.evaluation.images import Images
from drit.evaluation.progress import Say
from drit.evaluation.protocol import Protocol
from drit.probes.classifier import Classifier, train_classifier

_CLASSIFIER_IMAGES = 60_000  # in all passes of a classifier's training together
_AT_ONCE = 500  # images classified at once


class DomainClassifier:
    """A classifier of one domain's images, as a feature network too, and its classes in the order of its indices."""

    def __init__(self, network: FeatureNetwork, classes: list[Any]) -> None:
        """Raises DataError for a feature network that is no classifier."""
        if not isinstance(network.body, trained.ClassifierFeatures):
            raise DataError(f"The feature network '{network.name}' is no classifier: it has no classes.")
        self.network = network
        self.classes = classes

    @property
    def classifier(self) -> Classifier:
        """The network with its last layer, which gives logits (N, classes)."""
        body = self.network.body
        assert isinstance(body, trained.ClassifierFeatures)
        return body.classifier

    def indices(self, labels: np.ndarray) -> np.ndarray:
        """The index (N,) of each label (N,), -1 for a class that the classifier does not know."""
        known = {c: i for i, c in enumerate(self.classes)}
        return np.array([known.get(label, -1) for label in labels.tolist()])

    def accuracy(self, images: Images) -> float | None:
        """Share, 0 to 1, of real images that are classified correctly; None where none has a label it knows."""
        if images.labels is None:
            return None
        true_classes = self.indices(images.labels)
        known = true_classes >= 0
        if not known.any():
            return None
        device = next(self.classifier.parameters()).device
        parts = images.downscaled(trained.CLASSIFIER_SIDE)[torch.from_numpy(known)].split(_AT_ONCE)
        predicted = np.concatenate([trained.predicted_classes(self.classifier, part.to(device)) for part in parts])
        return float((predicted == true_classes[known]).mean())


class Shelf:
    """Networks that are trained here: each once for its recipe and images, kept as files in a folder."""

    def __init__(self, folder: Path, training: Mapping[str, Images], protocol: Protocol, say: Say) -> None:
        """training: the real images of each domain that networks learn from, as many as the protocol allows."""
        self.folder = folder
        self.training = training
        self.protocol = protocol
        self.say = say
        self._classifiers: dict[str, DomainClassifier] = {}

    def domains(self) -> FeatureNetwork:
        """The fallback: trained on the real images of both domains."""
        p = self.protocol
        chosen = {d: Images(x.set, x.crop, trained.DOMAIN_IMAGES, p.seed) for d, x in self.training.items()}
        record = self._record("domains", chosen) | {"steps": p.learn_steps}
        path = self._path(record)
        if not path.is_file():
            counts = " and ".join(str(len(x)) for x in chosen.values())
            self.say(f"Training the feature network 'domains' on {counts} real images.")
            images = {d: x.downscaled(trained.DOMAIN_SIDE) for d, x in chosen.items()}
            files.keep(trained.train_domain_network(images, p.learn_steps, p.seed), record, path)
        return trained.build_kept("domains", path)

    def classifier(self, domain: str) -> DomainClassifier:
        """A classifier of the real labelled images of a domain. Raises DataError where they have no labels."""
        if domain not in self._classifiers:
            images = self.training[domain]
            if images.labels is None:
                raise DataError(
                    f"The images of domain {domain} ({images.set.source}) have no labels, which a classifier "
                    "needs: give an .npz file with images and labels, or take --features domains."
                )
            check_labels(images.labels, images.set.source)
            names, indices = np.unique(images.labels, return_inverse=True)
            classes = names.tolist()
            record = self._record("classifier", {domain: images}) | {"classes": classes}
            path = self._path(record)
            if not path.is_file():
                self.say(f"Training a classifier on {len(images)} real images of domain {domain}.")
                epochs = max(1, min(15, _CLASSIFIER_IMAGES // len(images)))
                shrunk = images.downscaled(trained.CLASSIFIER_SIDE)
                classifier = train_classifier(shrunk, indices, self.protocol.seed, epochs)
                files.keep(trained.ClassifierFeatures(classifier), record, path)
            self._classifiers[domain] = DomainClassifier(trained.build_kept("classifier", path), classes)
        return self._classifiers[domain]

    def given(self, name: str, domain: str, path: Path) -> FeatureNetwork:
        """A network of this program's recipes from a file; a classifier also serves as that of its domain."""
        network = trained.build_kept(name, path)
        if name == "classifier":
            self._classifiers[domain] = DomainClassifier(network, network.record["classes"])
        return network

    def _record(self, name: str, images: Mapping[str, Images]) -> dict[str, Any]:
        trained_on = {}
        for domain, x in images.items():
            fingerprint = x.set.fingerprint()
            trained_on[domain] = {
                "source": fingerprint["source"],
                "sha256": fingerprint["sha256"],
                "count": len(x),
                "crop": x.crop,
            }
        return {"name": name, "recipe": trained.RECIPE, "seed": self.protocol.seed, "trained_on": trained_on}

    def _path(self, record: Mapping[str, Any]) -> Path:
        key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
        domains = "_".join(record["trained_on"])
        return self.folder / f"{record['name']}_{domains}_{key}.safetensors"


def parse(spec: str) -> tuple[str, list[Path]]:
    """Name and files of `NAME[:FILE[,HEADS]]`.

    Raises UsageError for an unknown name (with the nearest) or a missing file.
    """
    name, _, rest = spec.partition(":")
    known = (*PUBLISHED, *trained.TRAINED)
    if name not in known:
        raise UsageError(f"There is no feature network '{name}'.{nearest(name, known)} Networks: {', '.join(known)}.")
    paths = [Path(p) for p in rest.split(",") if p]
    if name in PUBLISHED and not paths:
        raise UsageError(
            f"The feature network '{name}' needs its weights, which are not part of this program: --features "
            f"{name}:FILE (a .pth or .safetensors file). Without one, --features domains trains a small one here."
        )
    for path in paths:
        if not is_file(path):
            raise UsageError(f"There is no file {path} (weights of the feature network '{name}').")
    return name, paths


def open_network(spec: str, shelf: Shelf, targets: tuple[str, ...]) -> dict[str, FeatureNetwork]:
    """The feature network that `NAME[:FILE[,HEADS]]` means, for the outputs of each target domain.

    Raises UsageError or DataError, saying what is missing or wrong.
    """
    name, paths = parse(spec)
    if name == "classifier":
        if paths:
            return {d: shelf.given(name, d, p) for d, p in zip(targets, _each(paths, targets), strict=True)}
        return {d: shelf.classifier(d).network for d in targets}
    if name == "domains":
        network = shelf.given(name, "", paths[0]) if paths else shelf.domains()
    else:
        network = load_published(name, *paths[:2])
    return dict.fromkeys(targets, network)


def _each(paths: list[Path], targets: tuple[str, ...]) -> list[Path]:
    if len(paths) != len(targets):
        raise DataError(
            f"classifier needs one file for each domain translated to ({', '.join(targets)}): classifier:FILE,FILE; "
            f"{len(paths)} given."
        )
    return paths
