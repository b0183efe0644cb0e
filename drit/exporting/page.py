"""`drit export RUN --format web`: a folder with a page that translates in the visitor's browser."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drit import serving
from drit.atomic import check_empty
from drit.data.images import decode
from drit.errors import UsageError
from drit.exporting.installed import UNKNOWN, exported_folder
from drit.exporting.onnx import graphs_of, record_of, write_files
from drit.inference.translator import Translator
from drit.runs.checkpoint import find
from drit.sheets import as_image, save_sheet

WEB = Path(__file__).parent / "web"  # the page's files
LOOK = Path(serving.__file__).parent / "studio" / "look.css"  # and what it shares with the studio
RUNTIME = WEB / "runtime"  # onnxruntime-web: `make web-runtime` fetches it, and a wheel may carry it
RUNTIME_FILES = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
EXAMPLE = 512  # pixels of the longer side of an example, at most
MODEL = "model"  # folder of the graphs and their record
_SIZES = (128, 192, 256, 384, 512)  # of images, in pixels, among which the page starts with the nearest to training's


def check_runtime() -> None:
    """Raises UsageError, with the line that fetches it, where the runtime of the page is not there."""
    missing = [name for name in RUNTIME_FILES if not (RUNTIME / name).is_file()]
    if missing:
        raise UsageError(
            f"--format web needs onnxruntime-web, which this installation does not carry ({missing[0]} is not there). "
            "Run `make web-runtime` in a checkout of drit, which needs npm, and export from there."
        )


def export_web(
    run: Path, out: Path, to: str = "", licence: str = UNKNOWN, threads: int = 0, examples: Sequence[Path] = ()
) -> dict[str, Any]:
    """Write page, runtime and graphs to the folder `out`, whole or not at all.

    to: the domain to translate to; all directions if empty. examples: images that the page offers to a visitor who has
    none at hand; copies of at most EXAMPLE pixels. Returns the record of the graphs. Raises UsageError where the
    runtime is missing, or for images that a browser does not show, DataError for an example that cannot be read; else
    as `export_onnx`.
    """
    check_empty(out)
    check_runtime()
    copies = [as_image(decode(path)[0]) for path in examples]
    translator = Translator.load(run, "cpu", "float32", threads=threads)
    method = translator.method
    for d, channels in method.channels.items():
        if channels not in (1, 3):
            raise UsageError(
                f"Images of domain {d} have {channels} channels: a browser shows grey and colour (1 or 3)."
            )
    exported = graphs_of(translator, to)
    record = record_of(translator, find(run), exported, licence)
    names = [translator.names.get(d) or d for d in method.channels]
    record["page"] = {
        "title": f"{', '.join(names[:-1])} and {names[-1]}",
        "to": translator.domain(to) if to else method.capabilities.directions[-1],
        "size": min(_SIZES, key=lambda size: abs(size - method.settings.data.crop)),
        "examples": [f"examples/{i}.png" for i in range(len(copies))],
    }
    with exported_folder(out) as folder:
        for file in [*sorted(WEB.iterdir()), LOOK]:
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        (folder / RUNTIME.name).mkdir()
        for name in RUNTIME_FILES:
            shutil.copyfile(RUNTIME / name, folder / RUNTIME.name / name)
        for name, image in zip(record["page"]["examples"], copies, strict=True):
            image.thumbnail((EXAMPLE, EXAMPLE))
            save_sheet(image, folder / name)
        (folder / MODEL).mkdir()
        write_files(folder / MODEL, exported, record)
    return record
