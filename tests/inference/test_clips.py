"""Clips: frozen statistics, flicker by hand-made motion, videos and folders as a user gives them, and broken ones."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import drit
from drit.cli import main as cli
from drit.data.images import decode, encode
from drit.errors import UsageError
from drit.inference import clip_files, video
from drit.inference.clips import ClipTranslator, spread, styles_over_time
from drit.inference.flicker import flicker, motion, steadied
from drit.inference.state import parse, read_state
from drit.inference.translator import Translator
from drit.methods.registry import able, method_class
from drit.networks import fast
from drit.networks.statistics import FrozenStatistics
from tests.conftest import tiny
from tests.videos import make_video, pattern

av = pytest.importorskip("av", reason="the extra 'video' is not installed")
Say = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return drit.load(run, device="cpu", precision="float32", threads=1)


def translate(run: Path, *words: object) -> int:
    return cli.main(["translate", str(run), *map(str, words), "--threads", "1", "--precision", "float32"])


# Statistics


def test_statistics_are_those_of_the_sample() -> None:
    """By hand: mean and variance over all images of the sample; then the same for every image."""
    sample, other = torch.randn(3, 4, 5, 6) * 2 + 1, torch.randn(1, 4, 7, 3)
    gain, bias = torch.rand(4), torch.rand(4)
    frozen = FrozenStatistics()
    with frozen:
        first = fast.normalise(sample)
        second = fast.normalise(sample, gain, bias)
        third = F.group_norm(sample, 2, gain, bias, eps=1e-5)
    mean, var = sample.mean((0, 2, 3)), sample.var((0, 2, 3), correction=0)
    expected = (sample - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None]
    assert torch.allclose(first, expected, atol=1e-5)
    assert torch.allclose(second, expected * gain[:, None, None] + bias[:, None, None], atol=1e-5)
    groups = sample.view(3, 2, 2, 5, 6)
    scale = (groups.var((0, 2, 3, 4), correction=0) + 1e-5).rsqrt().repeat_interleave(2)[:, None, None]
    middle = groups.mean((0, 2, 3, 4)).repeat_interleave(2)[:, None, None]
    assert torch.allclose(third, (sample - middle) * scale * gain[:, None, None] + bias[:, None, None], atol=1e-5)
    frozen.freeze()
    for _ in range(2):
        frozen.begin()
        with frozen:
            again = fast.normalise(other)
        assert torch.allclose(again, (other - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None], atol=1e-5)
    with frozen, pytest.raises(UsageError, match="another order"):
        for _ in range(3):
            fast.normalise(other)
    with pytest.raises(UsageError, match="normalises nothing"):
        FrozenStatistics().freeze()
    assert torch.allclose(fast.normalise(other), fast.normalise(other.clone()))  # outside nothing is changed


@pytest.mark.parametrize("method", able(lambda c: bool(c.directions)))
def test_a_clip_of_one_frame_is_that_image(method: str, folders: tuple[Path, Path]) -> None:
    """For every method that translates: statistics of one frame are its own, so the output is that of `outputs`."""
    settings = tiny(*folders, method=method)
    kind = method_class(method)
    channels = dict.fromkeys("abc"[: kind.domains[1]], 3)
    torch.manual_seed(0)
    translator = Translator(kind(settings, channels), {}, "cpu", "float32", threads=1)
    to = translator.method.capabilities.directions[-1]
    style = torch.randn(1, translator.method.capabilities.style_dim)
    x = torch.rand(3, 33, 41) * 2 - 1
    clip = ClipTranslator(translator, x[None].repeat(3, 1, 1, 1), style.repeat(3, 1), translator.source(to), to)
    (alone,) = translator.outputs(x, style, to)
    assert torch.allclose(clip.frame(x, style[0]), alone, atol=2e-4)


def test_the_style_over_time() -> None:
    styles = torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 0.0]])
    assert styles_over_time(styles[:1], 4).tolist() == [[0, 0]] * 4
    assert styles_over_time(styles, 5).tolist() == [[0, 0], [0.5, 1], [1, 2], [1, 1], [1, 0]]
    assert styles_over_time(styles, 1).tolist() == [[0, 0]]
    assert spread(3, 16) == [0, 1, 2] and spread(100, 4) == [12, 37, 62, 87] and spread(0, 4) == []


# Flicker


def test_motion_is_no_flicker_and_brightness_is() -> None:
    """A pattern that moves by two pixels: nothing but the interpolation's error. Brighter by 7: 7 of 255."""
    before, after = pattern(0, (64, 64)), pattern(2, (64, 64))
    moved = motion(before, after)
    assert moved.explained.mean() > 0.85
    inner = (slice(8, -8), slice(8, -8))
    rows, columns = np.mgrid[0:64, 0:64]
    assert np.abs(moved.places[inner] - np.stack([columns, rows], 2)[inner] - 2).mean() < 0.3
    assert flicker(before, after, moved) < 2
    still = motion(before, before)
    assert flicker(before, before, still) == 0
    darker = (before * 0.9).astype(np.uint8)
    assert flicker(darker, darker + 7, still) == pytest.approx(7)
    assert flicker(darker.astype(np.uint16) * 257, (darker.astype(np.uint16) + 7) * 257, still) == pytest.approx(7)
    assert np.isnan(flicker(before, before, motion(before, 255 - before)._replace(explained=np.zeros((64, 64), bool))))


def test_a_steadied_frame_by_hand() -> None:
    """Half of the last output where the motion is explained, nothing of it elsewhere; five channels too."""
    image, before = torch.rand(5, 20, 24), torch.rand(5, 20, 24)
    still = motion(pattern(0, (20, 24)), pattern(0, (20, 24)))
    explained = still.explained.copy()
    explained[:, :7] = False
    out = steadied(image, before, still._replace(explained=explained), 0.5)
    assert torch.allclose(out[..., 8:23], (image + before)[..., 8:23] / 2, atol=1e-2)
    assert torch.equal(out[..., :7], image[..., :7])


def test_steady_clips_flicker_less(run: Path, tmp_path: Path, capsys: Say) -> None:
    """Noise on a still scene: what of it comes through is halved, at the least; and nothing else changes first."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        noisy = pattern(0, (32, 40), 1) * 0.9 + rng.normal(0, 3, (32, 40, 1))
        encode(np.clip(noisy, 0, 255).astype(np.uint8), folder / f"{i}.png")
    numbers = []
    for name, words in (("plain", []), ("steady", ["--steady", 0.8])):
        assert translate(run, folder, "--clip", "--to", "b", "--out", tmp_path / name, "--json", *words) == 0
        (found,) = json.loads(capsys.readouterr().out)["flicker"].values()
        numbers.append(found["clip"])
    assert numbers[1] < 0.5 * numbers[0]
    first = [decode(tmp_path / name / "noisy_style001" / "0.png")[0] for name in ("plain", "steady")]
    assert np.array_equal(*first)


def test_frozen_statistics_flicker_less(translator: Translator) -> None:
    """A bright bar comes into a still scene: by itself each frame is normalised anew, and the whole scene changes."""
    scene = pattern(0, (32, 40), 1) // 2
    frames = [scene.copy() for _ in range(4)]
    for i, frame in enumerate(frames):
        frame[:, : 4 * i] = 255
    style = translator.sample(1, "b")
    x = torch.stack([torch.from_numpy(f[:, :, 0] / 127.5 - 1).float()[None] for f in frames])
    clip = ClipTranslator(translator, x, style.repeat(4, 1), "a", "b")
    together = torch.stack([clip.frame(each, style[0]) for each in x])
    alone = torch.cat([next(translator.outputs(each, style, "b"))[None] for each in x])
    change = [(images[1:] - images[:-1])[..., 30:].abs().mean() for images in (together, alone)]
    assert change[0] < 0.7 * change[1]


# Videos


def facts(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        sound = [bytes(p) for p in container.demux(audio=0) if p.size] if container.streams.audio else []
        size, rate = (stream.height, stream.width), stream.average_rate
    with av.open(str(path)) as container:
        times = [float(f.time) for f in container.decode(video=0)]
    return {"size": size, "rate": rate, "times": times, "sound": sound}


@pytest.mark.parametrize(("name", "size"), [("x.mp4", (32, 40)), ("odd.mkv", (33, 41))])
def test_a_video_keeps_size_rate_times_and_sound(
    name: str, size: tuple[int, int], run: Path, translator: Translator, tmp_path: Path, capsys: Say
) -> None:
    clip = make_video(tmp_path / name, size=size)
    out = tmp_path / "out"
    assert translate(run, clip, "--to", "a", "--out", out, "--seed", 3, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    made = out / f"{clip.stem}_style001{clip.suffix}"
    assert result["files"] == [str(made)] and result["frames"] == 9
    assert facts(made) == facts(clip)
    assert [p.name for p in out.iterdir() if p.name.startswith(".")] == []
    numbers = result["flicker"][str(made)]
    assert json.loads((out / "outputs.json").read_text())[made.name]["flicker"] == numbers
    assert set(numbers) == {"clip", "each_frame", "input"}
    with av.open(str(made)) as container:
        state = parse(container.metadata.get("comment") or container.metadata["COMMENT"])
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    style = translator.sample(1, "a", 3)
    assert (state.style, state.seed, state.to) == (tuple(style[0].tolist()), 3, "a")
    with av.open(str(clip)) as container:
        inputs = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    x = torch.stack([torch.from_numpy(f / 127.5 - 1).permute(2, 0, 1).float() for f in inputs])
    model = ClipTranslator(translator, x, style.repeat(9, 1), "b", "a")
    for frame, each in zip(frames, x, strict=True):
        expected = (model.frame(each, style[0])[0].numpy() + 1) * 127.5
        assert np.abs(frame.mean(2) - expected).mean() < 4  # the codec


def test_a_walk_and_several_styles(run: Path, tmp_path: Path, capsys: Say) -> None:
    clip = make_video(tmp_path / "x.avi", 5, sound=False, codec="mpeg4")
    assert translate(run, clip, "--to", "a", "--out", tmp_path / "out", "--styles", 2) == 0
    assert translate(run, clip, "--to", "a", "--out", tmp_path / "out", "--walk") == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["outputs.json", "x_style001.mkv", "x_style002.mkv", "x_walk.mkv"]
    assert "flicker" in capsys.readouterr().out


def test_broken_frames_are_bridged(run: Path, tmp_path: Path, capsys: Say) -> None:
    """Bytes in the middle of a video are damaged: as many frames come out, and the damage is named."""
    clip = make_video(tmp_path / "x.mkv", 12, codec="mpeg4", sound=False)
    content = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        spoiled = bytes(packets[5])
    place = content.find(spoiled[:40])
    content[place : place + len(spoiled)] = bytes(len(spoiled))
    clip.write_bytes(content)
    assert translate(run, clip, "--to", "a", "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "broken: " in said and "x.mkv, " in said and "the last good frame is repeated" in said
    assert len(facts(tmp_path / "out" / "x_style001.mkv")["times"]) == 12


@pytest.mark.parametrize("kind", ["text", "sound", "truncated", "empty"])
def test_what_is_no_video(kind: str, run: Path, tmp_path: Path, capsys: Say) -> None:
    path = tmp_path / "x.mp4"
    if kind == "text":
        path.write_text("this is no video" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        whole = make_video(tmp_path / "whole.mp4").read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
    else:
        with av.open(str(path), "w") as output:
            stream = output.add_stream("aac", rate=16000)
            part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
            part.sample_rate, part.pts = 16000, 0
            output.mux([*stream.encode(part), *stream.encode(None)])
    assert translate(run, path, "--to", "a", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert str(path) in said and ("no video" in said or "no frame" in said)
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_an_interrupted_video_leaves_no_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    clip = make_video(tmp_path / "x.mp4")
    written: list[int] = []

    def stopping(sink: Any, frame: Any, image: Any) -> None:
        written.append(1)
        if len(written) == 3:
            raise KeyboardInterrupt
        sink.write(np.zeros((32, 40, 1), np.uint8), frame.place)

    monkeypatch.setattr(clip_files, "_write", stopping)
    assert translate(run, clip, "--to", "a", "--out", tmp_path / "out") == 130
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["outputs.json"]


def test_without_pyav(run: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert translate(run, tmp_path / "x.mp4", "--to", "a", "--out", tmp_path / "out") == 2
    assert "pip install 'drit[video]'" in capsys.readouterr().err


# Folders of frames


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "shot"
    folder.mkdir()
    for i in range(8, 12):
        encode(pattern(i, (32, 40), 1), folder / f"f{i}.png")
    return folder


def test_a_folder_of_frames(run: Path, translator: Translator, frames: Path, tmp_path: Path, capsys: Say) -> None:
    """In the order of their numbers, each under its own name, as one clip."""
    out = tmp_path / "out"
    assert translate(run, frames, "--clip", "--to", "b", "--out", out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [Path(f).relative_to(out).as_posix() for f in result["files"]] == [
        f"shot_style001/f{i}.png" for i in (8, 9, 10, 11)
    ]
    style = translator.sample(1, "b")
    x = torch.stack(
        [torch.from_numpy(decode(frames / f"f{i}.png")[0][:, :, 0] / 127.5 - 1).float()[None] for i in range(8, 12)]
    )
    model = ClipTranslator(translator, x, style.repeat(4, 1), "a", "b")
    for i, each in zip(range(8, 12), x, strict=True):
        path = out / "shot_style001" / f"f{i}.png"
        expected = (model.frame(each, style[0]).permute(1, 2, 0).numpy() + 1) * 127.5
        assert np.abs(decode(path)[0] - expected).max() <= 1
        assert (state := read_state(path)) and state.style == tuple(style[0].tolist())
    assert translate(run, frames, "--clip", "--to", "b", "--out", out) == 0  # its own files, again


def test_broken_frames_of_a_folder(run: Path, frames: Path, tmp_path: Path, capsys: Say) -> None:
    (frames / "f8.png").write_bytes(b"nonsense" * 20)
    (frames / "f10.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"nonsense" * 20)
    assert translate(run, frames, "--clip", "--to", "b", "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.count("the last good frame is repeated") == 2
    made = [decode(tmp_path / "out" / "shot_style001" / f"f{i}.png")[0] for i in (8, 9, 10, 11)]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[1], made[2])
    for i in range(20, 35):
        (frames / f"f{i}.png").write_bytes(b"nonsense" * 20)
    assert translate(run, frames, "--clip", "--to", "b", "--out", tmp_path / "more") == 2
    assert f"more than {video.MAX_BROKEN} frames cannot be decoded" in capsys.readouterr().err
    encode(pattern(0, (20, 20), 1), frames / "f12.png")
    for i in range(20, 35):
        (frames / f"f{i}.png").unlink()
    assert translate(run, frames, "--clip", "--to", "b", "--out", tmp_path / "more") == 2
    assert "another size" in capsys.readouterr().err


def test_flags_that_do_not_fit(run: Path, frames: Path, tmp_path: Path, capsys: Say) -> None:
    shutil.copy(frames / "f8.png", tmp_path / "image.png")
    for words, said in (
        ([tmp_path / "image.png", "--clip"], "is no folder of frames"),
        ([frames, "--walk"], "--walk is for clips"),
        ([frames, "--steady", 0.5], "--steady is for clips"),
        ([frames, "--clip", "--steady", 1], "a share from 0 to less than 1"),
        ([frames, "--clip", "--map"], "without --map"),
        ([frames, "--clip", "--interpolate", 3], "--walk walks between styles"),
        ([frames, "--clip", "--walk", "--styles", 1], "at least two styles"),
        ([frames, tmp_path / "x.mp4"], "is no video: translate clips and images by two commands"),
        ([tmp_path / "missing.mp4"], "There is no file"),
    ):
        assert translate(run, *words, "--to", "b", "--out", tmp_path / "out") == 2
        assert said in capsys.readouterr().err, words
