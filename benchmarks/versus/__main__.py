"""``python -m benchmarks.versus [NAME] [--rounds N] [--json]``: Aion beside DBOS, with ratios."""

from __future__ import annotations

import argparse
import json

import attrs

from benchmarks.versus.comparing import AION, LEVELS, dbos_sides, equally_durable, table
from benchmarks.versus.environment import dbos_python
from benchmarks.versus.measuring import WORKLOADS, Settings, Side, Workload, measure, settings_of
from benchmarks.versus.shared import Figures

__all__: list[str] = []


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus", description=__doc__)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("name", nargs="?", choices=names, help="measure only this")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="5 when not given")
    parser.add_argument("--json", action="store_true", help="one JSON line for each measurement")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds is 1 or more")
    sides = [AION, *dbos_sides(dbos_python())]
    found = {side: settings_of(side) for side in sides}
    found |= {side: settings_of(side) for side in equally_durable(found.values())}
    for side, settings in found.items():
        _say(side, settings, as_json=given.json)
    for workload in WORKLOADS:
        if given.name in (None, workload.name):
            _compare(workload, list(found), given.rounds, as_json=given.json)


def _compare(workload: Workload, sides: list[Side], rounds: int, *, as_json: bool) -> None:
    taking_part = [side for side in sides if side.recovers or workload.name != "recovery"]
    measured: dict[str, list[Figures]] = {side.name: [] for side in taking_part}
    # Taking turns, so that a slow minute of the machine meets them all.
    for _ in range(rounds):
        for side in taking_part:
            figures = measure(side, workload)
            measured[side.name].append(figures)
            if as_json:
                print(json.dumps({"name": workload.name, "side": side.name} | figures), flush=True)
    if not as_json:
        print(f"\n{table(workload, measured)}", flush=True)


def _say(side: Side, settings: Settings, *, as_json: bool) -> None:
    level = LEVELS[settings.synchronous]
    if as_json:
        named = {"name": "settings", "side": side.name, "synchronous": level}
        print(json.dumps(attrs.asdict(settings) | named), flush=True)
    else:
        print(f"{side.name:<18}journal_mode={settings.journal_mode}, synchronous={level}")


if __name__ == "__main__":
    main()
