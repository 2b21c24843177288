"""Which sides meet, and what their figures say of each other."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.versus.measuring import Settings, Side, Workload
from benchmarks.versus.shared import Figures

__all__ = ["AION", "LEVELS", "dbos_sides", "equally_durable", "table"]

LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")
"""``PRAGMA synchronous`` by its number."""

AION = Side.of_aion("Aion")


def dbos_sides(python: str) -> list[Side]:
    """As it comes; then two that are faster, so that nobody has to ask."""
    return [
        Side.of_dbos("DBOS", python),
        Side.of_dbos("DBOS, WAL", python, "--wal"),
        Side.of_dbos("DBOS, WAL, plain", python, "--wal", "--plain", recovers=False),
    ]


def equally_durable(found: Iterable[Settings]) -> list[Side]:
    """Aion once more with less durability, where the SQLite of the others is built for less.

    DBOS leaves ``synchronous`` as SQLite was compiled, which is FULL nearly everywhere; Aion asks
    for FULL.
    """
    if all(settings.synchronous >= LEVELS.index("FULL") for settings in found):
        return []
    return [Side.of_aion("Aion, normal", "--durability", "normal")]


def table(workload: Workload, measured: Mapping[str, Sequence[Figures]]) -> str:
    """Medians with their spread; the ratios are those of the rounds, not of the medians."""
    lines = [
        f"{workload.name}: {workload.runs:,} x {workload.steps:,} steps",
        f"  {'':<18}{workload.figure:>34}{workload.processor:>26}{'Aion is better by':>26}",
    ]
    aion = measured[AION.name]
    for name, rounds in measured.items():
        compared = _spread([each[workload.figure] for each in rounds])
        processor = _median([each[workload.processor] for each in rounds])
        line = f"  {name:<18}{compared:>34}{processor:>26}"
        if name != AION.name:
            pairs = zip(aion, rounds, strict=True)
            ratios = [_better_by(workload, *pair) for pair in pairs]
            line += f"{_spread(ratios):>26}"
        lines.append(line + _faults(rounds))
    return "\n".join(lines)


def _better_by(workload: Workload, one: Figures, other: Figures) -> float:
    ratio = one[workload.figure] / other[workload.figure]
    return ratio if workload.more_is_better else 1 / ratio


def _faults(rounds: Sequence[Figures]) -> str:
    """Steps that were done twice or never: nothing to be seen, or the figures mean nothing."""
    repeated = sum(each.get("steps_repeated", 0) for each in rounds)
    lost = sum(each.get("steps_lost", 0) for each in rounds)
    return f"  {repeated:g} steps repeated, {lost:g} lost" if repeated or lost else ""


def _spread(values: Sequence[float]) -> str:
    return f"{_median(values)} ({min(values):,.1f} to {max(values):,.1f})"


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.1f}"
