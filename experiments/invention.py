"""Whether the number of the map of invention ranks wrong translations first, on digits whose content is known.

    python -m experiments.invention RUN... --data DIR

RUN is trained on the sets of `drit data demo --out DIR`. A translation is wrong if a classifier of 2000 real images of
its domain does not give its input's label. The area under ROC is the probability that a wrong translation has the
larger number than a right one: 0.5 is chance. Beside invention stand the other numbers of an output. Dropping the worst
tenth, as `drit augment --max-invention 0.9` does, gives the last column.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

from drit.cli.parser import fail
from drit.data.images import to_tensor
from drit.data.labelled import LabelledSet, open_labelled
from drit.errors import DritError
from drit.inference.invention import LEVELS, WayBack
from drit.inference.translator import Translator
from drit.probes.classifier import predict, train_classifier

STYLES = 5
AT_ONCE = 50
DROPPED = 0.1


def area_under_roc(numbers: np.ndarray, wrong: np.ndarray) -> float:
    """The probability that a wrong one has the larger number than a right one; ties count half.

    numbers: (M,). wrong: (M,) bool. (Mann and Whitney's statistic over the number of pairs.)
    """
    ranks, count = rankdata(numbers), int(wrong.sum())
    pairs = count * (len(wrong) - count)
    return float((ranks[wrong].sum() - count * (count + 1) / 2) / pairs)


def measured(translator: Translator, inputs: LabelledSet, source: str, to: str) -> dict[str, np.ndarray]:
    """Numbers of STYLES translations of each input, (M,) each, and the translations, (M, C, H, W)."""
    assert inputs.array is not None
    parts: dict[str, list[torch.Tensor]] = {}
    for begin in range(0, len(inputs), AT_ONCE):
        x = to_tensor(inputs.array[begin : begin + AT_ONCE])
        styles = torch.stack([translator.sample(STYLES, to, seed=begin + i) for i in range(len(x))])
        outputs = translator.decode_batch(translator.encode_batch(x, source), styles, to, (x.shape[2], x.shape[3]))
        cycles = [WayBack(translator, x, source, to)(of_style) for of_style in outputs.unbind(1)]
        std = LEVELS * outputs.std(1, correction=0).mean((1, 2, 3))
        for name, values in {
            "outputs": outputs,
            "invention": torch.stack([c.invention for c in cycles], 1),
            "cycle error": torch.stack([c.error.mean((1, 2)) for c in cycles], 1),
            "style std": std[:, None].expand(-1, STYLES),
        }.items():
            parts.setdefault(name, []).append(values.flatten(0, 1))
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


def table(runs: list[Path], data: Path) -> str:
    """Markdown: a row for each run and direction."""
    names = ("invention", "cycle error", "style std")
    lines = [
        f"| run | direction | translations | wrong | {' | '.join(names)} | wrong without the worst tenth |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for target, source in (("b", "a"), ("a", "b")):
        real, inputs = open_labelled(str(data / f"{target}.npz")), open_labelled(str(data / f"test_{source}.npz"))
        assert real.array is not None
        classifier = train_classifier(torch.from_numpy(real.array), real.labels)
        for run in runs:
            numbers = measured(Translator.load(run, threads=1), inputs, source, target)
            labels = np.repeat(inputs.labels, STYLES)
            wrong = predict(classifier, torch.from_numpy(numbers["outputs"])) != labels
            areas = " | ".join(f"{area_under_roc(numbers[name], wrong):.3f}" for name in names)
            kept = numbers["invention"] <= np.quantile(numbers["invention"], 1 - DROPPED)
            share = f"{100 * wrong.mean():.1f} % | {areas} | {100 * wrong[kept].mean():.1f} %"
            lines.append(f"| {run.name} | {source} to {target} | {len(wrong)} | {share} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="trained runs")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `drit data demo` wrote")
    values = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        print(table(values.runs, values.data), end="")
    except DritError as error:
        return fail(error, error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
