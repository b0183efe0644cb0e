"""Whole configurations by name: sizes for a purpose (default, quick, digits, demo), and what each paper says (paper).

`preset(name, method)`: the sizes are those of DRIT's networks; a method's entry in `OBJECTIVES` gives its own objective
to a configuration of any size, its entry in `PAPERS` what its paper trains. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drit.errors import UsageError, nearest
from drit.settings.common import LossSettings, TrainSettings

_PAPER = TrainSettings(preset="paper")
# What every size below starts from.
_BASE = replace(
    _PAPER,
    preset="default",
    network=replace(_PAPER.network, init="scaled"),
    optim=replace(_PAPER.optim, content_discriminator_steps=1, ema=0.999),
)

# Photographs: styles that differ sooner, and nearer to real images (docs/results.md); the weight is the published
# program's. Digits get unreadable by it.
_DEFAULT = replace(_BASE, loss=replace(_BASE.loss, mode_seeking=1.0))

# 32-pixel digits: small networks, no mirroring (a mirrored digit is another thing).
_DIGITS = replace(
    _BASE,
    preset="digits",
    steps=6_000,
    batch=16,
    data=replace(_BASE.data, resize=32, crop=32, flip=False),
    network=replace(
        _BASE.network,
        width=24,
        content_blocks=2,
        generator_blocks=2,
        attribute_width=32,
        attribute_blocks=2,
        discriminator_width=32,
        discriminator_layers=3,
        discriminator_scales=2,
    ),
    optim=replace(_BASE.optim, lr=4e-4, content_discriminator_lr=1.6e-4),
)

PRESETS: dict[str, TrainSettings] = {
    # What trains best on one machine (docs/results.md has the experiments behind it).
    "default": _DEFAULT,
    # The paper's formulas and weights, at the published sizes.
    "paper": _PAPER,
    # What the official implementation does (docs/official.md lists what of it is not reproduced).
    "official": replace(
        _PAPER,
        preset="official",
        steps=500_000,
        batch=2,
        precision="float32",
        data=replace(_PAPER.data, resize_mode="square"),
        network=replace(_PAPER.network, share_feature_layer=False),
        loss=replace(_PAPER.loss, content_norm=0.01, mode_seeking=1.0),
        optim=replace(_PAPER.optim, split_batch=True, separate_random_step=True, latent_moves_attribute_encoder=False),
    ),
    "digits": _DIGITS,
    # Digits again, readable after five minutes on two cores: what `make demo` trains.
    "demo": replace(
        _DIGITS,
        preset="demo",
        steps=1200,
        data=replace(_DIGITS.data, crop=28),  # of 32, of which a border of 2 is empty
        network=replace(_DIGITS.network, width=16),
        loss=replace(_DIGITS.loss, domain_adversarial=2.0),  # textures sooner, in place of grids
        optim=replace(_DIGITS.optim, lr=5e-4, content_discriminator_lr=2e-4, ema=0.99),
    ),
    # A first look at photographs within the hour on a laptop: half the width, 128-pixel crops.
    "quick": replace(
        _DEFAULT,
        preset="quick",
        steps=10_000,
        batch=2,
        data=replace(_DEFAULT.data, resize=144, crop=128),
        network=replace(_DEFAULT.network, width=32, attribute_width=32, discriminator_width=32),
        optim=replace(_DEFAULT.optim, lr=4e-4, content_discriminator_lr=8e-5),
    ),
}

# Only what a method names is switched on.
_NO_TERMS = LossSettings(
    content_adversarial=0.0, cross_cycle=0.0, self_reconstruction=0.0, kl=0.0, latent_regression=0.0
)


def _all_blocks(config: TrainSettings) -> int:
    """Residual blocks of a content encoder and a generator of DRIT together."""
    n = config.network
    return n.content_blocks + 2 * n.shared_blocks + n.generator_blocks


def _patch_layers(config: TrainSettings) -> int:
    """Halvings of a patch discriminator: patches of 70 pixels, of 34 where the crop is not much larger than 70."""
    return 3 if config.data.crop >= 128 else 2


def _pix2pix(config: TrainSettings) -> TrainSettings:
    return replace(
        config,
        network=replace(
            config.network,
            generator_blocks=_all_blocks(config),  # with the residual backbone
            dropout=0.5,
            discriminator_norm="batch",
            discriminator_layers=_patch_layers(config),
        ),
        loss=replace(_NO_TERMS, paired=100.0),
        optim=replace(config.optim, lr=max(2e-4, config.optim.lr), weight_decay=0.0),
    )


def _bicyclegan(config: TrainSettings) -> TrainSettings:
    return replace(
        config,
        network=replace(
            config.network,
            discriminator_norm="instance",
            discriminator_layers=_patch_layers(config),
            discriminator_scales=2,
        ),
        loss=replace(_NO_TERMS, paired=10.0, kl=0.01, latent_regression=0.5, gan="least_squares"),
        optim=replace(config.optim, lr=max(2e-4, config.optim.lr), weight_decay=0.0),
    )


# On 400 facades, 200 epochs (1611.07004, appendix 6.2).
_PIX2PIX = _pix2pix(
    replace(
        _PAPER,
        steps=80_000,
        batch=1,
        data=replace(_PAPER.data, resize=286, resize_mode="square", crop=256),
        optim=replace(_PAPER.optim, decay_from=1.0),
    )
)
# On 400 facades, with the schedule and the dropout of its program's scripts: 400 epochs of 200 iterations, rates that
# fall over the second half (1711.11586, section 4).
_BICYCLEGAN = _bicyclegan(
    replace(
        _PAPER,
        steps=80_000,
        batch=1,
        data=replace(_PAPER.data, resize=286, resize_mode="square", crop=256),
        network=replace(_PAPER.network, attribute_blocks=4, dropout=0.5),
    )
)


def _cyclegan(config: TrainSettings, style_dim: int = 0) -> TrainSettings:
    network = replace(
        config.network,
        style_dim=style_dim,
        generator_blocks=_all_blocks(config),
        discriminator_norm="instance",
        discriminator_layers=_patch_layers(config),
    )
    return replace(
        config,
        network=network,
        loss=replace(_NO_TERMS, gan="least_squares", cross_cycle=10.0, identity=5.0),
        optim=replace(config.optim, lr=max(2e-4, config.optim.lr), weight_decay=0.0, pool=50),
    )


def _cyclegan_noise(config: TrainSettings) -> TrainSettings:
    return _cyclegan(config, config.network.style_dim)


# Horses and zebras (1703.10593, appendix 7), 200 epochs of the 1334 images that its authors offer; nine residual
# blocks at 256 pixels. The identity loss, which the paper uses for paintings, is on by default in its programs.
_CYCLEGAN = replace(
    _PAPER, steps=266_800, batch=1, data=replace(_PAPER.data, resize=286, resize_mode="square", crop=256)
)
_NINE_BLOCKS = replace(_cyclegan(_CYCLEGAN).network, generator_blocks=9)


def _cycle_bicycle(config: TrainSettings) -> TrainSettings:
    """Both objectives; they have no loss weight in common but that of the adversarial terms."""
    cycle, bicycle = _cyclegan(config), _bicyclegan(config)
    return replace(
        bicycle,
        network=replace(bicycle.network, generator_blocks=cycle.network.generator_blocks),
        loss=replace(bicycle.loss, cross_cycle=cycle.loss.cross_cycle, identity=cycle.loss.identity),
        optim=cycle.optim,
    )


# Both for as many iterations as CycleGAN's paper takes; DRIT's paper, whose baseline it is, does not tell.
_CYCLE_BICYCLE = _cycle_bicycle(
    replace(_CYCLEGAN, steps=2 * _CYCLEGAN.steps, network=replace(_PAPER.network, attribute_blocks=4, dropout=0.5))
)


def _dritpp(config: TrainSettings) -> TrainSettings:
    """DRIT's objective, and what DRIT++ (1905.01270) adds: mode seeking of weight 1, and domain classification.

    The latter weighs 5 for generators and 1 for discriminators, as in the program: at 1, random outputs for one domain
    look like those of another (their cross-entropy rose above log D on three domains of digits; at 5 it fell to 0.2).
    """
    return replace(config, loss=replace(config.loss, mode_seeking=1.0, domain_classification=5.0))


def _infogan(config: TrainSettings) -> TrainSettings:
    """InfoGAN's objective and optimizer; sizes above those of digits are the paper's: it draws small images."""
    if config.data.crop > _DIGITS.data.crop:
        return _INFOGAN
    return replace(config, loss=_INFOGAN.loss, optim=_INFOGAN.optim)


def _unit(config: TrainSettings) -> TrainSettings:
    """UNIT's weights (1703.00848, section 4), with the least squares of its second program."""
    loss = replace(
        _NO_TERMS, gan="least_squares", domain_adversarial=10.0, self_reconstruction=100.0, cross_cycle=100.0, kl=0.1
    )
    return replace(config, loss=loss)


# UNIT at 256 pixels, iterations as in the first program.
_UNIT = _unit(
    replace(
        _PAPER,
        steps=500_000,
        batch=1,
        data=replace(_PAPER.data, crop=256),
        network=replace(_PAPER.network, discriminator_layers=5, discriminator_scales=1),
        optim=replace(_PAPER.optim, decay_from=1.0),
    )
)


def _munit(config: TrainSettings) -> TrainSettings:
    """MUNIT's weights (1804.04732, appendix B.1); its content codes have no noise."""
    loss = replace(
        _NO_TERMS, gan="least_squares", self_reconstruction=10.0, latent_regression=1.0, content_regression=1.0
    )
    return replace(config, loss=loss, network=replace(config.network, content_noise=0.0))


# MUNIT at 256 pixels (appendix B.1).
_MUNIT = _munit(
    replace(
        _PAPER,
        steps=1_000_000,
        batch=1,
        data=replace(_PAPER.data, crop=256),
        optim=replace(_PAPER.optim, decay_from=1.0, halve_every=100_000),
    )
)

# InfoGAN on MNIST (1606.03657, appendix C.1; batch and iterations as in its program).
_INFOGAN = replace(
    _PAPER,
    steps=5_000,
    batch=128,
    data=replace(_PAPER.data, resize=0, crop=28, flip=False),
    loss=LossSettings(
        content_adversarial=0.0,
        cross_cycle=0.0,
        self_reconstruction=0.0,
        kl=0.0,
        latent_regression=0.0,
        mutual_information=1.0,
        mutual_information_continuous=1.0,
    ),
    optim=replace(_PAPER.optim, lr=2e-4, weight_decay=0.0, decay_from=1.0),
)

# A configuration of any size with the objective of a method: loss weights, kinds of networks, optimizers.
OBJECTIVES: dict[str, Callable[[TrainSettings], TrainSettings]] = {
    "drit": lambda config: config,
    "drit++": _dritpp,
    "cyclegan": _cyclegan,
    "cyclegan-noise": _cyclegan_noise,
    "unit": _unit,
    "munit": _munit,
    "cycle-bicycle": _cycle_bicycle,
    "infogan": _infogan,
    "pix2pix": _pix2pix,
    "bicyclegan": _bicyclegan,
}
# What the paper of each method trains.
PAPERS: dict[str, TrainSettings] = {
    "drit": _PAPER,
    "drit++": _dritpp(_PAPER),
    "cyclegan": replace(_cyclegan(_CYCLEGAN), network=_NINE_BLOCKS),
    "cyclegan-noise": replace(_cyclegan(_CYCLEGAN), network=replace(_NINE_BLOCKS, style_dim=8)),
    "unit": replace(_UNIT, loss=replace(_UNIT.loss, gan="logistic")),
    "munit": _MUNIT,
    "cycle-bicycle": replace(_CYCLE_BICYCLE, network=replace(_CYCLE_BICYCLE.network, generator_blocks=9)),
    "infogan": _INFOGAN,
    "pix2pix": _PIX2PIX,
    "bicyclegan": _BICYCLEGAN,
}


def preset(name: str, method: str = "drit") -> TrainSettings:
    """The configuration of a preset for a method. Raises UsageError, with the nearest name, for an unknown one."""
    if name not in PRESETS:
        raise UsageError(f"There is no preset '{name}'.{nearest(name, PRESETS)} Presets: {', '.join(PRESETS)}.")
    if method not in OBJECTIVES:
        raise UsageError(
            f"There is no method '{method}'.{nearest(method, OBJECTIVES)} Methods: {', '.join(OBJECTIVES)}."
        )
    if name == "official" and method != "drit":
        raise UsageError("The preset 'official' is of the published DRIT program. Use --preset paper.")
    config = PAPERS[method] if name == "paper" else OBJECTIVES[method](PRESETS[name])
    return replace(config, method=method, preset=name)
