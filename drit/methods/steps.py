"""Steps that several methods take alike."""

from __future__ import annotations

import torch
from torch import nn

from drit import losses
from drit.methods.base import ByDomain, Method, Terms, Update
from drit.networks.discriminators import by_batch
from drit.settings.common import Gan


def discriminators_update(
    method: Method, discriminators: nn.ModuleDict, images: ByDomain, fakes: ByDomain, kind: Gan
) -> Update:
    """Adversarial loss as the multi-scale discriminators of UNIT and MUNIT see it (UNIT, equations 5 and 6; MUNIT,
    equation 4): images to 1, translations, from which no gradient passes on, to 0.

    images, fakes: (N, C, H, W) of each domain in [-1, 1].
    """
    terms = Terms()  # of weight 1: alone in their step, another one would only rescale the gradient
    for d, x in images.items():
        maps = method.checkpointed(discriminators[d], torch.cat([x, fakes[d].detach()]))
        real, fake = by_batch(maps, [len(x), len(x)])
        terms.add(f"domain_adversarial_{d}", 1.0, losses.discrimination(real, fake, kind))
    return terms.update("discriminators", ("discriminator",))
