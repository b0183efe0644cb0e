"""The task loss: a classifier of the labels of a, trained with the translator (PixelDA)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from drit.cli import main as cli
from drit.data.classes import classes_of
from drit.data.folders import open_domain
from drit.data.images import decode, encode
from drit.errors import DataError
from drit.methods.base import Batch
from drit.methods.drit.objective import DRIT
from drit.methods.drit.task import TaskClassifier, TaskSegmenter, _largest
from drit.methods.noise import Noise
from drit.runs.record import recorded_settings
from drit.settings.schema import changed
from drit.training import launch
from drit.training.checks import settled
from drit.training.memory import predict
from tests.conftest import opened, tiny, trainer_of, write_images
from tests.methods.gradients import all_gradients, assert_close, with_settings
from tests.training.test_resume import same


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Path]:
    """Domain a in folders of two classes, dark and bright; b without labels."""
    for seed, (name, add) in enumerate((("dark", 0), ("bright", 150))):
        folder = write_images(tmp_path / "a" / name, 4, 1, seed=seed)
        for path in folder.iterdir():
            encode((decode(path)[0] // 4 + add).astype(np.uint8), path)
    return tmp_path / "a", write_images(tmp_path / "b", 4, 3, seed=5)


def with_task(folders: tuple[Path, Path], **changes: Any) -> Any:
    return changed(tiny(*folders), {"loss.task": 2.0, **changes})


def method_of(config: Any) -> DRIT:
    torch.manual_seed(0)
    sets = opened(config)
    return DRIT(settled(config, sets), {d: s.channels for d, s in sets.items()})


def test_terms_are_those_of_the_equation(labelled: tuple[Path, Path]) -> None:
    """T learns from sources and translations; the translator is judged by T on translations alone, with its weight."""
    method = method_of(with_task(labelled, **{"network.content_noise": 0.0, "optim.content_discriminator_steps": 1}))
    x = {"a": torch.rand(2, 1, 16, 16) * 2 - 1, "b": torch.rand(2, 3, 16, 16) * 2 - 1}
    y = torch.tensor([1, 0])
    updates = {u.name: u for u in method.updates(iter([Batch(x, y)] * 9), 0, Noise(0, 0))}
    task, generators = updates["task"], updates["generators"]
    assert task.networks == ("task_classifier",) and set(task.losses) == {"task_source", "task_exemplar", "task_random"}
    logits = method.task_classifier(x["a"])
    assert task.losses["task_source"].item() == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-6)
    # grey sources are repeated
    assert torch.equal(method.task_classifier(x["a"].expand(-1, 3, -1, -1)), logits)
    for name in ("task_exemplar", "task_random"):  # no step between the two: the same outputs, the same T
        assert generators.losses[name].item() == pytest.approx(task.losses[name].item(), rel=1e-6)
        assert generators.weights[name] == 2.0 and task.weights[name] == 1.0
    gradient = torch.autograd.grad(
        generators.losses["task_random"],
        list(method.task_classifier.parameters()),
        allow_unused=True,
        retain_graph=True,
    )
    assert all(g is None for g in gradient)  # its weights are constants for the translator
    moved = torch.autograd.grad(
        generators.losses["task_random"], list(method.generator.own["b"].parameters()), allow_unused=True
    )
    assert any(g is not None and bool(g.any()) for g in moved)


def test_off_is_as_before(labelled: tuple[Path, Path]) -> None:
    method = method_of(tiny(*labelled))
    assert not hasattr(method, "task_classifier") and method.settings.loss.task_classes == 0
    assert "task" not in {
        u.name
        for u in method.updates(
            iter([Batch({d: torch.zeros(2, c, 16, 16) for d, c in method.channels.items()})] * 9),
            0,
            Noise(0, 0),
        )
    }


def test_the_classifier_learns_and_resumes_bit_exactly(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    config = with_task(
        labelled,
        steps=24,
        **{
            "data.flip": False,
            "optim.lr": 4e-3,
            "log.checkpoint_every": 12,
            "log.sample_every": 0,
            "log.watch_every": 0,
        },
    )
    launch.train(config, tmp_path / "whole")
    launch.train(config, tmp_path / "halves", stop_after=12)
    launch.resume(tmp_path / "halves")
    same(tmp_path / "whole", tmp_path / "halves")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    first, last = (np.mean([line["task/task_source"] for line in part]) for part in (lines[:3], lines[-5:]))
    assert last < 0.5 * first
    assert recorded_settings(tmp_path / "whole").loss.task_classes == 2  # type: ignore[attr-defined]


def test_parts_and_less_memory_give_the_same_gradients(labelled: tuple[Path, Path]) -> None:
    """Labels go with their images into each part of a batch."""
    config = with_task(labelled, **{"batch": 4, "network.content_noise": 0.0, "optim.content_discriminator_steps": 1})
    config = settled(config, opened(config))
    with trainer_of(config) as trainer:
        trainer.start_stream()
        labels = next(trainer._batches()).labels
        assert labels is not None and labels.shape == (4,)
    assert predict(DRIT, config, {"a": 1, "b": 3}).peak > 0
    method = method_of(config).double()
    g = torch.Generator().manual_seed(1)
    x = {d: torch.rand(4, c, 16, 16, generator=g, dtype=torch.float64) * 2 - 1 for d, c in method.channels.items()}
    batch = Batch(x, torch.tensor([0, 1, 1, 0]))
    whole = all_gradients(method, batch, 1)
    assert any("task_classifier" in name for name in whole)
    assert_close(all_gradients(method, batch, 2), whole)
    assert_close(all_gradients(with_settings(method, recompute=True), batch, 1), whole)


def test_labels_of_folders_and_of_arrays(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    data = tiny(*labelled).data
    images = open_domain(str(labelled[0]), data, "a")
    names, indices = classes_of(images)
    assert names == ["bright", "dark"]
    assert [names[i] for i in indices] == [images.folder(i) for i in range(len(images))]
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 24, 24), np.uint8), labels=np.array([7, 3, 7, 3]))
    names, indices = classes_of(open_domain(str(tmp_path / "x.npz"), data, "a"))
    assert names == ["3", "7"] and indices.tolist() == [1, 0, 1, 0] and indices.dtype == np.int64


def test_labels_that_are_none(labelled: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tiny(*labelled).data
    flat = write_images(tmp_path / "flat", 3, 1)
    with pytest.raises(DataError, match=r"flat has no labels: 3 of 3 images lie in no folder of a class. Put each"):
        classes_of(open_domain(str(flat), data, "a"))
    shutil.copytree(flat, tmp_path / "one" / "class")
    with pytest.raises(DataError, match="All labels of .*one are 'class': there is nothing to tell apart"):
        classes_of(open_domain(str(tmp_path / "one"), data, "a"))
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 24, 24), np.uint8), labels=np.linspace(0, 1, 4))
    with pytest.raises(DataError, match="Each of the 4 images .* has a label of its own: these are no classes"):
        classes_of(open_domain(str(tmp_path / "x.npz"), data, "a"))
    words = ["train", "--data.a", flat, "--data.b", labelled[1], "--out", tmp_path / "run", "--preset", "quick"]
    words += ["--data.resize", 20, "--data.crop", 16, "--loss.task", 1]
    assert cli.main([str(w) for w in words]) == 2
    assert "flat has no labels" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_colours_become_grey_for_a_grey_domain_b() -> None:
    classifier = TaskClassifier(1, 3)
    x = torch.rand(2, 3, 20, 20)
    assert torch.allclose(classifier(x), classifier(x.mean(1, keepdim=True)), atol=1e-6)
    assert classifier(x).shape == (2, 3)


@pytest.fixture
def masked(tmp_path: Path) -> tuple[Path, Path]:
    """Domain a: a bright square on dark, where its mask says so; b without masks."""
    rng = np.random.default_rng(0)
    (tmp_path / "a" / "masks").mkdir(parents=True)
    for i in range(4):
        mask = np.zeros((20, 20, 1), np.uint8)
        top, left = rng.integers(0, 12, 2)
        mask[top : top + 8, left : left + 8] = 1
        encode((60 + 120 * mask + rng.integers(0, 20, mask.shape)).astype(np.uint8), tmp_path / "a" / f"{i}.png")
        encode(mask, tmp_path / "a" / "masks" / f"{i}.png")
    return tmp_path / "a", write_images(tmp_path / "b", 4, 3, seed=5)


def test_the_segmenter_learns_and_resumes_bit_exactly(masked: tuple[Path, Path], tmp_path: Path) -> None:
    config = with_task(
        masked,
        steps=24,
        **{"loss.task_masks": True, "optim.lr": 4e-3, "log.checkpoint_every": 12, "log.sample_every": 0},
        **{"log.watch_every": 0},
    )
    launch.train(config, tmp_path / "whole")
    launch.train(config, tmp_path / "halves", stop_after=12)
    launch.resume(tmp_path / "halves")
    same(tmp_path / "whole", tmp_path / "halves")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    first, last = (np.mean([line["task/task_source"] for line in part]) for part in (lines[:3], lines[-5:]))
    assert last < 0.5 * first
    assert recorded_settings(tmp_path / "whole").loss.task_classes == 2  # type: ignore[attr-defined]


def test_parts_of_a_batch_with_masks_give_the_same_gradients(masked: tuple[Path, Path]) -> None:
    """Also where one part knows fewer of its pixels."""
    values = {"batch": 4, "network.content_noise": 0.0, "optim.content_discriminator_steps": 1, "loss.task_masks": True}
    config = settled(with_task(masked, **values), opened(with_task(masked, **values)))
    assert predict(DRIT, config, {"a": 1, "b": 3}).peak > 0
    method = method_of(config).double()
    g = torch.Generator().manual_seed(1)
    x = {d: torch.rand(4, c, 16, 16, generator=g, dtype=torch.float64) * 2 - 1 for d, c in method.channels.items()}
    masks = torch.randint(0, 2, (4, 16, 16), generator=g)
    masks[0, :10] = -100
    whole = all_gradients(method, Batch(x, masks), 1)
    assert any("task_classifier" in name for name in whole)
    assert_close(all_gradients(method, Batch(x, masks), 2), whole)


def test_a_segmenter_answers_for_each_pixel() -> None:
    segmenter = TaskSegmenter(3, 5)
    grey = torch.rand(2, 1, 18, 21)
    assert segmenter(grey).shape == (2, 5, 18, 21)
    assert torch.equal(segmenter(grey), segmenter(grey.expand(-1, 3, -1, -1)))


def test_masks_without_a_task(masked: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data.a", masked[0], "--data.b", masked[1], "--out", tmp_path / "run", "--preset", "quick"]
    assert cli.main([str(w) for w in [*words, "--loss.task-masks"]]) == 2
    assert "--loss.task-masks is for the task loss: give it a weight with --loss.task." in capsys.readouterr().err
    shutil.rmtree(masked[0] / "masks")
    words += ["--data.resize", 20, "--data.crop", 16, "--loss.task-masks", "--loss.task", 1]
    assert cli.main([str(w) for w in words]) == 2
    assert "4 of the 4 images" in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 9])
def test_the_largest_of_parts_are_those_of_adaptive_pooling(side: int) -> None:
    """And so are the gradients, where no two numbers of a part are equal."""
    x = torch.randperm(2 * 3 * side * (side + 2)).double().view(2, 3, side, side + 2).requires_grad_()
    gradients = []
    for pooled in (_largest(x, 3), F.adaptive_max_pool2d(x, 3)):
        weighted = (pooled * torch.arange(1.0, 10).view(3, 3)).sum()
        gradients.append((pooled.detach(), *torch.autograd.grad(weighted, x)))
    assert same(*gradients)
