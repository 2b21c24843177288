"""The process that is asked to stop: ``python -m tests.crash.stopping DIRECTORY WORKFLOW GRACE``.

It says on stdout how far it is. ``pair`` stands for two engines, side by side, on two stores;
``late`` for a second one that is not open yet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import trio

import aion_runtime as aion
from aion_core.contracts import DueRun
from aion_store_memory.store import MemoryStore

go = aion.Signal("go", int)


def say(word: str) -> None:
    # In one piece: another thread may be saying something at the same time.
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


@aion.activity
def read_line() -> str:
    say("begun")
    return sys.stdin.readline().strip()


@aion.activity
async def endless() -> None:
    say("begun")
    await trio.sleep_forever()


@aion.workflow
async def reading() -> tuple[str, int]:
    """Its activity ends when a line comes in; the workflow then waits on."""
    return await read_line(), await go.receive()


@aion.workflow
async def working() -> None:
    """Its activity never ends."""
    await endless()


@aion.workflow
async def halves() -> tuple[str, None]:
    """One of its activities ends when a line comes in, the other one never."""
    return await aion.gather(read_line(), endless())


@aion.workflow
async def waiting() -> int:
    """It has nothing under way."""
    return await go.receive()


class SlowStore(MemoryStore):
    """Does not say what is due."""

    async def due_work(self, now: datetime) -> Sequence[DueRun]:
        say("opening")
        await trio.sleep_forever()


async def open_late() -> None:
    try:
        async with aion.open_engine(SlowStore(), workflows=[waiting]):
            say("opened")
    except aion.EngineStoppedError as error:
        say(str(error))


async def serve(database: Path, workflow: str, grace: float) -> None:
    definition: aion.Workflow[[], object] = globals()[workflow]
    async with aion.open_engine(
        f"sqlite:///{database}", workflows=[definition], shutdown_grace=grace
    ) as engine:
        handle = await engine.start(definition, workflow_id="w")
        say("started")
        try:
            await handle.result()
        finally:
            say("leaving")
    say("left")


async def main(directory: Path, workflow: str, grace: float) -> None:
    if workflow not in ("pair", "late"):
        await serve(directory / "aion.db", workflow, grace)
        return
    async with trio.open_nursery() as nursery:
        # The one that hears of it first has nothing to wait for.
        if workflow == "late":
            nursery.start_soon(open_late)
        else:
            nursery.start_soon(serve, directory / "other.db", "waiting", grace)
        nursery.start_soon(serve, directory / "aion.db", "reading", grace)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
