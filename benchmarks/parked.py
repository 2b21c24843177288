"""A hundred thousand runs that wait for a signal, in one engine.

``python -m benchmarks.parked URL ROOM`` is an engine that starts them, and has room in memory for
so many bytes of them; by how much it has grown is measured.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import trio

import aion_runtime as aion
from benchmarks.processes import memory_in_use, run_alone

__all__ = ["measure"]

RUNS = 100_000
AT_ONCE = 500
"""So many also come before memory is measured: what grows only once is not counted."""

FINISHED = random.Random(1).sample(range(RUNS), 1_000)
NO_ROOM, ROOM_FOR_ALL = 0, 100_000 * RUNS

go_on = aion.Signal("go_on", int)


@aion.workflow
async def waiting(number: int) -> int:
    return number + await go_on.receive()


async def measure(directory: Path) -> dict[str, float]:
    url = f"sqlite:///{directory}/aion.db"
    evicted = await run_alone("parked", url, str(NO_ROOM))
    began = time.perf_counter()
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        opened = time.perf_counter()

        async def finish(number: int) -> None:
            run = engine.get(f"run-{number}")
            await run.signal(go_on, 1)
            assert await run.result() == number + 1

        await _for_each(FINISHED, finish)
        done = time.perf_counter()
    resident = await run_alone("parked", f"sqlite:///{directory}/other.db", str(ROOM_FOR_ALL))
    return {
        "evicted_bytes": evicted["bytes"],
        "resident_bytes": resident["bytes"],
        "started_per_second": resident["started_per_second"],
        "open_s": opened - began,
        "signals_done_s": done - opened,
    }


async def start_all(url: str, room: int) -> dict[str, float]:
    async with aion.open_engine(url, workflows=[waiting], resident_bytes=room) as engine:

        async def start(number: int) -> None:
            await engine.start(waiting, number, workflow_id=f"run-{number}")

        await _for_each(range(AT_ONCE), start)
        before, began = memory_in_use(), time.perf_counter()
        await _for_each(range(AT_ONCE, RUNS), start)
        took, grown = time.perf_counter() - began, memory_in_use() - before
        count = RUNS - AT_ONCE
        return {"bytes": grown / count, "started_per_second": count / took}


async def _for_each(numbers: Iterable[int], act: Callable[[int], Awaitable[None]]) -> None:
    """Some hundreds at a time, as many clients would."""
    left = iter(numbers)

    async def go_on_taking() -> None:
        for number in left:
            await act(number)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(go_on_taking)


if __name__ == "__main__":
    url, room = sys.argv[1:]
    print(json.dumps(trio.run(start_all, url, int(room))))
