"""What every method offers: the contract between objectives, the training loop and the translator.

A method is networks plus an objective. It knows no loop, no optimizer, no device, no file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from drit.methods.noise import Noise
from drit.settings.common import OptimSettings, TrainSettings

Prepared = tuple[Tensor, ...]


# One batch of each domain: its letter to (N, C, H, W), float in [-1, 1]; image n of one corresponds to image n of
# another only where the method asks for pairs.
Batch = dict[str, Tensor]

# Of the methods that know two domains.
DOMAINS = ("a", "b")
OTHER = {"a": "b", "b": "a"}
ByDomain = dict[str, Tensor]


@dataclass(frozen=True)
class Capabilities:
    """What a method can do; read by the command line and the comparison table."""

    multimodal: bool  # many outputs for one input
    exemplar: bool  # a style can be taken from an image
    directions: tuple[str, ...]  # domains it translates to
    style_dim: int  # 0: no styles

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
        return torch.stack([self.weights[name] * term for name, term in self.losses.items()]).sum()


class Grid(NamedTuple):
    """Images that a method draws from its codes, as a table: a row keeps all codes but the one that columns vary."""

    name: str
    columns: list[str]
    images: Tensor  # (rows, columns, C, H, W) in [-1, 1], float32 on the CPU


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

    Images are (N, C, H, W) in [-1, 1]; a domain is a letter, "a" or "b" (or more); styles are (N, S).
    """

    paired: ClassVar[bool] = False  # training needs aligned images of a and b
    domains: ClassVar[tuple[int, int]] = (2, 2)  # the fewest and the most that it can be trained on
    shared_content: ClassVar[bool] = True  # a content code means the same in all domains: every generator takes it

    capabilities: Capabilities
    inference: tuple[str, ...]  # networks that translation needs; the moving average covers these
    channels: dict[str, int]
    stride: int  # images are padded to multiples of this
    min_side: int  # smallest side of an image

    def __init__(self) -> None:
        super().__init__()
        self.recompute = False  # training keeps inputs of networks only, and computes their layers again to go back

    @classmethod
    @abstractmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> Method:
        """The method with fresh weights for images of these channels."""

    @classmethod
    def check(cls, config: TrainSettings) -> None:
        """Raises UsageError for settings that the method cannot be trained with."""

    @abstractmethod
    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        """The updates of one iteration, in order. Losses of the next are computed after the step before was taken;
        as many batches are drawn as the method needs. `frugal`: no graph is kept from one update to the next (parts of
        a batch take turns at each); what a later one needs is computed again, with the same noise."""

    def checkpointed(self, part: Callable[..., Any], *inputs: Any) -> Any:
        """part(*inputs), without keeping its layers' results for the backward pass where `recompute` is set."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def frozen_forward(self, network: nn.Module, *inputs: Any) -> Any:
        """run(network, *inputs) with the network's weights held: gradients pass to the inputs, none are computed for
        weights that do not move in this step."""

        def part(*given: Any) -> Any:
            with frozen(network):
                return network(*given)

        return self.checkpointed(part, *inputs)

    def training_state(self) -> dict[str, Tensor]:
        """What training needs beside weights to go on exactly (a pool of old images, say); kept in checkpoints."""
        return {}

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """Take up what `training_state` gave."""

    def stage(self, step: int, steps: int) -> tuple[int, int]:
        """First iteration and end of the stage of training that iteration `step` of `steps` lies in; learning rates run
        their course in each. Most methods have one stage."""
        return 0, steps

    def learning_rates(self, optim: OptimSettings) -> dict[str, float]:
        """Learning rate of each network."""
        return {name: optim.lr for name, _ in self.named_children()}

    def at_chance(self) -> dict[str, float]:
        """Losses of discriminators that only guess, by their names in the metrics (`update/term`); the watch compares
        with them. None known: no comparison."""
        return {}

    @abstractmethod
    def content(self, x: Tensor, domain: str) -> Tensor:
        """Content code of images of `domain`."""

    def style(self, x: Tensor, domain: str) -> Tensor:
        """Attribute code (posterior mean) of images of `domain`: (N, S); of methods that take a style from one."""
        raise NotImplementedError(f"{type(self).__name__} takes no style from an image.")

    def own_style(self, x: Tensor, domain: str) -> Tensor:
        """What images of `domain` (N, C, H, W) are made again with: their attribute code (N, S); without styles
        nothing, (N, 0)."""
        return self.style(x, domain) if self.capabilities.style_dim else x.new_zeros(len(x), 0)

    @property
    def reconstructs(self) -> bool:
        """Whether it can make images of every domain again from their own codes."""
        able = self.capabilities
        return self.shared_content and len(able.directions) > 1 and able.knows_own_style

    def sample_style(self, count: int, domain: str, generator: torch.Generator) -> Tensor:
        """`count` random styles from N(0, I): (count, S), float32 on the CPU."""
        return torch.randn(count, self.capabilities.style_dim, generator=generator)

    def grids(self, rows: int, generator: torch.Generator) -> list[Grid]:
        """What a method without directions draws of its codes, each grid with so many rows (`drit sample`)."""
        return []

    @abstractmethod
    def prepare(self, content: Tensor, domain: str) -> Prepared:
        """The part of the generator of `domain` that no style changes."""

    @abstractmethod
    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        """Images of `domain` (M, C, H, W) for styles (M, S), M a multiple k of the N prepared images; style j
        belongs to image j mod N."""
