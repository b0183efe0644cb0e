"""InfoGAN: codes that mean something, found without labels (Chen et al., arXiv 1606.03657).

A generator draws images from a category, a few continuous codes and noise. Q, which shares all but its last layers
with the discriminator, reads the codes back from the image; what it can read bounds the mutual information of codes
and image from below (equation 4), and generator and Q both raise that bound. Nothing is translated: `drit sample`
draws grids over the codes.

Chosen as in its program where the paper is silent: the noise is uniform, continuous codes weigh as much as the
category, each step draws codes of its own. Against the paper, which lets Q tell it, but as in the program: the
deviation of continuous codes in Q is 1. In use, batches are normalised by the running statistics; the program knows
none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from drit import losses
from drit.errors import UsageError
from drit.methods.base import Batch, Capabilities, Grid, Method, Prepared, Update
from drit.methods.infogan.networks import STRIDE, CodeDiscriminator, CodeGenerator, Recogniser
from drit.methods.noise import Noise
from drit.settings.common import LossSettings, NetworkSettings, OptimSettings, TrainSettings

GENERATOR_RATE = 5.0  # times the rate of D and Q: 1e-3 and 2e-4 (appendix C)
LARGEST = 64  # side of an image: the fully connected layers grow with its square
BEYOND = 2.0  # continuous codes are drawn from -2 to 2 in the grids, past the 1 of training (figure 2)
STEPS = 10  # columns of a continuous code's grid


class Codes(NamedTuple):
    """What images are drawn from."""

    category: Tensor  # (N,), 0 .. K - 1
    continuous: Tensor  # (N, C) in [-1, 1]
    noise: Tensor  # (N, Z) in [-1, 1]


class InfoGAN(Method):
    """Networks and objective of InfoGAN, for images of one domain and one size."""

    domains = (1, 1)
    inference = ("generator",)

    def __init__(
        self, network: NetworkSettings, loss: LossSettings, optim: OptimSettings, channels: dict[str, int], crop: int
    ) -> None:
        super().__init__()
        self.network, self.loss, self.optim = network, loss, optim
        self.channels = channels
        self.stride = self.min_side = STRIDE
        self.capabilities = Capabilities(multimodal=True, exemplar=False, directions=(), style_dim=0)
        n, colours = network, channels["a"]
        self.generator = CodeGenerator(n.categories + n.continuous + n.noise_dim, colours, n.width, crop)
        self.discriminator = CodeDiscriminator(colours, n.discriminator_width, crop)
        self.recogniser = Recogniser(n.discriminator_width, n.categories, n.continuous)

    @classmethod
    def build(cls, config: TrainSettings, channels: dict[str, int]) -> InfoGAN:
        return cls(config.network, config.loss, config.optim, channels, config.data.crop)

    @classmethod
    def check(cls, config: TrainSettings) -> None:
        crop = config.data.crop
        if crop % STRIDE or crop > LARGEST:
            raise UsageError(
                f"--data.crop {crop} does not suit infogan: it draws images whose side is a multiple of {STRIDE}, "
                f"at most {LARGEST} (28 for MNIST)."
            )
        if config.batch // config.accumulate < 2:
            raise UsageError("infogan normalises over the batch: --batch must be at least 2, in each part of it.")

    def learning_rates(self, optim: OptimSettings) -> dict[str, float]:
        return super().learning_rates(optim) | {"generator": GENERATOR_RATE * optim.lr}

    # Training. Real and drawn images go through the discriminator apart: each batch is normalised by its own
    # statistics. `recompute` is not heeded: a layer that ran twice would count its statistics twice.

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise, frugal: bool = False) -> Iterator[Update]:
        real = next(batches)["a"]
        codes = self._draw_codes(len(real), noise, real)
        with torch.no_grad():
            fake = self._generate(codes)
        features = self.discriminator.features(fake)
        adversarial = losses.adversarial(self.discriminator.judge(features), 0.0)
        adversarial = adversarial + losses.adversarial(self.discriminator.judge(self.discriminator.features(real)), 1.0)
        yield self._update("discriminators", ("discriminator", "recogniser"), adversarial, features, codes)

        codes = self._draw_codes(len(real), noise, real)
        features = self.discriminator.features(self._generate(codes))
        adversarial = losses.adversarial(self.discriminator.judge(features), 1.0)
        update = self._update("generators", ("generator",), adversarial, features, codes)
        yield update._replace(max_grad_norm=self.optim.clip or None)

    def _update(
        self, name: str, networks: tuple[str, ...], adversarial: Tensor, features: Tensor, codes: Codes
    ) -> Update:
        """min_{G, Q} max_D V(D, G) - lambda L_I(G, Q)   (equation 6): D and Q together, then G."""
        logits, mean = self.recogniser(features)
        terms = {
            "domain_adversarial": adversarial,
            "mutual_information": losses.category_information(logits, codes.category),
        }
        if self.network.continuous:
            terms["mutual_information_continuous"] = losses.continuous_information(mean, codes.continuous)
        return Update(name, networks, terms, {term: self.loss.of(term) for term in terms})

    def _draw_codes(self, count: int, noise: Noise, like: Tensor) -> Codes:
        n = self.network
        return Codes(
            noise.integers(count, n.categories, like=like),
            noise.uniform(count, n.continuous, like=like) * 2 - 1,
            noise.uniform(count, n.noise_dim, like=like) * 2 - 1,
        )

    def _generate(self, codes: Codes) -> Tensor:
        chosen = F.one_hot(codes.category, self.network.categories).to(codes.noise.dtype)
        return self.generator(torch.cat([chosen, codes.continuous, codes.noise], dim=1))

    # Use

    def recognise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What Q reads in images: logits of the category (N, K) and means of the continuous codes (N, C)."""
        logits, mean = self.recogniser(self.discriminator.features(x))
        return logits, mean

    @torch.no_grad()
    def grids(self, rows: int, generator: torch.Generator) -> list[Grid]:
        """Figure 2 of the paper: every category; each continuous code from -2 to 2. A row keeps all other codes and the
        noise; in the grids of continuous codes row i is of category i mod K."""
        n = self.network
        noise, continuous = torch.empty(rows, n.noise_dim), torch.empty(rows, n.continuous)
        for z, c in zip(noise, continuous, strict=True):  # the first rows of a seed do not depend on their number
            z.uniform_(-1, 1, generator=generator)
            c.uniform_(-1, 1, generator=generator)
        every = torch.arange(n.categories)
        grids = [self._grid("category", [str(k) for k in every.tolist()], every.expand(rows, -1), continuous, noise)]
        category = (torch.arange(rows) % n.categories)[:, None].expand(-1, STEPS)
        values = torch.linspace(-BEYOND, BEYOND, STEPS)
        for i in range(n.continuous):
            varied = continuous[:, None].repeat(1, STEPS, 1)  # (rows, columns, C)
            varied[:, :, i] = values
            titles = [f"{v:.1f}" for v in values.tolist()]
            grids.append(self._grid(f"continuous {i + 1}", titles, category, varied, noise))
        return grids

    def _grid(self, name: str, columns: list[str], category: Tensor, continuous: Tensor, noise: Tensor) -> Grid:
        """category: (rows, columns); continuous: (rows, C) or (rows, columns, C); noise: (rows, Z)."""
        rows, count = category.shape
        if continuous.dim() == 2:
            continuous = continuous[:, None].expand(-1, count, -1)
        codes = (category.flatten(), continuous.flatten(0, 1), noise[:, None].expand(-1, count, -1).flatten(0, 1))
        device = self.generator.last.weight.device
        training = self.training
        self.eval()  # an image must not depend on those beside it
        images = self._generate(Codes(*(c.to(device) for c in codes)))
        self.train(training)
        return Grid(name, columns, images.view(rows, count, *images.shape[1:]).float().cpu())

    def content(self, x: Tensor, domain: str) -> Tensor:
        self._refuse()

    def style(self, x: Tensor, domain: str) -> Tensor:
        self._refuse()

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        self._refuse()

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        self._refuse()

    @staticmethod
    def _refuse() -> NoReturn:
        raise UsageError("infogan draws images from codes and translates none: drit sample RUN --out DIR.")
