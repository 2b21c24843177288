"""The process that is killed: ``python -m tests.crash.relations DIRECTORY``. It knows of no kills.

It sees a number of families through, a few at a time, and ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

import aion_runtime as aion
from tests.crash.families import Deed, kin

FAMILIES = 40
AT_A_TIME = 4


def family(number: int) -> list[Deed]:
    """Uses every edge, in two runs; its members have ids of their own."""
    top, ann, ben, cleo, dora = members(number)
    echo = [Deed("hear"), Deed("tell", top)]
    return [
        Deed("spawn", cleo, "terminate", [Deed("spawn", dora, "cancel", [Deed("hear")]), *echo]),
        Deed("spawn", ann, "cancel", echo),
        Deed("tell", ann),
        Deed("hear"),
        Deed("join"),
        Deed("spawn", ben, "abandon", [Deed("endure")]),
        Deed("stop"),
        Deed("join"),
        # What the last child of the next run tells is told to a run that did not start it.
        Deed("again", plan=[Deed("call", f"{ann} again", plan=[Deed("tell", top)]), Deed("hear")]),
    ]


def members(number: int) -> list[str]:
    """The ids of a family; the first is the one at the top."""
    return [f"{name} {number}" for name in ("top", "ann", "ben", "cleo", "dora")]


EXPECTED = ["child returned []", "heard 0"]


async def see_through(engine: aion.Engine, number: int, turns: trio.Semaphore) -> None:
    async with turns:
        handle = await engine.start(kin, family(number), workflow_id=members(number)[0])
        assert await handle.result() == EXPECTED


async def main(directory: Path) -> None:
    async with aion.open_engine(f"sqlite:///{directory}/aion.db", workflows=[kin]) as engine:
        turns = trio.Semaphore(AT_A_TIME)
        async with trio.open_nursery() as nursery:
            for number in range(FAMILIES):
                nursery.start_soon(see_through, engine, number, turns)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
