"""DRIT: diverse image-to-image translation via disentangled representations (arXiv 1808.00948).

Read beside section 3 of the paper. Two content encoders (last block shared), two attribute encoders, two generators
(first layer shared), for each domain one discriminator of exemplar outputs and one of random outputs, and a content
discriminator. One iteration: content discriminator (several batches), domain discriminators, generators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from drit import losses
from drit.methods.base import DOMAINS, OTHER, Batch, ByDomain, Capabilities, Method, Prepared, Update
from drit.methods.noise import Noise
from drit.networks.decoders import ConcatGenerator, FeatureGenerator
from drit.networks.discriminators import ContentDiscriminator, MultiScaleDiscriminator, by_batch
from drit.networks.encoders import ContentEncoder, DeterministicAttributeEncoder, VariationalAttributeEncoder
from drit.runtime import full
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings

Posteriors = dict[str, tuple[Tensor, Tensor | None]]  # mean and log variance


class Outputs(NamedTuple):
    """What the generators make of one batch of content codes; every image is of the domain that names it."""

    fake: ByDomain  # content of the other domain, style of this one's image: u, v of the paper
    recon: ByDomain  # own content, own style
    random: dict[str, list[Tensor]]  # content of the other domain, random styles


class DRIT(Method):
    """Networks and objective of DRIT; `config.network.generator` chooses the concatenating or feature-wise form."""

    inference = ("content_encoder", "attribute_encoder", "generator")

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int], crop: int
    ) -> None:
        super().__init__()
        self.network, self.loss, self.optim = network, loss, optim
        self.channels = channels
        self.stride = 1 << network.downsamplings
        # Below this the attribute encoder has nothing left to halve.
        self.min_side = max(16, self.stride)
        self.capabilities = Capabilities(
            multimodal=True, exemplar=True, directions=DOMAINS, style_dim=network.style_dim
        )
        n, scaled = network, network.init == "scaled"
        content = n.width << n.downsamplings
        self.content_encoder = ContentEncoder(channels, n.width, n.downsamplings, n.content_blocks, n.shared_blocks)
        encoder = VariationalAttributeEncoder if n.generator == "concat" else DeterministicAttributeEncoder
        self.attribute_encoder = nn.ModuleDict(
            {d: encoder(c, n.style_dim, n.attribute_width, n.attribute_blocks, scaled) for d, c in channels.items()}
        )
        sizes = (channels, content, n.style_dim, n.shared_blocks, n.generator_blocks, n.downsamplings)
        self.generator: ConcatGenerator | FeatureGenerator
        if n.generator == "concat":
            self.generator = ConcatGenerator(*sizes, smooth=scaled)
        else:
            self.generator = FeatureGenerator(*sizes, share=n.share_feature_layer, smooth=scaled)

        def discriminators() -> nn.ModuleDict:
            width, layers, scales = n.discriminator_width, n.discriminator_layers, n.discriminator_scales
            return nn.ModuleDict(
                {
                    d: MultiScaleDiscriminator(c, width, layers, scales, n.spectral_norm, scaled)
                    for d, c in channels.items()
                }
            )

        self.discriminator = discriminators()
        self.random_discriminator = discriminators()
        self.content_discriminator = ContentDiscriminator(content, -(-crop // self.stride))

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> DRIT:
        return cls(config.network, config.loss, config.optim, channels, config.data.crop)

    def learning_rates(self, optim: OptimSettings) -> dict[str, float]:
        return super().learning_rates(optim) | {"content_discriminator": optim.content_discriminator_lr}

    def at_chance(self) -> dict[str, float]:
        """Two binary cross-entropies of log 2 at each scale (for each random style); one pair for content codes."""
        pair = losses.at_chance()
        domain = self.network.discriminator_scales * pair
        found = {f"discriminators/domain_adversarial_{d}": domain for d in DOMAINS}
        randoms = 2 if self.loss.mode_seeking else 1
        found |= {f"discriminators/domain_adversarial_random_{d}": randoms * domain for d in DOMAINS}
        return found | {"content_discriminator/content_adversarial": pair}

    # Use

    def content(self, x: Tensor, domain: str) -> Tensor:
        return self.content_encoder(x, domain)

    def style(self, x: Tensor, domain: str) -> Tensor:
        return self.attribute_encoder[domain](x)[0]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        return self.generator.prepare(content, domain)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        return self.generator.render(prepared, style, domain)

    # Training

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        w, optim = self.loss, self.optim
        if w.content_adversarial:
            for _ in range(optim.content_discriminator_steps - 1):
                images = self._halves(next(batches))[0]
                with torch.no_grad():
                    codes = self._content(images, noise)
                yield self._content_discriminator_update(codes)

        images, reals = self._halves(next(batches))
        same_noise = noise.copy() if frugal else noise
        with torch.set_grad_enabled(not frugal):
            content, posterior, randoms, out = self._forward(images, noise)
        if w.domain_adversarial:
            yield self._discriminators_update(images, reals, out)
        if w.content_adversarial:
            yield self._content_discriminator_update({d: c.detach() for d, c in content.items()})

        if frugal:
            del content, posterior, out  # before they are made again
            content, posterior, randoms, out = self._forward(images, same_noise)
        first = self._exemplar_terms(images, content, posterior, out, noise)
        if not optim.separate_random_step:
            second = self._random_terms(out, randoms)
            yield self._update("generators", self.inference, first | second, optim.clip)
            return
        yield self._update("generators", self.inference, first, optim.clip)
        del content, posterior, out, first
        # The weights have moved: the official implementation differentiates a stale graph here; this is what it meant.
        out = self._decode(self._content(images, noise), {}, randoms)
        moved = self.inference if optim.latent_moves_attribute_encoder else ("content_encoder", "generator")
        yield self._update("generators_random", moved, self._random_terms(out, randoms), optim.clip)

    def _forward(self, images: ByDomain, noise: Noise) -> tuple[ByDomain, Posteriors, list[Tensor], Outputs]:
        """Content codes, posteriors, random styles, and all that the generators make of them."""
        content = self._content(images, noise)
        style, posterior = self._sampled_styles(images, noise)
        count = 2 if self.loss.mode_seeking else 1
        randoms = [noise.normal(*style["a"].shape, like=style["a"]) for _ in range(count)]
        return content, posterior, randoms, self._decode(content, style, randoms)

    def _update(self, name: str, networks: tuple[str, ...], terms: ByDomain, clip: float) -> Update:
        """An update whose weights come from the settings: term `cross_cycle_a` has the weight `cross_cycle`."""
        weights = {term: self.loss.of(term) for term in terms}
        return Update(name, networks, terms, weights, clip or None)

    def _halves(self, batch: Batch) -> tuple[ByDomain, ByDomain]:
        """The images to encode, and those that random outputs are judged against (the same unless `split_batch`)."""
        if not self.optim.split_batch:
            return batch, batch
        half = len(batch["a"]) // 2
        return {d: x[:half] for d, x in batch.items()}, {d: x[half : 2 * half] for d, x in batch.items()}

    def _content(self, images: ByDomain, noise: Noise) -> ByDomain:
        """Content codes with the noise of training added after the shared block."""
        codes = self.checkpointed(self.content_encoder.both, images)
        if not self.network.content_noise:
            return codes
        return {
            d: c + self.network.content_noise * noise.normal(*c.shape, like=c).to(c.dtype) for d, c in codes.items()
        }

    def _sampled_styles(self, images: ByDomain, noise: Noise) -> tuple[ByDomain, Posteriors]:
        """Attribute codes mean + eps s and the posteriors they come from; without a variance, the code itself."""
        posterior = {d: self.checkpointed(self.attribute_encoder[d], x) for d, x in images.items()}
        style = {}
        for d, (mean, log_variance) in posterior.items():
            style[d] = full(mean)
            if log_variance is not None:
                deviation = (0.5 * full(log_variance)).exp()
                style[d] = style[d] + noise.normal(*mean.shape, like=style[d]) * deviation
        return style, posterior

    def _decode(self, content: ByDomain, style: ByDomain, randoms: list[Tensor]) -> Outputs:
        """All decodes of one batch. The trunk of a generator runs once for each content code and domain, all renders of
        a domain go through the rest together; styles may be empty, for random outputs alone."""
        fake, recon, random = {}, {}, {}
        for d in DOMAINS:
            other = content[OTHER[d]]
            n = len(other)
            if style:  # own content once with its own style, then the other content with style and randoms
                prepared = self.checkpointed(self.prepare, torch.cat([other, content[d]]), d)
                moved = self._render_repeated(prepared, n, style[d], randoms, d)
                fake[d], recon[d], *random[d] = moved
            else:
                prepared = self.checkpointed(self.prepare, other, d)
                random[d] = list(self.checkpointed(self.render, prepared, torch.cat(randoms), d).split(n))
        return Outputs(fake, recon, random)

    def _render_repeated(
        self, prepared: Prepared, n: int, style: Tensor, randoms: list[Tensor], domain: str
    ) -> list[Tensor]:
        """Renders [other content with style, own content with style, other content with each random style]."""
        gathered = tuple(torch.cat([p, *[p[:n]] * len(randoms)]) for p in prepared)
        return list(self.checkpointed(self.render, gathered, torch.cat([style, style, *randoms]), domain).split(n))

    def _discriminators_update(self, images: ByDomain, reals: ByDomain, out: Outputs) -> Update:
        """Domain adversarial loss of the discriminators; real and fake images go through them as one batch."""
        terms = {}
        for d in DOMAINS:
            real, fake = self._judged(self.checkpointed, self.discriminator[d], [images[d], out.fake[d].detach()])
            terms[f"domain_adversarial_{d}"] = losses.discrimination(real, fake)
            randoms = [x.detach() for x in out.random[d]]
            real, *fakes = self._judged(self.checkpointed, self.random_discriminator[d], [reals[d], *randoms])
            terms[f"domain_adversarial_random_{d}"] = torch.stack(
                [losses.discrimination(real, fake) for fake in fakes]
            ).sum()
        weights = dict.fromkeys(terms, 1.0)  # alone in their step: a weight would only rescale the gradient
        return Update("discriminators", ("discriminator", "random_discriminator"), terms, weights)

    def _content_discriminator_update(self, codes: ByDomain) -> Update:
        logits_a, logits_b = self.content_discriminator(torch.cat([codes["a"], codes["b"]])).chunk(2)
        terms = {"content_adversarial": losses.content_discrimination(logits_a, logits_b)}
        clip = self.optim.content_discriminator_clip or None
        return Update("content_discriminator", ("content_discriminator",), terms, {"content_adversarial": 1.0}, clip)

    def _exemplar_terms(
        self,
        images: ByDomain,
        content: ByDomain,
        posterior: Posteriors,
        out: Outputs,
        noise: Noise,
    ) -> ByDomain:
        """Terms without random styles: adversarial, content adversarial, self-reconstruction, cross-cycle, KL."""
        w = self.loss
        terms: ByDomain = {}
        if w.domain_adversarial:
            for d in DOMAINS:
                terms[f"domain_adversarial_{d}"] = losses.adversarial(
                    self.frozen_forward(self.discriminator[d], out.fake[d]), 1.0
                )
        if w.content_adversarial:
            both = self.frozen_forward(self.content_discriminator, torch.cat([content["a"], content["b"]])).chunk(2)
            for d, logits in zip(DOMAINS, both, strict=True):
                terms[f"content_adversarial_{d}"] = losses.content_adversarial(logits)
        if w.self_reconstruction:
            for d in DOMAINS:
                terms[f"self_reconstruction_{d}"] = losses.reconstruction(out.recon[d], images[d])
        if w.cross_cycle:
            # The fake of one domain carries the content of the other one's image and the style of its own.
            again = self._content(out.fake, noise)
            style, _ = self._sampled_styles(out.fake, noise)
            for d in DOMAINS:
                cycle = self.checkpointed(self.render, self.checkpointed(self.prepare, again[OTHER[d]], d), style[d], d)
                terms[f"cross_cycle_{d}"] = losses.reconstruction(cycle, images[d])
        if w.kl:
            for d, (mean, log_variance) in posterior.items():
                terms[f"kl_{d}"] = (
                    losses.mean_square(mean) if log_variance is None else losses.kl_to_normal(mean, log_variance)
                )
        if w.content_norm:
            for d in DOMAINS:
                terms[f"content_norm_{d}"] = losses.mean_square(content[d])
        return terms

    def _random_terms(self, out: Outputs, randoms: list[Tensor]) -> ByDomain:
        """Terms of the outputs with random styles: adversarial, latent regression, mode seeking."""
        w = self.loss
        terms: ByDomain = {}
        for d in DOMAINS:
            images = out.random[d]
            if w.domain_adversarial:
                maps = self._judged(self.frozen_forward, self.random_discriminator[d], images)
                terms[f"domain_adversarial_random_{d}"] = torch.stack([losses.adversarial(m, 1.0) for m in maps]).sum()
            if w.latent_regression:
                recovered = self._recovered_style(images[0], d)
                terms[f"latent_regression_{d}"] = losses.latent_regression(recovered, randoms[0])
            if w.mode_seeking:
                terms[f"mode_seeking_{d}"] = losses.mode_seeking(*images, *randoms)
        return terms

    @staticmethod
    def _judged(way: Callable[..., Any], discriminator: nn.Module, batches: list[Tensor]) -> list[list[Tensor]]:
        """Logits of several batches in one pass (way: `run` or `through`): for each batch, its map at every scale."""
        return by_batch(way(discriminator, torch.cat(batches)), [len(x) for x in batches])

    def _recovered_style(self, x: Tensor, domain: str) -> Tensor:
        encoder = self.attribute_encoder[domain]
        way = self.checkpointed if self.optim.latent_moves_attribute_encoder else self.frozen_forward
        return way(encoder, x)[0]
