"""A thousand runs wait for a signal when their engine is killed: how long until all are done.

``python -m benchmarks.recovery DIRECTORY`` is the engine that is killed.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import trio

import aion_runtime as aion
from benchmarks.processes import die, run_alone
from benchmarks.raw import commits_per_second
from benchmarks.workload import Item, touch

__all__ = ["measure"]

RUNS = 1_000
RAW_COMMITS = 20

go_on = aion.Signal("go_on", Item)


@aion.activity
async def prepare(ledger: str, item: Item) -> Item:
    """Leaves a byte wherever it is run."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b".")
    os.close(descriptor)
    return item


@aion.workflow
async def waiting(ledger: str, number: int) -> int:
    await prepare(ledger, Item(number, "before the kill"))
    item = await go_on.receive()
    return (await touch(item)).number


async def measure(directory: Path) -> dict[str, float]:
    before = commits_per_second(directory, rows_per_commit=RUNS, commits=RAW_COMMITS)
    await run_alone("recovery", str(directory), dies=True)
    began = time.perf_counter()
    async with aion.open_engine(_store(directory), workflows=[waiting]) as engine:
        opened = time.perf_counter()

        async def finish(number: int) -> None:
            run = engine.get(f"run-{number}")
            await run.signal(go_on, Item(number, "after the kill"))
            assert await run.result() == number

        async with trio.open_nursery() as nursery:
            for number in range(RUNS):
                nursery.start_soon(finish, number)
        done = time.perf_counter()
    after = commits_per_second(directory, rows_per_commit=RUNS, commits=RAW_COMMITS)
    rows = (before + after) / 2 * RUNS
    return {
        "open_s": opened - began,
        "done_s": done - opened,
        "repeated": _ledger(directory).stat().st_size - RUNS,
        "raw_rows_per_second": rows,
        "ratio": RUNS / (done - opened) / rows,
    }


async def _park(directory: Path) -> None:
    """Start the runs, and be killed when all wait."""
    ledger = str(_ledger(directory))
    async with (
        aion.open_engine(_store(directory), workflows=[waiting]) as engine,
        trio.open_nursery() as nursery,
    ):
        for number in range(RUNS):
            start = partial(engine.start, workflow_id=f"run-{number}")
            nursery.start_soon(start, waiting, ledger, number)
        prepared = 0
        async for item in engine.events():
            prepared += isinstance(item.event, aion.events.ActivityCompleted)
            if prepared == RUNS:
                die()


def _store(directory: Path) -> str:
    return f"sqlite:///{directory}/aion.db"


def _ledger(directory: Path) -> Path:
    return directory / "ledger"


if __name__ == "__main__":
    trio.run(_park, Path(sys.argv[1]))
