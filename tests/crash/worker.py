"""The process that is killed: ``python -m tests.crash.worker DIRECTORY``. It knows of no kills.

It sees forty workflows through, a few at a time, and ends. Every execution of an activity is a
line in the ledger, written before anything else is done and never touched again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import trio

import aion_runtime as aion

WORKFLOWS = 40
ROUNDS = 12
AT_A_TIME = 4

go = aion.Signal("go", int)


class Ledger:
    """An append-only file; a line is there, whole, whenever the process dies after."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **fields: object) -> None:
        os.write(self._fd, json.dumps({"pid": os.getpid(), **fields}).encode() + b"\n")


def executed() -> None:
    info = aion.activity_info()
    LEDGER.write(workflow=info.workflow_id, activity=info.activity_id, attempt=info.attempt)


@aion.activity
async def double(number: int) -> int:
    executed()
    await trio.sleep(0.002)
    return 2 * number


@aion.activity
def increase(number: int) -> int:
    executed()
    time.sleep(0.002)
    return number + 1


@aion.activity(retry=aion.RetryPolicy(initial_interval=0.01))
async def flaky(number: int) -> int:
    executed()
    if aion.activity_info().attempt == 1:
        raise ConnectionError("hung up")
    return number


@aion.workflow
async def chain(number: int) -> list[int]:
    results: list[int] = []
    for round_ in range(ROUNDS):
        results += await aion.gather(double(round_), increase(round_))
        await aion.sleep(0.003)
    results.append(await flaky(number))
    if number % 2:
        with aion.move_on_after(0.01):
            results.append(await go.receive())
    else:
        results.append(await go.receive())
    return results


def expected(number: int) -> list[int]:
    """What a workflow must come to, worked out without Aion."""
    results = [value for round_ in range(ROUNDS) for value in (2 * round_, round_ + 1)]
    return [*results, number] if number % 2 else [*results, number, -number]


async def see_through(engine: aion.Engine, number: int, turns: trio.Semaphore) -> None:
    async with turns:
        handle = await engine.start(chain, number, workflow_id=f"chain-{number}")
        if number % 2 == 0 and not (await handle.describe()).status.is_closed:
            await handle.signal(go, -number, signal_id="the one")
        assert await handle.result() == expected(number)


async def main(directory: Path) -> None:
    url = f"sqlite:///{directory}/aion.db"
    async with aion.open_engine(url, workflows=[chain]) as engine:
        report = engine.recovery_report
        LEDGER.write(resumed=report.resumed, stuck=dict(report.stuck))
        turns = trio.Semaphore(AT_A_TIME)
        async with trio.open_nursery() as nursery:
            for number in range(WORKFLOWS):
                nursery.start_soon(see_through, engine, number, turns)


if __name__ == "__main__":
    LEDGER = Ledger(Path(sys.argv[1]) / "ledger.jsonl")
    trio.run(main, Path(sys.argv[1]))
