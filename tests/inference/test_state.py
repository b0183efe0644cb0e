"""What outputs say of how they were made: exact, in every format that keeps it, and harmless where it is hostile."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import drit
from drit.cli import main as cli
from drit.data.images import Metadata, decode, encode
from drit.data.notes import comment, packet, png_chunk
from drit.errors import DataError
from drit.inference.formats import holds
from drit.inference.state import LARGEST, Shown, State, find_state, parse, read_state
from drit.runs.checkpoint import find, weights_sha256

RUN = "0123456789abcdef" * 4
STATE = State(RUN, "a", "b", "stylé & <001>", (0.1, -1 / 3, 1e-7), 7)


def colours(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


KINDS = [(1, 8), (3, 8), (4, 8), (3, 16), (5, 16)]  # channels, bits
HELD = [(suffix, *kind) for suffix in (".png", ".webp", ".tif", ".jpg") for kind in KINDS if holds(suffix, *kind)]


@pytest.mark.parametrize(("suffix", "channels", "depth"), HELD)
def test_every_format_keeps_it_and_the_pixels(suffix: str, channels: int, depth: int, tmp_path: Path) -> None:
    array = colours((20, 24, channels), np.uint8 if depth == 8 else np.uint16)
    plain, told = tmp_path / f"plain{suffix}", tmp_path / f"told{suffix}"
    encode(array, plain)
    encode(array, told, metadata=Metadata(note=STATE.text()))
    assert read_state(plain) is None
    assert read_state(told) == STATE
    assert np.array_equal(decode(plain)[0], decode(told)[0])


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_exif_profile_and_resolution_stay(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[270] = "a description"
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    metadata = Metadata((20, 24), profile, exif.tobytes(), (72.0, 72.0), note=STATE.text())
    path = tmp_path / f"x{suffix}"
    encode(colours((20, 24, 3), np.uint8), path, metadata=metadata)
    kept = decode(path)[1].metadata
    assert kept.profile == profile and b"a description" in kept.exif and kept.note == ""
    assert suffix == ".webp" or np.allclose(kept.dpi or 0, 72, atol=0.1)
    assert read_state(path) == STATE
    assert metadata.lost(suffix, (20, 24, 3)) == (["resolution"] if suffix == ".webp" else [])


@example("", [-LARGEST, LARGEST], None)  # what a call takes is read back
@given(st.text(max_size=60), st.lists(st.floats(-LARGEST, LARGEST), max_size=9), st.none() | st.integers(0, 10**12))
def test_round_trip(name: str, style: list[float], seed: int | None) -> None:
    state = State(RUN, "a", "b", name, tuple(style), seed)
    assert parse(state.text()) == state


SEVERAL = State(RUN, "a", "b", "walk", styles=(Shown("style001", (0.1, 2.0), 3), Shown("é", (0.5, 1.0))))


def test_a_file_of_several_styles(tmp_path: Path) -> None:
    assert parse(SEVERAL.text()) == SEVERAL
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    rest: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    frames[0].save(tmp_path / "x.gif", comment=comment(SEVERAL.text()), **rest)
    frames[0].save(tmp_path / "x.webp", xmp=packet(SEVERAL.text()), **rest)
    assert read_state(tmp_path / "x.gif") == read_state(tmp_path / "x.webp") == SEVERAL
    frames[0].save(tmp_path / "other.gif", comment=b"drit.states")
    assert find_state(tmp_path / "other.gif") == (None, "")
    assert SEVERAL.why_not(RUN, "b", 2) == "" and "2 numbers, not 8" in SEVERAL.why_not(RUN, "b", 8)


def hostile(**values: Any) -> str:
    return json.dumps(json.loads(STATE.text()) | values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("7" * 200_000, "more than 131072 letters"),
        (hostile(format=2), "format is 2"),
        (hostile(run="../../etc"), "'run' cannot be '../../etc'"),
        (hostile(run=7), "'run'"),
        (hostile(to=["b"]), "'to'"),
        (hostile(name="x" * 1000), "'name'"),
        (hostile(style=[float("nan")]), "'style' cannot be '[nan]'"),
        (hostile(style=[float("inf")]), "'style'"),
        (hostile(style=[10**400]), "'style'"),
        (hostile(style=[1.001 * LARGEST]), "'style'"),
        (hostile(style=["1"]), "'style'"),
        (hostile(style=[True]), "'style'"),
        (hostile(style=[0.0] * 5000), "'style'"),
        (hostile(style={"0": 1}), "'style'"),
        (hostile(seed=-1), "'seed'"),
        (hostile(styles={}), "'styles'"),
        (hostile(styles=[7]), "'styles'"),
        (hostile(styles=[{"name": "x", "style": [1]}]), "'styles'"),
        (hostile(styles=[{"name": "x", "style": ["1"], "seed": None}]), "'styles'"),
        (hostile(styles=[{"name": "x", "style": [1], "seed": None}] * 300), "'styles'"),
        (hostile(seed=0.5), "'seed'"),
        (hostile(seed=10**30), "'seed'"),
    ],
)
def test_hostile_states_are_ignored_by_name(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    encode(colours((8, 8, 3), np.uint8), path)
    content = path.read_bytes()
    path.write_bytes(content[:33] + png_chunk(text) + content[33:])
    with pytest.warns(UserWarning, match="x.png") as told:
        assert read_state(path) is None
    assert words in str(told[0].message)


def test_packets_of_others_are_no_states(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta>&a;</x:xmpmeta>'
    for suffix, xmp in ((".webp", bomb), (".jpg", bomb), (".jpg", packet("é<&>")[:120])):
        Image.new("RGB", (8, 8)).save(tmp_path / f"x{suffix}", xmp=xmp)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_state(tmp_path / f"x{suffix}") is None
    (tmp_path / "x.txt").write_text("no image")
    with pytest.raises(DataError):
        read_state(tmp_path / "x.txt")


def translate(run: Path, *words: object) -> int:
    return cli.main(["translate", str(run), *map(str, words), "--to", "b", "--threads", "1", "--precision", "float32"])


def test_an_output_gives_its_exact_style(run: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
    image = folders[0] / "000.png"
    assert translate(run, image, "--out", tmp_path / "one", "--styles", 3, "--seed", 5) == 0
    made = tmp_path / "one" / "000_style003.png"
    state = read_state(made)
    model = drit.load(run, precision="float32", threads=1)
    assert state is not None and state.run == weights_sha256(find(run)) == model.weights
    assert (state.source, state.to, state.name, state.seed, state.version) == (
        "a",
        "b",
        "style003",
        5,
        drit.__version__,
    )
    assert state.style == tuple(model.sample(3, "b", 5)[2].tolist())
    sheet = read_state(tmp_path / "one" / "sheet.png")
    assert sheet is not None and (sheet.run, sheet.to, sheet.style) == (state.run, "b", ())
    assert sheet.styles[2] == Shown("style003", state.style, 5) and len(sheet.styles) == 3

    assert translate(run, image, "--out", tmp_path / "two", "--style-from", made) == 0
    assert "the exact style that it was made with is taken" in capsys.readouterr().err
    again = tmp_path / "two" / "000_as_000_style003.png"
    assert np.array_equal(decode(again)[0], decode(made)[0])
    assert (second := read_state(again)) and (second.style, second.seed) == (state.style, None)

    other = tmp_path / "other.png"  # of another run: the style is taken from what it shows
    encode(decode(made)[0], other, metadata=Metadata(note=State(RUN, "a", "b", "x", state.style).text()))
    assert translate(run, image, "--out", tmp_path / "three", "--style-from", other, made) == 0
    told = capsys.readouterr().err
    assert "it was made by other weights (0123456789ab;" in told
    shown = read_state(tmp_path / "three" / "000_as_other.png")
    assert shown and np.allclose(shown.style, model.style(Image.open(other), "b")[0], atol=1e-6)
    assert find_state(folders[0] / "000.png") == (None, "")

    code = state.style
    both = State(model.weights, "a", "b", "grid", styles=(Shown("style001", code, 5), Shown("style002", code, 5)))
    encode(decode(made)[0], other, metadata=Metadata(note=both.text()))
    assert translate(run, image, "--out", tmp_path / "four", "--style-from", other) == 2
    assert "other.png shows 2 styles. Give an image in one of them." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "to", "count", "words"),
    [
        (RUN, "b", 3, ""),
        ("f" * 64, "b", 3, "other weights"),
        (RUN, "a", 3, "domain b, not a"),
        (RUN, "b", 4, "3 numbers"),
    ],
)
def test_whether_a_run_can_take_it(run: str, to: str, count: int, words: str) -> None:
    why = STATE.why_not(run, to, count)
    assert words in why and bool(words) == bool(why)
