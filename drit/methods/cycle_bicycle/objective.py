"""Cycle/Bicycle: a CycleGAN makes the pairs, BicycleGANs learn from them (a baseline of DRIT's paper, section 4).

Unpaired, many outputs. Two stages in one training: for a share of the iterations (`optim.pairing_share`) a CycleGAN
learns (1703.10593); then it stays as it is, and a BicycleGAN (1711.11586) for each direction learns from images and
the CycleGAN's translations of them. Learning rates run their course in each stage. Translation uses the BicycleGANs
alone: before the second stage they have learnt nothing.

The pairs of an iteration are all made from images of one domain, by turns: to b, half of the pairs are (a, made b),
so that the generator knows real inputs, and half (made a, b), so that discriminators and encoder see real ones of b.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from drit.methods.base import OTHER, Batch, Capabilities, Method, Prepared, Update
from drit.methods.bicyclegan.objective import BicycleGAN
from drit.methods.cyclegan.objective import CycleGAN
from drit.methods.noise import Noise
from drit.settings.common import TrainSettings

OF_CYCLE = ("generator", "discriminator")
OF_BICYCLE = ("generator", "encoder", "discriminator", "random_discriminator")


class CycleBicycle(Method):
    """`cycle_generator[d]` and `generator[d]` make images of domain d from those of the other."""

    inference = ("encoder", "generator")
    shared_content = False

    def __init__(self, config: TrainSettings, channels: dict[str, int]) -> None:
        super().__init__()
        self.channels = channels
        self.steps, self.share = config.steps, config.optim.pairing_share
        # The objectives; plain containers, so that their networks are children of this method and not of them.
        alone = replace(config, network=replace(config.network, style_dim=0))
        self._cycle = (CycleGAN.build(alone, channels),)
        self._bicycle = {d: BicycleGAN.build(config, {"a": channels[OTHER[d]], "b": c}) for d, c in channels.items()}
        for name in OF_CYCLE:
            self.add_module(f"cycle_{name}", getattr(self._cycle[0], name))
        for name in OF_BICYCLE:
            self.add_module(name, nn.ModuleDict({d: getattr(m, name) for d, m in self._bicycle.items()}))
        self.stride, self.min_side = self._bicycle["b"].stride, self._bicycle["b"].min_side
        self.capabilities = Capabilities(
            multimodal=True, exemplar=True, directions=tuple(channels), style_dim=config.network.style_dim
        )

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> CycleBicycle:
        return cls(config, channels)

    @classmethod
    def check(cls, config: TrainSettings) -> None:
        BicycleGAN.check(config)

    def training_state(self) -> dict[str, Tensor]:
        return self._cycle[0].training_state()

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        self._cycle[0].load_training_state(state)

    def stage(self, step: int, steps: int) -> tuple[int, int]:
        paired = int(self.share * steps)
        return (0, paired) if step < paired else (paired, steps)

    def at_chance(self) -> dict[str, float]:
        return {f"{name}_{d}": loss for d, m in self._bicycle.items() for name, loss in m.at_chance().items()}

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x  # as for BicycleGAN

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self._bicycle[domain].style(x, "b")

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self._bicycle[domain].prepare(content, "b")

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self._bicycle[domain].render(prepared, style, "b")

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        for objective in (*self._cycle, *self._bicycle.values()):
            objective.recompute = self.recompute
        if self.stage(step, self.steps)[0] == 0:
            for update in self._cycle[0].updates(batches, step, noise, frugal):
                networks = tuple(f"cycle_{name}" for name in update.networks)
                yield update._replace(name=f"cycle_{update.name}", networks=networks)
            return
        pairs = self._pairs(next(batches), source="ab"[step % 2])
        turns = [
            m.updates(iter([{"a": pairs[OTHER[d]], "b": pairs[d]}]), step, noise, frugal)
            for d, m in self._bicycle.items()
        ]
        for both in zip(*turns, strict=True):
            yield _together(dict(zip(self._bicycle, both, strict=True)))

    def _pairs(self, x: Batch, source: str) -> Batch:
        """Images of `source` and what the CycleGAN, which does not move, makes of them."""
        target = OTHER[source]
        with torch.no_grad():
            made = self.cycle_generator[target](x[source])
        return {source: x[source], target: made}


def _together(updates: dict[str, Update]) -> Update:
    """The same update of both directions as one: no weight is in both, so it is as if one came after the other."""
    first = next(iter(updates.values()))
    terms = {f"{term}_{d}": loss for d, u in updates.items() for term, loss in u.losses.items()}
    weights = {f"{term}_{d}": weight for d, u in updates.items() for term, weight in u.weights.items()}
    return first._replace(losses=terms, weights=weights)
