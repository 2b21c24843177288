"""``python -m benchmarks [NAME …]``: a table of all, or of some; ``--json`` prints lines instead.

One name is measured once, in this process. Several, or all, are measured in turns, each in
processes of its own, as often as the table says.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

from benchmarks.profiling import profiled
from benchmarks.table import Figures, table
from benchmarks.targets import BENCHMARKS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print one JSON line per measurement")
    parser.add_argument(
        "--profile", action="store_true", help="say where the time of one NAME goes"
    )
    arguments = parser.parse_args()
    names: list[str] = arguments.names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    if arguments.profile:
        if len(names) != 1:
            parser.error("--profile needs one NAME")
        with profiled() as texts:
            figures = measure(names[0])
        _show(names[0], figures, as_json=arguments.json)
        print(*texts)
    elif len(names) == 1:
        _show(names[0], measure(names[0]), as_json=arguments.json)
    else:
        measure_in_turns(names, as_json=arguments.json)


def measure(name: str) -> Figures:
    module = importlib.import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as directory:
        figures: Figures = trio.run(module.measure, Path(directory))
    return figures


def measure_in_turns(names: Sequence[str], *, as_json: bool) -> None:
    # In turns, so that a slow minute of the machine meets them all.
    measured: dict[str, list[Figures]] = {name: [] for name in names}
    most = max(BENCHMARKS[name].rounds for name in names)
    for turn in range(most):
        for name in names:
            if turn >= BENCHMARKS[name].rounds:
                continue
            print(f"round {turn + 1} of {most}: {name}", file=sys.stderr)
            figures = measure_in_own_process(name)
            measured[name].append(figures)
            if as_json:
                _show(name, figures, as_json=True)
    if not as_json:
        print(table(measured))


def measure_in_own_process(name: str) -> Figures:
    command = [sys.executable, "-m", "benchmarks", name, "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout)
    del figures["name"]
    return figures


def _show(name: str, figures: Figures, *, as_json: bool) -> None:
    line = json.dumps({"name": name} | figures)
    print(line if as_json else table({name: [figures]}), flush=True)


if __name__ == "__main__":
    main()
