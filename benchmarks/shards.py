"""Measure how many images a second come from packed shards, beside the same JPEG files in a folder.

python -m benchmarks.shards [TURNS]

The two take turns in one process, so that other work on the machine disturbs both alike; neither keeps images.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from drit.data.folders import open_domain
from drit.data.images import encode
from drit.data.packing import pack
from drit.data.stream import BatchStream
from drit.settings.common import DataSettings

FILES, SIDE, CROP, BATCH, BATCHES = 200, 320, 256, 2, 30
SHARD = 1 << 20  # bytes: some shards for so few images


def rate(folder: Path, config: DataSettings, seed: int) -> float:
    """Images a second that one thread loads from a folder, or a folder of shards."""
    images = open_domain(str(folder), config, "a")
    stream = BatchStream({"a": images}, config, BATCH, seed)
    try:
        next(stream)
        began = time.perf_counter()
        for _ in range(BATCHES):
            next(stream)
        return BATCH * BATCHES / (time.perf_counter() - began)
    finally:
        stream.close()


def measure(turns: int = 9) -> dict[str, float]:
    """Images a second of each, in the middle of all turns, and the middle of the turns' ratios."""
    config = DataSettings(resize=288, crop=CROP, cache=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder, shards = Path(temporary, "folder"), Path(temporary, "shards")
        folder.mkdir()
        rng = np.random.default_rng(0)
        for i in range(FILES):  # smooth, as photographs are; noise would be slow to decode
            coarse = rng.integers(0, 256, (SIDE // 16, SIDE // 12, 3))
            encode(np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8), folder / f"{i}.jpg")
        pack(folder, shards, SHARD)
        pairs = []
        for turn in range(turns):
            order = (folder, shards) if turn % 2 else (shards, folder)
            found = {path: rate(path, config, turn) for path in order}
            pairs.append((found[folder], found[shards]))
    return {
        "folder": statistics.median(f for f, _ in pairs),
        "shards": statistics.median(s for _, s in pairs),
        "ratio": statistics.median(s / f for f, s in pairs),
    }


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:2]))))
