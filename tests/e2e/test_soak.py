"""The soak finds a leak, and finds none where there is none; its clients get what they must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.resources import held, line
from benchmarks.soak import Soak, report, session, table

LEAK = """
import time
kept, files, began = [], [], time.monotonic()
while True:
    wanted = int(20e6 * (time.monotonic() - began))
    kept.append(b"x" * (wanted - sum(map(len, kept))))
    files.append(open("/dev/null"))
    time.sleep(0.05)
"""
FLAT = "import time\nkept = b'x' * 20_000_000\ntime.sleep(600)"


def test_the_line_of_least_squares() -> None:
    exact = line(range(100), [3 * x + 1 for x in range(100)])
    assert exact == pytest.approx((3, 3, 3))
    # residuals of +1 and -1 in turns, in parts of their own: s^2 = 30 / 28, Sxx = 30 (30^2 - 1) / 12, t = 2.0484
    noisy = line(range(30), [(-1) ** x for x in range(30)])
    assert noisy.low < 0 < noisy.high
    sxx = 30 * (30**2 - 1) / 12
    slope = -15 / sxx  # sum of x (-1)^x over 0..29 is -15
    error = ((30 - slope**2 * sxx) / 28 / sxx) ** 0.5
    assert noisy.slope == pytest.approx(slope)
    assert noisy.high - noisy.slope == pytest.approx(2.0484 * error, rel=1e-3)
    with pytest.raises(ValueError, match="three parts"):
        line([0, 1], [5, 5])


def test_what_comes_before_the_warm_up_is_over_does_not_count() -> None:
    """An hour: 100 MB more in the first fifth, then 2 MB an hour."""
    held = {"files": 6, "threads": 2, "processes": 1, "shared": 0, "rss": 300.0, "peak": 300.0}
    seconds = range(0, 3601, 10)
    grown = [s / 7.2 if s < 720 else 100 + (s - 720) / 1800 for s in seconds]
    samples = [
        {"phase": "train", "session": 0, "seconds": s, **held, "anonymous": 200 + g, "step": s}
        for s, g in zip(seconds, grown, strict=True)
    ]
    found = session([*samples, {"phase": "train", "session": 0, "end": {"code": 75, "left": 0}}])
    assert found["slope"]["anonymous"]["slope"] == pytest.approx(2)
    assert found["counts"] == {"step": 3600} and found["end"]["code"] == 75
    assert "| train 0 | 60.0 | step 3600 | 300 to 300 (300) | +2.0 (+2.0 to +2.0) | 6 to 6 | 2 to 2 | 75 |" in table(
        [found]
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which Linux has")
@pytest.mark.parametrize(("program", "leaks"), [(LEAK, True), (FLAT, False)])
def test_a_leak_of_20_mb_a_second_is_found(program: str, leaks: bool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()  # it is made otherwise
    soak = Soak(tmp_path, every=0.05)
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    soak._watch(process, "train", 0, 2.0, lambda: {"step": 7}, ends_with=-15)
    (found,) = report(tmp_path)["sessions"]
    slope = found["slope"]["anonymous"]
    if leaks:
        assert slope["low"] < 20 * 3600 < slope["high"] or slope["slope"] == pytest.approx(20 * 3600, rel=0.25)
        assert slope["low"] > 0 and found["handles"]["files"]["end"] > found["handles"]["files"]["begin"] + 5
    else:
        assert abs(slope["slope"]) < 3600 and found["handles"]["files"]["end"] == found["handles"]["files"]["begin"]
    assert found["end"] == {"code": -15, "expected": -15, "left": 0, "shared_left": 0}
    assert json.loads((tmp_path / "result.json").read_text())["sessions"] == [found]
    assert held(process.pid) is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which Linux has")
def test_an_interrupted_session_is_ended_and_reported(tmp_path: Path) -> None:
    """Ctrl-C at the third sample of one session, and another that ended before its first sample."""
    (tmp_path / "data").mkdir()
    soak, taken = Soak(tmp_path, every=0.01), iter([1, 2])

    def step() -> dict[str, int]:
        if (number := next(taken, None)) is None:
            raise KeyboardInterrupt
        return {"step": number}

    process = subprocess.Popen([sys.executable, "-c", FLAT], start_new_session=True)
    with pytest.raises(KeyboardInterrupt):
        soak._watch(process, "train", 0, 60.0, step, ends_with=75)
    assert held(process.pid) is None
    gone = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    gone.wait()
    with pytest.raises(RuntimeError, match="train 1 ended by itself"):
        soak._watch(gone, "train", 1, 60.0, dict, ends_with=75)
    (found,) = report(tmp_path)["sessions"]
    assert found["counts"] == {"step": 2}
    assert found["end"] == {"code": -15, "expected": 75, "left": 0, "shared_left": 0}


@pytest.mark.slow
def test_seconds_of_a_real_one(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--train-minutes", "0.8", "--serve-minutes", "0.2", "--every", "0.5"]
    done = subprocess.run([sys.executable, "-m", "benchmarks.soak", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sessions = json.loads((tmp_path / "result.json").read_text())["sessions"]
    assert [s["end"]["code"] for s in sessions] == [75, 75, 75, 75, 0]
    assert not any(s["end"]["left"] or s["end"]["shared_left"] for s in sessions)
    counts = sessions[-1]["counts"]
    assert counts["unexpected"] == 0 and min(counts[name] for name in ("answered", "refused", "cut")) > 0
