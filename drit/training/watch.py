"""The live watch: what training makes of a few fixed images, told in numbers, and warnings when it goes wrong.

At every look the same images and the same random styles go through the model, without gradients. The numbers are
written as `watch/...` beside the losses of the iteration. Nothing of training is touched: no global random state is
drawn from, layers are in their evaluation mode for the look and back in their own after it.

Warnings are a function of the lines of metrics.jsonl, so a resumed run warns as one that never stopped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from drit.methods.base import Method
from drit.methods.noise import Noise
from drit.probes.linear import pooled, probe_accuracy
from drit.runs.metrics import read_lines, round_significant, truncate
from drit.runs.warnings import active
from drit.runtime import full
from drit.settings.common import TrainSettings

PROBED = 32  # images of each domain whose content codes the probe reads
RENDERED = 4  # of which so many are translated
STYLES = 4  # random styles of each, the same at every look
BALANCE = "watch/balance_"
MIN_PROBED = 8  # images of each domain, below which a held-out half says nothing

PATIENCE = 1000  # iterations that a state must last before it is a warning
LOOKS = 5  # and the looks it must have shown in
IGNORED = 0.02  # styles make less than this share of the difference between real images
TOLD_APART = 0.97  # of held-out images whose domain the probe reads
EARLY = 0.25  # share of the training in which content codes may tell the domains apart
WON = 0.25  # of a discriminator's loss at chance
GUESSING = 0.01  # distance of a discriminator's and a generator's loss from theirs at chance
WORSE = 1.5  # times the best reconstruction
RECONSTRUCTION = re.compile(r"^generators\w*/\w*(reconstruction|cycle)")


Line = Mapping[str, float]  # of metrics.jsonl: iteration, losses, numbers of a look


class Warned(NamedTuple):
    """A cause for worry. `cause` names it and, where it has one, its domain: `styles_ignored_b`."""

    cause: str
    message: str


class Watch:
    """Looks at a run now and then, and remembers what it saw and said."""

    def __init__(
        self,
        run: Path,
        config: TrainSettings,
        chance: Mapping[str, float],
        images: Callable[[int], dict[str, Tensor]],
        start: int,
    ) -> None:
        """chance: losses of guessing discriminators (`Method.at_chance`). images: gives the first n fixed images of
        each domain, (n, C, H, W) in [-1, 1] on the device; called once. start: iteration the run goes on from."""
        self._path = run / "warnings.jsonl"
        self._config, self._chance, self._open = config, chance, images
        self._images: dict[str, Tensor] = {}  # opened at the first look
        truncate(self._path, start)
        self._seen = [line for line in read_lines(run / "metrics.jsonl") if is_look(line) and line["step"] <= start]
        self._active = active(read_lines(self._path))

    def look(self, method: Method, losses: Mapping[str, float]) -> dict[str, float]:
        """The numbers of `measure` and `balance` for the method as it is now, under their names in metrics.jsonl."""
        self._images = self._images or self._open(PROBED)
        part = max(1, self._config.batch // self._config.accumulate)  # no more memory than an iteration takes
        made = measure(method, self._images, self._config.seed, self._config.network.content_noise, part)
        return made | balance(losses, self._chance)

    def judge(self, step: int, values: Mapping[str, float]) -> list[str]:
        """What to tell the person after the look at iteration `step`: new warnings, and causes that are gone.

        values: the losses and the look's numbers. What is told is kept in warnings.jsonl as well.
        """
        self._seen.append({"step": step, **{k: round_significant(v) for k, v in values.items()}})  # as in the file
        found = dict(warnings(self._seen, self._config))
        words: list[str] = []
        events: list[dict[str, Any]] = []
        for cause, message in found.items():
            if cause not in self._active:
                words.append(f"warning: {message}")
                events.append({"step": step, "cause": cause, "message": message})
        for cause, message in self._active.items():
            if cause not in found:
                words.append(f"recovered at iteration {step}: {message.partition(':')[0]}")
                events.append({"step": step, "cause": cause, "message": message, "recovered": True})
        if events:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write("".join(json.dumps(event) + "\n" for event in events))
        self._active = active(events, self._active)
        return words


def is_look(line: Line) -> bool:
    """Whether a line of metrics.jsonl holds the numbers of a look."""
    return any(name.startswith("watch/") for name in line)


# Numbers


@torch.no_grad()
def measure(
    method: Method, images: Mapping[str, Tensor], seed: int, content_noise: float = 0.0, part: int = 8
) -> dict[str, float]:
    """What the method makes of images (N, C, H, W) of each domain, under the names of metrics.jsonl.

    content_noise: deviation of the noise that training adds to content codes. part: images encoded at once.

    For each target d: `watch/diversity_d`, difference of two random styles of one input, of 255;
    `watch/diversity_share_d`, the same relative to that of two real images of d; `watch/style_share_d`, share of the
    outputs' variance that styles make; `watch/style_error_d`, mean |E(G(c, z)) - z| relative to that of always
    answering 0. And `watch/content_probe`, share of held-out images whose domain a linear probe reads in their
    content codes, with the noise of training, as the generators see them.
    A method without styles has none of these; one that takes no style from an image has not the last two,
    nor has the last one that has no content code for all domains.
    """
    found: dict[str, float] = {}
    can = method.capabilities
    generator = torch.Generator().manual_seed(seed)
    with _undisturbed(method, seed):
        for target in can.directions if can.style_dim else ():
            source = next((d for d in images if d != target), target)
            x = images[source][:RENDERED]
            styles = method.sample_style(STYLES, target, generator).to(x.device)
            prepared = method.prepare(method.content(x, source), target)
            made = [method.render(prepared, z.expand(len(x), -1), target) for z in styles]
            outputs = torch.stack([full(m).clamp(-1, 1) for m in made])  # (K, N, C, H, W)
            between = 127.5 * _difference(outputs)
            real = 127.5 * _difference(full(images[target]))
            found[f"watch/diversity_{target}"] = between
            found[f"watch/diversity_share_{target}"] = between / max(real, 1e-6)
            found[f"watch/style_share_{target}"] = style_share(outputs)
            if can.exemplar:
                again = torch.stack([full(method.style(m, target)) for m in made])  # (K, N, S)
                error = (again - styles[:, None]).abs().mean() / styles.abs().mean()
                found[f"watch/style_error_{target}"] = float(error)
        least = min(len(x) for x in images.values())
        if method.reconstructs and set(can.directions) >= set(images) and least >= MIN_PROBED:
            noise = Noise(seed, 0)
            codes = [_noisy_codes(method, x[:least], d, noise, content_noise, part) for d, x in images.items()]
            found["watch/content_probe"] = probe_accuracy(codes)
    return found


def _noisy_codes(method: Method, x: Tensor, domain: str, noise: Noise, deviation: float, part: int) -> Tensor:
    """What the probe reads of images x (N, C, H, W): content codes with noise, pooled, (N, 2F)."""
    codes = []
    for some in x.split(part):
        code = full(method.content(some, domain))
        codes.append(pooled(code + deviation * noise.normal(*code.shape, like=code)))
    return torch.cat(codes)


def balance(losses: Mapping[str, float], chance: Mapping[str, float]) -> dict[str, float]:
    """Discriminators' losses relative to those of guessing: `watch/balance_TERM`, 1 guessing, towards 0 they win."""
    return {
        f"{BALANCE}{name.partition('/')[2]}": losses[name] / guess for name, guess in chance.items() if name in losses
    }


@contextmanager
def _undisturbed(method: Method, seed: int) -> Iterator[None]:
    """Evaluation mode (no running statistics moved); every layer, and the random state, as before afterwards."""
    modes = [(module, module.training) for module in method.modules()]
    devices = {p.device for p in method.parameters() if p.device.type == "cuda"}
    method.eval()
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)  # for layers that draw by themselves
            yield
    finally:
        for module, training in modes:
            module.training = training


def _difference(x: Tensor) -> float:
    """Mean absolute difference between two of the K entries of x (K, ...), over all pairs and numbers."""
    k = len(x)
    pairs = [(x[i] - x[:i]).abs().mean() * i for i in range(1, k)]
    return float(torch.stack(pairs).sum()) / (k * (k - 1) / 2) if pairs else 0.0


def style_share(outputs: Tensor) -> float:
    """Share of the variance of outputs (K styles, N inputs, C, H, W) that styles make: 1 - between inputs / all.

    Variances are sums over pixels of squared deviations: of an input's mean over its styles from the mean of all, and
    of each output from the mean of all. 0: styles change nothing. 1: inputs change nothing.
    """
    mean = outputs.mean((0, 1))
    total = (outputs - mean).square().mean()
    between = (outputs.mean(0) - mean).square().mean()
    return float(1 - between / total) if total > 0 else 0.0


# Warnings


def warnings(seen: Sequence[Line], config: TrainSettings) -> list[Warned]:
    """What is wrong after the looks `seen` (lines of metrics.jsonl, oldest first): the last of them counts."""
    if not seen:
        return []
    found = []
    for name in seen[-1]:
        if name.startswith("watch/diversity_share_"):
            found += _styles_ignored(seen, name, config)
    found += _content_tells(seen, config) + _discriminators(seen, config) + _reconstruction_worse(seen, config)
    return found


def lasting(seen: Sequence[Line], bad: Callable[[Line], bool]) -> int:
    """Iterations for which looks have been bad without a break up to now; 0 unless that is long and often enough."""
    count = 0
    for line in reversed(seen):
        if not bad(line):
            break
        count += 1
    last = int(seen[-1]["step"] - seen[-count]["step"]) if count else 0
    return last if count >= LOOKS and last >= PATIENCE else 0


def _styles_ignored(seen: Sequence[Line], name: str, config: TrainSettings) -> list[Warned]:
    target = name.removeprefix("watch/diversity_share_")
    iterations = lasting(seen, lambda line: line.get(name, 1.0) < IGNORED)
    if not iterations:
        return []
    difference = seen[-1][f"watch/diversity_{target}"]
    real = difference / max(seen[-1][name], 1e-9)
    latent = config.loss.latent_regression or 5.0
    if config.method.startswith("drit"):
        seeking = config.loss.mode_seeking
        advice = [f"--loss.mode-seeking {2 * seeking if seeking else 0.3:g}"]
        if config.network.init == "published":
            advice.insert(0, "--network.init scaled (a new run)")
        if config.network.generator == "concat":
            advice.append("--network.generator feature (a new run)")
    else:
        advice = [f"a larger weight of what ties outputs to styles: --loss.latent-regression {2 * latent:g}"]
    return [
        Warned(
            f"styles_ignored_{target}",
            f"styles are being ignored to {target}: difference between styles {difference:.1f} of 255 for {iterations} "
            f"iterations (between real images {real:.0f}); try {', or '.join(advice)}",
        )
    ]


def _content_tells(seen: Sequence[Line], config: TrainSettings) -> list[Warned]:
    """Only after a share of the training: at first, every code tells the domains apart."""
    iterations = lasting(seen, lambda line: line.get("watch/content_probe", 0.0) >= TOLD_APART)
    if not iterations or seen[-1]["step"] < EARLY * config.steps:
        return []
    weight = config.loss.content_adversarial
    hidden = config.method.startswith("drit") or any("/content_adversarial" in name for name in seen[-1])
    advice = f"--loss.content-adversarial {2 * weight or 1:g}, or " if hidden else ""
    return [
        Warned(
            "content_tells_domain",
            f"the content code tells the domains apart: a linear probe is right for "
            f"{seen[-1]['watch/content_probe']:.0%} of held-out images for {iterations} iterations (chance is the "
            f"goal), so styles carry less. Try {advice}images of the domains that are closer in what they show",
        )
    ]


def _discriminators(seen: Sequence[Line], config: TrainSettings) -> list[Warned]:
    found = []
    winning: list[str] = []
    guessing: list[str] = []
    for name in [name for name in seen[-1] if name.startswith(BALANCE)]:
        term = name.removeprefix(BALANCE)
        if iterations := lasting(seen, partial(_wins, name=name)):
            winning.append(f"{term} at {seen[-1][name]:.2f} of its loss at chance for {iterations} iterations")
        if iterations := lasting(seen, partial(_guesses, name=name)):
            guessing.append(f"{term} for {iterations} iterations")
    if winning:
        advice = "--network.spectral-norm or " if config.method.startswith("drit") else ""
        found.append(
            Warned(
                "discriminators_win",
                f"the discriminators win: {'; '.join(winning)}. The generators learn little from that: try {advice}a "
                f"smaller --network.discriminator-width (a new run), --optim.lr {config.optim.lr / 2:g}, or more "
                "images",
            )
        )
    if guessing:
        advice = "--network.init scaled (a new run), or " if config.network.init == "published" else ""
        found.append(
            Warned(
                "discriminators_guess",
                f"the discriminators only guess: loss at chance for {'; '.join(guessing)}. Outputs are not "
                f"pushed towards the domain: try {advice}a larger --optim.lr than {config.optim.lr:g}",
            )
        )
    return found


def _wins(line: Line, name: str) -> bool:
    return line.get(name, 1.0) < WON


def _guesses(line: Line, name: str) -> bool:
    """Both sides of a game are at chance at once: its equilibrium moves about that, one that stands still is none."""
    share, term = line.get(name, 0.0), name.removeprefix(BALANCE)
    answers = [v for other, v in line.items() if other.startswith("generators") and other.endswith(f"/{term}")]
    if not answers or abs(share - 1) >= GUESSING:
        return False
    chance = line[f"discriminators/{term}"] / share / 2  # the generators' is half of the discriminators'
    return abs(answers[0] / chance - 1) < GUESSING


def _reconstruction_worse(seen: Sequence[Line], config: TrainSettings) -> list[Warned]:
    """The mean of the last looks against the best mean of as many looks in a row."""
    series = [(value, int(line["step"])) for line in seen if (value := reconstruction(line)) is not None]
    if len(series) < 2 * LOOKS:
        return []
    means = [
        (math.fsum(value for value, _ in series[i - LOOKS : i]) / LOOKS, series[i - 1][1])
        for i in range(LOOKS, len(series) + 1)
    ]
    best, when = min(means)
    now = means[-1][0]
    if now <= WORSE * best:
        return []
    return [
        Warned(
            "reconstruction_worse",
            f"reconstruction gets worse: {now:.3g} now, {best:.3g} around iteration {when}. Training runs away: stop "
            f"it, and try --optim.lr {config.optim.lr / 2:g}, --optim.clip 5, or --precision float32",
        )
    ]


def reconstruction(line: Line) -> float | None:
    """Sum of the reconstruction and cycle terms of a line of metrics.jsonl; None if it has none."""
    terms = [v for name, v in line.items() if RECONSTRUCTION.search(name)]
    return math.fsum(terms) if terms else None
