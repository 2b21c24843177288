"""The figures as a table, each beside what is aimed at."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.targets import BENCHMARKS, Benchmark

__all__ = ["Figures", "table"]

Figures = dict[str, float]

HEAD = ("benchmark", "figure", "median", "least", "most", "rounds", "target", "met")
TEXTS = 2
"""So many columns are words, to the left; numbers are to the right."""


def table(measured: Mapping[str, Sequence[Figures]]) -> str:
    """One row for each figure, over all rounds of its benchmark."""
    rows: list[Sequence[str]] = [HEAD]
    for name, rounds in measured.items():
        rows += _rows(BENCHMARKS[name], rounds)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _rows(benchmark: Benchmark, rounds: Sequence[Figures]) -> Iterator[Sequence[str]]:
    targets = {target.figure: target for target in benchmark.targets}
    for figure in rounds[0]:
        values = [each[figure] for each in rounds]
        median = statistics.median(values)
        target = targets.get(figure)
        verdict = (
            ("", "") if target is None else (str(target), "yes" if target.is_met(median) else "NO")
        )
        yield (
            benchmark.name,
            figure,
            *map(_number, (median, min(values), max(values))),
            str(len(rounds)),
            *verdict,
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.3g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if column < TEXTS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
