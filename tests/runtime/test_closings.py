"""Who waits for an end: nobody is forgotten, and nothing is kept for those who do not wait."""

from __future__ import annotations

import sys

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_runtime.closings import Closings
from tests.runtime.conftest import Bench

W = WorkflowId("w")


def test_nothing_is_kept_for_who_need_not_wait() -> None:
    closings = Closings()
    for number in range(100):
        with closings.expected(WorkflowId(str(number))):
            pass
    assert len(closings) == 0


async def test_nothing_is_kept_for_who_waits_no_longer() -> None:
    closings = Closings()
    with trio.move_on_after(0), closings.expected(W) as closing:
        await closing.wait()
    assert len(closings) == 0


def test_who_waits_on_is_not_forgotten_with_who_does_not() -> None:
    closings = Closings()
    with closings.expected(W) as one:
        with closings.expected(W):
            pass
        closings.fail(W, aion.EngineStoppedError("over"))
        assert one.settled.is_set()


@pytest.mark.parametrize("value", ["", "\n", "\ud800"])
async def test_a_signal_id_that_cannot_be_one_is_refused(bench: Bench, value: str) -> None:
    go = aion.Signal("go", int)

    @aion.workflow
    async def waiting() -> int:
        return await go.receive()

    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting)
        with pytest.raises(aion.InvalidIdError, match="signal_id"):
            await handle.signal(go, 1, signal_id=value)


async def test_a_workflow_that_exits_is_held_and_the_engine_goes_on(bench: Bench) -> None:
    """Nothing is recorded: it can also be somebody's signal handler that wants to exit."""

    @aion.workflow
    async def exiting() -> None:
        await aion.sleep(1)
        sys.exit("bye")

    @aion.workflow
    async def sleeper() -> str:
        await aion.sleep(2)
        return "awake"

    async with bench.engine(exiting, sleeper) as engine:
        await engine.start(exiting, workflow_id="1")
        await engine.start(sleeper, workflow_id="2")
        await wait_all_tasks_blocked()
        await bench.advance(1)
        with pytest.raises(aion.WorkflowStuckError, match="SystemExit: bye"):
            await engine.get("1").result()
        await bench.advance(1)
        assert await engine.get("2").result() == "awake"
    assert len(await bench.history("1")) == 2
    async with bench.engine(exiting, sleeper) as engine:
        await wait_all_tasks_blocked()
        assert (await engine.get("1").describe()).stuck == "SystemExit: bye"


async def test_a_workflow_whose_clean_up_exits_does_not_hold_up_the_stop(bench: Bench) -> None:
    @aion.workflow
    async def exiting() -> None:
        try:
            await aion.sleep(1)
        finally:
            sys.exit("bye")

    async with bench.engine(exiting) as engine:
        await engine.start(exiting, workflow_id="w")
        bench.store.refuse(e.TimerFired)
        await bench.advance(1)  # thrown away after the refused append, too
    assert len(await bench.history("w")) == 2
