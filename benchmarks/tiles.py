"""Time, memory and disk of one translation of a large image, whole or in strips.

    python -m benchmarks.tiles SIDE [--tile PX] [--width W] [--precision P] [--threads N]

DRIT of the paper with random weights of that width; an image of SIDE x SIDE pixels; one style. Memory is the growth of
the resident memory at its peak, without the image itself (Linux). Each call is one figure: run it in a process of its
own. The result is compared with that of the whole image with --compare.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.worker import CHANNELS, paper
from drit.data.images import from_tensor
from drit.inference.tiles import TiledImage, joined
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT


def resident(line: str) -> int:
    """VmRSS or VmHWM of this process, in MiB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(x for x in text.splitlines() if x.startswith(line)).split()[1]) >> 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", type=int, metavar="SIDE", help="pixels")
    parser.add_argument("--tile", type=int, default=0, metavar="PX", help="in strips of PX x PX pixels [whole]")
    parser.add_argument("--width", type=int, default=16, metavar="W", help="of the first layer [16]")
    parser.add_argument("--precision", default="auto", help="[auto]")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="[1]")
    parser.add_argument("--compare", action="store_true", help="with the translation of the whole image too")
    values = parser.parse_args()
    torch.manual_seed(0)
    method = DRIT(paper(256, 1, values.width), CHANNELS)
    translator = Translator(method, {}, "cpu", values.precision, threads=values.threads)
    rng, side = np.random.default_rng(0), values.side
    coarse = rng.integers(0, 256, (-(-side // 64), -(-side // 64), 3)).astype(np.uint8)
    image = np.repeat(np.repeat(coarse, 64, 0), 64, 1)[:side, :side].copy()
    style = translator.sample(1, "b")
    translator.translate(image[:64, :64], "b", style)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    began = time.process_time(), time.monotonic()
    scratch = 0
    if values.tile:
        tiled = TiledImage(translator, image, "a", "b", values.tile, folder=tempfile.gettempdir())
        out = joined(map(from_tensor, tiled.output(style[0])), side)
        scratch = tiled.scratch.bytes
    else:
        out = translator.translate(image, "b", style)[0]
    cpu, wall = time.process_time() - began[0], time.monotonic() - began[1]
    print(
        f"{side} x {side}, tile {values.tile or 'none'}, {translator.dtype}: {cpu:.1f} s of processor time "
        f"({cpu / (side * side / 1e6):.2f} a megapixel), {wall:.1f} s; memory {resident('VmHWM') - before} MiB; "
        f"files {scratch / (1 << 20):.0f} MiB"
    )
    if values.compare:
        other = translator.translate(image, "b", style)[0].astype(int)
        apart = np.abs(out.astype(int) - other)
        print(f"largest difference {apart.max()} of 255; {100 * (apart > 0).mean():.2f} % of the values differ")


if __name__ == "__main__":
    main()
