"""What every method offers: the contract between objectives, the training loop and the translator.

A method is networks plus an objective. It knows no loop, no optimizer, no device, no file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from drit.methods.advice import Finding, general_advice
from drit.methods.noise import Noise
from drit.settings.common import TrainSettings

Prepared = tuple[Tensor, ...]


class Batch(dict[str, Tensor]):
    """One batch of each domain: its letter to (N, C, H, W), float in [-1, 1]; image n of one corresponds to image n of
    another only where the method asks for pairs.

    labels: (N,) int64, the class of each image of domain a, or of each of its pixels, (N, H, W) with -100 where there
    is none; where the settings have a task loss.
    """

    def __init__(self, images: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        super().__init__(images)
        self.labels = labels


def part_of(batch: Mapping[str, Tensor], start: int, end: int) -> Batch:
    """Images `start` to `end` (not included) of each domain of a batch, with their labels where it has them.

    batch: (N, C, H, W) of each domain, in [-1, 1]. Returns (end - start, C, H, W) of each.
    """
    labels = batch.labels if isinstance(batch, Batch) else None
    return Batch({d: x[start:end] for d, x in batch.items()}, None if labels is None else labels[start:end])


# Of the methods that know two domains.
DOMAINS = ("a", "b")
OTHER = {"a": "b", "b": "a"}
ByDomain = dict[str, Tensor]


@dataclass(frozen=True)
class Capabilities:
    """What a method can do; read by commands, reports and tables."""

    multimodal: bool  # many outputs for one input
    exemplar: bool  # a style can be taken from an image
    directions: tuple[str, ...]  # domains it translates to
    style_dim: int  # 0: no styles
    paired: bool = False  # training needs aligned images of a and b
    categories: int = 0  # values of a categorical code that can be read from images; 0: none

    @property
    def knows_own_style(self) -> bool:
        """Whether what style an image has is known: it can be taken from it, or there are none."""
        return self.exemplar or not self.style_dim


class Update(NamedTuple):
    """One optimizer step, as the loop carries it out."""

    name: str
    networks: tuple[str, ...]  # the networks this step moves; nothing else receives a gradient
    losses: dict[str, Tensor]  # named, unweighted scalar terms
    weights: dict[str, float]  # the total is the dot product with the losses
    max_grad_norm: float | None = None  # over all networks of this step

    def total(self) -> Tensor:
        """The weighted sum of the losses: a scalar."""
        return torch.stack([self.weights[name] * term for name, term in self.losses.items()]).sum()


@dataclass
class Terms:
    """The terms of one update, each loss beside its weight."""

    losses: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, weight: float, loss: Tensor) -> None:
        """loss: an unweighted scalar."""
        self.losses[name] = loss
        self.weights[name] = weight

    def update(self, name: str, networks: tuple[str, ...], max_grad_norm: float = 0.0) -> Update:
        """The step of these networks that minimises the weighted sum. max_grad_norm: 0 is no limit."""
        return Update(name, networks, self.losses, self.weights, max_grad_norm or None)


class Grid(NamedTuple):
    """Images that a method draws from its codes, as a table: a row keeps all codes but the one that columns vary."""

    name: str
    columns: list[str]
    images: Tensor  # (R, K, C, H, W), rows and columns, in [-1, 1], float32 on the CPU


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """While open, what is computed with the network's weights takes them for constants."""
    weights = [p for p in network.parameters() if p.requires_grad]
    for p in weights:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in weights:
            p.requires_grad_(True)


class Method(nn.Module, ABC):
    """Networks (the direct children) plus an objective.

    Images are (N, C, H, W) in [-1, 1]; a domain is a letter, "a" or "b" (or more); styles are (N, S). A method is built
    with fresh weights from its settings and the channels of each domain.
    """

    Settings: ClassVar[type[TrainSettings]]  # its frozen dataclass, with its presets
    domains: ClassVar[tuple[int, int]] = (2, 2)  # the minimum and the maximum that it can be trained on
    shared_content: ClassVar[bool] = True  # a content code means the same in all domains: every generator takes it
    inference: ClassVar[tuple[str, ...]]  # networks that translation needs; the moving average covers these

    stride: int  # images are padded to multiples of this
    min_side: int  # smallest side of an image, in pixels

    def __init__(self, settings: TrainSettings, channels: dict[str, int]) -> None:
        super().__init__()
        self.settings = settings
        self.channels = dict(channels)
        self.capabilities = self.capabilities_for(settings, tuple(channels))

    @classmethod
    @abstractmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        """What the method can do with these settings and domains; builds nothing."""

    # Training

    @abstractmethod
    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        """The updates of one iteration, in order. Losses of the next are computed after the step before was taken;
        as many batches, of (N, C, H, W) in [-1, 1] for each domain, are drawn as the method needs."""

    def checkpointed(self, part: Callable[..., Any], *inputs: Any) -> Any:
        """part(*inputs), without keeping its layers' results for the backward pass with the setting `recompute`."""
        if self.settings.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def frozen_forward(self, network: nn.Module, *inputs: Any) -> Any:
        """checkpointed(network, *inputs) with the network's weights frozen: gradients pass to the inputs, none are
        computed for weights that do not move in this step."""

        def part(*given: Any) -> Any:
            with frozen(network):
                return network(*given)

        return self.checkpointed(part, *inputs)

    def shared_forward(self, part: Callable[..., Any], *inputs: Any) -> Any:
        """part(*inputs), the pass whose results several updates of an iteration use.

        Where parts of a batch take turns at each update (`accumulate`), nothing of its graph is kept from one update to
        the next: the update that goes back through it computes it again, with the same noise.
        """
        if self.settings.accumulate == 1 or not torch.is_grad_enabled():
            return part(*inputs)
        before = [x.copy() if isinstance(x, Noise) else x for x in inputs]
        calls: list[bool] = []

        def repeatable() -> Any:
            again = bool(calls)
            calls.append(True)
            # the first call draws from the noise itself, so that what comes after it draws on
            return part(*(x.copy() if isinstance(x, Noise) else x for x in before) if again else inputs)

        return checkpoint(repeatable, use_reentrant=False)

    def training_state(self) -> dict[str, Tensor]:
        """What training needs beside weights to go on exactly (a pool of old images, say): tensors of any shape, kept
        in checkpoints."""
        return {}

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """Take up what `training_state` gave: tensors of any shape."""

    def stage(self, step: int, steps: int) -> tuple[int, int]:
        """First iteration and end of the stage of training that iteration `step` of `steps` lies in; learning rates run
        their course in each. Most methods have one stage."""
        return 0, steps

    def learning_rates(self) -> dict[str, float]:
        """Learning rate of each network."""
        return {name: self.settings.optim.lr for name, _ in self.named_children()}

    def at_chance(self) -> dict[str, float]:
        """Losses of discriminators that only guess, by their names in the metrics (`update/term`); the watch compares
        with them. None known: no comparison."""
        return {}

    def advice(self, finding: Finding) -> str | None:
        """What to try when the watch finds a fault; continues a sentence after `try`. None: nothing is known."""
        return general_advice(self.settings.optim, finding)

    # Use

    @abstractmethod
    def content(self, x: Tensor, domain: str) -> Tensor:
        """Content code (N, F, h, w) of images (N, C, H, W) of `domain`, in [-1, 1]."""

    def style(self, x: Tensor, domain: str) -> Tensor:
        """Attribute code (posterior mean) of images (N, C, H, W) of `domain`: (N, S).

        Raises NotImplementedError in methods that take no style from an image.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no style from an image.")

    def own_style(self, x: Tensor, domain: str) -> Tensor:
        """What images of `domain` (N, C, H, W) are reconstructed with: their attribute code (N, S); without styles
        nothing, (N, 0)."""
        return self.style(x, domain) if self.capabilities.style_dim else x.new_zeros(len(x), 0)

    @property
    def content_noise(self) -> float:
        """Std of the noise that training adds to content codes; the watch's probe reads them with it."""
        return 0.0

    @property
    def reconstructs(self) -> bool:
        """Whether it can reconstruct images of every domain from their own codes."""
        able = self.capabilities
        return self.shared_content and len(able.directions) > 1 and able.knows_own_style

    def sample_style(self, count: int, domain: str, generator: torch.Generator) -> Tensor:
        """`count` random styles from N(0, I): (count, S), float32 on the CPU."""
        return torch.randn(count, self.capabilities.style_dim, generator=generator)

    @abstractmethod
    def prepare(self, content: Tensor, domain: str) -> Prepared:
        """The part of the generator of `domain` that no style changes, from content codes (N, F, h, w): tensors of N
        images each."""

    @abstractmethod
    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        """Images of `domain` (M, C, H, W) in [-1, 1] for styles (M, S), M a multiple k of the N prepared images; style
        j belongs to image j mod N."""

    def grids(self, rows: int, generator: torch.Generator) -> list[Grid]:
        """What a method without directions draws of its codes, each grid with so many rows (`drit sample`)."""
        return []

    def categorise(self, x: Tensor) -> Tensor:
        """The most probable value of the categorical code of images (N, C, H, W): (N,), 0 .. categories - 1.

        Raises NotImplementedError in methods without categories.
        """
        raise NotImplementedError(f"{type(self).__name__} has no categories.")
