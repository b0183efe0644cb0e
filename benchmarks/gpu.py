"""Measure speed and memory on a GPU, against the reference formulation on the same GPU.

    python -m benchmarks.gpu

The tasks are training steps at 216 and 256 pixels in batches of 2 to 32, and translation of one image in 1, 10 and
100 styles. For each it prints the speed-up, the seconds, the share of the peak and the peak memory. The peak is that of
large bfloat16 convolutions. Without a GPU it says what it would measure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.worker import CHANNELS, images, paper, random_sets
from drit.atomic import write_json
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT
from drit.methods.noise import Noise
from drit.training.launch import Trainer
from drit.training.optimizers import make_optimizers
from reference import formulation as reference

TRAINING = [(size, batch) for size in (216, 256) for batch in (2, 8, 32)]
STYLES = (1, 10, 100)
ROUNDS = 5


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Median seconds, after two calls that are not counted; those until the host has given its last order (`host`: a
    step that takes no longer waits for the host, not for the GPU); GFLOP; and peak memory in MiB."""
    call()
    with FlopCounterMode(display=False) as counter:
        call()
    torch.cuda.reset_peak_memory_stats()
    times, hosts = [], []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        hosts.append(time.perf_counter() - began)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return {
        "seconds": statistics.median(times),
        "host": statistics.median(hosts),
        "gflop": counter.get_total_flops() / 1e9,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
    }


def peak() -> float:
    """The rate of a large bfloat16 convolution, in GFLOP/s."""
    x = torch.randn(32, 256, 64, 64, dtype=torch.bfloat16, device="cuda").to(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, dtype=torch.bfloat16, device="cuda").to(memory_format=torch.channels_last)
    measured = timed(lambda: F.conv2d(x, weight, padding=1))
    return measured["gflop"] / measured["seconds"]


def training(size: int, batch: int) -> dict[str, dict[str, float]]:
    config = paper(size, batch)
    sets = random_sets(CHANNELS, size, batch, config.data)
    with Trainer(DRIT, config, sets) as trainer:
        trainer.start_stream()
        own = timed(trainer.iterate)
    del trainer
    torch.cuda.empty_cache()
    model = DRIT(config, CHANNELS).cuda()
    optimizers: dict[str, torch.optim.Optimizer] = dict(make_optimizers(model))
    pair = {d: torch.rand(batch, 3, size, size, device="cuda") * 2 - 1 for d in "ab"}
    return {"drit": own, "reference": timed(lambda: reference.step(model, pair, Noise(0, 0), optimizers))}


def translation(styles: int) -> dict[str, dict[str, float]]:
    translator = Translator(DRIT(paper(256, 1), CHANNELS), {}, "cuda")
    image = images(256, 1, 0)[0]
    own = timed(lambda: [None for _ in translator.outputs(image, translator.sample(styles, "b"), "b")])
    model = DRIT(paper(256, 1), CHANNELS).cuda().requires_grad_(False)
    x = torch.rand(1, 3, 256, 256, device="cuda") * 2 - 1
    codes = torch.randn(styles, 1, 8, device="cuda")

    @torch.inference_mode()
    def render() -> None:
        for code in codes:
            reference.generate(model, reference.content(model, x, "a"), code, "b").cpu()

    return {"drit": own, "reference": timed(render)}


def main() -> None:
    if not torch.cuda.is_available():
        cases = ", ".join(f"{size} px x {batch}" for size, batch in TRAINING)
        print(
            f"No GPU here. On one, this measures training steps ({cases}) and one 256-pixel image in "
            f"{', '.join(map(str, STYLES))} styles, against the reference formulation on the same GPU."
        )
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # the reference is float32
    roof = peak()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; bfloat16 convolutions reach {roof:.0f} GFLOP/s")
    print(
        "| task | speed-up | reference | drit | host | share of peak | memory, drit of reference |"
        "\n|---|---|---|---|---|---|---|"
    )
    rows: list[dict[str, Any]] = []
    tasks: list[tuple[str, Callable[[], dict[str, dict[str, float]]]]] = [
        (f"training step, {size} px, batch {batch}", lambda size=size, batch=batch: training(size, batch))
        for size, batch in TRAINING
    ]
    tasks += [(f"{n} styles, 256 px", lambda n=n: translation(n)) for n in STYLES]
    for name, task in tasks:
        measured = task()
        own, other = measured["drit"], measured["reference"]
        print(
            f"| {name} | {other['seconds'] / own['seconds']:.1f} x | {other['seconds']:.3g} s "
            f"| {own['seconds']:.3g} s | {own['host']:.3g} s | {100 * own['gflop'] / own['seconds'] / roof:.0f} % "
            f"| {own['peak_mib']:.0f} of {other['peak_mib']:.0f} MiB |",
            flush=True,
        )
        rows.append({"task": name, **measured})
        write_json(Path("benchmarks-gpu.json"), {"peak": roof, "rows": rows})  # each: a lent GPU may be taken back
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
