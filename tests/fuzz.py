"""Random input for what reads files, settings, flags, checkpoints and requests: errors for people, or nothing.

    python -m tests.fuzz --examples 1000 --seed 0

Each target draws input by hypothesis, gives it to the program and lets only the errors through that are written for
people. `Fuzz.tried` counts the inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from drit.cli.main import build_parser
from drit.data.arrays import read_arrays
from drit.data.images import decode, read_header
from drit.data.labelled import open_labelled
from drit.data.shards import shards_of
from drit.errors import DataError, DritError, UsageError
from drit.inference.state import parse
from drit.inference.styles import read_styles
from drit.inference.translator import Translator
from drit.methods.registry import entries, preset
from drit.reports.run import run_page
from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder
from drit.runs.library import StyleLibrary
from drit.runs.record import recorded_settings
from drit.runs.run import read_run
from drit.settings.files import read_settings
from drit.settings.schema import merged, settings_of
from tests import hostile
from tests.data.samples import FILES

ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, 10**15, 10**40, -(10**400), 1.5, 1e308, float("nan"), float("inf"), True, None)
ODD_TEXTS = ("", "\0", "\ud800", "../../etc/passwd", "/dev/zero", "x" * 5000, "a\nb", "%s{}", "--help", "nan", "1e999")

odd = st.one_of(
    st.sampled_from(ODD_NUMBERS), st.sampled_from(ODD_TEXTS), st.integers(), st.floats(), st.text(max_size=20)
)
values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
edits = st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=4)


def edited(content: bytes, changes: list[tuple[int, bytes]], cut: int) -> bytes:
    """The bytes with some written over, and perhaps cut: places beyond the end count from the middle."""
    data = bytearray(content)
    for place, new in changes:
        at = place if place < len(data) else (len(data) // 2 + place) % max(1, len(data))
        data[at : at + len(new)] = new
    return bytes(data[: max(0, len(data) - cut)])


def mutated(value: Any, path: list[int], new: Any) -> Any:
    """A JSON value with another one at a place that is reached by choosing among what it holds."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = mutated(value[key], path[1:], new)
    return copy


places = st.lists(st.integers(0, 60), min_size=1, max_size=4)


class Fuzz:
    """The targets, on a copy of a run."""

    def __init__(self, run: Path, folder: Path) -> None:
        """run: a small trained run, of which a copy is broken. folder: to write to."""
        self.folder = folder
        self.run = Path(shutil.copytree(run, folder / "run"))
        self.tried: Counter[str] = Counter()
        self.translator = Translator.load(str(self.run), precision="float32", threads=1)
        for other in files.checkpoints(self.run)[:-1]:
            shutil.rmtree(other)
        self.checkpoint = files.find(self.run)
        self.whole = {p: p.read_bytes() for p in self.run.rglob("*.json*")} | {
            p: p.read_bytes() for p in self.checkpoint.iterdir()
        }
        self.images = folder / "images"
        self.images.mkdir()
        for i in range(2):
            (self.images / f"{i}.png").write_bytes(FILES["png"]())

    @contextlib.contextmanager
    def put(self, path: Path, content: bytes) -> Iterator[Path]:
        """A file of the run or the folder while the block lasts."""
        path.write_bytes(content)
        yield path
        if path in self.whole:
            path.write_bytes(self.whole[path])

    def targets(self) -> dict[str, Callable[..., None]]:
        """The targets by name, each taking what hypothesis draws."""
        given = hypothesis.given
        contents = {kind: make() for kind, make in FILES.items()}
        meta, config = (json.loads(self.whole[p]) for p in (self.checkpoint / "meta.json", RunFolder(self.run).config))
        weights = self.whole[self.checkpoint / "weights.safetensors"]
        header = 8 + struct.unpack("<Q", weights[:8])[0]
        archive = hostile.arrays()[0].content
        names = [s.name for s in settings_of(type(preset("default")))]

        @given(st.sampled_from(sorted(contents)), edits, st.integers(0, 40) | st.just(0))
        def images(kind: str, changes: Any, cut: int) -> None:
            with self.put(self.folder / "x.png", edited(contents[kind], changes, cut)) as path:
                for read in (read_header, decode):
                    with contextlib.suppress(DataError):
                        read(path)

        @given(edits, st.integers(0, 40) | st.just(0))
        def arrays(changes: Any, cut: int) -> None:
            with self.put(self.folder / "x.npz", edited(archive, changes, cut)) as path, contextlib.suppress(DataError):
                read_arrays(path, beside=True)

        @given(st.dictionaries(st.sampled_from([*names, "data", "method", "steps"]), values, max_size=4))
        def settings(chosen: dict[str, Any]) -> None:
            nested: dict[str, Any] = {}
            for name, value in chosen.items():
                *parents, last = name.split(".")
                group = nested
                for parent in parents:
                    inner = group.get(parent)
                    group[parent] = inner if isinstance(inner, dict) else {}
                    group = group[parent]
                group[last] = value
            with self.put(self.folder / "x.json", json.dumps(nested).encode()) as path:
                with contextlib.suppress(UsageError):
                    merged(preset("default"), read_settings(path)[0]).check()

        @given(st.lists(st.tuples(st.sampled_from(names), odd), max_size=3), st.sampled_from(sorted(entries())))
        def flags(chosen: list[tuple[str, Any]], method: str) -> None:
            from drit.cli.flags import settings as of_flags

            words = ["train", "--method", method]
            for name, value in chosen:
                words += [f"--{name.replace('_', '-')}", str(value).replace("\0", "")]
            with contextlib.suppress(UsageError, SystemExit), contextlib.redirect_stdout(io.StringIO()):
                of_flags(build_parser().parse_all(words)).check()

        @given(places, values)
        def checkpoints(place: list[int], value: Any) -> None:
            path = self.checkpoint / "meta.json"
            with self.put(path, json.dumps(mutated(meta, place, value)).encode()), contextlib.suppress(DritError):
                Translator.load(str(self.run), precision="float32", threads=1)

        @given(st.lists(st.tuples(st.integers(0, header), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3))
        def weight_headers(changes: Any) -> None:
            plain = {key: value for key, value in meta.items() if key != "sha256"}
            with self.put(self.checkpoint / "meta.json", json.dumps(plain).encode()):
                with self.put(self.checkpoint / "weights.safetensors", edited(weights, changes, 0)):
                    with contextlib.suppress(DritError):
                        files.load_weights(self.checkpoint)

        @given(places, values)
        def records(place: list[int], value: Any) -> None:
            with self.put(RunFolder(self.run).config, json.dumps(mutated(config, place, value)).encode()):
                with contextlib.suppress(DritError):
                    recorded_settings(self.run)
                with contextlib.suppress(DritError):
                    read_run(self.run)

        result = {
            "protocol": {"name": "x"},
            "run": {"name": "y"},
            "to": {"b": {"fid": {"value": 1.0, "interval": [0, 2]}}},
        }
        line = {"step": 3, "cause": "x", "message": "y", "recovered": False}
        evaluated = self.run / "evaluation_x"
        evaluated.mkdir(exist_ok=True)
        pages: dict[Path, Any] = {
            RunFolder(self.run).config: config,
            RunFolder(self.run).data: json.loads(self.whole[RunFolder(self.run).data]),
            RunFolder(self.run).warnings: line,
            evaluated / "result.json": result,
        }

        @given(st.sampled_from(sorted(pages)), places, values)
        def reports(path: Path, place: list[int], value: Any) -> None:
            with self.put(path, json.dumps(mutated(pages[path], place, value)).encode() + b"\n"):
                # Curves are of numbers that metrics.jsonl was checked for, and drawing them takes a second.
                with contextlib.suppress(DritError), patch("drit.reports.plots.curves_svg", return_value=""):
                    run_page(read_run(self.run))
            if path not in self.whole:
                path.unlink()

        @given(values, st.text(max_size=30))
        def lines_and_styles(value: Any, text: str) -> None:
            content = json.dumps({"styles": {"x": value}, "domains": {"x": value}}).encode()
            with self.put(self.run / "styles.json", content) as path, contextlib.suppress(DritError):
                StyleLibrary(self.checkpoint).styles()
                read_styles(path, self.translator)
            (self.run / "styles.json").unlink()
            line = json.dumps({"step": value, "x": value}).encode() + b"\n" + text.encode(errors="replace")
            with self.put(RunFolder(self.run).metrics, line), contextlib.suppress(DritError):
                read_run(self.run)

        @given(
            st.dictionaries(
                st.sampled_from(["format", "version", "run", "from", "to", "name", "style", "seed"]), values
            )
        )
        def states(value: dict[str, Any]) -> None:
            with contextlib.suppress(DataError):
                parse(json.dumps({"format": 1, "run": "0" * 64} | value))

        @given(places, values)
        def shards(place: list[int], value: Any) -> None:
            member = {"place": "x.png", "shard": "a.tar", "name": "x", "offset": 0, "bytes": 9}
            member |= {"sha256": "0" * 64, "sampled": "0" * 64}
            whole = {"format": 1, "shards": [{"name": "a.tar", "bytes": 99}], "members": [member]}
            with self.put(self.folder / "shards.json", json.dumps(mutated(whole, place, value)).encode()):
                with contextlib.suppress(DataError):
                    found = shards_of(self.folder)
                    if found:
                        found.lost()
                        for path in found.paths():
                            with contextlib.suppress(DataError):
                                decode(path)
            (self.folder / "shards.json").unlink()

        @given(st.text(max_size=60), st.sampled_from(["file,label\n", "label,file,x\n", ""]))
        def labels(text: str, head: str) -> None:
            content = (head + text).encode(errors="surrogatepass")
            with self.put(self.folder / "x.csv", content) as path, contextlib.suppress(DataError):
                open_labelled(str(self.images), str(path))

        found = [
            images,
            arrays,
            settings,
            flags,
            checkpoints,
            weight_headers,
            records,
            reports,
            lines_and_styles,
            states,
            shards,
        ]
        return {target.__name__: target for target in [*found, labels, *self._requests()]}

    def _requests(self) -> list[Callable[..., None]]:
        """The target of the service, where its packages are installed."""
        try:
            from fastapi.testclient import TestClient
        except ImportError:
            return []
        from drit.serving.api import create_app
        from drit.serving.served import ServedRuns
        from drit.serving.settings import ServeSettings

        app = create_app(ServedRuns.load([str(self.run)], precision="float32", threads=1), ServeSettings(), studio=True)
        client = TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
        whole = FILES["png"]()
        fields = ("run", "to", "content", "size", "count", "seed", "numbers", "style", "format", "depth", "answer",
                  "domain", "name", "tags", "step", "token", "weights")  # fmt: skip
        routes = ("/v1/translate", "/v1/encode-style", "/v1/state", "/v1/library", "/v1/styles", "/v1/nothing")
        routes += ("/v1/library/tags", "/v1/checkpoints", "/v1/map", "/v1/progress")
        three = st.lists(odd, min_size=3, max_size=3)  # as many as a style of the run has
        texts = odd.map(str) | values.map(json.dumps) | three.map(json.dumps) | three.map(lambda v: json.dumps([v]))
        valid = {"to": "b", "domain": "b", "name": "x"}

        @hypothesis.given(
            st.sampled_from(routes), st.dictionaries(st.sampled_from(fields), texts, max_size=2), edits, st.booleans()
        )
        def requests(route: str, data: dict[str, str], changes: Any, known: bool) -> None:
            clean = {key: text.encode(errors="replace").decode() for key, text in data.items()}
            clean = (valid if known else {}) | clean  # with valid fields and image, others are reached
            image = {"image": ("../../x.png", whole if known else edited(whole, changes, 0))}
            for answer in (client.post(route, data=clean, files=image), client.get(route, params=clean)):
                assert answer.status_code < 500, answer.text
                if answer.status_code >= 400:
                    assert set(answer.json()) == {"error", "next"}, answer.text

        return [requests]

    def attack(self, target: Callable[..., None], examples: int, seed: int) -> int:
        """Give a target so many inputs, drawn by this seed; returns how many it was given."""

        def counted(*drawn: Any, **named: Any) -> None:
            self.tried[target.__name__] += 1
            inner(*drawn, **named)

        inner = target.hypothesis.inner_test  # type: ignore[attr-defined]
        target.hypothesis.inner_test = counted  # type: ignore[attr-defined]
        chosen = hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        hypothesis.seed(seed)(chosen(target))()
        return self.tried[target.__name__]


def main() -> None:
    from drit.training import launch
    from tests.conftest import tiny, write_images

    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=1000, help="inputs of each target")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["XDG_CACHE_HOME"] = name
        launch.train(tiny(write_images(root / "a", 5, 1), write_images(root / "b", 4, 3, seed=2)), root / "tiny")
        (root / "out").mkdir()
        fuzz = Fuzz(root / "tiny", root / "out")
        for label, target in fuzz.targets().items():
            print(f"{label}: {fuzz.attack(target, given.examples, given.seed)}", flush=True)
        print(f"all: {sum(fuzz.tried.values())}")


if __name__ == "__main__":
    main()
