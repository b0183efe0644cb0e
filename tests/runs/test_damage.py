"""Any damaged file of a run is named with a remedy, in bounded time; nothing outside the run is followed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from drit.atomic import sha256
from drit.cli import main as cli
from drit.errors import CheckpointError, DritError
from drit.inference.translator import Translator
from drit.reports.run import write_report
from drit.runs import checkpoint as files
from drit.runs.folder import RunFolder
from drit.runs.record import recorded_settings
from drit.training import launch
from tests.conftest import tiny

BYTES = {
    "empty": b"",
    "NUL bytes": bytes(200),
    "another encoding": '{"a": "\N{SNOWMAN}"}'.encode("utf-16"),
    "not UTF-8": b'{"a": "\xff"}',
    "truncated": b'{"settings": {"ste',
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "deeply nested": b'{"a": ' * 100_000 + b"1" + b"}" * 100_000,
    "nested beyond use": b'{"a":' * 200 + b"1" + b"}" * 200,
    "a huge number": b'{"format": ' + b"9" * 5000 + b"}",
}


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may break."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def more_steps(run: Path) -> Any:
    """Settings for which the finished run has something left to train, and nothing to draw on the way."""
    settings = recorded_settings(run)
    return replace(settings, steps=7, log=replace(settings.log, sample_every=0, watch_every=0))


def sources(run: Path) -> tuple[str, str]:
    data = recorded_settings(run).data
    return data.a, data.b


def command(run: Path, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """The exit code and the errors of a command, which must end soon and without a traceback."""
    began = time.monotonic()
    code = cli.main([str(word) for word in words])
    errors = capsys.readouterr().err
    assert time.monotonic() - began < 20 and "Traceback" not in errors
    return code, errors


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
@pytest.mark.parametrize("name", ["config.json", "data.json", "latest", "meta.json", "metrics.jsonl"])
def test_damaged_bytes(name: str, content: bytes, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Resuming names the file and a remedy, with exit code 1, before it writes anything."""
    if name == "latest" and not content.strip(b"\0"):
        return  # test_latest_that_says_nothing
    shutil.rmtree(copy / "checkpoints" / "step_00000003")
    folder = RunFolder(copy)
    path = {"latest": folder.latest, "meta.json": folder.checkpoint(6) / "meta.json"}.get(name, copy / name)
    path.write_bytes(content + b"\n" if name == "metrics.jsonl" else content)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    code, errors = command(copy, capsys, "train", "--resume", copy, "--steps", 7)
    assert code == 1 and str(path) in errors, errors
    remedies = (
        "Put it back",
        "put it back",
        "Remove",
        "Add --allow-changes",
        "Move it",
        "move the file",
        "not written by",
    )
    assert any(remedy in errors for remedy in remedies), errors
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", "six"),
        ("step", -1),
        ("step", 10**30),
        ("step", 6.5),
        ("step", True),
        ("format", "2"),
        ("format", 0),
        ("method", ["drit"]),
        ("method", "no such method"),
        ("channels", {"a": 10**12, "b": 3}),
        ("channels", {"a": -1, "b": 3}),
        ("channels", [1, 3]),
        ("config", "drit"),
        ("config", {"method": "drit", "network": {"width": 10**9}}),
        ("config", {"method": "drit", "network": {"content_blocks": 10**8}}),
        ("config", {"method": "drit", "network": {"width": -4}}),
        ("config", {"method": 5}),
        ("sha256", "abc"),
        ("sha256", {"weights.safetensors": 5}),
    ],
)
def test_damaged_meta(key: str, value: Any, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = files.find(copy) / "meta.json"
    edit(path, lambda meta: meta.update({key: value}))
    image = next(Path(sources(copy)[0]).iterdir())
    code, errors = command(copy, capsys, "translate", copy, image, "--to", "b", "--out", copy / "out")
    assert code in (1, 2) and (str(path) in errors or "no such method" in errors), errors


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", -5),
        ("steps", "many"),
        ("batch", 10**12),
        ("network", {"width": 10**9}),
        ("network", []),
        ("data", {"crop": 10**9}),
        ("optim", {"lr": 1e999}),
        ("method", 5),
    ],
)
def test_damaged_settings(key: str, value: Any, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "config.json"
    edit(path, lambda record: record["settings"].update({key: value}))
    code, errors = command(copy, capsys, "train", "--resume", copy)
    assert code == 1 and str(path) in errors, errors


@pytest.mark.parametrize("name", ["chosen", "versions", "started_from", "format"])
def test_damaged_records(name: str, copy: Path) -> None:
    edit(copy / "config.json", lambda record: record.update({name: ["x"]}))
    with pytest.raises(CheckpointError, match=rf"config.json is damaged: '{name}'"):
        write_report(copy)


@pytest.mark.parametrize("value", [{"a": []}, {"a": 5, "b": {}}, {str(i): {} for i in range(100)}])
def test_damaged_data_record(value: Any, copy: Path) -> None:
    (copy / "data.json").write_text(json.dumps(value))
    with pytest.raises(CheckpointError, match="data.json is damaged.*--allow-changes"):
        launch.resume(copy, more_steps(copy))
    assert any("data.json" in line for line in write_report(copy)["unread"])
    assert launch.resume(copy, more_steps(copy), allow_changes=True).step == 7
    assert set(files.read_json(copy / "data.json")) == {"a", "b"}


@pytest.mark.parametrize(
    "line",
    [
        '{"step": "four", "total/generators": 1.0}',
        '{"step": -4}',
        '{"step": 1e999}',
        '{"step": 4, "total/generators": "high"}',
        '{"step": 4, "total/generators": [1]}',
        '{"step": 4, "total/generators": 1' + "0" * 400 + "}",
        '{"step": 4, "total/generators": ' + "[" * 5000,
    ],
)
def test_damaged_line_of_metrics(line: str, copy: Path) -> None:
    path = copy / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[4:]]) + "\n")
    with pytest.raises(CheckpointError, match=r"metrics.jsonl is damaged: line 4 .*Remove that line"):
        launch.resume(copy, more_steps(copy))
    assert write_report(copy)["unread"] == ["metrics.jsonl: 1 half-written line left out"]
    path.unlink()
    assert launch.resume(copy, more_steps(copy)).step == 7


def test_line_without_an_end(copy: Path) -> None:
    """A file as long as the disk is not read into memory."""
    path = copy / "metrics.jsonl"
    with open(path, "ab") as file:
        file.truncate(50 << 30)  # a hole: it takes no room
    began = time.monotonic()
    with pytest.raises(CheckpointError, match=r"metrics.jsonl cannot be read \(a line has more than"):
        launch.resume(copy, more_steps(copy))
    with pytest.raises(DritError, match="metrics.jsonl"):
        write_report(copy)
    with open(copy / "config.json", "ab") as file:
        file.truncate(50 << 30)
    with pytest.raises(CheckpointError, match=r"config.json cannot be read \(it has more than"):
        launch.resume(copy)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "name", ["../../other/checkpoints/step_00000003", "..", "/etc", "step_00000006/..", "x" * 5000]
)
def test_latest_leads_nowhere_else(name: str, copy: Path, run: Path) -> None:
    shutil.copytree(run, copy.parent / "other")
    (copy / "checkpoints" / "latest").write_text(name)
    with pytest.raises(CheckpointError, match=r"latest .*Remove that file: then .*step_00000006 is used"):
        files.find(copy)


@pytest.mark.parametrize("content", [None, b"", bytes(14), b"\n"])
def test_latest_that_says_nothing(content: bytes | None, copy: Path) -> None:
    """Missing, empty or NUL bytes, as a power failure leaves it: the newest whole checkpoint is used."""
    latest = RunFolder(copy).latest
    latest.unlink() if content is None else latest.write_bytes(content)
    assert files.find(copy).name == "step_00000006"
    assert launch.resume(copy, more_steps(copy)).step == 7
    assert latest.read_text() == "step_00000007\n"


def test_latest_that_names_one_which_is_gone(copy: Path) -> None:
    (copy / "checkpoints" / "latest").write_text("step_00000099\n")
    assert files.find(copy).name == "step_00000006"


@pytest.mark.parametrize("name", ["config.json", "data.json", "metrics.jsonl", "checkpoints/latest", "checkpoints"])
def test_links_out_of_the_run_are_not_followed(name: str, copy: Path) -> None:
    outside, path = copy.parent / "outside", copy / name
    os.rename(path, outside)
    path.symlink_to(outside)
    with pytest.raises(CheckpointError, match=rf"{path.name} is a link that leads out of"):
        launch.resume(copy, more_steps(copy) if name != "config.json" else None)


@pytest.mark.parametrize("name", ["meta.json", "weights.safetensors", "state.pt"])
def test_links_out_of_a_checkpoint_are_not_followed(name: str, copy: Path) -> None:
    path = copy / "checkpoints" / "step_00000006" / name
    os.rename(path, copy.parent / name)
    path.symlink_to(copy.parent / name)
    if name != "state.pt":
        with pytest.raises(CheckpointError, match=rf"{name} is a link that leads out of"):
            Translator.load(copy)
    else:
        with pytest.raises(CheckpointError, match=rf"{name} is a link that leads out of"):
            files.load(path.parent)


def test_a_run_that_is_itself_a_link(copy: Path) -> None:
    link = copy.parent / "link"
    link.symlink_to(copy)
    assert launch.resume(link, more_steps(copy)).step == 7


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("name", ["config.json", "checkpoints/latest", "metrics.jsonl", "data.json"])
def test_a_pipe_does_not_hang(name: str, copy: Path) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(CheckpointError, match=Path(name).name):
        launch.resume(copy)


def test_strays_beside_checkpoints_are_left_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Other folders, files and links are neither listed nor deleted, and saving goes on."""
    run = tmp_path / "run"
    launch.train(tiny(*folders), run, stop_after=1)
    place = run / "checkpoints"
    shutil.copytree(place / "step_00000001", place / "step_00000050_old")
    shutil.copytree(place / "step_00000001", place / "step_x")
    shutil.copytree(place / "step_00000001", tmp_path / "elsewhere")
    (place / "step_00000060").symlink_to(tmp_path / "elsewhere")
    (place / "step_00000070").write_text("a file")
    (place / "step_00000000").mkdir()
    assert launch.resume(run).finished
    assert [p.name for p in files.checkpoints(run)] == ["step_00000001", "step_00000003", "step_00000006"]
    files.prune(run, 6, 1, 0)
    assert [p.name for p in files.checkpoints(run)] == ["step_00000006"]
    strays = ("step_00000050_old", "step_x", "step_00000060", "step_00000070", "step_00000000")
    assert all((place / name).exists() for name in strays) and (tmp_path / "elsewhere" / "meta.json").is_file()


def test_pruning_keeps_what_was_just_written(copy: Path) -> None:
    """Checkpoints after it are of a training that went another way: the newest is the one just written."""
    shutil.copytree(copy / "checkpoints" / "step_00000003", copy / "checkpoints" / "step_00000001")
    files.prune(copy, 3, 1, 0)
    assert [p.name for p in files.checkpoints(copy)] == ["step_00000003", "step_00000006"]


@pytest.mark.parametrize("part", ["weights.safetensors", "state.pt"])
def test_any_flipped_bit_is_named(part: str, copy: Path) -> None:
    path = files.find(copy) / part
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), len(content) // 6):
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{part} .*There is another: .*step_00000003"):
            files.load(path.parent)
        content[place] ^= 4
    if part == "weights.safetensors":
        content[-9] ^= 1
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"is damaged: its SHA-256 is"):
            Translator.load(copy)


def test_checkpoints_without_hashes_load(copy: Path) -> None:
    path = files.find(copy)
    edit(path / "meta.json", lambda meta: meta.pop("sha256"))
    assert files.load(path).state["step"] == 6


@pytest.mark.parametrize("part", ["weights.safetensors", "state.pt", "meta.json"])
def test_resuming_goes_on_from_the_last_whole_checkpoint(
    part: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that was never damaged: the same bits, lines of metrics once, the damaged one kept by another name."""
    expected = files.load_weights(copy / "checkpoints" / "step_00000006")[0]
    path = copy / "checkpoints" / "step_00000006" / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 128
    path.write_bytes(content)
    assert launch.resume(copy).step == 6
    told = capsys.readouterr().err
    assert str(path) in told and "put aside as step_00000006.damaged" in told and "goes on from iteration 3" in told
    weights = files.load_weights(copy / "checkpoints" / "step_00000006")[0]
    assert all(torch.equal(weights[name], t) for name, t in expected.items())
    lines = [json.loads(line)["step"] for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert lines == [1, 2, 3, 4, 5, 6]
    assert (copy / "checkpoints" / "step_00000006.damaged" / part).read_bytes() == content


def test_weights_that_are_not_finite_do_not_translate(copy: Path) -> None:
    """Of a version that saved them: it recorded no hashes."""
    checkpoint = files.find(copy)
    path = checkpoint / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    name = next(name for name in tensors if name.startswith("average."))
    tensors[name].view(-1)[0] = float("nan")
    safetensors.torch.save_file(tensors, path)
    edit(checkpoint / "meta.json", lambda meta: meta.pop("sha256"))
    with pytest.raises(CheckpointError, match=rf"not finite, in tensor '{name}'.*step_00000003"):
        Translator.load(copy)


def test_weights_of_another_type(copy: Path) -> None:
    checkpoint = files.find(copy)
    path = checkpoint / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    name = next(name for name in tensors if not name.startswith("average."))
    tensors[name] = tensors[name].to(torch.int32)
    safetensors.torch.save_file(tensors, path)
    edit(checkpoint / "meta.json", lambda meta: meta.pop("sha256"))
    with pytest.raises(CheckpointError, match=rf"has another type of tensor '{name}'"):
        launch.resume(copy, more_steps(copy))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: [state],
        lambda state: state | {"step": 5},
        lambda state: state | {"position": -1},
        lambda state: state | {"position": 10**40},
        lambda state: state | {"optimizers": 5},
        lambda state: state | {"method": "x"},
        lambda state: state | {"optimizers": {name: 5 for name in state["optimizers"]}},
        lambda state: state | {"optimizers": {name: {"state": {}} for name in state["optimizers"]}},
        lambda state: state | {"optimizers": {name: cut(value) for name, value in state["optimizers"].items()}},
    ],
)
def test_damaged_state(change: Callable[[Any], Any], copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints" / "step_00000003")
    path = files.find(copy) / "state.pt"
    torch.save(change(torch.load(path, weights_only=True)), path)
    edit(path.with_name("meta.json"), lambda meta: meta["sha256"].update({"state.pt": sha256(path)}))
    config = (copy / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match=r"state.pt "):
        launch.resume(copy, more_steps(copy))
    assert (copy / "config.json").read_bytes() == config


def cut(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Moments of other sizes than the weights."""
    moments = {i: {k: v[:1] if v.dim() else v for k, v in m.items()} for i, m in optimizer["state"].items()}
    return optimizer | {"state": moments}
