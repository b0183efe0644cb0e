"""Runs and their images: older records still resume, changed pixels of one file size are seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drit.data.folders import open_domain
from drit.data.images import encode
from drit.errors import UsageError
from drit.runs.record import recorded_settings
from drit.training import launch
from tests.conftest import tiny


def test_older_records_resume_and_changed_pixels_do_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for d in "ab":
        (tmp_path / d).mkdir()
        for i in range(4):
            encode(rng.integers(0, 256, (24, 24, 3)).astype(np.uint8), tmp_path / d / f"{i}.bmp")
    run = tmp_path / "run"
    config = tiny(tmp_path / "a", tmp_path / "b")
    launch.train(config, run, stop_after=2)
    record = json.loads((run / "data.json").read_text())
    assert {d: prints["hash"] for d, prints in record.items()} == {"a": "sampled-v2", "b": "sampled-v2"}
    older = {d: open_domain(str(tmp_path / d), config.data, d).fingerprint({"sha256": ""}) for d in "ab"}
    assert older["a"]["sha256"] != record["a"]["sha256"]
    (run / "data.json").write_text(json.dumps(older))
    launch.resume(run, stop_after=2)
    assert json.loads((run / "data.json").read_text()) == record
    path = tmp_path / "a" / "0.bmp"
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    with pytest.raises(UsageError, match="The images differ .*a: sha256"):
        launch.resume(run)


def test_a_hash_of_every_byte(tmp_path: Path) -> None:
    """Sampled blocks of a large file do not see a change between them; on request every byte is hashed."""
    rng = np.random.default_rng(0)
    for d in "ab":
        (tmp_path / d).mkdir()
        for i in range(2):
            encode(rng.integers(0, 256, (300, 400, 3)).astype(np.uint8), tmp_path / d / f"{i}.bmp")
    sampled = tiny(tmp_path / "a", tmp_path / "b", steps=3)
    full = replace(sampled, data=replace(sampled.data, full_hash=True))
    launch.train(sampled, tmp_path / "sampled", stop_after=1)
    launch.train(full, tmp_path / "full", stop_after=1)
    records = {k: json.loads((tmp_path / k / "data.json").read_text()) for k in ("sampled", "full")}
    assert {r[d]["hash"] for r in [records["full"]] for d in "ab"} == {"full-v1"}
    path = tmp_path / "a" / "0.bmp"
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.write_bytes(content)
    launch.resume(tmp_path / "sampled", stop_after=1)
    with pytest.raises(UsageError, match="The images differ .*a: sha256"):
        launch.resume(tmp_path / "full", stop_after=1)
    # a run that asks for it later is compared by the kind that it recorded, and records the other
    settings = recorded_settings(tmp_path / "sampled")
    settings = replace(settings, data=replace(settings.data, full_hash=True))
    launch.resume(tmp_path / "sampled", settings, stop_after=1)
    after = json.loads((tmp_path / "sampled" / "data.json").read_text())
    assert after["a"]["hash"] == "full-v1" and after["a"]["sha256"] != records["full"]["a"]["sha256"]
    assert after["b"]["sha256"] == records["full"]["b"]["sha256"]


def test_a_run_records_the_range_that_auto_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", images=(300 + 20 * rng.random((6, 24, 24))).astype(np.float32))
    np.savez(tmp_path / "b.npz", images=rng.integers(0, 256, (6, 24, 24)).astype(np.uint8))
    config = tiny(tmp_path / "a.npz", tmp_path / "b.npz")
    config = replace(config, data=replace(config.data, range=("auto",), range_b=("full",)))
    launch.train(config, tmp_path / "run", stop_after=1)
    data = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["data"]
    low, high = (float(v) for v in data["range"])
    assert 300 < low < 301 and 319 < high < 320 and data["range_b"] == ["full"]
    launch.resume(tmp_path / "run", stop_after=1)
