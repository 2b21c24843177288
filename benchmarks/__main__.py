"""``python -m benchmarks [NAME] [--json]``: a table of all, or one measurement of one."""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import trio

# What is aimed at, in the unit of each figure named: a rate at least, a time at most.
TARGETS: dict[str, dict[str, float]] = {
    "codec": {"encode_us": 3, "decode_us": 4},
    "fanout": {"activities_per_second": 15_000},
    "messages": {"signal_ms": 50, "idle_percent": 1},
    "history": {"replay_events_per_second": 150_000, "with_decoding_s": 0.2},
    "sequential": {"ratio": 0.5},
    "throughput": {"activities_per_second": 20_000},
}
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(TARGETS), help="measure only this, once")
    parser.add_argument("--json", action="store_true", help="print one JSON line per measurement")
    arguments = parser.parse_args()
    if arguments.name:
        figures = measure(arguments.name)
        print(json.dumps(figures) if arguments.json else describe(arguments.name, [figures]))
        return
    # Alternating, so that a slow minute of the machine meets them all.
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in TARGETS}
    for _ in range(RUNS):
        for name in TARGETS:
            rounds[name].append(measure_in_own_process(name))
            if arguments.json:
                print(json.dumps({"name": name} | rounds[name][-1]), flush=True)
    if not arguments.json:
        print(f"medians of {RUNS} runs, with their spread")
        for name, measured in rounds.items():
            print(describe(name, measured))


def measure(name: str) -> dict[str, float]:
    module = importlib.import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as directory:
        figures: dict[str, float] = trio.run(module.measure, Path(directory))
    return figures


def measure_in_own_process(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks", name, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def describe(name: str, measured: list[dict[str, float]]) -> str:
    targets = TARGETS[name]
    lines = [name]
    for key in measured[0]:
        values = sorted(figures[key] for figures in measured)
        median = statistics.median(values)
        line = f"  {key:<24}{median:>12,.2f}  ({values[0]:,.2f} to {values[-1]:,.2f})"
        lines.append(f"{line}  target {targets[key]:,}" if key in targets else line)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
