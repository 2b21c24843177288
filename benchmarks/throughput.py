"""A hundred workflows at a time: throughput, against batches of a hundred rows."""

from __future__ import annotations

import time
from pathlib import Path

import trio

import aion_runtime as aion
from benchmarks.raw import commits_per_second
from benchmarks.workload import chain

__all__ = ["measure"]

WORKFLOWS = 100
LENGTH = 60
RAW_COMMITS = 100


async def measure(directory: Path) -> dict[str, float]:
    before = commits_per_second(directory, rows_per_commit=WORKFLOWS, commits=RAW_COMMITS)
    async with aion.open_engine(f"sqlite:///{directory}/aion.db", workflows=[chain]) as engine:
        await (await engine.start(chain, 50)).result()

        async def one() -> None:
            await (await engine.start(chain, LENGTH)).result()

        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(WORKFLOWS):
                nursery.start_soon(one)
        elapsed = time.perf_counter() - began
    after = commits_per_second(directory, rows_per_commit=WORKFLOWS, commits=RAW_COMMITS)
    raw = (before + after) / 2 * WORKFLOWS
    rate = WORKFLOWS * LENGTH / elapsed
    return {"activities_per_second": rate, "raw_rows_per_second": raw, "ratio": rate / raw}
