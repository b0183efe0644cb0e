"""The report of a run: what stands in it, that it needs nothing beside it, and what it says of broken runs."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drit import atomic
from drit.cli import main as cli
from drit.errors import CheckpointError, DritError
from drit.reports import curves, samples
from drit.reports import run as report
from drit.reports.run import flat, write_report
from drit.runs.record import record
from drit.settings.schema import to_dict
from drit.training import launch as loop
from tests.conftest import tiny


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may write into."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_whole_report(copy: Path) -> None:
    result = write_report(copy)
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert (result["step"], result["steps"], result["warnings"]) == (6, 6, [])
    assert result["checkpoints"] == ["step_00000003", "step_00000006"]
    assert "<h1>copy: drit (digits), 6 of 6 iterations</h1>" in page
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[:4] == ["Warnings", "Samples", "Watch", "Reconstruction"] and titles[-1] == "What next"
    assert page.count("data:image/png") == 2  # sheets of iterations 3 and 6
    assert "http" not in page and not re.search(r'(src|href)="(?!data:|#)', page)  # nothing is fetched
    for row in ("<td>data.crop</td>", "<td>count</td>", "<td>torch</td>", "<td>precision</td><td>float32</td>"):
        assert row in page
    assert (
        "<td>network.width</td>" in page and "<td>data.domains</td>" not in page and "<td>loss.kl</td>" not in page
    )  # only what differs from the preset
    assert f"drit train --resume {copy} --steps 12" in page and f"drit translate {copy} IMAGES" in page


def test_every_term_is_drawn_once(copy: Path) -> None:
    write_report(copy)
    names = {n for line in report.read_run(copy).lines for n in line if n != "step"}
    page = (copy / "report.html").read_text(encoding="utf-8")
    charts = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page)]
    drawn = [path for chart in charts for path in chart.iter("path") if path.get("class") == "curve"]
    assert len(drawn) == len(names) + sum(len(path.get("d", "")) < 12 for path in drawn)  # a lone point is marked too
    labels = [chart.get("aria-label") for chart in charts]
    assert len(labels) == len(set(labels)) and "generators: self reconstruction" in labels


def test_curves_are_averaged_and_compared_with_chance(copy: Path) -> None:
    """Levels come from the run's record; the generators answer half of a discriminator's loss."""
    lines: list[dict[str, Any]] = [
        {"step": i + 1, "discriminators/x_a": float(i % 2), "generators/x_a": 1.0, "odd/term": float("nan")}
        for i in range(2 * curves.MAX_POINTS)
    ]
    lines[-1] |= {"discriminators/x_a": 3.0, "watch/balance_x_a": 0.75, "watch/content_probe": 0.7}
    write_lines(copy / "metrics.jsonl", lines)
    record = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    record["at_chance"] = {"discriminators/x_a": 4.0, "discriminators/absent": 1.0, "discriminators/torn": None}
    (copy / "config.json").write_text(json.dumps(record), encoding="utf-8")
    run = report.read_run(copy)
    values = curves.points(run.lines, "discriminators/x_a")
    assert values[:2] == [(1.5, 0.5), (3.5, 0.5)] and len(values) == curves.MAX_POINTS
    levels = curves.chance_levels(run)
    assert levels == {
        "watch/content_probe": 0.5,
        "watch/balance_x_a": 1.0,
        "discriminators/x_a": 4.0,
        "generators/x_a": 2.0,
    }
    page = Path(write_report(copy)["report"]).read_text(encoding="utf-8")
    assert page.count('class="level"') == len(levels) and "odd: term: no points" in page


@pytest.mark.parametrize("recorded", [{}, {"at_chance": "torn"}])
def test_losses_of_a_run_without_the_record_have_no_level(copy: Path, recorded: dict[str, Any]) -> None:
    record = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    record.pop("at_chance", None)
    (copy / "config.json").write_text(json.dumps(record | recorded), encoding="utf-8")
    levels = curves.chance_levels(report.read_run(copy))
    assert levels and all(name.startswith("watch/") for name in levels)


def test_a_hostile_name_is_text(copy: Path) -> None:
    """The name of a folder, of a term and of an evaluation, and a warning are written by others."""
    folder = copy.rename(copy.with_name("<script>alert(1)<"))
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": 6, "<img src=x>/$a$": 1.0}) + "\n")
    write_lines(folder / "warnings.jsonl", [{"step": 2, "cause": "one", "message": "<b>&"}])
    (folder / "evaluation_<i>").mkdir()
    (folder / "evaluation_<i>" / "result.json").write_text('{"a<u>b": 1}', encoding="utf-8")
    page = Path(write_report(folder)["report"]).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;: drit" in page and page.count("<script") == 1  # the page's own
    for name in ("<img src=x>", "<b>", "<i>", "<u>"):
        assert name not in page and name.replace("<", "&lt;").replace(">", "&gt;") in page


def test_warnings_and_what_to_do(copy: Path) -> None:
    write_lines(
        copy / "warnings.jsonl",
        [
            {"step": 2, "cause": "one", "message": "first <b>thing</b>; try --loss.kl 1"},
            {"step": 3, "cause": "one", "message": "first <b>thing</b>; try --loss.kl 1", "recovered": True},
            {"step": 4, "cause": "two", "message": "second thing"},
        ],
    )
    assert write_report(copy)["warnings"] == ["second thing"]
    page = (copy / "report.html").read_text(encoding="utf-8")
    past = '<div class="note past"><span class="soft">iteration 2, recovered at 3</span><br>First &lt;b&gt;thing'
    assert past in page and "try <code>--loss.kl</code> 1" in page
    assert '<div class="note"><span class="soft">iteration 4</span><br>Second thing.' in page
    assert "--allow-changes" in page


def test_evaluations_of_any_shape(copy: Path) -> None:
    for name, text in (
        ("std", '{"metrics": {"to b": {"fid": 31.25, "by": ["x"]}}, "name": "a<b"}'),
        ("new", '{"metrics": {"to b": {"fid": 30.5, "kid": 0.01}}}'),
        ("torn", '{"metrics": {'),
    ):
        (copy / f"evaluation_{name}").mkdir()
        (copy / f"evaluation_{name}" / "result.json").write_text(text, encoding="utf-8")
    result = write_report(copy)
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "<th>new</th><th>std</th>" in page
    numbers = '<td class="number">30.5</td><td class="number">31.25</td>'
    assert f"<td>metrics.to b.fid</td>{numbers}" in page and "a<b" not in page
    assert '<td>metrics.to b.kid</td><td class="number">0.01</td><td></td>' in page
    (unread,) = result["unread"]
    assert "evaluation_torn/result.json cannot be read" in unread and "evaluation_torn" in page


def test_flat() -> None:
    assert flat({"a": {"b": {"c": 1}}, "d": [2]}) == {"a.b.c": 1, "d": [2]}


def test_large_sheets_are_shrunk_and_many_thinned(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_WIDTH", 100)
    monkeypatch.setattr(samples, "MAX_SHEETS", 4)
    for step in range(7, 20):
        shutil.copy(copy / "samples" / "step_00000003.png", copy / "samples" / f"step_{step:08d}.png")
    (copy / "samples" / "step_00000019.png").write_bytes(b"torn")
    result = write_report(copy)
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'alt="iteration (\d+)"', page) == ["3", "10", "14"] and page.count("data:image/jpeg") == 3
    assert result["unread"] == ["step_00000019.png: not an image"] and "not an image" in page


def test_a_run_that_goes_on(copy: Path) -> None:
    """A line that is being written is no error; it is said on the page."""
    with open(copy / "metrics.jsonl", "r+", encoding="utf-8") as file:
        text = file.read()
        file.truncate(len(text) - 10)
    result = write_report(copy)
    assert (result["step"], result["steps"]) == (5, 6)
    assert result["unread"] == ["metrics.jsonl: 1 half-written line left out"]
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "1 half-written line" in page and "Go on to iteration 6" in page


def test_runs_of_other_versions(copy: Path) -> None:
    """No machine, no choices, no data.json, a preset and a setting that are not known here."""
    record = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    del record["machine"], record["chosen"]
    record["settings"] |= {"preset": "future", "colour": {"depth": 3}}
    (copy / "config.json").write_text(json.dumps(record), encoding="utf-8")
    (copy / "data.json").unlink()
    write_report(copy)
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "This version does not know the preset future of this method" in page and "<td>colour.depth</td>" in page
    assert "Not read:" in page and "data.json" in page


@pytest.mark.parametrize(
    ("method", "advice", "samples"),
    [
        ("drit", "drit translate {} IMAGES --to b --out DIR --styles 5", "a row for each"),
        ("unit", "drit translate {} IMAGES --to b --out DIR<", "a row for each"),
        ("infogan", "drit sample {} --out DIR<", "A table for each code"),
    ],
)
def test_what_is_said_fits_the_method(copy: Path, method: str, advice: str, samples: str) -> None:
    (copy / "config.json").write_text(json.dumps(record(tiny("a", "b", method))), encoding="utf-8")
    write_report(copy)
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert advice.format(copy) in page and samples in page
    assert ("drit evaluate" in page) == (method != "infogan")


def test_what_is_not_a_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no run at .*nowhere"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a run: it has no config.json"):
        write_report(tmp_path)
    with pytest.raises(CheckpointError, match="is not a run: it has no config.json"):
        write_report(run / "config.json")
    (tmp_path / "config.json").write_text('{"settings"', encoding="utf-8")
    with pytest.raises(CheckpointError, match="config.json cannot be read"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text('{"name": "npm"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="holds no settings"):
        write_report(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("text", [None, "", '{"step": 1, "x'])
def test_no_metrics(copy: Path, text: str | None) -> None:
    (copy / "metrics.jsonl").unlink()
    if text is not None:
        (copy / "metrics.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DritError, match="has no metrics.*drit train --resume"):
        write_report(copy)


def test_a_full_disk(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(DritError, match=r"Could not write .*report.html: No space left.*--out"):
        write_report(copy)
    assert not [p for p in copy.iterdir() if "report" in p.name]


def test_command(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pages" / "page.html"
    assert cli.main(["report", str(copy), "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["report"] == str(out) and out.is_file() and not (copy / "report.html").exists()
    assert result["metrics"]["generators/kl_a"] > 0
    assert cli.main(["report", str(copy)]) == 0
    assert capsys.readouterr().out == f"Iteration 6 of 6, no warnings\nReport: {copy / 'report.html'}\n"
    assert cli.main(["report", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith("drit: There is no run at")


def test_training_ends_with_the_report(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(*folders, steps=2)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(to_dict(replace(config, log=replace(config.log, sample_every=0)))), encoding="utf-8")
    command = ["train", "--config", str(settings), "--out"]
    assert cli.main([*command, str(tmp_path / "run")]) == 0
    page = tmp_path / "run" / "report.html"
    assert capsys.readouterr().out.endswith(f"\nReport: {page}\n") and page.is_file()

    def fails(run: Path) -> dict[str, Any]:
        raise DritError("no room")

    monkeypatch.setattr(report, "write_report", fails)  # the training is done all the same
    assert cli.main([*command, str(tmp_path / "other"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["report"] == "" and "No report: no room" in told.err
    assert loop.files.find(tmp_path / "other")
