"""Aion's side: one measurement in a process of its own, one JSON line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio

import aion_runtime as aion
from aion_core import events as e
from benchmarks.versus.shared import (
    Effects,
    Figures,
    Item,
    Stopwatch,
    chain_figures,
    first_item,
    next_item,
    report,
    run_id,
    side_parser,
)

__all__: list[str] = []

WARM_UP = 20

go = aion.Signal("go", Item)


@aion.activity
async def touch(item: Item) -> Item:
    return item


@aion.workflow
async def chain(steps: int) -> int:
    item = first_item()
    for number in range(steps):
        item = await touch(next_item(item, number + 1))
    return int(item["number"])


@aion.activity
async def leave_trace(effects: str, stage: str, number: int) -> int:
    Effects(effects).add(stage, number)
    return number


@aion.workflow
async def waiting(number: int, effects: str) -> Item:
    """A step, a wait for a message, a step."""
    await leave_trace(effects, "before", number)
    item = await go.receive()
    await leave_trace(effects, "after", number)
    return item


def main() -> None:
    parser = side_parser(__doc__)
    parser.add_argument("--durability", default="full", choices=["full", "normal"])
    given = parser.parse_args()
    # By the option alone where it is not the default: as users have it.
    option = "" if given.durability == "full" else f"?durability={given.durability}"
    url = f"sqlite:///{given.directory}/aion.db{option}"
    effects = given.directory / "effects"
    match given.action:
        case "settings":
            report(trio.run(settings, url))
        case "chains":
            report(trio.run(chains, url, given.runs, given.steps))
        case "park":
            trio.run(park, url, given.runs, effects)
        case _:
            report(trio.run(resume, url, given.runs))


async def settings(url: str) -> dict[str, object]:
    """What is in force on the connection that writes."""
    async with aion.open_store(url) as store:
        found = await store._main.run(  # type: ignore[attr-defined]
            lambda connection: [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous")
            ]
        )
    return {"journal_mode": found[0], "synchronous": found[1]}


async def chains(url: str, runs: int, steps: int) -> Figures:
    async with aion.open_engine(url, workflows=[chain]) as engine:
        await (await engine.start(chain, WARM_UP)).result()

        async def one() -> None:
            result = await (await engine.start(chain, steps)).result()
            assert result == steps

        watch = Stopwatch()
        async with trio.open_nursery() as nursery:
            for _ in range(runs):
                nursery.start_soon(one)
        return chain_figures(watch, runs * steps)


async def park(url: str, runs: int, effects: Path) -> None:
    """Bring all runs to their wait, say so, and wait to be killed."""
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        for number in range(runs):
            await engine.start(waiting, number, str(effects), workflow_id=run_id(number))
        completed = 0
        async for item in engine.events():
            completed += isinstance(item.event, e.ActivityCompleted)
            if completed == runs:
                break
        report({"parked": runs})
        await trio.sleep_forever()


async def resume(url: str, runs: int) -> Figures:
    watch = Stopwatch()
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        ready_s = watch.elapsed_s()
        async with trio.open_nursery() as nursery:
            for number in range(runs):
                nursery.start_soon(partial(_finish, engine, number))
        return {
            "done_s": watch.elapsed_s(),
            "ready_s": ready_s,
            "processor_s": watch.processor_s(),
        }


async def _finish(engine: aion.Engine, number: int) -> None:
    item = next_item(first_item(), number)
    run = engine.get(run_id(number))
    await run.signal(go, item)
    result = await run.result()
    assert result == item


if __name__ == "__main__":
    main()
