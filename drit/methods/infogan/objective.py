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
from drit.methods.base import Batch, Capabilities, Grid, Method, Prepared, Terms, Update
from drit.methods.infogan.networks import CodeDiscriminator, CodeGenerator, Recogniser
from drit.methods.infogan.settings import STRIDE, InfoGANSettings
from drit.methods.noise import Noise
from drit.settings.common import TrainSettings

GENERATOR_RATE = 5.0  # times the rate of D and Q: 1e-3 and 2e-4 (appendix C)
BEYOND = 2.0  # continuous codes are drawn from -2 to 2 in the grids, past the 1 of training (figure 2)
STEPS = 10  # columns of a continuous code's grid


class Codes(NamedTuple):
    """What images are drawn from."""

    category: Tensor  # (N,), 0 .. K - 1
    continuous: Tensor  # (N, C) in [-1, 1]
    noise: Tensor  # (N, Z) in [-1, 1]


class InfoGAN(Method):
    """Networks and objective of InfoGAN, for images of one domain and one size."""

    Settings = InfoGANSettings
    domains = (1, 1)
    inference = ("generator",)
    settings: InfoGANSettings

    def __init__(self, settings: InfoGANSettings, channels: dict[str, int]) -> None:
        super().__init__(settings, channels)
        self.stride = self.min_side = STRIDE
        n, colours, side = settings.network, channels["a"], settings.data.crop
        self.generator = CodeGenerator(n.categories + n.continuous + n.noise_dim, colours, n.width, side)
        self.discriminator = CodeDiscriminator(colours, n.discriminator_width, side)
        self.recogniser = Recogniser(n.discriminator_width, n.categories, n.continuous)

    @classmethod
    def capabilities_for(cls, settings: TrainSettings, domains: tuple[str, ...]) -> Capabilities:
        assert isinstance(settings, InfoGANSettings)
        count = settings.network.categories
        return Capabilities(multimodal=True, exemplar=False, directions=(), style_dim=0, categories=count)

    def learning_rates(self) -> dict[str, float]:
        return super().learning_rates() | {"generator": GENERATOR_RATE * self.settings.optim.lr}

    # Training. Real and drawn images go through the discriminator apart: each batch is normalised by its own
    # statistics. `recompute` is not heeded: a layer that ran twice would count its statistics twice.

    def updates(self, batches: Iterator[Batch], step: int, noise: Noise) -> Iterator[Update]:
        real = next(batches)["a"]
        codes = self._draw_codes(len(real), noise, real)
        with torch.no_grad():
            fake = self._generate(codes)
        features = self.discriminator.features(fake)
        adversarial = losses.adversarial(self.discriminator.judge(features), 0.0)
        adversarial = adversarial + losses.adversarial(self.discriminator.judge(self.discriminator.features(real)), 1.0)
        terms = self._terms(adversarial, fake, features, codes, noise)
        yield terms.update("discriminators", ("discriminator", "recogniser"))

        codes = self._draw_codes(len(real), noise, real)
        fake = self._generate(codes)
        features = self.discriminator.features(fake)
        adversarial = losses.adversarial(self.discriminator.judge(features), 1.0)
        terms = self._terms(adversarial, fake, features, codes, noise)
        yield terms.update("generators", ("generator",), self.settings.optim.clip)

    def _terms(self, adversarial: Tensor, fake: Tensor, features: Tensor, codes: Codes, noise: Noise) -> Terms:
        """min_{G, Q} max_D V(D, G) - lambda L_I(G, Q)   (equation 6): D and Q together, then G.

        adversarial: a scalar; fake: (N, C, H, W) in [-1, 1]; features: (N, F) of D for it.
        """
        w, terms = self.settings.loss, Terms()
        logits, mean = self.recogniser(features)
        if self.settings.network.category_warp:
            logits, _ = self.recogniser(self.discriminator.features(self._warped(fake, noise)))
        terms.add("domain_adversarial", w.domain_adversarial, adversarial)
        terms.add("mutual_information", w.mutual_information, losses.category_information(logits, codes.category))
        if self.settings.network.continuous:
            loss = losses.continuous_information(mean, codes.continuous)
            terms.add("mutual_information_continuous", w.mutual_information_continuous, loss)
        return terms

    def _warped(self, x: Tensor, noise: Noise) -> Tensor:
        """Each image seen through a linear map near the identity: its four numbers differ from it by up to the
        setting, and its shift is up to a third of that, in half sides. x: (N, C, H, W). Returns the same shape."""
        change = (noise.uniform(len(x), 2, 3, like=x) * 2 - 1) * self.settings.network.category_warp
        change = change / change.new_tensor([1.0, 1.0, 3.0])
        grid = F.affine_grid(change + torch.eye(2, 3).to(change), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def _draw_codes(self, count: int, noise: Noise, like: Tensor) -> Codes:
        n = self.settings.network
        return Codes(
            noise.integers(count, n.categories, like=like),
            noise.uniform(count, n.continuous, like=like) * 2 - 1,
            noise.uniform(count, n.noise_dim, like=like) * 2 - 1,
        )

    def _generate(self, codes: Codes) -> Tensor:
        chosen = F.one_hot(codes.category, self.settings.network.categories).to(codes.noise.dtype)
        return self.generator(torch.cat([chosen, codes.continuous, codes.noise], dim=1))

    # Use

    def categorise(self, x: Tensor) -> Tensor:
        return self.recognise(x)[0].argmax(1)

    def recognise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What Q reads in images: logits of the category (N, K) and means of the continuous codes (N, C)."""
        logits, mean = self.recogniser(self.discriminator.features(x))
        return logits, mean

    @torch.no_grad()
    def grids(self, rows: int, generator: torch.Generator) -> list[Grid]:
        """Figure 2 of the paper: every category; each continuous code from -2 to 2. A row keeps all other codes and the
        noise; in the grids of continuous codes row i is of category i mod K."""
        n = self.settings.network
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
