"""`make demo`: train DRIT on real digits for a few minutes, then show and measure what it learnt."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drit.cli.options import INTERRUPTED
from drit.cli.parser import fail
from drit.data.demo import make_demo
from drit.data.folders import ImageSet, open_domain
from drit.data.images import from_tensor, to_tensor
from drit.errors import DritError
from drit.inference.translator import Translator
from drit.methods.registry import preset
from drit.probes.classifier import accuracy, train_classifier
from drit.reports.gallery import Number, write_gallery
from drit.reports.pages import Section
from drit.reports.plots import Curves, curves_svg
from drit.runs.metrics import read_metrics
from drit.runs.record import recorded_settings
from drit.runtime import cores
from drit.settings.common import TrainSettings
from drit.sheets import save_sheet, sheet
from drit.training import launch as loop

OUT = Path("demo")
SECONDS = 250  # of training, unless a slow machine needs more for FEWEST iterations
FEWEST = 800
MEASURED = 200  # test images of each domain
STYLES = 5  # random styles of each
# What the README says to expect, from three seeds on two cores (docs/results.md)
EXPECTED = {
    "accuracy_b": "75 to 97 %",
    "accuracy_a": "75 to 97 %",
    "diversity_b": "40 to 100 of 255",
    "diversity_a": "2 to 20 of 255",
}


def demo(out: Path = OUT, seed: int = 0, seconds: float = SECONDS) -> dict[str, Any]:
    """Data, training, gallery. Goes on with a run that was interrupted. Returns the measured numbers and the paths."""
    data, run = out / "data", out / "run"
    if not (data / "README.txt").is_file():
        say("Writing two domains of real images: digits, and digits blended on photographs.")
        make_demo(data, seed=seed, force=True)
    config = preset("demo")
    config = replace(config, seed=seed, data=replace(config.data, a=str(data / "a.npz"), b=str(data / "b.npz")))
    began = time.monotonic()
    if loop.files.checkpoints(run):
        outcome_step = loop.files.load_meta(loop.files.find(run))["step"]
        recorded = recorded_settings(run)
        if outcome_step < recorded.steps:
            finished = loop.resume(run).finished
        else:
            say(f"{run} is trained already; remove {out} to train anew.")
            finished = True
    else:
        finished = loop.train(within(config, seconds), run).finished
    if not finished:
        raise KeyboardInterrupt
    minutes = (time.monotonic() - began) / 60
    say("Measuring, and writing the gallery.")
    result = gallery(out, run, data, minutes)
    for name, expected in EXPECTED.items():
        say(f"  {result['titles'][name]}: {result['shown'][name]} (expected {expected})")
    say(f"Gallery: {result['page']} and {result['png']}")
    return result


def within(config: TrainSettings, seconds: float) -> TrainSettings:
    """`config` with as many iterations as this machine does in that time, or the fewest that show what is promised, on
    one core or on all: networks as small as these may run slower on several."""
    affordable = {n: loop.affordable(replace(config, threads=n), seconds) for n in sorted({1, cores()})}
    threads = max(affordable, key=affordable.__getitem__)
    return replace(config, threads=threads, steps=min(config.steps, max(FEWEST, affordable[threads])))


def images(image_set: ImageSet, count: int) -> Tensor:
    """The first images of a set: (N, C, H, W) in [-1, 1]."""
    return torch.stack([to_tensor(image_set.get(i)) for i in range(min(count, len(image_set)))])


def gallery(out: Path, run: Path, data: Path, minutes: float) -> dict[str, Any]:
    """Measure the run on held-out images and write gallery.html and gallery.png."""
    config = recorded_settings(run)
    translator = Translator.load(run, threads=config.threads)  # as many as trained best beside other work
    train = {d: open_domain(str(data / f"{d}.npz"), config.data, d) for d in ("a", "b")}
    test = {d: open_domain(str(data / f"test_{d}.npz"), config.data, d) for d in ("a", "b")}
    result: dict[str, Any] = {"shown": {}, "titles": {}}
    sections: list[Section] = []
    rows_png: list[list[np.ndarray | None]] = []
    for source, target in (("a", "b"), ("b", "a")):
        classifier = train_classifier(images(train[target], len(train[target])), _labels(train[target]))
        real = accuracy(classifier, images(test[target], MEASURED), _labels(test[target])[:MEASURED])
        styles = translator.sample(STYLES, target, seed=1)
        x = images(test[source], MEASURED)
        outputs = torch.stack([torch.stack(list(translator.outputs(p, styles, target))) for p in x])  # (N, K, C, H, W)
        labels = np.repeat(_labels(test[source])[: len(x)], STYLES)
        share = accuracy(classifier, outputs.flatten(0, 1), labels)
        diversity = pairwise_difference(outputs)
        result |= {f"accuracy_{target}": share, f"real_{target}": real, f"diversity_{target}": diversity}
        result["titles"][f"accuracy_{target}"] = f"content accuracy, {source} to {target}"
        result["titles"][f"diversity_{target}"] = f"diversity, to {target}"
        result["shown"][f"accuracy_{target}"] = f"{100 * share:.1f} % (real images: {100 * real:.1f} %)"
        result["shown"][f"diversity_{target}"] = f"{diversity:.1f} of 255"
        sections += _sections(translator, test, source, target)
        rows_png += [[_pixels(x[i]), *(_pixels(m) for m in outputs[i])] for i in range(5)]
    sections.append(Section("Training", "Losses over the iterations (unweighted).", charts=_curves(run)))
    numbers = [Number(result["titles"][k], result["shown"][k], EXPECTED[k]) for k in EXPECTED]
    page, png = out / "gallery.html", out / "gallery.png"
    summary = (
        f"A DRIT trained for {config.steps} iterations ({minutes:.1f} minutes) on this machine, from unpaired digits "
        "and digits on photographs. All inputs below are held out from training."
    )
    footer = (data / "README.txt").read_text(encoding="utf-8")
    write_gallery(page, "Digits in many styles", summary, numbers, sections, footer)
    titles = ["input", *(f"style {i + 1}" for i in range(STYLES))]
    names = ["a to b"] * 5 + ["b to a"] * 5
    save_sheet(sheet(rows_png, column_titles=titles, row_titles=names, cell=64), png)
    return result | {"page": str(page), "png": str(png)}


def _sections(translator: Translator, test: dict[str, ImageSet], source: str, target: str) -> list[Section]:
    x = images(test[source], 8)
    exemplars = torch.stack([to_tensor(test[target].get(i)) for i in range(0, 8 * 23, 23)])
    styles = translator.sample(8, target, seed=2)
    borrowed = torch.cat([translator.style(e, target) for e in exemplars])
    between = translator.interpolate(borrowed[:3], 9)

    def table(rows: Tensor, codes: Tensor, head: list[np.ndarray | None] | None) -> Any:
        cells: list[list[np.ndarray | None]] = [[None, *head]] if head else []
        cells += [[_pixels(p), *(_pixels(m) for m in translator.outputs(p, codes, target))] for p in rows]
        return sheet(cells, cell=64)

    way = f"{source} to {target}"
    return [
        Section(f"Random styles, {way}", "Left: the input. Each column: one random style.", table(x, styles, None)),
        Section(
            f"Borrowed styles, {way}",
            "Each column takes its style from the image on top; the digit comes from the left.",
            table(x, borrowed, [_pixels(e) for e in exemplars]),
        ),
        Section(f"Between styles, {way}", "From the style of one image to the next two.", table(x[:4], between, None)),
    ]


def pairwise_difference(outputs: Tensor) -> float:
    """Mean absolute difference, in levels of 255, of all pairs of outputs of one input; outputs: (N, K, C, H, W)."""
    k = outputs.shape[1]
    pairs = [(outputs[:, i] - outputs[:, j]).abs().mean() for i in range(k) for j in range(i)]
    return float(torch.stack(pairs).mean()) * 127.5


def _curves(run: Path) -> tuple[str, ...]:
    lines = read_metrics(run)
    groups = {
        "Reconstruction": ("self_reconstruction_a", "self_reconstruction_b", "cross_cycle_a", "cross_cycle_b"),
        "Adversarial (generators)": ("domain_adversarial_a", "domain_adversarial_b", "content_adversarial_a"),
        "Styles": ("latent_regression_a", "latent_regression_b"),
    }
    drawn = []
    for title, names in groups.items():
        series = {n: [(r["step"], r[f"generators/{n}"]) for r in lines if f"generators/{n}" in r] for n in names}
        drawn.append(curves_svg(Curves(title, series)))
    return tuple(drawn)


def _labels(image_set: ImageSet) -> np.ndarray:
    assert image_set.labels is not None  # the demo's own files have them
    return image_set.labels


def _pixels(x: Tensor) -> np.ndarray:
    return from_tensor(x, 8)


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> int:
    try:
        demo()
    except DritError as error:
        return fail(error, error.exit_code)
    except KeyboardInterrupt:
        return fail(RuntimeError("Stopped. Go on with: make demo"), INTERRUPTED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
