"""DBOS's side: one measurement in a process of its own, one JSON line.

Run by the interpreter of an environment that has DBOS. Configured as its documentation starts:
a name and a database; steps and workflows are async, or with ``--plain`` not.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from dbos import DBOS, SendMessage, SetWorkflowID

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
TOPIC = "go"
FOREVER_S = 3600.0
LOOK_S = 0.02


@DBOS.step()
async def touch(item: Item) -> Item:
    return item


@DBOS.workflow()
async def chain(steps: int) -> int:
    item = first_item()
    for number in range(steps):
        item = await touch(next_item(item, number + 1))
    return int(item["number"])


@DBOS.step()
def plain_touch(item: Item) -> Item:
    return item


@DBOS.workflow()
def plain_chain(steps: int) -> int:
    item = first_item()
    for number in range(steps):
        item = plain_touch(next_item(item, number + 1))
    return int(item["number"])


@DBOS.step()
async def leave_trace(effects: str, stage: str, number: int) -> int:
    Effects(effects).add(stage, number)
    return number


@DBOS.workflow()
async def waiting(number: int, effects: str) -> Item:
    """A step, a wait for a message, a step."""
    await leave_trace(effects, "before", number)
    # No step: it says to `park` that the one above is recorded.
    Effects(effects).add("recorded", number)
    item: Item = await DBOS.recv_async(TOPIC, timeout_seconds=FOREVER_S)
    await leave_trace(effects, "after", number)
    return item


def main() -> None:
    parser = side_parser(__doc__)
    parser.add_argument("--wal", action="store_true", help="the file has been set to WAL before")
    parser.add_argument("--plain", action="store_true", help="steps that are plain functions")
    given = parser.parse_args()
    file = given.directory / "dbos.sqlite"
    effects = Effects(given.directory / "effects")
    if given.wal:
        _set_to_wal(file)
    DBOS(
        config={
            "name": "versus",
            "system_database_url": f"sqlite:///{file}",
            "log_level": "ERROR",
        }
    )
    match given.action:
        case "settings":
            report(settings())
        case "chains" if given.plain:
            report(plain_chains(given.runs, given.steps))
        case "chains":
            report(asyncio.run(chains(given.runs, given.steps)))
        case "park":
            asyncio.run(park(given.runs, given.directory / "effects", effects))
        case _:
            report(asyncio.run(resume(given.runs, effects)))
    DBOS.destroy()


def _set_to_wal(file: Path) -> None:
    """The one setting that SQLite keeps in the file; DBOS has no option for it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def settings() -> dict[str, object]:
    """What is in force on the connections that DBOS has opened itself."""
    opened: list[sqlite3.Connection] = []

    def keep(event: str, arguments: tuple[object, ...]) -> None:
        if event == "sqlite3.connect/handle" and isinstance(arguments[0], sqlite3.Connection):
            opened.append(arguments[0])

    sys.addaudithook(keep)
    DBOS.launch()
    plain_chain(1)
    found: set[tuple[str, int]] = set()
    for connection in opened:
        # Some are closed again.
        with suppress(sqlite3.ProgrammingError):
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (level,) = connection.execute("PRAGMA synchronous").fetchone()
            found.add((mode, level))
    ((mode, level),) = found
    return {"journal_mode": mode, "synchronous": level}


async def chains(runs: int, steps: int) -> Figures:
    DBOS.launch()
    await (await DBOS.start_workflow_async(chain, WARM_UP)).get_result()

    async def one() -> None:
        handle = await DBOS.start_workflow_async(chain, steps)
        result = await handle.get_result()
        assert result == steps

    watch = Stopwatch()
    await asyncio.gather(*(one() for _ in range(runs)))
    return chain_figures(watch, runs * steps)


def plain_chains(runs: int, steps: int) -> Figures:
    DBOS.launch()
    DBOS.start_workflow(plain_chain, WARM_UP).get_result()
    watch = Stopwatch()
    handles = [DBOS.start_workflow(plain_chain, steps) for _ in range(runs)]
    results = [handle.get_result() for handle in handles]
    assert results == [steps] * runs
    return chain_figures(watch, runs * steps)


async def park(runs: int, path: Path, effects: Effects) -> None:
    """Bring all runs to their wait, say so, and wait to be killed."""
    DBOS.launch()
    for number in range(runs):
        with SetWorkflowID(run_id(number)):
            await DBOS.start_workflow_async(waiting, number, str(path))
    await _until(partial(_left, effects, "recorded", runs))
    report({"parked": runs})
    await asyncio.sleep(FOREVER_S)


async def resume(runs: int, effects: Effects) -> Figures:
    """All messages in one call, which is much faster than one call for each."""
    watch = Stopwatch()
    DBOS.launch()
    ready_s = watch.elapsed_s()
    items = [next_item(first_item(), number) for number in range(runs)]
    await DBOS.send_bulk_async(
        [SendMessage(run_id(number), item, TOPIC) for number, item in enumerate(items)]
    )
    # Handles would ask the database for each run again and again. So it is left alone until all
    # have taken their last step, and asked then whether the end of all is recorded.
    await _until(partial(_left, effects, "after", runs))
    await _until(_all_have_ended)
    figures: Figures = {
        "done_s": watch.elapsed_s(),
        "ready_s": ready_s,
        "processor_s": watch.processor_s(),
    }
    handles = [await DBOS.retrieve_workflow_async(run_id(number)) for number in range(runs)]
    results = [await handle.get_result() for handle in handles]
    assert results == items
    return figures


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Looks again and again: of what is in files and in the database nobody tells."""
    while not await holds():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


async def _left(effects: Effects, stage: str, runs: int) -> bool:
    return effects.count(stage) >= runs


async def _all_have_ended() -> bool:
    open_runs = await DBOS.list_workflows_async(
        status=["PENDING", "ENQUEUED"], limit=1, load_input=False, load_output=False
    )
    return not open_runs


if __name__ == "__main__":
    main()
