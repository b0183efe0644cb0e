"""CycleGAN: unpaired translation by cycle consistency (arXiv 1703.10593), and CycleGAN with noise.

Read beside sections 3 and 4 of the paper. Two generators, two discriminators of 70 x 70 patches; one output for each
image. With noise a random code enters the generators and nothing asks them to use it: the ablation of DRIT's paper.
One iteration: generators, then discriminators on outputs of now and before.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.advice import Finding, general_advice, smaller_discriminator
from drit.methods.base import OTHER, Batch, ByDomain, Capabilities, Method, Prepared, Terms, Update
from drit.methods.cyclegan.settings import CycleGANSettings, NoiseNetwork
from drit.methods.image_pool import ImagePool
from drit.methods.noise import Noise
from drit.networks.discriminators import PatchGAN
from drit.networks.init import zero_biases
from drit.networks.layers import k_major
from drit.networks.resnet import ResNetGenerator
from drit.settings.common import TrainSettings


class CycleGAN(Method):
    """generator[d] makes images of domain d from those of the other; discriminator[d] judges them."""

    Settings = CycleGANSettings
    inference = ("generator",)
    shared_content = False
    settings: CycleGANSettings

    def __init__(self, settings: CycleGANSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        n, scaled = settings.network, settings.network.init == "scaled"
        self.stride = 1 << n.downsamplings
        self.min_side = max(16, self.stride)
        sizes = n.width, n.downsamplings, n.generator_blocks, self.capabilities.style_dim
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
        self.pools = {d: ImagePool(settings.optim.pool) for d in channels}

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        style_dim = settings.network.style_dim if isinstance(settings.network, NoiseNetwork) else 0
        return Capabilities(multimodal=style_dim > 0, exemplar=False, directions=domains, style_dim=style_dim)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        x, terms = next(batches), Terms()
        fake = self._add_generator_terms(terms, x, noise)
        yield terms.update("generators", ("generator",), self.settings.optim.clip)
        if self.settings.loss.domain_adversarial:
            shown = {d: self.pools[d].query(images.detach(), noise) for d, images in fake.items()}
            yield self._discriminators_update(x, shown)

    def _add_generator_terms(self, terms: Terms, x: Batch, noise: Noise) -> ByDomain:
        """What the generators minimise (equation 3 and section 5.2). Returns the outputs of both domains."""
        w = self.settings.loss
        fake: ByDomain = {}
        # G(y) for y of its own domain needs images that both domains can have.
        identity = bool(w.identity) and len(set(self.channels.values())) == 1
        for d in x:
            fake[d], *same = self._translate([x[OTHER[d]], x[d]] if identity else [x[OTHER[d]]], d, noise)
            if same:  # L_identity = E|G_d(x_d) - x_d|_1
                terms.add(f"identity_{d}", w.identity, losses.reconstruction(same[0], x[d]))
        for d in x:
            if w.domain_adversarial:  # equation 1
                logits = self.frozen_forward(self.discriminator[d], fake[d])
                terms.add(f"domain_adversarial_{d}", w.domain_adversarial, losses.gan(w.gan)(logits, 1.0))
            if w.cross_cycle:  # equation 2: L_cyc = E|G_d(G_o(x_d)) - x_d|_1, o the other domain
                cycle = self._translate([fake[OTHER[d]]], d, noise)[0]
                terms.add(f"cross_cycle_{d}", w.cross_cycle, losses.reconstruction(cycle, x[d]))
        return fake

    def _translate(self, inputs: list[Tensor], to: str, noise: Noise) -> list[Tensor]:
        """What the generator of `to` makes of several batches (N, C, H, W), in one pass; each has codes of its own."""
        x, size = torch.cat(inputs), self.capabilities.style_dim
        style = torch.cat([noise.normal(len(part), size, like=part) for part in inputs]) if size else None
        outputs = self.checkpointed(self.generator[to], x, style).split([len(part) for part in inputs])
        return list(outputs)

    def _discriminators_update(self, x: Batch, shown: ByDomain) -> Update:
        """L_GAN as the discriminators see it (equation 1): images to 1, outputs of now and before to 0."""
        terms = Terms()
        for d in x:
            real, fake = self.checkpointed(self.discriminator[d], torch.cat([x[d], shown[d]])).split(len(x[d]))
            loss = losses.discrimination(real, fake, self.settings.loss.gan)
            # half: "we divide the objective by 2 while optimizing D" (section 4)
            terms.add(f"domain_adversarial_{d}", 0.5, loss)
        return terms.update("discriminators", ("discriminator",))

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        """Features (N, F, h, w) of the generator that leaves `domain`: no code that domains share."""
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

    # What training asks

    def training_state(self) -> dict[str, Tensor]:
        return {f"pool_{d}": pool.state() for d, pool in self.pools.items()}

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        for d, pool in self.pools.items():
            pool.load(state[f"pool_{d}"])

    def at_chance(self) -> dict[str, float]:
        chance = losses.at_chance(self.settings.loss.gan)
        return {f"discriminators/domain_adversarial_{d}": chance for d in self.channels}

    def advice(self, finding: Finding) -> str | None:
        match finding.cause:
            case "styles_ignored":
                return "another method: nothing ties the outputs of this one to their codes"
            case "discriminators_win":
                return smaller_discriminator(self.settings.optim)
            case _:
                return general_advice(self.settings.optim, finding)
