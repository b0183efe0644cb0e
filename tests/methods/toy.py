"""The smallest method: one convolution each way, learnt by cycle consistency."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.base import Batch, Capabilities, Method, Prepared, Update
from drit.methods.noise import Noise
from drit.settings.common import TrainSettings


class Toy(Method):
    inference = ("generator",)
    shared_content = False

    def __init__(self, channels: dict[str, int], clip: float) -> None:
        super().__init__()
        self.clip = clip
        self.channels, self.stride, self.min_side = channels, 1, 1
        self.capabilities = Capabilities(multimodal=False, exemplar=False, directions=("a", "b"), style_dim=0)
        other = {"a": channels["b"], "b": channels["a"]}
        self.generator = nn.ModuleDict({d: nn.Conv2d(other[d], c, 1) for d, c in channels.items()})

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> Toy:
        return cls(channels, config.optim.clip)

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        x = next(batches)
        back = {
            d: self.checkpointed(self.generator[d], self.checkpointed(self.generator[o], x[d]))
            for d, o in (("a", "b"), ("b", "a"))
        }
        terms = {f"cross_cycle_{d}": losses.reconstruction(back[d], x[d]) for d in x}
        yield Update("generators", ("generator",), terms, dict.fromkeys(terms, 1.0), self.clip or None)

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x

    def style(self, x: Tensor, domain: str) -> Tensor:
        return x.new_zeros(len(x), 0)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return (torch.tanh(self.generator[domain](content)),)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return prepared[0].float().repeat(len(style) // len(prepared[0]), 1, 1, 1)
