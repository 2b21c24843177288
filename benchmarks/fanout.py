"""A thousand activities of one workflow at once, against rows, a thousand to a commit."""

from __future__ import annotations

import time
from pathlib import Path

import aion_runtime as aion
from benchmarks.raw import commits_per_second
from benchmarks.workload import Item, touch

__all__ = ["measure"]

WIDTH = 1_000
ROUNDS = 5
RAW_COMMITS = 20


@aion.workflow
async def fan(width: int) -> int:
    async with aion.open_nursery() as nursery:
        for number in range(width):
            nursery.start_soon(touch, Item(number, "a small value"))
    return width


async def measure(directory: Path) -> dict[str, float]:
    before = commits_per_second(directory, rows_per_commit=WIDTH, commits=RAW_COMMITS)
    async with aion.open_engine(f"sqlite:///{directory}/aion.db", workflows=[fan]) as engine:
        await (await engine.start(fan, 50)).result()
        began = time.perf_counter()
        for _ in range(ROUNDS):
            await (await engine.start(fan, WIDTH)).result()
        elapsed = time.perf_counter() - began
    after = commits_per_second(directory, rows_per_commit=WIDTH, commits=RAW_COMMITS)
    raw = (before + after) / 2 * WIDTH
    rate = WIDTH * ROUNDS / elapsed
    return {"activities_per_second": rate, "raw_rows_per_second": raw, "ratio": rate / raw}
