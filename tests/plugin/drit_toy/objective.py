"""The toy method's network and objective."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.base import DOMAINS, OTHER, Batch, Capabilities, Method, Prepared, Terms, Update
from drit.methods.noise import Noise
from drit.settings.common import TrainSettings
from drit_toy.settings import ToySettings


class Toy(Method):
    """generator[d]: a 1 x 1 convolution from images of the other domain to those of d."""

    Settings = ToySettings
    inference = ("generator",)
    shared_content = False
    settings: ToySettings

    def __init__(self, settings: ToySettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        self.stride = self.min_side = 1
        self.generator = nn.ModuleDict({d: nn.Conv2d(channels[OTHER[d]], c, 1) for d, c in channels.items()})

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        return Capabilities(multimodal=False, exemplar=False, directions=DOMAINS, style_dim=0)

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        x, terms = next(batches), Terms()
        for d in DOMAINS:
            fake = self.checkpointed(self.generator[OTHER[d]], x[d])
            cycle = self.checkpointed(self.generator[d], fake)
            terms.add(f"cross_cycle_{d}", self.settings.loss.cross_cycle, losses.reconstruction(cycle, x[d]))
        yield terms.update("generators", self.inference, self.settings.optim.clip)

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (torch.tanh(self.generator[domain](content)),)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return prepared[0].float().repeat(len(style) // len(prepared[0]), 1, 1, 1)
