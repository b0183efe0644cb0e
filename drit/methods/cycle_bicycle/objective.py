"""Cycle/Bicycle: a CycleGAN makes the pairs, BicycleGANs learn from them (a baseline of DRIT's paper, section 4).

Unpaired, many outputs. Two stages in one training: for a share of the iterations (`optim.pairing_share`) a CycleGAN
learns (1703.10593); then it stays as it is, and a BicycleGAN (1711.11586) for each direction learns from images and
the CycleGAN's translations of them. Learning rates run their course in each stage. Translation uses the BicycleGANs
alone: before the second stage they have learnt nothing.

The pairs of an iteration are all made from images of one domain, by turns: to b, half of the pairs are (a, fake b),
so that the generator knows real inputs, and half (fake a, b), so that discriminators and encoder see real ones of b.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from drit.methods.advice import Finding, doubled, general_advice, smaller_discriminator
from drit.methods.base import OTHER, Batch, Capabilities, Method, Prepared, Update
from drit.methods.bicyclegan.objective import BicycleGAN
from drit.methods.cycle_bicycle.settings import CycleBicycleSettings
from drit.methods.cyclegan.objective import CycleGAN
from drit.methods.noise import Noise
from drit.settings.common import TrainSettings
from drit.settings.schema import common

OF_CYCLE = ("generator", "discriminator")
OF_BICYCLE = ("generator", "encoder", "discriminator", "random_discriminator")


class CycleBicycle(Method):
    """`cycle_generator[d]` and `generator[d]` make images of domain d from those of the other."""

    Settings = CycleBicycleSettings
    inference = ("encoder", "generator")
    shared_content = False
    settings: CycleBicycleSettings

    def __init__(self, settings: CycleBicycleSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        # The objectives; plain containers, so that their networks are children of this method and not of them.
        cycle = common(CycleGAN.Settings, settings, method=CycleGAN.Settings().method)
        bicycle = common(BicycleGAN.Settings, settings, method=BicycleGAN.Settings().method)
        self._cycle = (CycleGAN(cycle, channels),)
        self._bicycle = {d: BicycleGAN(bicycle, {"a": channels[OTHER[d]], "b": c}) for d, c in channels.items()}
        for name in OF_CYCLE:
            self.add_module(f"cycle_{name}", getattr(self._cycle[0], name))
        for name in OF_BICYCLE:
            self.add_module(name, nn.ModuleDict({d: getattr(m, name) for d, m in self._bicycle.items()}))
        self.stride, self.min_side = self._bicycle["b"].stride, self._bicycle["b"].min_side

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        assert isinstance(settings, CycleBicycleSettings)
        return Capabilities(multimodal=True, exemplar=True, directions=domains, style_dim=settings.network.style_dim)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        if self.stage(step, self.settings.steps)[0] == 0:
            for update in self._cycle[0].updates(batches, step, noise):
                networks = tuple(f"cycle_{name}" for name in update.networks)
                yield update._replace(name=f"cycle_{update.name}", networks=networks)
            return
        pairs = self._pairs(next(batches), source="ab"[step % 2])
        turns = [
            m.updates(iter([Batch({"a": pairs[OTHER[d]], "b": pairs[d]})]), step, noise)
            for d, m in self._bicycle.items()
        ]
        for both in zip(*turns, strict=True):
            yield _together(dict(zip(self._bicycle, both, strict=True)))

    def _pairs(self, x: Batch, source: str) -> Batch:
        """Images of `source` and what the CycleGAN, which does not move, makes of them."""
        target = OTHER[source]
        with torch.no_grad():
            fake = self.cycle_generator[target](x[source])
        return Batch({source: x[source], target: fake})

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return x  # as for BicycleGAN

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self._bicycle[domain].style(x, "b")

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self._bicycle[domain].prepare(content, "b")

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self._bicycle[domain].render(prepared, style, "b")

    # What training asks

    def stage(self, step: int, steps: int) -> tuple[int, int]:
        paired = int(self.settings.optim.pairing_share * steps)
        return (0, paired) if step < paired else (paired, steps)

    def training_state(self) -> dict[str, Tensor]:
        return self._cycle[0].training_state()

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        self._cycle[0].load_training_state(state)

    def at_chance(self) -> dict[str, float]:
        return {f"{name}_{d}": loss for d, m in self._bicycle.items() for name, loss in m.at_chance().items()}

    def advice(self, finding: Finding) -> str | None:
        match finding.cause:
            case "styles_ignored":
                flag = doubled("--loss.latent-regression", self.settings.loss.latent_regression, 5)
                return f"a larger weight of what ties outputs to styles: {flag}"
            case "discriminators_win":
                return smaller_discriminator(self.settings.optim)
            case _:
                return general_advice(self.settings.optim, finding)


def _together(updates: dict[str, Update]) -> Update:
    """The same update of both directions as one: no weight is in both, so it is as if one came after the other."""
    first = next(iter(updates.values()))
    terms = {f"{term}_{d}": loss for d, u in updates.items() for term, loss in u.losses.items()}
    weights = {f"{term}_{d}": weight for d, u in updates.items() for term, weight in u.weights.items()}
    return first._replace(losses=terms, weights=weights)
