"""The sheet on top of the README: held-out drawings in random styles, the true colours beside.

drit data demo --name emoji --out emoji
drit train --data.a emoji/a --data.b emoji/b --preset quick --data.resize 96 --data.crop 96
    --network.discriminator-shift 0 --steps 2312 --out RUN
python -m experiments.emoji_sheet RUN --data emoji --out docs/images/emoji.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from drit.cli.parser import fail
from drit.data.folders import open_domain
from drit.errors import DritError
from drit.inference.translator import Translator
from drit.runs.record import recorded_settings
from drit.sheets import save_sheet, sheet

# Chosen by what they show: fruit, food, animals, a face, clothes, things.
SHOWN = ("1F34E", "1F353", "1F354", "1F435", "1F419", "1F457", "1F3EE", "1F40D")
STYLES = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run trained on the emoji")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `drit data demo` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="PNG to write")
    parser.add_argument("--shown", nargs="+", default=list(SHOWN), metavar="NAME", help="test emoji, by file name")
    parser.add_argument("--seed", type=int, default=0, help="of the styles [0]")
    values = parser.parse_args()
    try:
        translator = Translator.load(values.run)
        data = recorded_settings(values.run).data
        drawings, emoji = (open_domain(str(values.data / f"test_{d}"), data, d) for d in "ab")
        places = {Path(drawings.name(i)).stem: i for i in range(len(drawings))}
        rows: list[list[np.ndarray | None]] = []
        for i in (places[name] for name in values.shown):
            outputs = translator.translate(drawings.get(i), "b", STYLES, seed=values.seed)
            rows.append([drawings.get(i), *outputs, emoji.get(i)])
        titles = ["drawing", *(f"style {j + 1}" for j in range(STYLES)), "true colours"]
        save_sheet(sheet(rows, column_titles=titles), values.out)
    except DritError as error:
        return fail(error, error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
