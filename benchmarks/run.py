"""Measure drit against the reference formulation, side by side: the tables of docs/performance.md.

    python -m benchmarks.run [--quick] [--out FILE.json]

Each figure comes from a process of its own. The two formulations alternate, so that other work on the machine
disturbs both alike.
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

from drit.runtime import choose, processor

FORMS = ("drit", "reference")
CASES = [("official", 216, 2)] + [("train", size, 2) for size in (64, 128, 216, 256)]
CASES += [("translate", size, styles) for size in (64, 128, 216, 256) for styles in (1, 10, 100)]
QUICK = [("official", 64, 2), ("translate", 64, 10)]


def name_of(task: str, size: int, count: int) -> str:
    if task == "translate":
        return f"{count} style{'s' if count > 1 else ''}, {size} px"
    return f"{'official iteration' if task == 'official' else 'training step'}, batch {count}, {size} px"


def process(module: str, *arguments: object) -> Any:
    """Run a benchmark in a process of its own. Returns the JSON of its last line."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(task: str, size: int, count: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure one task in both formulations, in turns. Returns a row: medians, speed-up and ratio of the memory."""
    measured: dict[str, list[dict[str, float]]] = {form: [] for form in FORMS}
    for _ in range(rounds):
        for form in FORMS:
            measured[form].append(process("worker", task, form, size, count, seconds))
    row: dict[str, Any] = {"task": task, "size": size, "count": count}
    for form in FORMS:
        row[form] = {k: statistics.median(r[k] for r in measured[form]) for k in measured[form][0]}
    row["speedup"] = row["reference"]["seconds"] / row["drit"]["seconds"]
    row["memory"] = row["drit"]["work_mib"] / row["reference"]["work_mib"]
    return row


def machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "precision": str(choose("auto", torch.device("cpu"))).removeprefix("torch."),
        "date": datetime.date.today().isoformat(),
    }


def table(cases: list[tuple[str, int, int]], rounds: int) -> list[dict[str, Any]]:
    print("\n| task | speed-up | reference | drit | working memory, drit of reference |\n|---|---|---|---|---|")
    rows = []
    for task, size, count in cases:
        # Training: several calls of a few seconds, or one long call. A hundred styles: one call.
        seconds = 20.0 if task != "translate" else 0.1 if count == 100 else 2.0
        row = compare(task, size, count, rounds if seconds == 2.0 else 1, seconds)
        rows.append(row)
        reference, own = row["reference"], row["drit"]
        print(
            f"| {name_of(task, size, count)} | {row['speedup']:.1f} x | {reference['seconds']:.3g} s | "
            f"{own['seconds']:.3g} s | {own['work_mib']:.0f} of {reference['work_mib']:.0f} MiB |",
            flush=True,
        )
    return rows


def shares(tasks: list[tuple[str, int, int]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Measure rates as shares of this machine's peak, and where the time goes."""
    peak = process("peak")
    roof = peak[machine()["precision"]]
    print(f"\nPeak of convolutions: float32 {peak['float32']:.0f}, bfloat16 {peak['bfloat16']:.0f} GFLOP/s.")
    result: dict[str, Any] = {"peak": peak, "tasks": []}
    for task, size, count in tasks:
        measured = process("operations", task, size, count)
        row = next((r for r in rows if (r["task"], r["size"], r["count"]) == (task, size, count)), None)
        seconds = row["drit"]["seconds"] if row else sum(measured["seconds"].values())
        rate = measured["gflop"] / seconds
        print(
            f"\n{name_of(task, size, count)}: {measured['gflop']:.0f} GFLOP, {rate:.0f} GFLOP/s, "
            f"{100 * rate / roof:.0f} % of the peak (convolutions alone "
            f"{100 * measured['convolutions_gflop_per_second'] / roof:.0f} %)"
        )
        whole = sum(measured["seconds"].values())
        for kind, part in measured["seconds"].items():
            print(f"  {100 * part / whole:5.1f} %  {kind}")
        result["tasks"].append({"task": task, "size": size, "count": count, "share": rate / roof, **measured})
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small cases, one round")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each translation task [2]")
    parser.add_argument("--out", type=Path, default=Path("benchmarks.json"), help="file of the result [%(default)s]")
    values = parser.parse_args()
    about = machine()
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    rows = table(QUICK if values.quick else CASES, 1 if values.quick else values.rounds)
    where = [QUICK[0]] if values.quick else [("official", 216, 2), ("train", 216, 2), ("translate", 256, 100)]
    result: dict[str, Any] = {"machine": about, "rows": rows, "shares": shares(where, rows)}
    result["cold"] = process("cold")
    result["loader"] = process("loader")
    size, inputs = (64, 2) if values.quick else (256, 10)
    result["evaluation"] = {n: process("evaluation", n, size, inputs) for n in ("domains", "alexnet")}
    for network, measured in result["evaluation"].items():
        print(
            f"\nEvaluating 10 styles of an input, {size} px, features of {network}: {measured['ratio']:.2f} x the "
            f"translations alone ({measured['translating']:.3f} s of processor time for each output)."
        )
    print(
        f"\nFirst translation after the start: {result['cold']['translate']:.1f} s, {result['cold']['ratio']:.2f} x "
        f"importing torch and one forward pass.\nLoader alone, 256-pixel crops of JPEG files: "
        f"{result['loader']['images_per_second']:.0f} images a second."
    )
    values.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"Written: {values.out}")


if __name__ == "__main__":
    main()
