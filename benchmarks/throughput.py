"""A hundred workflows at a time: throughput, against batches of a hundred rows."""

from __future__ import annotations

import time
from pathlib import Path

import trio

import aion_runtime as aion
from benchmarks.raw import commits_per_second
from benchmarks.workload import chain, thread_chain

__all__ = ["measure"]

WORKFLOWS = 100
LENGTH = 60
RAW_COMMITS = 100


async def measure(directory: Path) -> dict[str, float]:
    before = commits_per_second(directory, rows_per_commit=WORKFLOWS, commits=RAW_COMMITS)
    url = f"sqlite:///{directory}/aion.db"
    async with aion.open_engine(url, workflows=[chain, thread_chain]) as engine:
        rate = await _activities_per_second(engine, chain)
        in_threads = await _activities_per_second(engine, thread_chain)
    after = commits_per_second(directory, rows_per_commit=WORKFLOWS, commits=RAW_COMMITS)
    raw = (before + after) / 2 * WORKFLOWS
    return {
        "activities_per_second": rate,
        "sync_activities_per_second": in_threads,
        "raw_rows_per_second": raw,
        "ratio": rate / raw,
    }


async def _activities_per_second(engine: aion.Engine, workflow: aion.Workflow[[int], int]) -> float:
    await (await engine.start(workflow, 50)).result()

    async def one() -> None:
        await (await engine.start(workflow, LENGTH)).result()

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(WORKFLOWS):
            nursery.start_soon(one)
    return WORKFLOWS * LENGTH / (time.perf_counter() - began)
