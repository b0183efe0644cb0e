"""Measure how many images a second the loader gives from JPEG files, without a cache.

python -m benchmarks.loader
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from drit.data.folders import open_domain
from drit.data.images import encode
from drit.data.stream import BatchStream, choose_workers
from drit.settings.common import DataSettings

FILES, SIDE, CROP, BATCH, BATCHES = 32, 320, 256, 2, 60


def measure() -> dict[str, float]:
    """Images of both domains a second. Files of 320 x 427 pixels are resized and cropped to 256."""
    config = DataSettings(resize=288, crop=CROP, cache=False)
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for d in "ab":
            Path(folder, d).mkdir()
            for i in range(FILES):  # smooth, as photographs are; noise would be slow to decode
                coarse = rng.integers(0, 256, (SIDE // 16, SIDE // 12, 3))
                encode(np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8), Path(folder, d, f"{i}.jpg"))
        sets = {d: open_domain(str(Path(folder, d)), replace(config), d) for d in ("a", "b")}
        workers = choose_workers(config, cached=False)
        stream = BatchStream(sets, config, BATCH, 0, 0, workers)
        next(stream)
        began = time.perf_counter()
        for _ in range(BATCHES):
            next(stream)
        seconds = time.perf_counter() - began
        stream.close()
    return {"images_per_second": 2 * BATCH * BATCHES / seconds, "workers": workers}


if __name__ == "__main__":
    print(json.dumps(measure()))
