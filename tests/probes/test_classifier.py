"""The classifier: what it learns, counts, and leaves alone; bytes and floats alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from drit.augmentation.filter import classified_correctly
from drit.cli import main as cli
from drit.errors import DataError
from drit.probes.classifier import (
    Classifier,
    LabelledImages,
    _inputs,
    _shifted,
    adapt_statistics,
    confident,
    predict,
    train_and_test,
    train_classifier,
)


def bars(count: int, channels: int = 1, seed: int = 0, offset: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Images (N, 16, 16, C) of noise with an upright (0), level (1) or no (2) bar."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 16, 16, channels))
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        if label == 0:
            image[:, 6:9] += 150
        if label == 1:
            image[6:9] += 150
    return torch.from_numpy((images + offset).astype(np.uint8)), labels


def test_it_learns_and_counts() -> None:
    """Three easy classes; the confusion counts are those of the test labels, seeds times."""
    classes = ["upright", "level", "none"]
    test = LabelledImages(*bars(30, 3, seed=1))
    found = train_and_test(LabelledImages(*bars(150)), test, classes, seeds=2, epochs=6, width=8)
    assert found["accuracy"] == np.mean(found["accuracies"]) > 0.9
    assert found["std"] == pytest.approx(np.std(found["accuracies"], ddof=1))
    assert np.sum(found["confusion"], axis=1).tolist() == [20, 20, 20]
    assert np.trace(found["confusion"]) == 60 * found["accuracy"]
    assert found["classes"]["level"] == found["confusion"][1][1] / 20
    shuffled = LabelledImages(test.images, (test.labels + 1) % 3)
    assert train_and_test(LabelledImages(*bars(150)), shuffled, classes, seeds=1, epochs=6, width=8)["accuracy"] < 0.1


def test_bytes_and_floats_are_read_alike() -> None:
    images, labels = bars(60)
    floats = images.permute(0, 3, 1, 2) / 127.5 - 1
    one, other = (train_classifier(x, labels, seed=3, epochs=2, width=8) for x in (images, floats))
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(predict(one, images), predict(one, floats))


def test_grey_is_repeated_for_a_classifier_of_colours() -> None:
    images = bars(4)[0]
    x = _inputs(images, 3)
    assert x.shape == (4, 3, 16, 16)
    torch.testing.assert_close(x[:, 2], images[..., 0] / 127.5 - 1)


def test_each_image_is_moved_within_its_borders() -> None:
    images = torch.arange(5 * 8 * 8, dtype=torch.int64).reshape(5, 8, 8, 1).to(torch.uint8)
    moved = _shifted(images, torch.arange(5), 2)
    ways = set()
    for image, other in zip(images[..., 0], moved[..., 0], strict=True):
        padded = np.pad(image, 2, mode="edge")
        fits = [(y, x) for y in range(5) for x in range(5) if (padded[y : y + 8, x : x + 8] == other.numpy()).all()]
        assert len(fits) == 1
        ways.add(fits[0])
    assert len(ways) > 1
    np.testing.assert_array_equal(_shifted(images, torch.tensor([3, 1]), 0), images[[3, 1]])


@pytest.mark.parametrize("size", [(12, 12), (28, 28), (32, 48), (64, 64)])
def test_sizes(size: tuple[int, int]) -> None:
    assert Classifier(1, 5, 4)(torch.zeros(2, 1, *size)).shape == (2, 5)


def test_the_best_epoch_on_held_out_images_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from drit.probes import classifier as module

    images, labels = bars(60)
    shares = iter([1.0, 0.0, 0.0])
    held = []

    def fake(classifier: Classifier, x: torch.Tensor) -> np.ndarray:
        held.append(len(x))
        first.append({k: v.clone() for k, v in classifier.state_dict().items()})
        return np.where(next(shares) > 0.5, targets, -1)

    first: list[dict[str, torch.Tensor]] = []
    torch.manual_seed(0)
    Classifier(1, 3, 4)
    targets = labels[torch.randperm(60)[:15].numpy()]
    monkeypatch.setattr(module, "predict", fake)
    best = train_classifier(images, labels, seed=0, epochs=3, width=4, validation=0.25)
    assert held == [15, 15, 15]
    torch.testing.assert_close(best.state_dict(), first[0], rtol=0, atol=0)
    assert not torch.equal(first[0]["head.weight"], first[2]["head.weight"])


def test_an_image_is_labelled_where_the_classifier_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes are its own, each with at least the probability; bytes and floats alike."""
    from drit.probes import classifier as module

    classifier = train_classifier(*bars(60), epochs=3, width=4)
    other = bars(40, seed=1)[0]
    with torch.inference_mode():
        probability = classifier(_inputs(other, 1)).softmax(1)
    highest = probability.max(1).values
    monkeypatch.setattr(module, "CONFIDENT", float(highest.sort().values[19:21].mean()))
    sure = highest > highest.median()
    assert sure.sum() == 20
    for form in (other, other.permute(0, 3, 1, 2) / 127.5 - 1):
        found = confident(classifier, form)
        assert torch.equal(found.images, form[sure])
        np.testing.assert_array_equal(found.labels, probability.argmax(1)[sure])


def test_a_share_of_each_batch_is_from_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that the first set does not have are learnt; a batch keeps its size."""
    images, labels = bars(96)
    two, third = labels < 2, labels == 2
    sizes = []
    forward = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, x: sizes.append(len(x)) or forward(self, x))
    beside = LabelledImages(images[third], labels[third])
    classifier = train_classifier(images[two], labels[two], epochs=8, width=8, classes=3, beside=beside)
    assert set(sizes) == {16} and len(sizes) == 8 * 4
    assert (predict(classifier, bars(30, seed=1)[0]) == bars(30, seed=1)[1]).mean() > 0.9


def test_self_training_adds_what_the_last_classifier_is_sure_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time anew from the same seed; the last classifier is the one that counts."""
    from drit.probes import classifier as module

    train, test, unlabelled = bars(150), LabelledImages(*bars(30, seed=1)), bars(60, seed=2)[0]
    trained: list[Classifier] = []
    seeds = []

    def noting(*given: object, beside: LabelledImages | None = None, share: float = 0, **named: object) -> Classifier:
        if beside is not None:
            assert share == len(beside.labels) / 120
            expected = confident(adapt_statistics(trained[-1], unlabelled), unlabelled)
            assert torch.equal(beside.images, expected.images) and np.array_equal(beside.labels, expected.labels)
        seeds.append((given[2], beside is None))
        trained.append(train_classifier(*given, beside=beside, share=share, **named))  # type: ignore[arg-type]
        return trained[-1]

    monkeypatch.setattr(module, "train_classifier", noting)
    classes = ["upright", "level", "none"]
    found = train_and_test(
        LabelledImages(*train),
        test,
        classes,
        seeds=2,
        epochs=4,
        width=8,
        unlabelled=unlabelled,
        self_training=2,
        first_seed=5,
    )
    assert seeds == [(5, True), (5, False), (5, False), (6, True), (6, False), (6, False)]
    last = [(predict(adapt_statistics(c, unlabelled), test.images) == test.labels).mean() for c in trained]
    assert found["accuracies"] == [last[2], last[5]] and found["accuracies_without_self_training"] == [last[0], last[3]]
    assert all(30 < n <= 60 for n in found["pseudo_labelled"])


def test_a_few_labelled_images_lie_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of each batch; and a tenth of what lies beside once a classifier labels more."""
    from drit.probes import classifier as module

    train, test, unlabelled = bars(150), LabelledImages(*bars(30, seed=1)), bars(60, seed=2)[0]
    few = LabelledImages(*bars(2, seed=3))
    given: list[tuple[LabelledImages, float]] = []

    def noting(*words: object, beside: LabelledImages, share: float, **named: object) -> Classifier:
        given.append((beside, share))
        return train_classifier(*words, beside=beside, share=share, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_classifier", noting)
    found = train_and_test(
        LabelledImages(*train),
        test,
        ["upright", "level", "none"],
        seeds=1,
        epochs=4,
        width=8,
        unlabelled=unlabelled,
        self_training=1,
        beside=few,
    )
    (first, share), (second, _) = given
    assert first is few and share == 0.2
    (sure,) = found["pseudo_labelled"]
    times = max(1, sure // (9 * len(few.labels)))
    assert len(second.labels) == sure + times * len(few.labels)
    assert torch.equal(second.images[-len(few.images) :], few.images)


def test_self_training_needs_images_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = bars(12)
    np.savez(tmp_path / "x.npz", images=images.numpy(), labels=labels)
    words = ["probe", "--train", f"{tmp_path}/x.npz", "--test", f"{tmp_path}/x.npz", "--self-training"]
    assert cli.main([*words, "1"]) == 2
    assert "--self-training labels the images of --unlabelled: name some." in capsys.readouterr().err
    assert cli.main([*words, "-1"]) == 2
    words += ["1", "--unlabelled", f"{tmp_path}/x.npz", "--seeds", "1", "--epochs", "2", "--width", "4"]
    assert cli.main(words) == 0
    assert "before self-training" in capsys.readouterr().out


def test_statistics_of_unlabelled_images() -> None:
    """Weights stay; the first layer's statistics are those of its outputs on the given images."""
    images, labels = bars(60)
    classifier = train_classifier(images, labels, epochs=1, width=4)
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    other = bars(40, offset=90)[0]
    adapted = adapt_statistics(classifier, other)
    for name, value in adapted.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, before[name])
    assert all(torch.equal(v, before[k]) for k, v in classifier.state_dict().items())
    with torch.no_grad():
        outputs = classifier.convs[0](_inputs(other, 1))
    torch.testing.assert_close(adapted.norms[0].running_mean, outputs.mean((0, 2, 3)))
    assert not adapted.training


def test_the_filter_reads_with_others_than_it_learnt_from() -> None:
    """Two outputs of each of 60 sources; both outputs of every fifteenth show the other bar. No classifier saw them."""
    images, shows = bars(180)
    images, shows = images[torch.from_numpy(shows < 2)].numpy(), shows[shows < 2]
    source = np.arange(120) // 4 * 2 + shows  # outputs of a source show the same
    wrong = source % 15 == 4
    kept = classified_correctly(images, np.where(wrong, 1 - shows, shows), source)
    assert (kept == ~wrong).mean() > 0.95
    with pytest.raises(DataError, match="at least two images of each class"):
        classified_correctly(images, np.arange(120), source)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, count, channels in (("train", 90, 1), ("test", 30, 3)):
        images, labels = bars(count, channels)
        np.savez(tmp_path / f"{name}.npz", images=images.numpy(), labels=labels)
    train, test = str(tmp_path / "train.npz"), str(tmp_path / "test.npz")
    words = ["probe", "--train", train, "--test", test, "--width", "8", "--epochs", "6", "--threads", "1"]
    assert cli.main([*words, "--seeds", "1", "--unlabelled", test, "--validation", "0.2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["train"], found["test"], found["unlabelled"], list(found["classes"])) == (90, 30, 30, ["0", "1", "2"])
    assert found["accuracy"] > 0.5
    assert cli.main([*words, "--seeds", "2"]) == 0
    assert "on 30 images (2 seeds, 90 training images, 6 epochs)\n  0: " in capsys.readouterr().out
    for flag, value, message in (
        ("--seeds", "0", "--seeds must be at least 1"),
        ("--validation", "1", "--validation is a share"),
        ("--train-labels", "x.csv", "has its labels within"),
    ):
        assert cli.main([*words, flag, value]) == 2
        assert message in capsys.readouterr().err
