"""CycleGAN: unpaired translation by cycle consistency (arXiv 1703.10593), and CycleGAN with noise.

Read beside sections 3 and 4 of the paper. Two generators, two discriminators of 70 x 70 patches; one output for each
image. With `network.style_dim` a random code enters the generators and nothing asks them to use it: the ablation of
DRIT's paper. One iteration: generators, then discriminators on outputs of now and before.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.base import OTHER, Batch, Capabilities, Method, Prepared, Update
from drit.methods.image_pool import ImagePool
from drit.methods.noise import Noise
from drit.networks.discriminators import PatchGAN
from drit.networks.init import zero_biases
from drit.networks.layers import k_major
from drit.networks.resnet import ResNetGenerator
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings


class CycleGAN(Method):
    """generator[d] makes images of domain d from those of the other; discriminator[d] judges them."""

    inference = ("generator",)
    shared_content = False

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int]
    ) -> None:
        super().__init__()
        n, scaled = network, network.init == "scaled"
        self.loss, self.optim = loss, optim
        self.channels = channels
        self.stride = 1 << n.downsamplings
        self.min_side = max(16, self.stride)
        self.capabilities = Capabilities(
            multimodal=n.style_dim > 0, exemplar=False, directions=tuple(channels), style_dim=n.style_dim
        )
        sizes = n.width, n.downsamplings, n.generator_blocks, n.style_dim
        self.generator = nn.ModuleDict(
            {d: ResNetGenerator(channels[OTHER[d]], c, *sizes, smooth=scaled) for d, c in channels.items()}
        )
        self.discriminator = nn.ModuleDict(
            {
                d: PatchGAN(c, n.discriminator_width, n.discriminator_layers, n.discriminator_norm, scaled)
                for d, c in channels.items()
            }
        )
        if not scaled:
            zero_biases(self)
        self.pools = {d: ImagePool(optim.pool) for d in channels}

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> CycleGAN:
        return cls(config.network, config.loss, config.optim, channels)

    def training_state(self) -> dict[str, Tensor]:
        return {f"pool_{d}": pool.state() for d, pool in self.pools.items()}

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        for d, pool in self.pools.items():
            pool.load(state[f"pool_{d}"])

    def at_chance(self) -> dict[str, float]:
        return {f"discriminators/domain_adversarial_{d}": losses.at_chance(self.loss.gan) for d in self.channels}

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        """Features of the generator that leaves `domain`: no code that domains share."""
        return self.generator[OTHER[domain]].encode(x)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        if self.capabilities.style_dim:
            return (content,)
        return (self.generator[domain].decode(content),)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        (x,) = prepared
        if self.capabilities.style_dim:
            return self.generator[domain].decode(x, style)
        return k_major(x, len(style))

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        x = next(batches)
        fake, terms = self._generate(x, noise)
        weights = {term: self.loss.of(term) for term in terms}
        yield Update("generators", ("generator",), terms, weights, self.optim.clip or None)
        del terms
        if not self.loss.domain_adversarial:
            return
        shown = {d: self.pools[d].query(made.detach(), noise) for d, made in fake.items()}
        judged = {}
        for d in x:
            real, made = self.checkpointed(self.discriminator[d], torch.cat([x[d], shown[d]])).split(len(x[d]))
            judged[f"domain_adversarial_{d}"] = losses.discrimination(real, made, self.loss.gan)
        # Half: "we divide the objective by 2 while optimizing D" (section 4)
        yield Update("discriminators", ("discriminator",), judged, dict.fromkeys(judged, 0.5))

    def _generate(self, x: Batch, noise: Noise) -> tuple[Batch, dict[str, Tensor]]:
        """Outputs of both domains, and the generators' terms: adversarial, cycle and identity (sections 3 and 5.2)."""
        w, fake = self.loss, {}
        terms: dict[str, Tensor] = {}
        # G(y) for y of its own domain needs images that both domains can have.
        identity = bool(w.identity) and len(set(self.channels.values())) == 1
        for d in x:
            inputs = [x[OTHER[d]], x[d]] if identity else [x[OTHER[d]]]
            fake[d], *same = self._translate(inputs, d, noise)
            if same:
                terms[f"identity_{d}"] = losses.reconstruction(same[0], x[d])
        for d in x:
            if w.domain_adversarial:
                logits = self.frozen_forward(self.discriminator[d], fake[d])
                terms[f"domain_adversarial_{d}"] = losses.gan(w.gan)(logits, 1.0)
            if w.cross_cycle:
                back = self._translate([fake[OTHER[d]]], d, noise)[0]
                terms[f"cross_cycle_{d}"] = losses.reconstruction(back, x[d])
        return fake, terms

    def _translate(self, inputs: list[Tensor], to: str, noise: Noise) -> list[Tensor]:
        """What the generator of `to` makes of several batches, in one pass; each has codes of its own."""
        x, size = torch.cat(inputs), self.capabilities.style_dim
        style = torch.cat([noise.normal(len(part), size, like=part) for part in inputs]) if size else None
        made: list[Tensor] = list(self.checkpointed(self.generator[to], x, style).split([len(part) for part in inputs]))
        return made
