"""Addresses of inputs and outputs: the files of a local folder, whole; errors that name address and next step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from drit.cli import main as cli
from drit.data.images import decode
from drit.errors import DataError, DritError, UsageError
from drit.storage import Places, is_remote
from tests.conftest import write_images


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    if system.exists("/bucket"):
        system.rm("/bucket", recursive=True)


def stored(system: fsspec.AbstractFileSystem, root: str) -> dict[str, bytes]:
    return {name[len(root) + 1 :]: system.cat_file(name) for name in system.find(root)}


def local(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def images(tmp_path: Path, memory: fsspec.AbstractFileSystem) -> Path:
    """Three grey images, in a folder and at memory://bucket/in."""
    folder = write_images(tmp_path / "in", 3, 1)
    for path in folder.iterdir():
        memory.pipe_file(f"/bucket/in/{path.name}", path.read_bytes())
    return folder


def test_paths_and_addresses() -> None:
    assert is_remote("s3://bucket/x") and is_remote("memory://x")
    assert not any(is_remote(name) for name in ("a/b", "C:/x", "file:///x", "x.npz:KEY", "/a"))
    with Places() as places:
        assert places.read("file:///x/y") == "/x/y" and places.write("a/b").path == Path("a/b")


def test_translate_reads_and_writes_addresses(
    run: Path, tmp_path: Path, images: Path, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--to", "b", "--styles", "2", "--threads", "1"]
    assert cli.main(["translate", str(run), str(images), "--out", f"file://{tmp_path}/out", *words]) == 0
    capsys.readouterr()
    remote = ["translate", str(run), "memory://bucket/in", "--out", "memory://bucket/out", *words]
    assert cli.main([*remote, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    here, there = local(tmp_path / "out"), stored(memory, "/bucket/out")
    listed = json.loads(there.pop("outputs.json"))
    assert here.pop("outputs.json") and here == there and len(there) == 3 * 2 + 2
    assert listed["000_style001.png"]["input"] == "memory://bucket/in/000.png"
    assert result["files"][0] == "memory://bucket/out/000_style001.png"
    assert cli.main(remote) == 0  # its own outputs are overwritten
    memory.pipe_file("/bucket/other/000_style001.png", b"of somebody")
    remote[4] = "memory://bucket/other"
    assert cli.main(remote) == 2
    assert "--out memory://bucket/other holds files" in capsys.readouterr().err
    assert stored(memory, "/bucket/other") == {"000_style001.png": b"of somebody"}


def put(system: fsspec.AbstractFileSystem, folder: Path, root: str) -> None:
    for name, content in local(folder).items():
        system.pipe_file(f"{root}/{name}", content)


def test_run_exemplar_and_style_at_addresses(
    run: Path, tmp_path: Path, images: Path, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with paths; what is written names addresses, and an evaluation lies beside its run."""
    put(memory, run, "/bucket/run")
    memory.pipe_file("/bucket/exemplar.png", (images / "001.png").read_bytes())
    words = ["--to", "a", "--threads", "1"]
    colour = str(write_images(tmp_path / "b", 2, 3))
    here = ["translate", str(run), colour, "--style-from", str(images / "001.png"), "--out", f"{tmp_path}/here"]
    there = ["translate", "memory://bucket/run", colour, "--style-from", "memory://bucket/exemplar.png", "--out"]
    assert cli.main([*here, *words]) == cli.main([*there, f"{tmp_path}/there", *words]) == 0
    assert np.array_equal(
        decode(tmp_path / "here/000_as_001.png")[0], decode(tmp_path / "there/000_as_exemplar.png")[0]
    )
    put(memory, tmp_path / "there", "/bucket/there")
    there[3:5] = ["--style", "memory://bucket/there/styles.json:as_exemplar"]
    assert cli.main([*there, f"{tmp_path}/again", *words]) == 0
    assert np.array_equal(*(decode(next((tmp_path / n).glob("000_as_exemplar*")))[0] for n in ("there", "again")))
    there[1] = "memory://bucket/nothing"
    capsys.readouterr()
    assert cli.main([*there, f"{tmp_path}/none", *words]) == 2
    assert "There is no file or folder memory://bucket/nothing" in capsys.readouterr().err

    words = ["evaluate", "memory://bucket/run", "--data.a", str(images), "--data.b", colour, "--threads", "1"]
    assert cli.main([*words, "--metrics", "style", "--styles", "2", "--protocol", "quick"]) == 0
    result = json.loads(memory.cat_file("/bucket/run/evaluation_quick/result.json"))
    assert result["run"]["name"] == "run" and result["to"]["b"]
    np.savez(tmp_path / "set.npz", images=np.zeros((4, 16, 16), np.uint8), labels=np.arange(4))
    words = ["augment", "memory://bucket/run", f"{tmp_path}/set.npz", "--out", f"{tmp_path}/set", "--to", "b"]
    assert cli.main([*words, "--times", "1", "--threads", "1"]) == 0
    assert json.loads((tmp_path / "set/augment.json").read_text())["run"] == "memory://bucket/run"


def test_augment_writes_the_set_of_a_folder_to_an_address(
    run: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "set.npz", pixels=np.zeros((4, 16, 16), np.uint8), labels=np.arange(4))
    memory.pipe_file("/bucket/set.npz", (tmp_path / "set.npz").read_bytes())
    words = ["--to", "b", "--times", "2", "--threads", "1"]
    there_words = ["augment", str(run), "memory://bucket/set.npz:pixels", "--out", "memory://bucket/out", *words]
    assert cli.main(["augment", str(run), f"{tmp_path}/set.npz:pixels", "--out", f"{tmp_path}/out", *words]) == 0
    assert cli.main(there_words) == 0
    there = stored(memory, "/bucket/out")
    assert set(there) == {"augment.json", "augmented.npz"}
    assert there["augmented.npz"] == (tmp_path / "out" / "augmented.npz").read_bytes()
    assert json.loads(there["augment.json"])["augmented"] == "memory://bucket/out/augmented.npz"
    capsys.readouterr()
    assert cli.main([*there_words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rendered"] == 0
    assert cli.main([*there_words, "--seed", "1"]) == 2
    assert "memory://bucket/out holds an augmentation" in capsys.readouterr().err


def test_evaluate_reads_and_writes_addresses(
    run: Path, tmp_path: Path, images: Path, memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in write_images(tmp_path / "b", 3, 3).iterdir():
        memory.pipe_file(f"/bucket/b/{path.name}", path.read_bytes())
    words = ["evaluate", str(run), "--data.a", "memory://bucket/in", "--data.b", "memory://bucket/b", "--threads", "1"]
    words += ["--metrics", "style", "--styles", "2", "--out", "memory://bucket/out"]
    assert cli.main(words) == 0, capsys.readouterr().err
    assert "memory://bucket/out/result.json" in capsys.readouterr().out
    assert {"result.json", "index.html", "outputs.json"} <= set(stored(memory, "/bucket/out"))


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("s4://bucket/in", "the scheme s4:// is not known"),
        ("memory://bucket/nothing", "There is no file or folder memory://bucket/nothing"),
    ],
)
def test_an_address_that_cannot_be_read(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, what: str
) -> None:
    assert cli.main(["translate", str(run), address, "--to", "b", "--out", str(tmp_path / "out")]) == 2
    assert what in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_name_that_leads_out_of_the_folder(
    run: Path, tmp_path: Path, images: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects of a store may have any name: none is written outside the copy."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for name in ("../../../taken.png", "../../../../taken.png"):
        memory.store[f"/bucket/in/{name}"] = memory.store["/bucket/in/000.png"]
        with pytest.raises(DataError, match=r"leads out of it: '\.\./"), Places() as places:
            places.read("memory://bucket/in")
        del memory.store[f"/bucket/in/{name}"]
    assert not [*tmp_path.rglob("taken.png")] and not [*(tmp_path / "temporary").iterdir()]


def test_a_scheme_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(UsageError, match="Install it: pip install s3fs"), Places() as places:
        places.write("s3://bucket/out")


def test_a_store_that_refuses_a_file(memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address; no half of the file is there."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    with Places() as places:
        folder = places.write("memory://bucket/out")
        (folder.path / "x.png").write_bytes(b"x")
        monkeypatch.setattr(type(memory), "open", refuse)
        with pytest.raises(DritError, match=r"memory://bucket/out/x\.png: Access Denied"):
            folder.publish(folder.path / "x.png")
    monkeypatch.undo()
    assert not memory.exists("/bucket/out/x.png")


def test_an_error_names_the_address(images: Path) -> None:
    with pytest.raises(DataError, match=r"memory://bucket/in/000\.png is broken"), Places() as places:
        raise DataError(f"{places.read('memory://bucket/in')}/000.png is broken")
