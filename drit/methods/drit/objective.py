"""DRIT: diverse image-to-image translation via disentangled representations (arXiv 1808.00948).

Read beside section 3 of the paper. x_a, x_b: images of the two domains, (N, C, H, W) in [-1, 1].

E^c: content encoders, last block shared; codes (N, F, h, w).     E^a: attribute encoders; codes (N, S).
G: generators, first layer shared.     D: for each domain one discriminator of exemplar outputs and one of random ones.
D^c: the content discriminator.

One iteration: content discriminator (several batches), domain discriminators, encoders and generators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.advice import Finding
from drit.methods.base import (
    DOMAINS,
    OTHER,
    Batch,
    ByDomain,
    Capabilities,
    Method,
    Prepared,
    Terms,
    Update,
    part_of,
)
from drit.methods.drit.adversary import Adversary, Maps
from drit.methods.drit.advice import advice
from drit.methods.drit.settings import DRITLoss, DRITSettings
from drit.methods.drit.task import TaskClassifier, TaskSegmenter
from drit.methods.noise import Noise
from drit.networks.discriminators import ContentDiscriminator, MultiScaleDiscriminator, by_batch
from drit.networks.encoders import ContentEncoder, DeterministicAttributeEncoder, VariationalAttributeEncoder
from drit.networks.generators import make_generator
from drit.runtime import full
from drit.settings.common import TrainSettings

Posteriors = dict[str, tuple[Tensor, Tensor | None]]  # mean and log variance of the attribute codes, (N, S) each


class Codes(NamedTuple):
    """What the encoders make of one batch, by domain, and the random attributes that go with it."""

    content: ByDomain  # c_d = E^c_d(x_d) + noise: (N, F, h, w)
    style: ByDomain  # z_d drawn from the posterior of x_d: (N, S)
    posterior: Posteriors  # E^a_d(x_d)
    random: list[Tensor]  # z drawn from N(0, I): (N, S); two of them with mode seeking


class Outputs(NamedTuple):
    """What the generators make of one batch of codes; every image (N, C, H, W) is of the domain that names it."""

    fake: ByDomain  # u = G_a(c_b, z_a), v = G_b(c_a, z_b): the content of the other domain, the style of this one
    recon: ByDomain  # G_d(c_d, z_d)
    random: dict[str, list[Tensor]]  # G_a(c_b, z), G_b(c_a, z) for each random attribute z


def mode_seeking_end(loss: DRITLoss, domain: str) -> float:
    """The difference of two outputs of a domain, in [-1, 1], from which on mode seeking asks for no more."""
    variation = {"a": loss.variation_a, "b": loss.variation_b}[domain]
    return loss.mode_seeking_end * variation if loss.mode_seeking_end else math.inf


class DRIT(Method):
    """Networks and objective of DRIT; `settings.network.generator` chooses the form of the generator."""

    Settings = DRITSettings
    inference = ("content_encoder", "attribute_encoder", "generator")
    settings: DRITSettings

    def __init__(self, settings: DRITSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        n, scaled = settings.network, settings.network.init == "scaled"
        self.stride = 1 << n.downsamplings
        self.min_side = max(16, self.stride)  # below it the attribute encoder has nothing left to downsample
        features = n.width << n.downsamplings
        trunk = (n.width, n.downsamplings, n.content_blocks)
        self.content_encoder = ContentEncoder(channels, *trunk, n.shared_blocks, filtered=n.content_filter)
        sizes = (n.style_dim, n.attribute_width, n.attribute_blocks, scaled)
        self.attribute_encoder = nn.ModuleDict(
            {
                d: DeterministicAttributeEncoder(c, *sizes)
                if n.generator == "feature"
                else VariationalAttributeEncoder(c, *sizes, bounded=n.bounded_variance)
                for d, c in channels.items()
            }
        )
        decoder = (channels, features, n.style_dim, n.shared_blocks, n.generator_blocks, n.downsamplings)
        self.generator = make_generator(n.generator, decoder, n.share_feature_layer, scaled, n.upsample)

        def discriminators() -> nn.ModuleDict:
            shape = (n.discriminator_width, n.discriminator_layers, n.discriminator_scales, n.spectral_norm, scaled)
            return nn.ModuleDict({d: MultiScaleDiscriminator(c, *shape) for d, c in channels.items()})

        self.discriminator = discriminators()
        self.random_discriminator = discriminators()
        self.content_discriminator = ContentDiscriminator(features, -(-settings.data.crop // self.stride))
        if settings.loss.task_classes:
            task = TaskSegmenter if settings.loss.task_masks else TaskClassifier
            self.task_classifier = task(channels["b"], settings.loss.task_classes)
        self.adversary = Adversary(settings)

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        assert isinstance(settings, DRITSettings)
        return Capabilities(multimodal=True, exemplar=True, directions=DOMAINS, style_dim=settings.network.style_dim)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        w, optim = self.settings.loss, self.settings.optim
        if w.content_adversarial:
            for _ in range(optim.content_discriminator_steps - 1):
                x, _ = self._halves(next(batches))
                with torch.no_grad():
                    content = self._content(x, noise)
                yield self._content_discriminator_update(content)

        x, reals = self._halves(next(batches))
        codes, out = self.shared_forward(self._forward, x, noise)
        if w.domain_adversarial:
            yield self._discriminators_update(x, reals, out, step, noise)
        if w.content_adversarial:
            yield self._content_discriminator_update({d: c.detach() for d, c in codes.content.items()})
        if w.task:
            yield self._task_update(x, out)

        terms = Terms()
        self._add_exemplar_terms(terms, x, codes, out, noise)
        if not optim.separate_random_step:
            self._add_random_terms(terms, reals, out, codes.random, noise)
        if w.task:
            self._add_task(terms, x, out)
        yield terms.update("generators", self.inference, optim.clip)
        if optim.separate_random_step:
            yield self._random_update(x, reals, codes.random, noise)

    def _halves(self, batch: Batch) -> tuple[Batch, Batch]:
        """The images to encode, and those that random outputs are judged against (the same unless `split_batch`)."""
        if not self.settings.optim.split_batch:
            return batch, batch
        half = len(batch["a"]) // 2
        return part_of(batch, 0, half), part_of(batch, half, 2 * half)

    def _forward(self, x: ByDomain, noise: Noise) -> tuple[Codes, Outputs]:
        """Codes of images x, random attributes, and all that the generators make of them."""
        content = self._content(x, noise)
        style, posterior = self._sampled_styles(x, noise)
        count = 2 if any(self.settings.loss.mode_seeking_weights.values()) else 1
        random = [noise.normal(*style["a"].shape, like=style["a"]) for _ in range(count)]
        return Codes(content, style, posterior, random), self._decode(content, style, random)

    # Section 3.1: content and attribute codes

    def _content(self, x: ByDomain, noise: Noise) -> ByDomain:
        """c_d = E^c_d(x_d) + eps: (N, F, h, w), with the noise of training added after the shared block."""
        codes: ByDomain = self.checkpointed(self.content_encoder.both, x)
        std = self.settings.network.content_noise
        if not std:
            return codes
        return {d: c + std * noise.normal(*c.shape, like=c).to(c.dtype) for d, c in codes.items()}

    def _sampled_styles(self, x: ByDomain, noise: Noise) -> tuple[ByDomain, Posteriors]:
        """z_d = m + s eps, (m, log s^2) = E^a_d(x_d): (N, S), and the posteriors; without a variance z_d = m."""
        posterior = {d: self.checkpointed(self.attribute_encoder[d], images) for d, images in x.items()}
        style = {}
        for d, (mean, log_variance) in posterior.items():
            style[d] = full(mean)
            if log_variance is not None:
                std = (0.5 * full(log_variance)).exp()
                style[d] = style[d] + noise.normal(*mean.shape, like=style[d]) * std
        return style, posterior

    def _content_discriminator_update(self, content: ByDomain) -> Update:
        """D^c tells the codes of a from those of b:

        min over D^c of  -E[log(1 - D^c(c_a))] - E[log D^c(c_b)]
        """
        logits_a, logits_b = self.content_discriminator(torch.cat([content["a"], content["b"]])).chunk(2)
        terms = Terms()
        terms.add("content_adversarial", 1.0, losses.content_discrimination(logits_a, logits_b))
        clip = self.settings.optim.content_discriminator_clip
        return terms.update("content_discriminator", ("content_discriminator",), clip)

    def _add_content_adversarial(self, terms: Terms, content: ByDomain) -> None:
        """The encoders hide the domain: L_content = -E[1/2 log D^c(c_d) + 1/2 log(1 - D^c(c_d))] for both d."""
        both = self.frozen_forward(self.content_discriminator, torch.cat([content["a"], content["b"]])).chunk(2)
        for d, logits in zip(DOMAINS, both, strict=True):
            loss = losses.content_adversarial(logits)
            terms.add(f"content_adversarial_{d}", self.settings.loss.content_adversarial, loss)

    # Section 3.2: cross-cycle consistency

    def _add_cross_cycle(self, terms: Terms, x: ByDomain, fake: ByDomain, noise: Noise) -> None:
        """u = fake_a has the content of x_b and the style of x_a, v = fake_b those of x_a and x_b:

        L_cc = E|G_a(E^c_b(v), E^a_a(u)) - x_a|_1 + E|G_b(E^c_a(u), E^a_b(v)) - x_b|_1
        """
        content = self._content(fake, noise)
        style, _ = self._sampled_styles(fake, noise)
        for d in DOMAINS:
            prepared = self.checkpointed(self.prepare, content[OTHER[d]], d)
            cycle = self.checkpointed(self.render, prepared, style[d], d)
            loss = losses.reconstruction(cycle, x[d])
            terms.add(f"cross_cycle_{d}", self.settings.loss.cross_cycle, loss)

    # Section 3, other loss functions

    def _discriminators_update(self, x: ByDomain, reals: ByDomain, out: Outputs, step: int, noise: Noise) -> Update:
        """Domain discriminators tell real images from exemplar outputs, and from random ones:

        min over D of  -E[log D_d(x_d)] - E[log(1 - D_d(fake_d))], and the same for every random output
        """
        terms = Terms()  # of weight 1: alone in their step, another one would only rescale the gradient
        for d in DOMAINS:
            self._add_discrimination(terms, d, self.discriminator[d], [x[d], out.fake[d]], step, noise)
            random = [reals[d], *out.random[d]]
            self._add_discrimination(terms, f"random_{d}", self.random_discriminator[d], random, step, noise)
        return terms.update("discriminators", ("discriminator", "random_discriminator"))

    def _add_discrimination(
        self, terms: Terms, name: str, discriminator: nn.Module, images: list[Tensor], step: int, noise: Noise
    ) -> None:
        """The terms of one discriminator. images: real ones, then batches of outputs, (N, C, H, W) each."""
        judge = partial(self._judged, self.checkpointed, discriminator)
        seen = self.adversary.views([x.detach() for x in images], noise)
        real, *fakes = judge(seen)
        terms.add(f"domain_adversarial_{name}", 1.0, self.adversary.discrimination(real, fakes))
        self.adversary.add_regularisation(terms, name, judge, seen, [real, *fakes], step, noise)

    def _add_domain_adversarial(self, terms: Terms, x: ByDomain, fake: ByDomain, noise: Noise) -> None:
        """Exemplar outputs shall look real: L_domain = -E[log D_a(u)] - E[log D_b(v)]."""
        for d in DOMAINS:
            judge = partial(self._judged_apart, self.frozen_forward, self.discriminator[d])
            loss = self.adversary.adversarial(judge, x[d], [fake[d]], noise)
            terms.add(f"domain_adversarial_{d}", self.settings.loss.domain_adversarial, loss)

    def _add_self_reconstruction(self, terms: Terms, x: ByDomain, recon: ByDomain) -> None:
        """L_recon = E|G_d(c_d, z_d) - x_d|_1 for both d."""
        for d in DOMAINS:
            loss = losses.reconstruction(recon[d], x[d])
            terms.add(f"self_reconstruction_{d}", self.settings.loss.self_reconstruction, loss)

    def _add_kl(self, terms: Terms, posterior: Posteriors) -> None:
        """L_KL = KL(N(m, s^2) || N(0, I)); without a variance (feature-wise form) the mean square of m."""
        for d, (mean, log_variance) in posterior.items():
            loss = losses.mean_square(mean) if log_variance is None else losses.kl_to_normal(mean, log_variance)
            terms.add(f"kl_{d}", self.settings.loss.kl, loss)

    def _add_random_terms(
        self, terms: Terms, reals: ByDomain, out: Outputs, random: list[Tensor], noise: Noise
    ) -> None:
        """The terms of outputs with random attributes z of N(0, I)."""
        w, seeking = self.settings.loss, self.settings.loss.mode_seeking_weights
        for d in DOMAINS:
            images = out.random[d]
            if w.domain_adversarial:
                # the same adversarial loss, with the discriminators of random outputs, summed over z
                judge = partial(self._judged, self.frozen_forward, self.random_discriminator[d])
                loss = self.adversary.adversarial(judge, reals[d], images, noise)
                terms.add(f"domain_adversarial_random_{d}", w.domain_adversarial, loss)
            if w.latent_regression:
                # L_latent = E|E^a_d(G_d(c, z)) - z|_1
                loss = losses.latent_regression(self._recovered_style(images[0], d), random[0])
                terms.add(f"latent_regression_{d}", w.latent_regression, loss)
            if seeking[d]:
                # 1 / (d(G(c, z1), G(c, z2)) / d(z1, z2)) (MSGAN; DRIT++)
                loss = losses.mode_seeking(*images, *random, end=mode_seeking_end(w, d))
                terms.add(f"mode_seeking_{d}", seeking[d], loss)

    def _recovered_style(self, images: Tensor, domain: str) -> Tensor:
        """E^a of outputs (N, C, H, W): (N, S)."""
        moves = self.settings.optim.latent_moves_attribute_encoder
        forward = self.checkpointed if moves else self.frozen_forward
        recovered: Tensor = forward(self.attribute_encoder[domain], images)[0]
        return recovered

    @staticmethod
    def _judged(forward: Callable[..., Any], discriminator: nn.Module, batches: list[Tensor]) -> list[Maps]:
        """Logits of several batches in one pass through `forward`: for each batch, its map at every scale."""
        return [*by_batch(forward(discriminator, torch.cat(batches)), [len(x) for x in batches])]

    @staticmethod
    def _judged_apart(forward: Callable[..., Any], discriminator: nn.Module, batches: list[Tensor]) -> list[Maps]:
        """The same, a pass for each batch: of a single one nothing is copied."""
        return [forward(discriminator, batch) for batch in batches]

    # The task (PixelDA)

    def _task_update(self, x: Batch, out: Outputs) -> Update:
        """T learns the labels y of images of a, from them and from their translations to b:

        min over T of  CE(T(x_a), y) + CE(T(v), y) + CE(T(G_b(c_a, z)), y)   (PixelDA, equation 4)
        """
        assert x.labels is not None
        terms = Terms()
        terms.add("task_source", 1.0, losses.classification(self.task_classifier(x["a"]), x.labels))
        for name, images in self._task_outputs(out).items():
            loss = losses.classification(self.task_classifier(images.detach()), x.labels)
            terms.add(f"task_{name}", 1.0, loss)
        return terms.update("task", ("task_classifier",))

    def _add_task(self, terms: Terms, x: Batch, out: Outputs) -> None:
        """T, whose weights are constants, shall find the label of the input in its translations."""
        assert x.labels is not None
        for name, images in self._task_outputs(out).items():
            loss = losses.classification(self.frozen_forward(self.task_classifier, images), x.labels)
            terms.add(f"task_{name}", self.settings.loss.task, loss)

    @staticmethod
    def _task_outputs(out: Outputs) -> dict[str, Tensor]:
        """Translations of images of a: in the style of an image of b, and in a random one. (N, C, H, W) each."""
        return {"exemplar": out.fake["b"], "random": out.random["b"][0]}

    # The generators' step

    def _add_exemplar_terms(self, terms: Terms, x: ByDomain, codes: Codes, out: Outputs, noise: Noise) -> None:
        """All terms without random attributes. (Their order decides how gradients are summed up: another one would give
        other bits.)"""
        w = self.settings.loss
        if w.domain_adversarial:
            self._add_domain_adversarial(terms, x, out.fake, noise)
        if w.content_adversarial:
            self._add_content_adversarial(terms, codes.content)
        if w.self_reconstruction:
            self._add_self_reconstruction(terms, x, out.recon)
        if w.cross_cycle:
            self._add_cross_cycle(terms, x, out.fake, noise)
        if w.kl:
            self._add_kl(terms, codes.posterior)
        if w.content_norm:  # the mean square of c_d, of the official implementation alone
            for d in DOMAINS:
                terms.add(f"content_norm_{d}", w.content_norm, losses.mean_square(codes.content[d]))

    def _random_update(self, x: ByDomain, reals: ByDomain, random: list[Tensor], noise: Noise) -> Update:
        """Random outputs in a step of their own, of the moved weights: the official order.

        (The official implementation differentiates a stale graph here; this is what it meant.)
        """
        optim, terms = self.settings.optim, Terms()
        out = self._decode(self._content(x, noise), {}, random)
        self._add_random_terms(terms, reals, out, random, noise)
        moved = self.inference if optim.latent_moves_attribute_encoder else ("content_encoder", "generator")
        return terms.update("generators_random", moved, optim.clip)

    # Generators

    def _decode(self, content: ByDomain, style: ByDomain, random: list[Tensor]) -> Outputs:
        """All outputs of one batch of codes; `style` may be empty, for random outputs alone.

        What no style changes (`prepare`) runs once for each content code and domain. All renders of a domain go through
        the rest together.
        """
        fake, recon, randoms = {}, {}, {}
        for d in DOMAINS:
            other = content[OTHER[d]]
            n = len(other)
            if style:
                prepared = self.checkpointed(self.prepare, torch.cat([other, content[d]]), d)
                # other content with the style, own content with the style, other content with each random attribute
                gathered = tuple(torch.cat([p, *[p[:n]] * len(random)]) for p in prepared)
                styles = torch.cat([style[d], style[d], *random])
                fake[d], recon[d], *randoms[d] = self.checkpointed(self.render, gathered, styles, d).split(n)
            else:
                prepared = self.checkpointed(self.prepare, other, d)
                randoms[d] = list(self.checkpointed(self.render, prepared, torch.cat(random), d).split(n))
        return Outputs(fake, recon, randoms)

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.content_encoder(x, domain)

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self.attribute_encoder[domain](x)[0]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self.generator.prepare(content, domain)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self.generator.render(prepared, style, domain)

    # What training asks

    @property
    def content_noise(self) -> float:
        return self.settings.network.content_noise

    def learning_rates(self) -> dict[str, float]:
        return super().learning_rates() | {"content_discriminator": self.settings.optim.content_discriminator_lr}

    def at_chance(self) -> dict[str, float]:
        """Two binary cross-entropies of log 2 at each scale (for each random attribute), one log 2 for relativistic
        pairs; one pair for content codes."""
        w, pair = self.settings.loss, losses.at_chance()
        domain = self.settings.network.discriminator_scales * (pair / 2 if w.gan == "relativistic" else pair)
        random = 2 if any(w.mode_seeking_weights.values()) else 1
        chance = {f"discriminators/domain_adversarial_{d}": domain for d in DOMAINS}
        chance |= {f"discriminators/domain_adversarial_random_{d}": random * domain for d in DOMAINS}
        return chance | {"content_discriminator/content_adversarial": pair}

    def training_state(self) -> dict[str, Tensor]:
        return self.adversary.state()

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        self.adversary.load(state)

    def advice(self, finding: Finding) -> str | None:
        return advice(self.settings, finding)
