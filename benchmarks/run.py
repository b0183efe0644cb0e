"""The table of docs/performance.md: this program against the straightforward formulation, side by side.

    python -m benchmarks.run [--quick] [--out FILE.json]

Each figure is the median of processes that alternate between the two formulations, so that a noisy machine disturbs
both alike.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from drit.machine import cores

FORMS = ("drit", "straightforward")
CASES = [("train", size, 2) for size in (64, 128, 216, 256)]
CASES += [("translate", size, styles) for size in (64, 128, 216, 256) for styles in (1, 10, 100)]
QUICK = [("train", 64, 2), ("translate", 64, 10)]


def once(task: str, form: str, size: int, count: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.case", task, form, str(size), str(count), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def compare(task: str, size: int, count: int, rounds: int, seconds: float) -> dict[str, Any]:
    found: dict[str, list[dict[str, float]]] = {form: [] for form in FORMS}
    for _ in range(rounds):
        for form in FORMS:
            found[form].append(once(task, form, size, count, seconds))
    row: dict[str, Any] = {"task": task, "size": size, "count": count}
    for form in FORMS:
        row[form] = {k: statistics.median(r[k] for r in found[form]) for k in found[form][0]}
    row["speedup"] = row["straightforward"]["seconds"] / row["drit"]["seconds"]
    row["memory"] = row["drit"]["work_mib"] / row["straightforward"]["work_mib"]
    return row


def machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    return {
        "processor": model,
        "cores": cores(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small cases, one round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"))
    values = parser.parse_args()
    rows = []
    about = machine()
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    print("| task | speed-up | straightforward | drit | memory of work |\n|---|---|---|---|---|")
    for task, size, count in QUICK if values.quick else CASES:
        long = task == "train" or count == 100
        row = compare(task, size, count, 1 if values.quick or long else values.rounds, 0.1 if long else 2.0)
        rows.append(row)
        what = f"training step, batch {count}" if task == "train" else f"{count} style{'s' if count > 1 else ''}"
        plain, fast = row["straightforward"], row["drit"]
        print(
            f"| {what}, {size} px | {row['speedup']:.1f} x | {plain['seconds']:.3g} s | {fast['seconds']:.3g} s | "
            f"{fast['work_mib']:.0f} of {plain['work_mib']:.0f} MiB |",
            flush=True,
        )
    values.out.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    print(f"Written: {values.out}")


if __name__ == "__main__":
    main()
