"""The process that is asked to stop: ``python -m tests.crash.stopping DIRECTORY WORKFLOW GRACE``.

It says on stdout how far it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

import aion_runtime as aion

go = aion.Signal("go", int)


def say(word: str) -> None:
    print(word, flush=True)


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
async def waiting() -> int:
    """It has nothing under way."""
    return await go.receive()


async def main(directory: Path, workflow: str, grace: float) -> None:
    definition: aion.Workflow[[], object] = globals()[workflow]
    async with aion.open_engine(
        f"sqlite:///{directory}/aion.db", workflows=[definition], shutdown_grace=grace
    ) as engine:
        handle = await engine.start(definition, workflow_id="w")
        say("started")
        try:
            await handle.result()
        finally:
            say("leaving")


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
