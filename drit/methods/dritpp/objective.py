"""DRIT++: several domains, one network of each kind for all of them (Lee et al., arXiv 1905.01270).

As DRIT, and: domains are one-hot codes. The content encoder sees none; the attribute encoder gets the image and its
domain, the generator an attribute and the domain to draw. The discriminator also tells the domain of an image, and the
content discriminator that of a content code. Mode seeking keeps random outputs apart.

One iteration takes N pairs (x, y) of two different domains each, drawn anew every time, so that it costs the same for
any number of domains.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from drit import losses
from drit.methods.base import Batch, Capabilities, Method, Prepared, Update
from drit.methods.dritpp.networks import ClassifyingDiscriminator
from drit.methods.noise import Noise
from drit.networks.decoders import ConcatGenerator, FeatureGenerator
from drit.networks.discriminators import ContentDiscriminator, by_batch
from drit.networks.encoders import ContentTrunk, DeterministicAttributeEncoder, VariationalAttributeEncoder
from drit.networks.init import initialise
from drit.networks.layers import with_planes
from drit.runtime import full
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings

ALL = "all"  # the one decoder of the generator, which serves every domain
Terms = dict[str, Tensor]
Posterior = tuple[Tensor, Tensor | None]  # mean and log variance


class Images(NamedTuple):
    """N pairs as 2 N images: x of the first domains, then y of the second. The partner of n is (n + N) mod 2 N."""

    x: Tensor  # (2 N, C, H, W)
    domain: Tensor  # (2 N,), 0 .. D - 1


class Outputs(NamedTuple):
    """What the generator makes of a batch; image n is of the domain of x[n]."""

    fake: Tensor  # content of the partner, style of x: u, v of the paper
    recon: Tensor  # content and style of x
    random: list[Tensor]  # content of the partner, random styles


class DRITPP(Method):
    """Networks and objective of DRIT++; every style is N(0, I) in each domain, and the domain's code is added at the
    generator's door: whoever draws or keeps styles does not see it."""

    domains = (2, 26)
    inference = ("content_encoder", "attribute_encoder", "generator")

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int], crop: int
    ) -> None:
        super().__init__()
        self.network, self.loss, self.optim = network, loss, optim
        self.channels = channels
        self.names = tuple(channels)
        self.stride = 1 << network.downsamplings
        self.min_side = max(16, self.stride)  # below this the attribute encoder has nothing left to halve
        self.capabilities = Capabilities(
            multimodal=True, exemplar=True, directions=self.names, style_dim=network.style_dim
        )
        n, scaled, count = network, network.init == "scaled", len(channels)
        colours = max(channels.values())  # of every domain: `open_sets` makes them equal
        content = n.width << n.downsamplings
        self.content_encoder = ContentTrunk(colours, n.width, n.downsamplings, n.content_blocks + n.shared_blocks)
        initialise(self.content_encoder)
        encoder = VariationalAttributeEncoder if n.generator == "concat" else DeterministicAttributeEncoder
        self.attribute_encoder = encoder(colours + count, n.style_dim, n.attribute_width, n.attribute_blocks, scaled)
        sizes = ({ALL: colours}, content, n.style_dim + count, n.shared_blocks, n.generator_blocks, n.downsamplings)
        self.generator: ConcatGenerator | FeatureGenerator
        if n.generator == "concat":
            self.generator = ConcatGenerator(*sizes, smooth=scaled)
        else:
            self.generator = FeatureGenerator(*sizes, share=n.share_feature_layer, smooth=scaled)
        width, layers, scales = n.discriminator_width, n.discriminator_layers, n.discriminator_scales
        self.discriminator = ClassifyingDiscriminator(colours, width, layers, scales, count, n.spectral_norm, scaled)
        self.content_discriminator = ContentDiscriminator(content, -(-crop // self.stride), count)

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> DRITPP:
        return cls(config.network, config.loss, config.optim, channels, config.data.crop)

    def learning_rates(self, optim: OptimSettings) -> dict[str, float]:
        return super().learning_rates(optim) | {"content_discriminator": optim.content_discriminator_lr}

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
        return torch.full((count,), self.names.index(domain), device=like.device)

    def _attribute(self, x: Tensor, domain: Tensor) -> Posterior:
        """Posterior of the attribute codes: the domain's one-hot code lies beside the image, as planes."""
        return self.attribute_encoder(with_planes(x, F.one_hot(domain, len(self.names))))

    def _render(self, prepared: Prepared, style: Tensor, domain: Tensor) -> Tensor:
        code = F.one_hot(domain, len(self.names)).to(style.dtype)
        return self.generator.render(prepared, torch.cat([style, code], dim=1), ALL)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        w, optim = self.loss, self.optim
        if w.content_adversarial:
            for _ in range(optim.content_discriminator_steps - 1):
                images = self._pairs(next(batches), noise)
                with torch.no_grad():
                    content = self._content(images.x, noise)
                yield self._content_discriminator_update(content, images.domain)

        images = self._pairs(next(batches), noise)
        same_noise = noise.copy() if frugal else noise
        with torch.set_grad_enabled(not frugal):
            content, posterior, randoms, out = self._forward(images, noise)
        if w.domain_adversarial or w.domain_classification:
            yield self._discriminator_update(images, out)
        if w.content_adversarial:
            yield self._content_discriminator_update(content.detach(), images.domain)

        if frugal:
            del content, posterior, out  # before they are made again
            content, posterior, randoms, out = self._forward(images, same_noise)
        terms = self._terms(images, content, posterior, randoms, out, noise)
        weights = {term: w.of(term) for term in terms}
        yield Update("generators", self.inference, terms, weights, optim.clip or None)

    def _pairs(self, batch: Batch, noise: Noise) -> Images:
        """Image n of two domains drawn for n, every two different ones equally often."""
        every = torch.stack([batch[d] for d in self.names])  # (D, N, C, H, W)
        count, n = every.shape[:2]
        first = noise.integers(n, count, like=every)
        second = (first + 1 + noise.integers(n, count - 1, like=every)) % count
        domain, place = torch.cat([first, second]), torch.arange(n, device=every.device).repeat(2)
        return Images(every[domain, place].contiguous(memory_format=torch.channels_last), domain)

    def _forward(self, images: Images, noise: Noise) -> tuple[Tensor, Posterior, list[Tensor], Outputs]:
        """Content codes, posterior, random styles, and all that the generator makes of them."""
        content = self._content(images.x, noise)
        style, posterior = self._sampled_style(images.x, images.domain, noise)
        randoms = [_normal(style, noise) for _ in range(2 if self.loss.mode_seeking else 1)]
        n = len(content)
        # The trunk runs once for each content code that is decoded; the partner's is shared by all its styles.
        prepared = self.checkpointed(self.prepare, torch.cat([_partner(content), content]), ALL)
        gathered = tuple(torch.cat([p, *[p[:n]] * len(randoms)]) for p in prepared)
        styles, domain = torch.cat([style, style, *randoms]), images.domain.repeat(2 + len(randoms))
        fake, recon, *random = self.checkpointed(self._render, gathered, styles, domain).split(n)
        return content, posterior, randoms, Outputs(fake, recon, random)

    def _content(self, x: Tensor, noise: Noise) -> Tensor:
        """Content codes with the noise of training."""
        content = self.checkpointed(self.content_encoder, x)
        if self.network.content_noise:
            content = content + self.network.content_noise * _normal(content, noise).to(content.dtype)
        return content

    def _sampled_style(self, x: Tensor, domain: Tensor, noise: Noise) -> tuple[Tensor, Posterior]:
        """Attribute codes mean + eps s and the posterior they come from; without a variance, the code itself."""
        mean, log_variance = self.checkpointed(self._attribute, x, domain)
        style = full(mean)
        if log_variance is not None:
            style = style + _normal(style, noise) * (0.5 * full(log_variance)).exp()
        return style, (mean, log_variance)

    def _discriminator_update(self, images: Images, out: Outputs) -> Update:
        """Real or made, and the domain of real images; all go through the discriminator as one batch."""
        n = len(images.x)
        made = [x.detach() for x in (out.fake, *out.random)]
        maps, classes = self.discriminator(torch.cat([images.x, *made]))
        real, *fakes = by_batch(maps, [n] * (1 + len(made)))
        terms = {
            "domain_adversarial": torch.stack([losses.discrimination(real, fake) for fake in fakes]).sum(),
            "domain_classification": losses.classification(classes[:n], images.domain),
        }
        # alone in their step: the weights of the generators' terms would only unbalance the two
        return Update("discriminators", ("discriminator",), terms, dict.fromkeys(terms, 1.0))

    def _content_discriminator_update(self, content: Tensor, domain: Tensor) -> Update:
        terms = {"content_adversarial": losses.classification(self.content_discriminator(content), domain)}
        clip = self.optim.content_discriminator_clip or None
        return Update("content_discriminator", ("content_discriminator",), terms, {"content_adversarial": 1.0}, clip)

    def _terms(
        self,
        images: Images,
        content: Tensor,
        posterior: Posterior,
        randoms: list[Tensor],
        out: Outputs,
        noise: Noise,
    ) -> Terms:
        """What encoders and generator minimise: DRIT's terms, mode seeking and domain classification."""
        w, (x, domain) = self.loss, images
        terms: Terms = {}
        if w.domain_adversarial or w.domain_classification:
            made = [out.fake, *out.random]
            maps, classes = self.frozen_forward(self.discriminator, torch.cat(made))
            judged = [losses.adversarial(m, 1.0) for m in by_batch(maps, [len(x)] * len(made))]
            if w.domain_adversarial:
                terms |= {"domain_adversarial": judged[0], "domain_adversarial_random": torch.stack(judged[1:]).sum()}
            if w.domain_classification:
                terms["domain_classification"] = losses.classification(classes, domain.repeat(len(made)))
        if w.content_adversarial:
            terms["content_adversarial"] = losses.confusion(self.frozen_forward(self.content_discriminator, content))
        if w.self_reconstruction:
            terms["self_reconstruction"] = losses.reconstruction(out.recon, x)
        if w.cross_cycle:
            # the fake carries the partner's content and its own style: the partner of its content is x's again
            again = _partner(self._content(out.fake, noise))
            style, _ = self._sampled_style(out.fake, domain, noise)
            cycle = self.checkpointed(self._render, self.checkpointed(self.prepare, again, ALL), style, domain)
            terms["cross_cycle"] = losses.reconstruction(cycle, x)
        if w.kl:
            mean, log_variance = posterior
            terms["kl"] = losses.mean_square(mean) if log_variance is None else losses.kl_to_normal(mean, log_variance)
        if w.content_norm:
            terms["content_norm"] = losses.mean_square(content)
        if w.latent_regression:
            recovered, _ = self.checkpointed(self._attribute, out.random[0], domain)
            terms["latent_regression"] = losses.latent_regression(recovered, randoms[0])
        if w.mode_seeking:
            terms["mode_seeking"] = losses.mode_seeking(*out.random, *randoms)
        return terms


def _partner(x: Tensor) -> Tensor:
    """Of each of 2 N images, what belongs to its partner."""
    return x.roll(len(x) // 2, 0)


def _normal(x: Tensor, noise: Noise) -> Tensor:
    """Standard normals of the shape of x (2 N, ...). Both halves are drawn for N images, so that the parts of a batch
    have the numbers of the whole."""
    return torch.cat([noise.normal(len(x) // 2, *x.shape[1:], like=x) for _ in range(2)])
