"""A thousand pictures are made small, fifty at a time.

    python examples/fan_out.py                 # in a temporary store
    python examples/fan_out.py pictures.db     # in a file that stays: kill it, and start it again

Each picture is an activity of its own. After a crash those that are done stay done; only the others
are begun again.
"""

import sys
import tempfile

import trio

import aion_runtime as aion

done = aion.Query("done", int)


@aion.activity
async def shrink(picture: str) -> int:
    await trio.sleep(0.001)
    return len(picture)


@aion.workflow(accepts=[done])
async def shrink_all(count: int) -> int:
    finished = 0
    done.answer(lambda: finished)

    async def shrink_one(picture: str) -> int:
        nonlocal finished
        size = await shrink(picture)
        finished += 1
        return size

    pictures = [f"{number:04}.jpg" for number in range(count)]
    # One that fails for good cancels the others; catch ActivityError in shrink_one to keep them.
    return sum(await aion.map(shrink_one, pictures, limit=50))


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[shrink_all]) as engine:
        run = await engine.start(shrink_all, 1000, workflow_id="holidays")
        print(f"{await run.result()} bytes in {await run.query(done)} small pictures")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/fan_out.db"
        trio.run(main, f"sqlite:///{path}")
