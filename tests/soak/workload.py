"""The load: workflows of all kinds, whose results are known beforehand.

Each execution of an activity is a line in a ledger, which outlives every process.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import trio

import aion_runtime as aion

__all__ = [
    "Ledger",
    "chain",
    "children",
    "fan",
    "go",
    "ledger_at",
    "listening",
    "napping",
    "number",
    "rounds",
    "tally",
]

LEDGER_VARIABLE = "SOAK_LEDGER"
"""The environment variable that names the ledger to the engine's process."""

number = aion.Signal("number", int)
go = aion.Signal("go", int)
add = aion.Update("add", int, int)


class Ledger:
    """An append-only file; a line is there, whole, whenever the process dies after."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **fields: object) -> None:
        """Add a line of JSON."""
        os.write(self._fd, json.dumps(fields).encode() + b"\n")

    def close(self) -> None:
        """Write no more."""
        os.close(self._fd)


def ledger_at(path: Path) -> list[dict[str, object]]:
    """All whole lines of a ledger; none when there is no file."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _execute() -> int:
    """Note that an attempt is made; returns which."""
    info = aion.activity_info()
    ledger = Ledger(Path(os.environ[LEDGER_VARIABLE]))
    try:
        ledger.write(
            workflow=info.workflow_id,
            run=info.run_id,
            activity=info.activity_id,
            attempt=info.attempt,
        )
    finally:
        ledger.close()
    return info.attempt


@aion.activity
async def increase(value: int) -> int:
    """An async activity."""
    _execute()
    await trio.sleep(0.005)
    return value + 1


@aion.activity
def double(value: int) -> int:
    """An activity in a thread."""
    _execute()
    time.sleep(0.005)
    return 2 * value


@aion.activity(retry=aion.RetryPolicy(initial_interval=0.05))
async def flaky(value: int) -> int:
    """Fails twice."""
    if _execute() < 3:
        raise ConnectionError("hung up")
    return value


@aion.workflow
async def chain(value: int) -> int:
    """One activity after the other, with one that is tried again."""
    for _ in range(3):
        value = await increase(value)
    return await double(await flaky(value))


@aion.workflow
async def fan(value: int) -> int:
    """Activities side by side."""
    return sum(await aion.gather(*(double(value + each) for each in range(8))))


@aion.workflow
async def napping(value: int) -> int:
    """Timers, one of which is given up."""
    for _ in range(3):
        await aion.sleep(0.1)
    with aion.move_on_after(0.2):
        await go.receive()
    return await increase(value)


@aion.workflow(accepts=[number])
async def listening(count: int) -> int:
    """Signals; the same one, sent again, counts once."""
    return sum([await number.receive() for _ in range(count)])


@aion.workflow(accepts=[add, go])
async def tally(value: int) -> int:
    """Updates, until it is told to end."""

    async def change(by: int) -> int:
        nonlocal value
        value += await increase(by)
        return value

    add.handle(change)
    await go.receive()
    await aion.wait_until(lambda: aion.workflow_info().all_handlers_finished)
    return value


@aion.workflow
async def children(value: int) -> int:
    """Children: awaited, told something, stopped, and left."""
    total = sum(await aion.gather(fan(value), chain(value)))
    told = await listening.spawn(1)
    await told.signal(number, value)
    stopped = await listening.spawn(1)
    stopped.cancel()
    await listening.options(on_parent_close="terminate").spawn(1)
    total += await told.result()
    try:
        await stopped.result()
    except aion.ChildWorkflowError:
        total += 1
    return total


@aion.workflow
async def rounds(value: int, left: int) -> int:
    """Goes on as another run, with an activity in each."""
    value = await increase(value)
    if left:
        rounds.continue_as_new(value, left - 1)
    return value
