"""Memory: predicted near what a process takes, refused with the size that fits, smaller parts where it runs out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drit
from drit.inference import memory
from drit.inference import translator as module
from drit.inference.memory import TooLargeError
from drit.inference.translator import Translator
from drit.runtime import AliveBytes


@pytest.fixture
def translator(run: Path) -> Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


def test_what_is_counted() -> None:
    """The most that is alive at once; a tensor and its views once."""
    with AliveBytes() as counter:
        x = torch.zeros(1000)
        y = x.view(10, 100)[:5] + 1
        del x
        z = torch.ones(250)
        del y, z
        torch.ones(500)
    assert counter.peak == 4 * 1000 + 4 * 500


def test_too_large_an_image_is_refused_with_the_size_that_fits(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CHECKED_PIXELS", 40 * 40)
    needed = translator.memory_needed(80, 120, "b")
    assert needed > 80 * 120 * 4 * 4  # at least the first layer's output
    monkeypatch.setattr(memory, "available", lambda device: needed // 2)
    image = np.zeros((80, 120, 1), np.uint8)
    with pytest.raises(TooLargeError, match="120 x 80 pixels takes .* The largest of its shape that fits") as refused:
        translator.translate(image, "b")
    fits = re.search(r"that fits is (\d+) x (\d+)", str(refused.value))
    assert fits
    width, height = int(fits[1]), int(fits[2])
    assert 82 <= width <= 85 and 54 <= height <= 57  # 1 / sqrt(2) of each side
    assert translator.translate(image[:height, :width], "b")[0].shape == (height, width, 3)
    with pytest.raises(TooLargeError):
        translator.batch(torch.zeros(1, 1, 80, 120), translator.sample(1, "b"), "b")
    monkeypatch.setattr(memory, "available", lambda device: None)  # not known: tried
    assert translator.translate(image, "b")[0].shape == (80, 120, 3)


def limited(translator: Translator, monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Rendering runs out of memory for more than `most` outputs at once; returns how many were tried, each time."""
    render, tried = translator.method.render, []

    def of_few(prepared: Any, style: torch.Tensor, domain: str) -> torch.Tensor:
        tried.append(len(style))
        if len(style) > most:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"
            )
        return render(prepared, style, domain)

    monkeypatch.setattr(translator.method, "render", of_few)
    return tried


def test_where_memory_runs_out_chunks_get_smaller(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, styles = torch.linspace(-1, 1, 256).reshape(1, 16, 16), translator.sample(7, "b")
    whole = torch.stack(list(translator.outputs(x, styles, "b")))
    monkeypatch.setattr(module, "CHUNK_PIXELS", 16 * 16 * 6)
    tried = limited(translator, monkeypatch, 2)
    parts = torch.stack(list(translator.outputs(x, styles, "b")))
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1, 1]
    assert float((whole - parts).abs().max()) < 1e-6


def test_where_memory_runs_out_batches_get_smaller(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, styles = torch.rand(5, 1, 16, 16) * 2 - 1, translator.sample(10, "b")
    whole = translator.batch(x, styles, "b")
    limited(translator, monkeypatch, 1)
    parts = translator.batch(x, styles, "b")
    assert float((whole - parts).abs().max()) < 1e-6


def test_an_image_that_does_not_fit_alone_is_named(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(translator, monkeypatch, 0)
    with pytest.raises(TooLargeError, match="Memory ran out while an image of 20 x 16 pixels was translated"):
        translator.translate(np.zeros((16, 20), np.uint8), "b", styles=3)
    monkeypatch.setattr(translator.method, "render", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # other errors stay what they are
        translator.translate(np.zeros((16, 20), np.uint8), "b")


def test_memory_that_the_process_keeps_is_free_for_it() -> None:
    device = torch.device("cpu")
    free = memory.available(device)
    assert free is not None and free >= memory.free_memory() // 2
    assert memory._freed_and_kept() >= 0


@pytest.mark.parametrize("able, narrower", [({"avx512_bf16": True}, True), ({}, False)])
def test_a_processor_without_bfloat16_takes_the_memory_of_float32(
    able: dict[str, bool], narrower: bool, translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    narrow, wide = (
        memory.bytes_per_pixel(translator.method, "a", "b", dtype) for dtype in (torch.bfloat16, torch.float32)
    )
    assert narrow < 0.9 * wide if narrower else narrow == wide


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from benchmarks.worker import CHANNELS, paper
from drit.inference.translator import Translator
from drit.methods.drit.objective import DRIT
def memory(line):
    text = Path("/proc/self/status").read_text()
    return 1024 * int(next(x for x in text.splitlines() if x.startswith(line)).split()[1])
height, width = 1280, 1536
translator = Translator(DRIT(paper(256, 1, 16), CHANNELS), {}, "cpu", sys.argv[1], threads=1)
translator._scarce = lambda height, width: True  # no gaps of freed memory: where it is plentiful they vary by half
translate = lambda image: [None for _ in translator.outputs(image, translator.sample(2, "b"), "b")]
translate(np.zeros((64, 64, 3), np.uint8))
predicted = translator.memory_needed(height, width, "b")
before = memory("VmRSS")
translate(np.zeros((height, width, 3), np.uint8))
print(predicted, memory("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_prediction_is_near_what_a_process_takes(precision: str) -> None:
    command = [sys.executable, "-c", MEASURE, precision]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    predicted, measured = map(int, shown)
    assert abs(predicted - measured) < 0.2 * measured, (predicted >> 20, measured >> 20)
