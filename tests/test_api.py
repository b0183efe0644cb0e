"""The front door for Python: functions that do what the commands do, and the Python of README and guide, run."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import drit
from drit.cli import main as cli
from drit.errors import UsageError
from drit.evaluation import protocol
from drit.runs.record import recorded_settings
from drit.settings.schema import to_dict
from tests.conftest import tiny, write_images

ROOT = Path(__file__).resolve().parents[1]


def test_import_is_light_and_all_is_there() -> None:
    code = (
        "import sys, drit\nassert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert dir(drit) and drit.list_methods()\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for name in drit.__all__:
        value = getattr(drit, name)
        assert name in dir(drit) and inspect.getdoc(value)
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty
            assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values()), name
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        drit.trian  # noqa: B018


def test_train_takes_settings_files_dictionaries_and_words(
    folders: tuple[Path, Path], tmp_path: Path, run: Path
) -> None:
    """However the settings come, the run is that of the command; and it can be gone on with."""
    settings = tiny(*folders, steps=2)
    one = drit.train(settings, out=tmp_path / "one")
    assert (one.run, one.step, one.finished) == (tmp_path / "one", 2, True)
    nested = to_dict(settings) | {"steps": 5}
    two = drit.train(nested, out=tmp_path / "two", a=folders[0], b=str(folders[1]), steps=2)
    three = drit.train(tmp_path / "two" / "config.json", out=tmp_path / "three", optim__ema=0.9)
    assert one.losses == two.losses == three.losses
    assert recorded_settings(one.run) == recorded_settings(three.run)
    assert drit.train(resume=one.run, steps=3).step == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either out=FOLDER"),
        ({"out": "x", "resume": "y"}, "either out=FOLDER"),
        ({"resume": "y", "config": {}}, "leave config and start_from out"),
        ({"out": "x", "config": {}, "preset": "quick"}, "leave method and preset out"),
        ({"out": "x", "config": 3}, "not int"),
        ({"out": "x", "config": "missing.json"}, "missing.json cannot be read"),
        ({"out": "x", "stepps": 3}, "no setting 'stepps'. Did you mean 'steps'?"),
        ({"out": "x", "network__widht": 3}, "no setting 'network.widht'. Did you mean 'width'?"),
        ({"out": "x", "steps": "many"}, "Setting 'steps' is 'many'"),
        ({"out": "x", "preset": "quik"}, "no preset 'quik'. Did you mean 'quick'?"),
        ({"out": "x", "method": "ditr"}, "no method 'ditr'. Did you mean 'drit'?"),
    ],
)
def test_wrong_trainings(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        drit.train(**arguments)


def test_wrong_evaluations_and_augmentations(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Give both"):
        drit.evaluate(run, "a", "b", train_a="c")
    with pytest.raises(UsageError, match="no such setting .*stiles"):
        drit.evaluate(run, "a", "b", stiles=3)
    with pytest.raises(UsageError, match="no metric 'fidd'"):
        drit.evaluate(run, "a", "b", metrics=["fidd"])
    with pytest.raises(UsageError, match="no such setting .*tiems"):
        drit.augment(run, "a", to="b", times=2, out=tmp_path / "x", tiems=3)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the images that documents name; trainings are short, and networks narrow."""
    monkeypatch.chdir(tmp_path)
    for seed, season in enumerate(("summer", "winter")):
        write_images(tmp_path / "photos" / season, 4, 3, (32, 32), seed)
        write_images(tmp_path / "labelled" / f"class{seed}", 2, 3, (32, 32), seed)
    small = to_dict(tiny("a", "b"))
    words = {"threads": 1, "data__resize": 32, "data__crop": 32, "log__tensorboard": False}
    words |= {
        f"network__{name}": small["network"][name] for name in ("width", "attribute_width", "discriminator_width")
    }
    train = drit.train
    monkeypatch.setattr(drit, "train", lambda **given: train(**(given | words | {"steps": 1})), raising=False)
    short = replace(protocol.PROTOCOLS["quick"], learn_steps=2, resamples=5, metrics=("energy", "style"))
    monkeypatch.setitem(protocol.PROTOCOLS, "quick", short)
    return tmp_path


def test_the_python_of_readme_and_guide_runs(place: Path) -> None:
    names: dict[str, Any] = {"image": Image.open(place / "photos/summer/000.png"), "drit": drit}
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").partition("## 15. From Python")[2]
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "guide.md", "exec"), names)
    assert len(names["winters"]) == 5 and names["winters"][0].size == (32, 32)
    assert names["numbers"]["energy"]["value"] is not None
    assert (place / "winter3.png").is_file() and len(names["augmented"]) == 12
    again = drit.evaluate("runs/python", "photos/summer", "photos/winter", protocol="quick")  # over its own result
    assert json.loads(Path(again["out"], "result.json").read_text())["to"] == again["to"]
    readme = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    lines = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    assert readme[1] in lines  # the five lines are those that ran
    first = readme[0].replace("runs/seasons", "runs/python")
    exec(compile(first, "README.md", "exec"), names | {"another": names["image"]})


def test_the_command_and_the_function_give_one_result(place: Path, run: Path, folders: tuple[Path, Path]) -> None:
    """`drit augment` and `drit.augment`: the same files, byte for byte."""
    write_images(place / "grey" / "x", 2, 1, seed=3)
    words = ["augment", str(run), "grey", "--to", "b", "--times", "2", "--out", "one", "--seed", "3"]
    assert cli.main([*words, "--threads", "1", "--precision", "float32"]) == 0
    augment = partial(drit.augment, threads=1, precision="float32")
    assert augment(run, "grey", to="b", times=2, out="two", seed=3)["outputs"] == 4
    files = sorted(p.relative_to("one") for p in Path("one").rglob("*") if p.is_file())
    assert len([p for p in files if p.suffix == ".png"]) == 4
    for path in files:
        if path.name != "augment.json":  # names the folder
            assert Path("one", path).read_bytes() == Path("two", path).read_bytes()
