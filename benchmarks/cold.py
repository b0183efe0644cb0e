"""Measure the time from the program's start to its first translation.

    python -m benchmarks.cold

It is compared with importing torch and running one forward pass.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.worker import CHANNELS, images, paper
from drit.data.images import encode
from drit.methods.drit.objective import DRIT
from drit.runs import checkpoint
from drit.runs.record import describe

SIZE, ROUNDS = 256, 5
FORWARD = """
import torch
from benchmarks.worker import CHANNELS, paper
from drit.methods.drit.objective import DRIT
from drit.runtime import autocast, choose
processor = torch.device("cpu")
with torch.device("meta"):
    model = DRIT(paper(256, 1), CHANNELS)
model = model.to_empty(device="cpu").requires_grad_(False).eval()
with torch.inference_mode(), autocast(choose("auto", processor), processor):
    model.render(model.prepare(model.content(torch.zeros(1, 3, 256, 256), "a"), "b"), torch.zeros(1, 8), "b")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, image = Path(folder, "run"), Path(folder, "x.png")
        run.mkdir()
        config = paper(SIZE, 1)
        meta = describe(config, CHANNELS, {"a": 8, "b": 8}, {})
        weights = DRIT(config, CHANNELS).state_dict()
        checkpoint.save(run, 1, weights, {}, {}, meta)
        encode(np.ascontiguousarray(images(SIZE, 1, 0)[0]), image)
        commands = {
            "translate": ["-m", "drit", "translate", str(run), str(image), "--to", "b", "--styles", "1"],
            "torch and one forward": ["-c", FORWARD],
            "import torch": ["-c", "import torch"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for i in range(ROUNDS):
            for name, arguments in commands.items():
                more = ["--out", str(Path(folder, f"out{i}"))] if name == "translate" else []
                began = time.perf_counter()
                subprocess.run([sys.executable, *arguments, *more], check=True, capture_output=True)
                times[name].append(time.perf_counter() - began)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    print(
        json.dumps(
            seconds | {"ratio": seconds["translate"] / seconds["torch and one forward"], "torch": torch.__version__}
        )
    )


if __name__ == "__main__":
    main()
