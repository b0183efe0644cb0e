"""Train and serve for hours, and look whether memory or handles grow.

    python -m benchmarks.soak --out DIR --train-minutes 120
    python -m benchmarks.soak --out DIR --serve-minutes 30
    python -m benchmarks.soak --report DIR          what was sampled so far

Training: `drit train` on the digits of `drit data demo`, with networks so small that many iterations, checkpoints,
samples and looks of the watch fit in. The first session takes three quarters of the time; the others are resumes: each
session is ended by SIGTERM and gone on with by `--resume`, every second one with a loader process in place of cached
images. Serving: `drit serve` with one of these runs, under the mixed requests of benchmarks/load.py.

DIR/samples.jsonl has a line for every few seconds. At the end, or after ctrl-C, a table is printed and written, with
the line of least squares through the memory of each session after its warm-up. Linux.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.load import Load
from benchmarks.resources import descendants, held, line, shared_files

WARM = 0.2  # of a session's time, not looked at: caches fill, and the allocator finds its size
RESUMES = 3  # they share the quarter of the time that the first session leaves
ENDING = 300.0  # seconds that an end may take
SMALL = "--preset demo --batch 4 --threads 1 --network.width 8 --network.attribute-width 8".split()
SMALL += "--network.discriminator-width 8 --steps 100000000".split()
OFTEN = "--log.checkpoint-every 250 --log.sample-every 250 --log.watch-every 250".split()
SERVED = "--port 0 --threads 1 --limit.cache 32 --limit.queue 6 --limit.upload-pixels 65536".split()
CLIENTS = 8


class Soak:
    """A folder with data, runs, logs and samples."""

    def __init__(self, out: Path, every: float) -> None:
        self.out, self.every = out, every
        self.log = out / "log.txt"
        out.mkdir(parents=True, exist_ok=True)
        self.data = out / "data"
        if not self.data.exists():
            self._drit("data", "demo", "--out", self.data)

    def _drit(self, *words: object) -> None:
        with open(self.log, "ab") as log:
            subprocess.run([sys.executable, "-m", "drit", *map(str, words)], check=True, stdout=log, stderr=log)

    def _start(self, *words: object, piped: bool = False) -> subprocess.Popen[bytes]:
        # a session of its own: ctrl-C comes to this process alone, which ends the other one
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "drit", *map(str, words)],
                stdout=subprocess.PIPE if piped else log,
                stderr=subprocess.STDOUT if piped else log,
                start_new_session=True,
            )

    def train(self, minutes: float) -> None:
        run = self.out / "run"
        domains = ["--data.a", self.data / "a.npz", "--data.b", self.data / "b.npz"]
        sessions = [45 * minutes] + RESUMES * [15 * minutes / RESUMES]  # seconds
        for number, seconds in enumerate(sessions):
            words = ["--resume", run] if run.exists() else [*domains, "--out", run, *SMALL, *OFTEN]
            loader = ["--data.workers", 1, "--no-data.cache"] if number % 2 else ["--data.workers", -1, "--data.cache"]
            process = self._start("train", *words, *loader)
            self._watch(process, "train", number, seconds, lambda: {"step": _last_step(run)}, ends_with=75)

    def serve(self, minutes: float) -> None:
        run = self.out / "served"
        if not run.exists():
            domains = ["--data.a", self.data / "a.npz", "--data.b", self.data / "b.npz"]
            self._drit("train", *domains, "--out", run, *SMALL, "--steps", 20)
        process = self._start("serve", run, *SERVED, "--json", piped=True)
        assert process.stdout
        told = process.stdout.readline().decode()
        found = re.search(r"http://[\w.:]+", told)
        if not found:
            raise RuntimeError(f"The service did not start: {told}{process.stdout.read().decode()}")
        load = Load(found[0], CLIENTS)
        try:
            self._watch(process, "serve", 0, 60 * minutes, load.counts, ends_with=0, before_end=load.stop)
        finally:
            load.stop()
            with open(self.log, "a") as log:
                log.writelines(f"unexpected: {what}\n" for what in load.unexpected)

    def _watch(
        self,
        process: subprocess.Popen[bytes],
        phase: str,
        session: int,
        seconds: float,
        more: Callable[[], dict[str, Any]],
        ends_with: int,
        before_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Sample the process for so long, then end it by SIGTERM."""
        began, seen = time.monotonic(), {process.pid}
        try:
            while (now := time.monotonic() - began) < seconds:
                found = held(process.pid)
                if found is None or process.poll() is not None:
                    raise RuntimeError(f"{phase} {session} ended by itself: see {self.log}")
                seen.update(descendants(process.pid))
                self._write({"phase": phase, "session": session, "seconds": round(now, 1)} | found._asdict() | more())
                time.sleep(max(0.0, min(self.every, seconds - now)))
            before_end()
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(ENDING)
            left = [pid for pid in seen if Path(f"/proc/{pid}").exists()]
            end = {"code": code, "expected": ends_with, "left": len(left), "shared_left": len(shared_files([*seen]))}
            self._write({"phase": phase, "session": session, "end": end})

    def _write(self, sample: dict[str, Any]) -> None:
        with open(self.out / "samples.jsonl", "a") as file:
            file.write(json.dumps(sample) + "\n")


def _last_step(run: Path) -> int:
    """The last iteration in the run's metrics; 0 before the first line."""
    try:
        with open(run / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, 2) - 65536))
            lines = file.read().splitlines()
        return int(json.loads(lines[-1])["step"])
    except (OSError, IndexError, ValueError):  # none yet, or it is being written
        return 0


def report(out: Path) -> dict[str, Any]:
    """Read the samples, write result.json and result.md. Raises FileNotFoundError where there are none."""
    with open(out / "samples.jsonl") as file:
        samples = [json.loads(text) for text in file]
    keys = dict.fromkeys((s["phase"], s["session"]) for s in samples if "end" not in s)  # one may end unsampled
    sessions = [session([s for s in samples if (s["phase"], s["session"]) == key]) for key in keys]
    result = {"warm": WARM, "sessions": sessions}
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    (out / "result.md").write_text(table(sessions))
    return result


def session(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What one process held over its time. `slope`: of memory that no file backs, in MB an hour, after the warm-up."""
    ends = [s["end"] for s in samples if "end" in s]
    taken = [s for s in samples if "end" not in s]
    warm = [s for s in taken if s["seconds"] >= WARM * taken[-1]["seconds"]]
    first, last = warm[0], warm[-1]
    hours = [s["seconds"] / 3600 for s in warm]
    try:
        slope = {name: line(hours, [s[name] for s in warm])._asdict() for name in ("anonymous", "rss", "files")}
    except ValueError:
        slope = {}
    handles = {
        name: {"begin": first[name], "end": last[name], "max": max(s[name] for s in warm)}
        for name in ("files", "threads", "processes", "shared")
    }
    memory = {name: {"begin": first[name], "end": last[name]} for name in ("rss", "anonymous", "peak")}
    known = {"phase", "session", "seconds", *memory, *handles}
    return {
        "phase": taken[0]["phase"],
        "session": taken[0]["session"],
        "seconds": taken[-1]["seconds"],
        "samples": len(taken),
        "memory": memory,
        "handles": handles,
        "slope": slope,
        "counts": {name: value for name, value in taken[-1].items() if name not in known},
        "end": ends[-1] if ends else None,
    }


def table(sessions: Sequence[dict[str, Any]]) -> str:
    """The sessions in Markdown."""
    rows = [
        "| session | minutes | done | MB in memory, begin to end (peak) | MB an hour (95 %) | files | threads | exit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for s in sessions:
        rss, slope, handles = s["memory"]["rss"], s["slope"].get("anonymous"), s["handles"]
        done = ", ".join(f"{name} {value}" for name, value in s["counts"].items())
        grown = f"{slope['slope']:+.1f} ({slope['low']:+.1f} to {slope['high']:+.1f})" if slope else "too few samples"
        begin_end = [f"{handles[name]['begin']} to {handles[name]['end']}" for name in ("files", "threads")]
        memory = f"{rss['begin']:.0f} to {rss['end']:.0f} ({s['memory']['peak']['end']:.0f})"
        cells = [f"{s['phase']} {s['session']}", f"{s['seconds'] / 60:.1f}", done, memory, grown, *begin_end]
        rows.append(f"| {' | '.join(cells)} | {s['end']['code'] if s['end'] else 'none'} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", type=Path, metavar="DIR", help="folder of data, runs, samples and result")
    place.add_argument("--report", type=Path, metavar="DIR", help="write the result of what was sampled there")
    parser.add_argument("--train-minutes", type=float, default=0.0)
    parser.add_argument("--serve-minutes", type=float, default=0.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    values = parser.parse_args()
    out: Path = values.report or values.out
    if values.out:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        soak = Soak(out, values.every)
        try:
            if values.train_minutes:
                soak.train(values.train_minutes)
            if values.serve_minutes:
                soak.serve(values.serve_minutes)
        except KeyboardInterrupt:
            print("Stopped: this is what was sampled so far.", file=sys.stderr)
    print(table(report(out)["sessions"]), end="")


if __name__ == "__main__":
    main()
