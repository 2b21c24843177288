"""Durable timers: a thousand sleeps that start together, and ten thousand due in one second.

There is no raw limit: a second of sleep takes a second.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trio

import aion_runtime as aion

__all__ = ["measure"]

SLEEPS = 1_000
SLEEP_S = 1.0
DUE = 10_000
SPREAD = timedelta(seconds=1)
"""Within which those are due, one behind the other."""


@aion.workflow
async def sleeper(seconds: float) -> datetime:
    """When it has started."""
    started = aion.now()
    await aion.sleep(seconds)
    return started


@aion.workflow
async def sleepers(count: int, seconds: float) -> None:
    async with aion.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(aion.sleep, seconds)


@aion.workflow
async def late(due: datetime) -> float:
    """Milliseconds from the instant to its recorded firing."""
    await aion.sleep_until(due)
    return (aion.now() - due) / timedelta(milliseconds=1)


async def measure(directory: Path) -> dict[str, float]:
    url = f"sqlite:///{directory}/aion.db"
    async with aion.open_engine(url, workflows=[sleeper, sleepers, late]) as engine:
        await _sleep_in_runs(engine, 50, 0.0)
        starts_took, runs_done = await _sleep_in_runs(engine, SLEEPS, SLEEP_S)
        began = time.perf_counter()
        await (await engine.start(sleepers, SLEEPS, SLEEP_S)).result()
        tasks_done = time.perf_counter() - began
        # For each start five times as long as those took.
        fired = await _fire(engine, timedelta(seconds=5 * DUE / SLEEPS * starts_took))
    return {
        "runs_started_s": starts_took,
        "runs_done_s": runs_done,
        "tasks_done_s": tasks_done,
    } | fired


async def _sleep_in_runs(engine: aion.Engine, count: int, seconds: float) -> tuple[float, float]:
    """Seconds from the first call to the last recorded start, and from there to the last result."""
    started: list[datetime] = []
    began = datetime.now(UTC)

    async def one() -> None:
        started.append(await (await engine.start(sleeper, seconds)).result())

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    last = max(started)
    return (last - began).total_seconds(), (datetime.now(UTC) - last).total_seconds()


async def _fire(engine: aion.Engine, starts_take: timedelta) -> dict[str, float]:
    first = datetime.now(UTC) + starts_take
    taken: list[float] = []

    async def one(number: int) -> None:
        run = await engine.start(late, first + number / DUE * SPREAD)
        if datetime.now(UTC) >= first:
            raise RuntimeError("the machine is too busy: what has been started is due already")
        taken.append(await run.result())

    async with trio.open_nursery() as nursery:
        for number in range(DUE):
            nursery.start_soon(one, number)
    taken.sort()
    return {
        "due_done_s": (datetime.now(UTC) - first).total_seconds(),
        "late_ms": taken[DUE // 2],
        "late_ms_at_most": taken[-1],
    }
