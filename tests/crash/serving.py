"""The process with the engine: ``python -m tests.crash.serving URL``. Its clients are elsewhere.

It says "open" on stdout when it is, and runs until its stdin ends or it is killed.
"""

from __future__ import annotations

import sys

import trio

import aion_runtime as aion

number = aion.Signal("number", int)
seen = aion.Query("seen", list[int])
add = aion.Update("add", int, int)


@aion.activity
async def keep(value: int) -> int:
    return value


@aion.workflow(accepts=[number, seen, add])
async def collecting(count: int) -> list[int]:
    """Collects so many numbers, that come by signals and by updates."""
    found: list[int] = []

    async def take(value: int) -> int:
        found.append(await keep(value))
        return len(found)

    seen.answer(lambda: list(found))
    add.handle(take)
    async with aion.open_nursery() as nursery:

        async def receive() -> None:
            while True:
                found.append(await number.receive())

        nursery.start_soon(receive)
        await aion.wait_until(lambda: len(found) >= count)
        nursery.cancel_scope.cancel()
    return found


async def serve(url: str) -> None:
    async with aion.open_engine(url, workflows=[collecting]):
        print("open", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(serve, sys.argv[1])
