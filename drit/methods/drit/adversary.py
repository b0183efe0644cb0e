"""What steadies the game between DRIT's generators and its domain discriminators: all of it off in the paper.

Each part is a setting, and a loss of `drit.losses` with its equation and source:
- `loss.gan relativistic`: logits of real and generated images are compared with each other, not each with a target;
- `loss.gradient_penalty`: discriminators shall be flat at real and at generated images, by finite differences;
- `loss.lecam`: logits shall not go far from what those of the other kind have been on average;
- `network.discriminator_shift`: discriminators see images shifted by whole pixels, real and generated ones alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from drit import losses, peers
from drit.methods.base import Terms
from drit.methods.drit.settings import DRITSettings
from drit.methods.noise import Noise
from drit.runtime import full, full_precision
from drit.settings.common import MIN_CROP

Maps = Sequence[Tensor]  # logits of a batch, (N, 1, h, w) for each scale
Judge = Callable[[list[Tensor]], list[Maps]]  # batches of images, (N, C, H, W) each, to the logits of each
PENALTY_STD = 0.02  # of the differences by which slopes are measured; images are in [-1, 1]
AVERAGE_DECAY = 0.99  # of the moving averages of logits, for each iteration (LeCam, arXiv 2104.03310, section 4)


class Adversary:
    """The losses of both sides, and the moving averages of logits, which go into checkpoints."""

    def __init__(self, settings: DRITSettings) -> None:
        self.loss = settings.loss
        self.shift = min(settings.network.discriminator_shift, settings.data.crop - MIN_CROP)
        self.scales = settings.network.discriminator_scales
        self.parts = settings.accumulate
        self.averages: dict[str, LogitAverages] = {}

    def views(self, batches: list[Tensor], noise: Noise) -> list[Tensor]:
        """What discriminators see of batches of N images each: all but `shift` of their rows and columns.

        Which ones are left out at either end is drawn for each n, the same for image n of every batch. Nothing is
        filled in, so nothing can leak into outputs; pixels stay as they are, so a grid stays visible.

        batches: (N, C, H, W) each, in [-1, 1]. Returns (N, C, H - shift, W - shift) each.
        """
        if not self.shift:
            return batches
        n, h, w = len(batches[0]), batches[0].shape[2] - self.shift, batches[0].shape[3] - self.shift
        rows, columns = noise.places(n, self.shift + 1), noise.places(n, self.shift + 1)
        return [
            torch.cat([x[:, :, r : r + h, c : c + w] for x, r, c in zip(batch.split(1), rows, columns, strict=True)])
            for batch in batches
        ]

    def discrimination(self, real: Maps, fakes: list[Maps]) -> Tensor:
        """What a discriminator minimises for logits of real images and of several batches of generated ones: a sum.

        real, fakes: one map (N, 1, h, w) for each scale.
        """
        told_apart = losses.relativistic if self.loss.gan == "relativistic" else losses.discrimination
        return torch.stack([told_apart(real, fake) for fake in fakes]).sum()

    def adversarial(self, judge: Judge, real: Tensor, fakes: list[Tensor], noise: Noise) -> Tensor:
        """What generators minimise for several batches of images, by a discriminator with frozen weights: a sum.

        real, fakes: (N, C, H, W) each, in [-1, 1]; only the relativistic loss looks at the real ones.
        """
        if self.loss.gan == "relativistic":
            real, *fakes = self.views([real, *fakes], noise)
            with torch.no_grad():
                (known,) = judge([real])
            return torch.stack([losses.relativistic(fake, known) for fake in judge(fakes)]).sum()
        return torch.stack([losses.adversarial(fake, 1.0) for fake in judge(self.views(fakes, noise))]).sum()

    def add_regularisation(
        self,
        terms: Terms,
        name: str,
        judge: Judge,
        images: list[Tensor],
        logits: list[Maps],
        step: int,
        noise: Noise,
    ) -> None:
        """The terms that keep a discriminator in bounds, where they are on.

        name: what the terms of this discriminator end with. images: as it saw them, real ones first, (N, C, H, W) each.
        logits: what it gave for them, one map (N, 1, h, w) for each scale.
        """
        w = self.loss
        if w.lecam:
            real, fake = logits[0], [torch.cat(maps) for maps in zip(*logits[1:], strict=True)]
            averages = self.averages.setdefault(name, LogitAverages(self.scales))
            terms.add(f"lecam_{name}", w.lecam, losses.lecam(real, fake, *averages.before(step).to(full(real[0]))))
            averages.add(real, fake, self.parts)
        if w.gradient_penalty and step % w.penalty_every == 0:
            # so seldom that it weighs as much more; of several batches of generated images the first is enough
            loss = self._gradient_penalty(judge, images[:2], noise)
            terms.add(f"gradient_penalty_{name}", w.gradient_penalty * w.penalty_every, loss)

    @staticmethod
    def _gradient_penalty(judge: Judge, images: list[Tensor], noise: Noise) -> Tensor:
        """The penalty at real and at generated images, (N, C, H, W) each: a sum. Narrow types would only see rounding:
        it is computed in float32 or wider."""
        near = [full(x) + PENALTY_STD * noise.normal(*x.shape, like=x) for x in images]
        with full_precision(images[0]):
            *at, beside_real, beside_fake = judge([*map(full, images), *near])
        pairs = zip(at, (beside_real, beside_fake), strict=True)
        return torch.stack([losses.gradient_penalty(here, beside, PENALTY_STD) for here, beside in pairs]).sum()

    def state(self) -> dict[str, Tensor]:
        """The moving averages, for checkpoints: (2, S) for each discriminator, of S scales, by its name."""
        return {f"lecam_{name}": averages.kept for name, averages in self.averages.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` gave: tensors of (2, S)."""
        for name, kept in state.items():
            averages = LogitAverages(self.scales)
            averages.kept = kept.view(2, self.scales).clone()
            self.averages[name.removeprefix("lecam_")] = averages


class LogitAverages:
    """Moving averages over iterations of a discriminator's mean logits of real and of generated images, by scale.

    All parts of a batch see those from before the iteration, and each adds its share to those after it.
    """

    def __init__(self, scales: int) -> None:
        self.kept = torch.zeros(2, scales)  # real, generated; after the last iteration
        self._before = self.kept
        self._step: int | None = None  # the iteration that adds to them

    def before(self, step: int) -> Tensor:
        """What they were before iteration `step`: (2, S) for S scales, of real and of generated images."""
        if step != self._step:
            self._before, self._step = self.kept, step
            self.kept = AVERAGE_DECAY * self._before
        return self._before

    def add(self, real: Maps, fake: Maps, parts: int) -> None:
        """Add the mean logits of a part of a batch, (N, 1, h, w) for each scale, to what follows this iteration."""
        means = torch.stack([torch.stack([full(m.detach()).mean() for m in maps]) for maps in (real, fake)])
        means = peers.mean(means)
        self.kept = self.kept.to(means) + (1 - AVERAGE_DECAY) / parts * means
