"""Commands as a user types them: results, --json, exit codes, errors with the nearest name, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drit.cli import main as cli
from drit.cli.flags import settings
from drit.data.images import decode, encode
from drit.errors import UsageError
from drit.inference.translator import load
from drit.methods.registry import preset, settings_from
from drit.settings.common import DataSettings, TrainSettings
from drit.settings.schema import from_dict, to_dict
from tests.conftest import tiny, write_images


def drit(*words: object) -> int:
    return cli.main([str(w) for w in words])


def failed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Exit code and error of a command that must fail without words on standard output."""
    code = drit(*words)
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("drit: ")
    return code, output.err


def test_train_and_translate(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The main job with files of every kind: format, depth and size stay, a sheet and the styles are written."""
    config = tmp_path / "settings.json"
    config.write_text(json.dumps(to_dict(tiny(*folders))))
    run = tmp_path / "run"
    assert drit("train", "--config", config, "--out", run, "--json", "--steps", 2) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 2
    for name in ("config.json", "data.json", "metrics.jsonl", "samples/step_00000002.png", "checkpoints/latest"):
        assert (run / name).is_file(), name
    assert drit("train", "--resume", run, "--steps", 3) == 0
    assert "drit translate" in capsys.readouterr().out

    inputs = tmp_path / "inputs"
    inputs.mkdir()
    rng = np.random.default_rng(0)
    for name, depth in (("deep.png", 16), ("photo.jpg", 8), ("scan.tif", 16), ("sub/web.webp", 8), ("map.bmp", 8)):
        (inputs / name).parent.mkdir(exist_ok=True)
        image = rng.integers(0, 1 << depth, (21, 35, 3)).astype(np.uint8 if depth == 8 else np.uint16)
        encode(image, inputs / name)
    assert drit("translate", run, inputs, "--to", "colour", "--out", tmp_path / "out", "--styles", 2, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["styles"], len(result["files"])) == (5, 2, 10)
    for file in result["files"]:
        array, kind = decode(Path(file))
        assert array.shape == (21, 35, 3)
        assert kind.depth == (16 if Path(file).name.startswith(("deep", "scan")) else 8)
    assert (tmp_path / "out" / "sub" / "web_style002.webp").is_file()
    assert decode(Path(result["sheet"]))[0].shape[0] > 5 * 21

    again = tmp_path / "again"
    styles = tmp_path / "out" / "styles.json"
    assert drit("translate", run, inputs / "deep.png", "--to", "b", "--out", again, "--styles", 2) == 0
    assert (again / "deep_style001.png").read_bytes() == (tmp_path / "out" / "deep_style001.png").read_bytes()
    assert drit("translate", run, inputs / "deep.png", "--to", "b", "--out", tmp_path / "kept", "--style", styles) == 0
    kept = decode(tmp_path / "kept" / "deep_style002.png")[0]
    assert np.abs(kept.astype(int) - decode(again / "deep_style002.png")[0]).max() <= 2  # six decimals are kept
    exemplar = next(folders[1].iterdir())
    command = ["translate", run, inputs / "photo.jpg", "--to", "b", "--out", tmp_path / "as", "--style-from", exemplar]
    assert drit(*command) == 0
    assert (tmp_path / "as" / f"photo_as_{exemplar.stem}.jpg").is_file()
    assert drit(*command, "--style-from", exemplar.with_name("002.png")) == 0  # the flag again: another style
    assert (tmp_path / "as" / "photo_as_002.jpg").is_file()
    assert drit("translate", run, folders[1], "--to", "a", "--out", tmp_path / "steps", "--interpolate", 3) == 0
    assert decode(tmp_path / "steps" / "000_step003.png")[0].shape == (24, 30, 1)


def test_no_output_overwrites_another(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inputs, exemplars and styles of equal names get numbers, which meet no name that is given either."""
    one, two = (write_images(tmp_path / d, 1, 1, seed=i) for i, d in enumerate(("one", "two")))
    (one / "000_2.png").write_bytes((two / "000.png").read_bytes())
    exemplars = [write_images(tmp_path / d, 1, 3, seed=i) / "000.png" for i, d in enumerate(("s", "t"))]
    saved = []
    for i in range(2):
        saved.append(tmp_path / f"{i}.json")
        saved[-1].write_text(json.dumps({"styles": {"mine": [i] * 3}}))
    out = tmp_path / "out"
    words = ["translate", run, one, two, "--to", "b", "--out", out, "--json", "--style-from", *exemplars]
    assert drit(*words, "--style", *saved) == 0
    result = json.loads(capsys.readouterr().out)
    styles = ["as_000", "as_000_2", "mine", "mine_2"]
    expected = [f"{place}_{style}.png" for place in ("000", "000_2", "000_3") for style in styles]
    assert [Path(f).name for f in result["files"]] == expected
    assert sorted(p.name for p in out.glob("*_*.png")) == sorted(expected)
    assert list(json.loads((out / "styles.json").read_text())["styles"]) == styles


def test_translate_refuses(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next(folders[0].iterdir())
    out = ("--to", "b", "--out", tmp_path / "out")
    (tmp_path / "bad.json").write_text('{"styles": [1, 2]}')
    (tmp_path / "path.json").write_text('{"styles": {"../x": [1, 2, 3]}}')
    (tmp_path / "words.txt").write_text("words")
    for words, code, expected in (
        ((run, tmp_path / "none.png", *out), 2, "There is no image or folder"),
        ((run, tmp_path / "words.txt", *out), 2, "cannot be read as an image"),
        ((tmp_path / "none", image, *out), 1, "There is no run at"),
        ((run, image, "--to", "winter", "--out", tmp_path), 2, "There is no domain 'winter'"),
        ((run, image, *out, "--styles", 0), 2, "at least 1"),
        ((run, image, *out, "--interpolate", 1), 2, "at least 2"),
        ((run, image, *out, "--style", tmp_path / "bad.json"), 2, "is not a style file"),
        ((run, image, *out, "--style", tmp_path / "none.json"), 2, "cannot be read"),
        ((run, image, *out, "--style", tmp_path / "path.json"), 2, "name '../x' cannot be part of a file name"),
        ((run, folders[0], "--to", "b", "--out", folders[0]), 2, "is an input folder"),
        ((run, image, "--to", "b", "--out", run), 2, "is a run folder"),
    ):
        found, error = failed(capsys, "translate", *words)
        assert (found, expected in error) == (code, True), error


def test_an_unreadable_image_is_skipped_and_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "in", 2, 1)
    (folder / "broken.png").write_bytes(b"nonsense")
    assert drit("translate", run, folder, "--to", "b", "--out", tmp_path / "out", "--styles", 1) == 1
    output = capsys.readouterr()
    assert "broken.png cannot be read" in output.err and "2 images x 1 styles" in output.out


def test_mistakes_name_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "run")
    (tmp_path / "typo.json").write_text('{"loss": {"cross_cicle": 3}}')
    (tmp_path / "type.json").write_text('{"steps": "many"}')
    (tmp_path / "number.json").write_text('{"method": 5}')
    for words, expected in (
        (("train", *out, "--los.kl", 1), "Unknown flag '--los.kl'. Did you mean '--loss.kl'?"),
        (("train", *out, "--preset", "papper"), "no preset 'papper'. Did you mean 'paper'?"),
        (("train", *out, "--config", tmp_path / "typo.json"), "'loss.cross_cicle'. Did you mean 'cross_cycle'?"),
        (("train", *out, "--config", tmp_path / "type.json"), "'steps' is 'many'; it must be of type int"),
        (("train", *out, "--config", tmp_path / "none.json"), "cannot be read"),
        (("train", *out, "--data.resize-mode", "round"), "invalid choice: 'round'"),
        (("train", *out), "No images of domain a"),
        (
            ("train", *out, "--loss.identity", 5),
            "Unknown flag '--loss.identity': drit has no such setting. Methods that have it: cycle-bicycle, "
            "cyclegan, cyclegan-noise.",
        ),
        (
            ("train", *out, "--method", "unit", "--optim.content-discriminator-lr", 1e-4),
            "unit has no such setting. Methods that have it: drit, drit++.",
        ),
        (("train",), "Give either --out"),
        (("trian",), "Did you mean 'train'?"),
        (("train", *out, "--config", tmp_path / "number.json"), "Setting 'method' is 5; it must be of type str"),
        (("translate", "run", "x.png", "--to", "b", *out, "--threads", -1), "'-1' is no whole number from 0 to"),
        (("translate", "run", "x.png", "--to", "b", *out, "--seed", "9" * 20), "no whole number from 0 to"),
        (("methods", "more"), "Unknown argument 'more'"),
    ):
        code, error = failed(capsys, *words)
        assert code == 2 and expected in error, error
    assert not (tmp_path / "run").exists()
    assert failed(capsys, "train", "--resume", tmp_path / "none")[0] == 1
    assert "keeps its preset" in failed(capsys, "train", "--resume", tmp_path, "--preset", "paper")[1]


def test_a_place_that_cannot_be_written_to(
    run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.txt").write_text("words")
    config = tmp_path / "settings.json"
    config.write_text(json.dumps(to_dict(tiny(*folders))))
    for out in (tmp_path / "file.txt" / "x", Path("/proc/x")):
        for words in (
            ("train", "--config", config),
            ("translate", run, folders[0], "--to", "b"),
            ("data", "demo"),
        ):
            code, error = failed(capsys, *words, "--out", out)
            assert code in (1, 2) and str(out) in error and "Traceback" not in error, error


def test_what_to_do_with_a_run_of_one_output(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that training names works, and asking for styles says which methods have them."""
    config = tmp_path / "settings.json"
    config.write_text(json.dumps(to_dict(tiny(*folders, "cyclegan", steps=1))))
    run, out = tmp_path / "run", tmp_path / "out"
    assert drit("train", "--config", config, "--out", run) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("Translate with it: ")]
    words = line.removeprefix("Translate with it: drit ").split()
    assert drit(*(str(folders[0]) if w == "IMAGES" else str(out) if w == "DIR" else w for w in words)) == 0
    capsys.readouterr()
    for more in (["--styles", 3], ["--style-from", folders[1] / "000.png"]):
        code, error = failed(capsys, "translate", run, folders[0], "--to", "b", "--out", out, *more)
        assert code == 2 and "bicyclegan, cycle-bicycle, cyclegan-noise, drit, drit++, munit have" in error
    with pytest.raises(UsageError, match="has no styles"):
        load(run).translate(decode(folders[0] / "000.png")[0], "b", styles=3)


def test_flags_config_and_preset_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"settings": {"batch": 7, "loss": {"kl": 0.5}, "data": {"crop": 32}}}))
    words = ["train", "--preset", "official", "--config", str(file), "--loss.kl", "0.25", "--no-data.flip"]
    found = settings(cli.build_parser().parse_all([*words, "--optim.weight_decay", "0"]))
    assert (found.batch, found.loss.kl, found.data.crop, found.data.flip) == (7, 0.25, 32, False)
    assert found.optim.split_batch and found.loss.content_norm == 0.01  # untouched: the preset's
    assert found.optim.weight_decay == 0


def test_settings_survive_json() -> None:
    for name in ("default", "paper", "official", "digits", "demo", "quick"):
        config = preset(name)
        assert config.preset == name
        assert settings_from(json.loads(json.dumps(to_dict(config)))) == config
    assert from_dict(DataSettings, {"crop": 3}).crop == 3
    with pytest.raises(UsageError, match="group of settings"):
        from_dict(TrainSettings, {"loss": 3})
    with pytest.raises(UsageError, match="must be of type int"):
        from_dict(TrainSettings, {"steps": True})


def test_methods_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert drit("methods", "--json") == 0
    rows = {row["method"]: row for row in json.loads(capsys.readouterr().out)["methods"]}
    # the published networks: 9.02 + 2.69 + 9.56 million used, 65.0 with the discriminators
    assert (rows["drit"]["parameters"], rows["drit"]["with discriminators"]) == ("21.3 M", "65.0 M")
    # content encoder 44.7 and generator 46.3 GFLOP at 256 pixels, of which 40.5 are shared by all styles, and more
    assert rows["drit"]["one output"] == "91 GFLOP" and rows["drit"]["ten outputs"] == "117 GFLOP"
    assert (rows["pix2pix"]["pairs"], rows["pix2pix"]["parameters"], rows["pix2pix"]["to"]) == ("needed", "54.4 M", "b")
    for command in (
        ["--help"],
        ["train", "--help"],
        ["translate", "--help"],
        ["methods", "--help"],
        ["data", "demo", "-h"],
    ):
        with pytest.raises(SystemExit) as done:
            cli.main(command)
        assert done.value.code == 0
        assert "usage: drit" in capsys.readouterr().out


def test_help_loads_no_settings() -> None:
    """It is asked for often, and names commands alone."""
    code = (
        "import sys, drit.cli.main\ntry: drit.cli.main.main(['--help'])\n"
        "except SystemExit: pass\nsys.exit('drit.methods.registry' in sys.modules or 'annotated_types' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_help_does_not_load_torch() -> None:
    code = (
        "import sys, drit.cli.main\ntry: drit.cli.main.main(['train', '--help'])\n"
        "except SystemExit: pass\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
