"""DRIT++: several domains, one network of each kind for all of them (Lee et al., arXiv 1905.01270).

As DRIT, and: domains are one-hot codes. The content encoder sees none; the attribute encoder gets the image and its
domain, the generator an attribute and the domain to draw. The discriminator also classifies the domain of an image, and
the content discriminator that of a content code. Mode seeking keeps random outputs apart.

One iteration takes N pairs (x, y) of two different domains each, drawn anew every time, so that it costs the same for
any number of domains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from drit import losses
from drit.methods.advice import Finding
from drit.methods.base import Batch, Capabilities, Method, Prepared, Terms, Update
from drit.methods.dritpp.advice import advice
from drit.methods.dritpp.networks import ClassifyingDiscriminator
from drit.methods.dritpp.settings import DRITPPSettings
from drit.methods.noise import Noise
from drit.networks.discriminators import ContentDiscriminator, by_batch
from drit.networks.encoders import ContentTrunk, DeterministicAttributeEncoder, VariationalAttributeEncoder
from drit.networks.generators import make_generator
from drit.networks.init import initialise
from drit.networks.layers import with_planes
from drit.runtime import full
from drit.settings.common import TrainSettings

ALL = "all"  # the one decoder of the generator, which serves every domain
Posterior = tuple[Tensor, Tensor | None]  # mean and log variance of attribute codes, (2 N, S) each


class Images(NamedTuple):
    """N pairs as 2 N images: x of the first domains, then y of the second. The partner of n is (n + N) mod 2 N."""

    x: Tensor  # (2 N, C, H, W)
    domain: Tensor  # (2 N,), 0 .. D - 1


class Codes(NamedTuple):
    """What the encoders make of a batch, and the random attributes that go with it."""

    content: Tensor  # (2 N, F, h, w), with the noise of training
    posterior: Posterior
    random: list[Tensor]  # (2 N, S) of N(0, I); two of them with mode seeking


class Outputs(NamedTuple):
    """What the generator makes of a batch: (2 N, C, H, W) each; image n is of the domain of x[n]."""

    fake: Tensor  # content of the partner, style of x: u, v of the paper
    recon: Tensor  # content and style of x
    random: list[Tensor]  # content of the partner, random styles


class DRITPP(Method):
    """Networks and objective of DRIT++; every style is N(0, I) in each domain, and the domain's code is added at the
    generator's door: whoever draws or keeps styles does not see it."""

    Settings = DRITPPSettings
    domains = (2, 26)
    inference = ("content_encoder", "attribute_encoder", "generator")
    settings: DRITPPSettings

    def __init__(self, settings: DRITPPSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        n, scaled, count = settings.network, settings.network.init == "scaled", len(channels)
        self.names = tuple(channels)
        self.stride = 1 << n.downsamplings
        self.min_side = max(16, self.stride)  # below it the attribute encoder has nothing left to downsample
        colours = max(channels.values())  # of every domain: training opens all with as many
        features = n.width << n.downsamplings
        blocks = n.content_blocks + n.shared_blocks
        self.content_encoder = ContentTrunk(colours, n.width, n.downsamplings, blocks, filtered=n.content_filter)
        initialise(self.content_encoder)
        encoder = (colours + count, n.style_dim, n.attribute_width, n.attribute_blocks, scaled)
        self.attribute_encoder: DeterministicAttributeEncoder | VariationalAttributeEncoder
        if n.generator == "feature":
            self.attribute_encoder = DeterministicAttributeEncoder(*encoder)
        else:
            self.attribute_encoder = VariationalAttributeEncoder(*encoder, bounded=n.bounded_variance)
        sizes = ({ALL: colours}, features, n.style_dim + count, n.shared_blocks, n.generator_blocks, n.downsamplings)
        self.generator = make_generator(n.generator, sizes, n.share_feature_layer, scaled, n.upsample)
        width, layers, scales = n.discriminator_width, n.discriminator_layers, n.discriminator_scales
        self.discriminator = ClassifyingDiscriminator(colours, width, layers, scales, count, n.spectral_norm, scaled)
        self.content_discriminator = ContentDiscriminator(features, -(-settings.data.crop // self.stride), count)

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        assert isinstance(settings, DRITPPSettings)
        return Capabilities(multimodal=True, exemplar=True, directions=domains, style_dim=settings.network.style_dim)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        w, optim = self.settings.loss, self.settings.optim
        if w.content_adversarial:
            for _ in range(optim.content_discriminator_steps - 1):
                images = self._pairs(next(batches), noise)
                with torch.no_grad():
                    content = self._content(images.x, noise)
                yield self._content_discriminator_update(content, images.domain)

        images = self._pairs(next(batches), noise)
        codes, out = self.shared_forward(self._forward, images, noise)
        if w.domain_adversarial or w.domain_classification:
            yield self._discriminator_update(images, out)
        if w.content_adversarial:
            yield self._content_discriminator_update(codes.content.detach(), images.domain)
        yield self._generators_update(images, codes, out, noise)

    def _pairs(self, batch: Batch, noise: Noise) -> Images:
        """Image n of two domains drawn for n, every two different ones equally often."""
        every = torch.stack([batch[d] for d in self.names])  # (D, N, C, H, W)
        count, n = every.shape[:2]
        first = noise.integers(n, count, like=every)
        second = (first + 1 + noise.integers(n, count - 1, like=every)) % count
        domain, place = torch.cat([first, second]), torch.arange(n, device=every.device).repeat(2)
        return Images(every[domain, place].contiguous(memory_format=torch.channels_last), domain)

    def _forward(self, images: Images, noise: Noise) -> tuple[Codes, Outputs]:
        """Codes, random attributes, and all that the generator makes of them."""
        content = self._content(images.x, noise)
        style, posterior = self._sampled_style(images.x, images.domain, noise)
        random = [_normal(style, noise) for _ in range(2 if self.settings.loss.mode_seeking else 1)]
        n = len(content)
        # What no style changes runs once for each content code; the partner's serves all its styles.
        prepared = self.checkpointed(self.prepare, torch.cat([_partner(content), content]), ALL)
        gathered = tuple(torch.cat([p, *[p[:n]] * len(random)]) for p in prepared)
        styles, domain = torch.cat([style, style, *random]), images.domain.repeat(2 + len(random))
        fake, recon, *outputs = self.checkpointed(self._render, gathered, styles, domain).split(n)
        return Codes(content, posterior, random), Outputs(fake, recon, outputs)

    def _content(self, x: Tensor, noise: Noise) -> Tensor:
        """E^c(x) + eps: (2 N, F, h, w), with the noise of training."""
        content: Tensor = self.checkpointed(self.content_encoder, x)
        std = self.settings.network.content_noise
        return content + std * _normal(content, noise).to(content.dtype) if std else content

    def _sampled_style(self, x: Tensor, domain: Tensor, noise: Noise) -> tuple[Tensor, Posterior]:
        """z = m + s eps, (m, log s^2) = E^a(x, d): (2 N, S), and the posterior; without a variance z = m."""
        mean, log_variance = self.checkpointed(self._attribute, x, domain)
        style = full(mean)
        if log_variance is not None:
            style = style + _normal(style, noise) * (0.5 * full(log_variance)).exp()
        return style, (mean, log_variance)

    def _discriminator_update(self, images: Images, out: Outputs) -> Update:
        """Real or fake, and the domain of real images; all go through the discriminator as one batch.

        min over D of  -E[log D(x)] - E[log(1 - D(fake))] for each kind of output  - E[log P(d | x)]
        """
        n = len(images.x)
        fakes = [x.detach() for x in (out.fake, *out.random)]
        maps, classes = self.discriminator(torch.cat([images.x, *fakes]))
        real, *judged = by_batch(maps, [n] * (1 + len(fakes)))
        terms = Terms()  # of weight 1: the weights of the generators' terms would only unbalance the two
        terms.add("domain_adversarial", 1.0, torch.stack([losses.discrimination(real, fake) for fake in judged]).sum())
        terms.add("domain_classification", 1.0, losses.classification(classes[:n], images.domain))
        return terms.update("discriminators", ("discriminator",))

    def _content_discriminator_update(self, content: Tensor, domain: Tensor) -> Update:
        """D^c classifies the domain of content codes: min over D^c of  -E[log P(d | c)]."""
        terms = Terms()
        loss = losses.classification(self.content_discriminator(content), domain)
        terms.add("content_adversarial", 1.0, loss)
        clip = self.settings.optim.content_discriminator_clip
        return terms.update("content_discriminator", ("content_discriminator",), clip)

    def _generators_update(self, images: Images, codes: Codes, out: Outputs, noise: Noise) -> Update:
        """What encoders and generator minimise: DRIT's terms, mode seeking and domain classification."""
        w, (x, domain), terms = self.settings.loss, images, Terms()
        if w.domain_adversarial or w.domain_classification:
            fakes = [out.fake, *out.random]
            maps, classes = self.frozen_forward(self.discriminator, torch.cat(fakes))
            judged = [losses.adversarial(m, 1.0) for m in by_batch(maps, [len(x)] * len(fakes))]
            if w.domain_adversarial:
                terms.add("domain_adversarial", w.domain_adversarial, judged[0])
                terms.add("domain_adversarial_random", w.domain_adversarial, torch.stack(judged[1:]).sum())
            if w.domain_classification:
                loss = losses.classification(classes, domain.repeat(len(fakes)))
                terms.add("domain_classification", w.domain_classification, loss)
        if w.content_adversarial:
            loss = losses.confusion(self.frozen_forward(self.content_discriminator, codes.content))
            terms.add("content_adversarial", w.content_adversarial, loss)
        if w.self_reconstruction:
            terms.add("self_reconstruction", w.self_reconstruction, losses.reconstruction(out.recon, x))
        if w.cross_cycle:
            # the fake carries the partner's content and its own style: the partner of its content is x's again
            again = _partner(self._content(out.fake, noise))
            style, _ = self._sampled_style(out.fake, domain, noise)
            cycle = self.checkpointed(self._render, self.checkpointed(self.prepare, again, ALL), style, domain)
            terms.add("cross_cycle", w.cross_cycle, losses.reconstruction(cycle, x))
        if w.kl:
            mean, log_variance = codes.posterior
            loss = losses.mean_square(mean) if log_variance is None else losses.kl_to_normal(mean, log_variance)
            terms.add("kl", w.kl, loss)
        if w.content_norm:
            terms.add("content_norm", w.content_norm, losses.mean_square(codes.content))
        if w.latent_regression:
            recovered, _ = self.checkpointed(self._attribute, out.random[0], domain)
            loss = losses.latent_regression(recovered, codes.random[0])
            terms.add("latent_regression", w.latent_regression, loss)
        if w.mode_seeking:
            ends = [w.mode_seeking_end * float(variation) for variation in w.variations]  # of each domain, once known
            end = x.new_tensor(ends)[domain] if w.mode_seeking_end and ends else math.inf
            terms.add("mode_seeking", w.mode_seeking, losses.mode_seeking(*out.random, *codes.random, end=end))
        return terms.update("generators", self.inference, self.settings.optim.clip)

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.content_encoder(x)

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self._attribute(x, self._index(domain, len(x), x))[0]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self.generator.prepare(content, ALL)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self._render(prepared, style, self._index(domain, len(style), style))

    def _index(self, domain: str, count: int, like: Tensor) -> Tensor:
        """The number of a domain, `count` times: (count,)."""
        return torch.full((count,), self.names.index(domain), device=like.device)

    def _attribute(self, x: Tensor, domain: Tensor) -> Posterior:
        """Posterior of the attribute codes of x (M, C, H, W): the domain's one-hot code lies beside it, as planes."""
        return self.attribute_encoder(with_planes(x, F.one_hot(domain, len(self.names))))

    def _render(self, prepared: Prepared, style: Tensor, domain: Tensor) -> Tensor:
        """Images of the domains (M,) in styles (M, S): (M, C, H, W)."""
        code = F.one_hot(domain, len(self.names)).to(style.dtype)
        return self.generator.render(prepared, torch.cat([style, code], dim=1), ALL)

    # What training asks

    @property
    def content_noise(self) -> float:
        return self.settings.network.content_noise

    def learning_rates(self) -> dict[str, float]:
        return super().learning_rates() | {"content_discriminator": self.settings.optim.content_discriminator_lr}

    def advice(self, finding: Finding) -> str | None:
        return advice(self.settings, finding)


def _partner(x: Tensor) -> Tensor:
    """Of each of 2 N images, what belongs to its partner: (2 N, ...)."""
    return x.roll(len(x) // 2, 0)


def _normal(x: Tensor, noise: Noise) -> Tensor:
    """Standard normals of the shape of x (2 N, ...). Both halves are drawn for N images, so that the parts of a batch
    have the numbers of the whole."""
    return torch.cat([noise.normal(len(x) // 2, *x.shape[1:], like=x) for _ in range(2)])
