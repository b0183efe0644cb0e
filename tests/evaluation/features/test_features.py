"""Feature networks: published sizes, files that are wrong, networks trained here."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from drit.atomic import sha256
from drit.errors import DataError, UsageError
from drit.evaluation.features import files, shelf, trained
from drit.evaluation.features.alexnet import AlexNet
from drit.evaluation.features.imagenet import imagenet
from drit.evaluation.features.inception import Inception
from drit.evaluation.features.network import as_channels, downscaled
from drit.evaluation.features.published import load_published
from drit.evaluation.features.squeezenet import SqueezeNet
from drit.evaluation.metrics import perceptual
from drit.probes.classifier import Classifier


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_sizes() -> None:
    """Numbers of parameters as published, less the classifiers; maps of LPIPS's layers and of pool 3 at usual sizes."""
    assert parameters(AlexNet()) == 2_469_696
    assert parameters(SqueezeNet()) == 1_235_496 - 513_000
    with torch.device("meta"):
        inception = Inception()
        assert parameters(inception) == 27_161_264 - 3_326_696 - 2_049_000
        found = inception(torch.empty(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in found] == [(64, 73, 73), (192, 35, 35), (768, 17, 17), (2048, 8, 8)]
    x = torch.zeros(1, 3, 64, 64)
    assert [tuple(m.shape[1:3]) for m in AlexNet()(x)] == [(64, 15), (192, 7), (384, 3), (256, 3), (256, 3)]
    squeezed = SqueezeNet()(x)
    assert tuple(m.shape[1] for m in squeezed) == SqueezeNet.widths
    assert [m.shape[2] for m in squeezed] == [31, 15, 7, 3, 3, 3, 3]


def test_input_scaling() -> None:
    """White is ImageNet's white; a small image is enlarged to 64."""
    x = imagenet(torch.ones(1, 3, 32, 40))
    assert x.shape == (1, 3, 64, 80)
    np.testing.assert_allclose(x[0, :, 0, 0], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-5)


def test_channels() -> None:
    grey, colour = torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(as_channels(grey, 3), grey.repeat(1, 3, 1, 1))
    weighed = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    assert torch.allclose(as_channels(colour, 1)[:, 0], weighed)
    five = torch.rand(1, 5, 4, 4)
    assert torch.equal(as_channels(five, 3), five[:, :3])
    assert torch.equal(as_channels(torch.cat([grey, grey * 0], 1), 3), grey.repeat(1, 3, 1, 1))
    assert downscaled(torch.rand(1, 3, 40, 20), 16).shape == (1, 3, 16, 8)


@pytest.fixture(scope="module")
def alexnet() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return AlexNet().state_dict() | {"classifier.1.weight": torch.zeros(2, 2)}


def test_published_files(alexnet: dict[str, Tensor], tmp_path: Path) -> None:
    """Both kinds of file give the same features; the hash is the file's; heads weigh the layers."""
    one, two = tmp_path / "alexnet.pth", tmp_path / "alexnet.safetensors"
    torch.save(alexnet, one)
    safetensors.torch.save_file(alexnet, two)
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    network = load_published("alexnet", one)
    found = network(x)
    assert found.vectors.shape == (2, 256)
    assert torch.allclose(load_published("alexnet", two)(x).vectors, found.vectors)
    assert network.label["name"] == "alexnet" and len(network.label["sha256"]) == 64

    heads = {f"lin{i}.model.1.weight": torch.full((1, w, 1, 1), 2.0) for i, w in enumerate(AlexNet.widths)}
    torch.save(heads, tmp_path / "heads.pth")
    weighed = load_published("alexnet", one, tmp_path / "heads.pth")
    plain, doubled = (perceptual.feature_points(found.maps, n.heads) for n in (network, weighed))
    assert torch.allclose(
        perceptual.distance(doubled[:1], doubled[1:]), 2 * perceptual.distance(plain[:1], plain[1:]), rtol=1e-4
    )
    assert weighed.label["sha256"] != network.label["sha256"]


def test_the_fid_file_has_no_counters(tmp_path: Path) -> None:
    """The published Inception file lacks num_batches_tracked and has a classifier of 1008 classes."""
    state = {k: v for k, v in Inception().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state | {"fc.weight": torch.zeros(1008, 4), "fc.bias": torch.zeros(1008)}, tmp_path / "fid.pth")
    network = load_published("inception", tmp_path / "fid.pth")
    assert network(torch.rand(1, 1, 20, 20)).vectors.shape == (1, 2048)


def test_squeezenet_vectors_are_of_normalised_channels(tmp_path: Path) -> None:
    """Each place has a mean square of 1, so one with large activations does not make the whole distance."""
    torch.manual_seed(0)
    body = SqueezeNet()
    path = tmp_path / "weights.pth"
    torch.save(body.state_dict() | {"classifier.1.weight": torch.zeros(1)}, path)
    network = load_published("squeezenet", path)
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    last = body(x)[-1].detach()
    expected = (last / last.square().mean(1, keepdim=True).sqrt()).mean((2, 3))
    assert torch.allclose(network(x).vectors, expected, rtol=1e-3, atol=1e-4)
    assert float(network(x).vectors.square().mean(1).max()) <= 1.001
    assert network.record["normalised"] and network.record["sha256"] != sha256(path)


def test_wrong_files(alexnet: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({k: v for k, v in alexnet.items() if k != "features.3.bias"}, path)
    with pytest.raises(DataError, match="lacks tensor 'features.3.bias'"):
        load_published("alexnet", path)
    torch.save(alexnet | {"extra": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="unknown tensor 'extra'"):
        load_published("alexnet", path)
    torch.save(alexnet | {"features.0.bias": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="another shape of tensor 'features.0.bias'"):
        load_published("alexnet", path)
    with pytest.raises(DataError, match="holds another network"):
        load_published("squeezenet", path)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match="not a state dict"):
        load_published("alexnet", path)

    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    path.write_bytes(pickle.dumps({"features.0.weight": Hostile()}, protocol=2))
    with pytest.raises(DataError, match="cannot be read as weights"):
        load_published("alexnet", path)
    assert not (tmp_path / "ran").exists()


def test_names() -> None:
    with pytest.raises(UsageError, match="Did you mean 'inception'"):
        shelf.parse("incepton")
    with pytest.raises(UsageError, match="--features inception:FILE.*domains"):
        shelf.parse("inception")
    with pytest.raises(UsageError, match="no file nowhere.pth"):
        shelf.parse("alexnet:nowhere.pth")
    assert shelf.parse("domains") == ("domains", [])


def test_the_fallback_learns_the_domains_and_stays_the_same(tmp_path: Path) -> None:
    """Bright and dark images come out far apart; the same seed gives the same tensors; the file keeps them all."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(40, 1, 16, 16, generator=generator) * 0.2
    images = {"a": noise[:20] - 0.9, "b": noise[20:].repeat(1, 3, 1, 1) + 0.7}
    state = torch.random.get_rng_state()
    body = trained.train_domain_network(images, 30, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    again = trained.train_domain_network(images, 30, seed=1)
    assert files.digest(body.state_dict()) == files.digest(again.state_dict())
    record = files.keep(body, {"name": "domains", "recipe": 1}, tmp_path / "f" / "net.safetensors")
    network = trained.build_kept("domains", tmp_path / "f" / "net.safetensors")
    assert network.record == record
    a, b = (network(images[d]).vectors for d in "ab")
    assert (a.mean(0) - b.mean(0)).norm() > 3 * max(a.std(0).norm(), b.std(0).norm())


def test_kept_files_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    body = trained.DomainNetwork()
    files.keep(body, {"name": "domains"}, path)
    with pytest.raises(DataError, match="holds the feature network 'domains', not 'classifier'"):
        trained.build_kept("classifier", path)
    tensors, _ = files.load_kept(path)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(DataError, match="has no record"):
        trained.build_kept("domains", path)
    changed = tensors | {"norms.0.bias": tensors["norms.0.bias"] + 1}
    path.write_bytes(safetensors.torch.save(changed, {"record": '{"name": "domains", "sha256": "0"}'}))
    with pytest.raises(DataError, match="was changed"):
        trained.build_kept("domains", path)


def test_a_classifier_as_features(tmp_path: Path) -> None:
    """A kept classifier predicts what it predicted, and its maps are those that lead to its answer."""
    torch.manual_seed(0)
    classifier = Classifier(1, 4, width=8).eval()
    files.keep(
        trained.ClassifierFeatures(classifier),
        {"name": "classifier", "classes": [3, 5, 7, 9]},
        tmp_path / "p.safetensors",
    )
    network = trained.build_kept("classifier", tmp_path / "p.safetensors")
    x = torch.rand(3, 1, 28, 28) * 2 - 1
    last = network(x).maps[-1]
    assert last.shape == (3, 32, 7, 7)
    logits = classifier.head(torch.nn.functional.max_pool2d(last, 3, 2).flatten(1))
    assert torch.allclose(logits, classifier(x), atol=1e-5)
    assert network.channels == 1 and network(x.repeat(1, 3, 1, 1)).vectors.shape == (3, 32)
    assert (trained.predicted_classes(classifier, x) == classifier(x).argmax(1).numpy()).all()


def test_a_classifier_kept_by_an_earlier_version(tmp_path: Path) -> None:
    """Names of tensors in the file are those of the first version: they are in its hash, which results carry."""
    torch.manual_seed(0)
    classifier = Classifier(1, 4, width=8).eval()
    tensors = {f"probe.{name}": values for name, values in classifier.state_dict().items()}
    assert {"probe.convs.0.weight", "probe.norms.2.running_var", "probe.head.bias"} < tensors.keys()
    record = {"name": "classifier", "recipe": 1, "classes": [0, 1, 2, 3], "sha256": files.digest(tensors)}
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    old.write_bytes(safetensors.torch.save(tensors, {"record": json.dumps(record)}))
    files.keep(trained.ClassifierFeatures(classifier), {k: v for k, v in record.items() if k != "sha256"}, new)
    one, other = (trained.build_kept("classifier", path) for path in (old, new))
    assert one.record == other.record == record
    x = torch.rand(3, 1, 28, 28) * 2 - 1
    assert torch.equal(one(x).vectors, other(x).vectors)
