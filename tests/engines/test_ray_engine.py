"""`--engine ray`: the bytes of one process, also where a worker is killed; what is said when it cannot be used."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drit
import tests.store  # noqa: F401  registers the scheme store://
from drit.augmentation.augment import augment
from drit.augmentation.settings import AugmentSettings
from drit.cli import main as cli
from drit.data.images import encode
from drit.data.labelled import open_labelled
from drit.engines import ray_data
from drit.engines.registry import find_engine
from drit.errors import DataError, DritError, UsageError
from drit.inference.files import FileOptions, translate_files
from drit.inference.reading import find_inputs
from drit.inference.styles import StyleChoice, chosen_styles
from drit.runs import checkpoint
from drit.storage import Places
from tests.conftest import write_images

REASON = "needs the extra ray: pip install 'drit[ray]'"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers on this machine, for all tests of the module."""
    pytest.importorskip("ray", reason=REASON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # workers find the tests
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield ray
        ray.shutdown()


class KillsOnce:
    """Work of which one task, once it is done but before that is told, kills its process; the first time alone."""

    def __init__(self, work: Callable[[Any], Any], task: Any, marker: Path) -> None:
        self.work, self.task, self.marker = work, task, marker

    def __call__(self, task: Any) -> Any:
        result = self.work(task)
        if task == self.task and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result


class Killing:
    """The ray engine, with a worker that is killed in the middle."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any], gpu: bool = False) -> Generator[Any, None, None]:
        return find_engine("ray").run(KillsOnce(work, tasks[len(tasks) // 2], self.marker), tasks, gpu)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def model(run: Path) -> drit.Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


def test_translate_gives_the_bytes_of_one_process_though_a_worker_is_killed(
    cluster: Any, model: drit.Translator, tmp_path: Path
) -> None:
    folder = write_images(tmp_path / "in", 7, 1)
    content = (folder / "004.png").read_bytes()
    (folder / "004.png").write_bytes(content[: len(content) - 40])  # the header is whole
    encode(np.zeros((40, 33, 1), np.uint8), folder / "large.tif")
    styles = chosen_styles(model, "b", StyleChoice(2), print)
    results = {}
    engines = {"one": FileOptions(maps=True), "ray": FileOptions(maps=True, engine=Killing(tmp_path / "killed"))}
    for name, options in engines.items():
        inputs = find_inputs([str(folder)], tmp_path / name)
        results[name] = translate_files(model, inputs, "b", tmp_path / name, styles, options=options)
    assert (tmp_path / "killed").exists()
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")
    assert len(contents(tmp_path / "ray")) == 7 * 3 + 3
    assert results["one"]["skipped"] == results["ray"]["skipped"] and len(results["ray"]["skipped"]) == 1
    assert results["one"]["notes"] == results["ray"]["notes"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["array", "folder"])
def test_augment_gives_the_bytes_of_one_process_in_a_store_too(
    cluster: Any, run: Path, model: drit.Translator, tmp_path: Path, kind: str
) -> None:
    """Two images in a unit, by their size; a worker is killed once; inputs and outputs of the engine lie in a store."""
    assert model.batch_size(192, 256) == 2
    images = np.random.default_rng(0).integers(0, 256, (6, 192, 256, 1)).astype(np.uint8)
    labels = np.arange(6) % 2
    source = tmp_path / "set"
    if kind == "array":
        source = tmp_path / "set.npz"
        np.savez(source, images=images, labels=labels)
    else:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            (source / f"c{label}").mkdir(parents=True, exist_ok=True)
            encode(image, source / f"c{label}" / f"{i}.png")
        (source / "c0" / "0.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    settings = AugmentSettings("b", 2, seed=3, max_invention=0.9)
    found = checkpoint.find(run)
    one = augment(model, found, open_labelled(str(source)), settings, tmp_path / "one")
    with Places() as places:
        data = open_labelled(places.read(f"store://{source}"))
        out = places.write(f"store://{tmp_path}/ray")
        other = augment(model, found, data, settings, out, engine=Killing(tmp_path / "killed"), places=places)
    assert (tmp_path / "killed").exists()
    here, there = contents(tmp_path / "one"), contents(tmp_path / "ray")
    records = [json.loads(files.pop("augment.json")) for files in (here, there)]
    assert here == there and len(there) >= 1
    for record in (*records, one, other):
        for name in ("data", "augmented", "seconds", "outputs_per_second"):
            record.pop(name, None)
    assert records[0] == records[1] and one == other


class Elsewhere:
    """An engine whose workers have another folder under the name of the outputs'."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any], gpu: bool = False) -> Generator[Any, None, None]:
        here = self.out.rename(self.out.with_name("here"))
        self.out.mkdir()
        try:
            yield work(tasks[0])
        finally:
            self.out.rmdir()  # empty
            here.rename(self.out)


def test_a_worker_that_does_not_share_the_folder(run: Path, model: drit.Translator, tmp_path: Path) -> None:
    """It says so before it writes what nobody would find."""
    folder, out = write_images(tmp_path / "in", 2, 1), tmp_path / "out"
    styles, options = chosen_styles(model, "b", StyleChoice(2), print), FileOptions(engine=Elsewhere(out))
    with pytest.raises(DritError, match=f"{out} on .* is not the folder that the command writes to"):
        translate_files(model, find_inputs([str(folder)], out), "b", out, styles, options=options)
    (folder / "c").mkdir()
    (folder / "000.png").rename(folder / "c" / "0.png")
    (folder / "001.png").rename(folder / "c" / "1.png")
    out = tmp_path / "set"
    with pytest.raises(DritError, match="a folder that all machines share, or an address"):
        data, found = open_labelled(str(folder)), checkpoint.find(run)
        augment(model, found, data, AugmentSettings("b", 1), out, engine=Elsewhere(out))


@pytest.mark.slow
def test_evaluate_gives_the_numbers_of_one_process(cluster: Any, run: Path, tmp_path: Path) -> None:
    sets = {d: str(write_images(tmp_path / d, 24, c, seed=9 + c)) for d, c in (("a", 1), ("b", 3))}
    protocol: dict[str, Any] = {"count": 24, "styles": 3, "distribution_styles": 2, "reconstructions": 5, "learn": 20}
    protocol |= {"learn_steps": 2, "bins": 2, "resamples": 3, "kid_subset": 10}
    results, pages = [], []
    for engine in ("process", "ray"):
        out = tmp_path / engine
        result = drit.evaluate(run, sets["a"], sets["b"], out=out, engine=engine, threads=1, **protocol)
        pages.append((out / "index.html").read_text("utf-8"))
        results.append({k: v for k, v in result.items() if k not in ("seconds", "out")})
    assert results[0] == results[1] and results[0]["to"]["b"]
    images = [[part.partition('"')[0] for part in page.split("data:image")[1:]] for page in pages]
    assert images[0] == images[1] and images[0]


def refuse(task: int) -> int:
    if task == 1:
        raise DataError("Image 1 is none.")
    return task


def die(task: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_an_error_of_a_task_is_raised_in_its_turn(cluster: Any) -> None:
    done = []
    with closing(find_engine("ray").run(refuse, range(3))) as results, pytest.raises(DataError, match="Image 1"):
        done.extend(results)
    assert list(find_engine("ray").run(refuse, [])) == []


@pytest.mark.slow
def test_a_task_that_ends_every_worker_is_given_up(cluster: Any) -> None:
    with pytest.raises(DritError, match="ended its worker 4 times"):
        list(find_engine("ray").run(die, [0]))


def test_a_cluster_without_room_for_a_worker() -> None:
    with pytest.raises(UsageError, match=r"takes 8 CPUs; it has 2 CPUs"):
        ray_data._workers({"CPU": 2.0}, 8, False)
    with pytest.raises(UsageError, match="and a GPU"):
        ray_data._workers({"CPU": 2.0}, 1, True)
    assert ray_data._workers({"CPU": 9.0, "GPU": 2.0}, 2, False) == 4
    assert ray_data._workers({"CPU": 9.0, "GPU": 2.0}, 2, True) == 2


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}", "127.0.0.1:70000{}"])
def test_a_cluster_that_does_not_answer(
    address: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason=REASON)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", address.format(free.getsockname()[1]))
        folder = str(write_images(tmp_path / "in", 2, 1))
        words = ["translate", str(run), folder, "--to", "b", "--out", str(tmp_path / "out"), "--engine", "ray"]
        assert cli.main(words) == 1
    assert f"Nobody answers at RAY_ADDRESS={os.environ['RAY_ADDRESS']} (" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["translate", "augment", "evaluate"])
def test_without_the_extra_the_line_that_installs_it_is_named(
    command: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_data.importlib.util, "find_spec", lambda name: None)
    folder = str(write_images(tmp_path / "in", 2, 1))
    words = {
        "translate": [str(run), folder, "--to", "b"],
        "augment": [str(run), folder, "--to", "b", "--times", "1"],
        "evaluate": [str(run), "--data.a", folder, "--data.b", folder],
    }[command]
    assert cli.main([command, *words, "--out", str(tmp_path / "out"), "--engine", "ray"]) == 2
    assert "pip install 'drit[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason=REASON)
    folder = write_images(tmp_path / "in", 1500, 1, (120, 120))
    out = tmp_path / "out"
    words = ["translate", str(run), str(folder), "--to", "b", "--out", str(out), "--styles", "3", "--engine", "ray"]
    process = subprocess.Popen(
        [sys.executable, "-m", "drit", *words, "--threads", "1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    for _ in range(1200):
        if len(list(out.glob("*style*.png"))) > 5 or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and b"Traceback" not in told, told
    written = [p for p in out.iterdir() if p.name != "outputs.json"]
    assert 5 < len(written) < 4500 and not [p for p in written if p.name.startswith(".")]
