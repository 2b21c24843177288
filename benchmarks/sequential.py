"""One workflow, one activity after the other: latency, against single-row commits."""

from __future__ import annotations

import time
from pathlib import Path

import aion_runtime as aion
from benchmarks.raw import commits_per_second
from benchmarks.workload import chain

__all__ = ["measure"]

ACTIVITIES = 1_000
RAW_COMMITS = 500


async def measure(directory: Path) -> dict[str, float]:
    # The disk's speed drifts, so the limit is taken before and after.
    before = commits_per_second(directory, rows_per_commit=1, commits=RAW_COMMITS)
    async with aion.open_engine(f"sqlite:///{directory}/aion.db", workflows=[chain]) as engine:
        await (await engine.start(chain, 50)).result()
        began = time.perf_counter()
        await (await engine.start(chain, ACTIVITIES)).result()
        elapsed = time.perf_counter() - began
    after = commits_per_second(directory, rows_per_commit=1, commits=RAW_COMMITS)
    raw = (before + after) / 2
    return {
        "activities_per_second": ACTIVITIES / elapsed,
        "raw_commits_per_second": raw,
        "ratio": ACTIVITIES / elapsed / raw,
    }
