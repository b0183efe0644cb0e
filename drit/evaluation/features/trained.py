"""Feature networks trained here: on which domain an image is of, or on its class."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.errors import DataError
from drit.evaluation.features.files import check_tensors, load_kept
from drit.evaluation.features.network import FeatureNetwork, as_channels, downscaled
from drit.probes.classifier import Classifier

TRAINED = ("domains", "classifier")
RECIPE = 1  # of `train_domain_network`: raised when anything of it changes
DOMAIN_SIDE = 128  # larger images are shrunk for the domains network
DOMAIN_IMAGES = 2000  # of each domain, that it learns from
CLASSIFIER_SIDE = 64  # larger images are shrunk for classifiers
_STORED_PREFIX = "probe."  # of a classifier's tensors in a kept file; its hash covers the names


class DomainNetwork(nn.Module):
    """Four 3 x 3 convolutions with batch normalisation; three downsamplings; 32, 64, 96, 128 channels."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, 1 if i == 3 else 2, 1, bias=False) for i, o in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, 3, H, W) in [-1, 1]. Returns the maps (N, C, h, w) of the four convolutions."""
        maps = []
        x = downscaled(x, DOMAIN_SIDE)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
            maps.append(x)
        return maps


def train_domain_network(images: Mapping[str, Tensor], steps: int, seed: int) -> DomainNetwork:
    """The fallback network, recipe 1: 8 classes, the domain of an image times its quarter turns.

    The turns: Gidaris et al., arXiv 1803.07728. 16 images of each domain in a batch, AdamW, one cycle to a rate of
    4e-3.

    images: of each domain (N, C, H, H) in [-1, 1], square.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = DomainNetwork()
        head = nn.Linear(128, 8)
        optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], 4e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(2, steps))
        for _ in range(steps):
            turned, classes = [], []
            for i, domain in enumerate(("a", "b")):
                of_domain = images[domain]
                chosen = as_channels(of_domain[torch.randint(len(of_domain), (16,))], 3)
                for turns, part in enumerate(chosen.split(4)):
                    turned.append(torch.rot90(part, turns, (2, 3)))
                    classes += [4 * i + turns] * len(part)
            x = torch.cat(turned).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(head(body(x)[-1].mean((2, 3))), torch.tensor(classes))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return body.eval()


class ClassifierFeatures(nn.Module):
    """A classifier's maps after each of its convolutions."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.probe = classifier  # this name stands in the kept files (_STORED_PREFIX)

    @property
    def classifier(self) -> Classifier:
        """The classifier that the maps are of."""
        return self.probe

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, C, H, W) in [-1, 1], C the classifier's channels. Returns maps (N, C', h, w), from early to late."""
        return self.probe.maps(downscaled(x, CLASSIFIER_SIDE))


def build_kept(name: str, path: Path) -> FeatureNetwork:
    """The network `name`, one of TRAINED, from the file that `keep` wrote.

    Raises DataError for a file that holds another network or was changed.
    """
    tensors, record = load_kept(path)
    if record.get("name") != name:
        raise DataError(f"{path} holds the feature network '{record.get('name')}', not '{name}'.")
    body: nn.Module
    channels = 3
    if name == "domains":
        body = DomainNetwork()
        check_tensors(body.state_dict(), tensors, path)
        body.load_state_dict(tensors)
    else:
        classifier = build_classifier(tensors, path)
        body, channels = ClassifierFeatures(classifier), classifier.channels
    return FeatureNetwork(name, body, channels, {k: v for k, v in record.items() if k != "name"})


def build_classifier(tensors: Mapping[str, Tensor], path: Path) -> Classifier:
    """A classifier of the sizes of the tensors of `ClassifierFeatures`, such as a first weight (width, C, 5, 5).

    Raises DataError where they are not those of one.
    """
    first, head = (tensors.get(_STORED_PREFIX + name) for name in ("convs.0.weight", "head.weight"))
    if first is None or head is None:
        raise DataError(f"{path} does not hold a classifier.")
    classifier = Classifier(first.shape[1], head.shape[0], first.shape[0])
    own = {name.removeprefix(_STORED_PREFIX): values for name, values in tensors.items()}
    check_tensors(classifier.state_dict(), own, path)
    classifier.load_state_dict(own)
    return classifier.eval()


@torch.inference_mode()
def predicted_classes(classifier: Classifier, x: Tensor) -> np.ndarray:
    """The class index (N,) that a classifier predicts for each image x (N, C, H, W) in [-1, 1]."""
    return classifier(downscaled(as_channels(x, classifier.channels), CLASSIFIER_SIDE)).argmax(1).cpu().numpy()
