"""Plain activities that ask whether they are to stop, and stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.machine.arrivals import STILL_RUNNING
from aion_runtime.testing import test_engine

ASKS: list[Callable[[], None]] = [aion.heartbeat, aion.check_cancelled]
PATIENCE_S = 20.0


class Loops:
    """A thread that works until it is told to stop, or the test is over.

    Attributes:
        cleaned_up: attempts that have ended.
    """

    def __init__(self, ask: Callable[[], None], **settings: Any) -> None:
        self.works, self.has_ended = threading.Event(), threading.Event()
        self.cleaned_up: list[int] = []
        self.over = threading.Event()

        @aion.activity(retry=aion.RetryPolicy(max_attempts=1), **settings)
        def loop() -> str:
            attempt = aion.activity_info().attempt
            try:
                while not self.over.wait(0.001):
                    self.works.set()
                    ask()
            finally:
                self.cleaned_up.append(attempt)
                self.has_ended.set()
            return "never told"

        @aion.workflow
        async def caller() -> str:
            try:
                return await loop()
            except aion.ActivityError as error:
                return f"{error.kind}: {error.message}"

        self.caller = caller

    async def until_it_works(self) -> None:
        assert await trio.to_thread.run_sync(self.works.wait, PATIENCE_S)

    async def until_it_has_ended(self) -> None:
        assert await trio.to_thread.run_sync(self.has_ended.wait, PATIENCE_S)


@pytest.fixture(params=ASKS, ids=lambda ask: ask.__name__)
def ask(request: pytest.FixtureRequest) -> Callable[[], None]:
    asked: Callable[[], None] = request.param
    return asked


async def test_a_thread_that_asks_stops_when_its_workflow_is_cancelled(
    ask: Callable[[], None],
) -> None:
    loops = Loops(ask)
    async with test_engine(workflows=[loops.caller]) as engine:
        run = await engine.start(loops.caller)
        await loops.until_it_works()
        await run.cancel()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await run.result()
        (cancelled,) = [x for x in await run.history() if isinstance(x, e.ActivityCancelled)]
    assert (cancelled.attempt, cancelled.detail) == (1, None)
    assert loops.cleaned_up == [1]


async def test_a_thread_that_asks_stops_when_its_time_is_over(ask: Callable[[], None]) -> None:
    loops = Loops(ask, start_to_close=100)
    async with test_engine(workflows=[loops.caller]) as engine:
        run = await engine.start(loops.caller)
        await loops.until_it_works()
        await engine.clock.advance(100)
        assert await run.result() == "timeout: not finished within 100 s (start_to_close)"
        await loops.until_it_has_ended()


async def test_a_thread_that_asks_stops_when_its_run_is_terminated(
    ask: Callable[[], None],
) -> None:
    loops = Loops(ask)
    async with test_engine(workflows=[loops.caller]) as engine:
        run = await engine.start(loops.caller)
        await loops.until_it_works()
        await run.terminate()
        await loops.until_it_has_ended()


async def test_a_thread_that_asks_stops_when_the_engine_does_and_is_made_again(
    ask: Callable[[], None], tmp_path: Any
) -> None:
    loops = Loops(ask)
    url = f"sqlite:///{tmp_path}/s.db"
    async with aion.open_engine(url, workflows=[loops.caller], shutdown_grace=0) as engine:
        await engine.start(loops.caller, workflow_id="w")
        await loops.until_it_works()
    await loops.until_it_has_ended()
    loops.over.set()
    async with aion.open_engine(url, workflows=[loops.caller]) as engine:
        run = engine.get("w")
        assert await run.result() == "never told"
        history = await run.history()
    # Released: neither failed nor counted.
    assert [type(event) for event in history] == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
        e.WorkflowCompleted,
    ]
    assert loops.cleaned_up == [1, 1]


async def test_a_thread_that_never_asks_is_given_up_after_its_grace() -> None:
    loops = Loops(lambda: None, cancel_grace=30)
    async with test_engine(workflows=[loops.caller]) as engine:
        run = await engine.start(loops.caller)
        await loops.until_it_works()
        await run.cancel()
        await engine.clock.advance(30)
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await run.result()
        (cancelled,) = [x for x in await run.history() if isinstance(x, e.ActivityCancelled)]
        loops.over.set()
    assert cancelled.detail == STILL_RUNNING


async def test_a_thread_is_not_told_to_stop_when_nobody_asked_for_it(
    ask: Callable[[], None],
) -> None:
    @aion.activity
    def work() -> str:
        ask()
        return "worked"

    @aion.workflow
    async def caller() -> str:
        return await work()

    async with test_engine(workflows=[caller]) as engine:
        assert await (await engine.start(caller)).result() == "worked"


async def test_cancelled_raised_by_an_activity_that_nobody_stops_is_a_failure() -> None:
    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    def work() -> None:
        raise aion.Cancelled

    @aion.workflow
    async def caller() -> str:
        try:
            await work()
        except aion.ActivityError as error:
            return f"{error.kind}: {error.type}"
        return "?"

    async with test_engine(workflows=[caller]) as engine:
        assert await (await engine.start(caller)).result() == "terminal: Cancelled"


async def test_the_last_heartbeat_before_a_thread_stops_is_kept() -> None:
    kept: list[object] = []
    row = 0
    works = threading.Event()

    @aion.activity(heartbeat_timeout=100)
    def work() -> None:
        nonlocal row
        while True:
            row += 1
            works.set()
            try:
                aion.heartbeat(row)
            except aion.Cancelled:
                kept.append(row)
                raise

    @aion.workflow
    async def caller() -> None:
        await work()

    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        assert await trio.to_thread.run_sync(works.wait, PATIENCE_S)
        await run.cancel()
        with pytest.raises(aion.WorkflowFailedError):
            await run.result()
    assert kept == [row]


async def test_an_async_activity_may_ask_between_two_awaits() -> None:
    @aion.activity
    async def work() -> None:
        begun.set()
        with trio.CancelScope(shield=True):
            await told.wait()
        aion.check_cancelled()
        raise AssertionError("it was to stop")

    @aion.workflow
    async def caller() -> None:
        await work()

    begun, told = trio.Event(), trio.Event()
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        await begun.wait()
        await run.cancel()
        told.set()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await run.result()
        assert e.ActivityCancelled in [type(event) for event in await run.history()]


def test_outside_of_activities_there_is_nobody_to_ask() -> None:
    with pytest.raises(aion.AionError, match=r"^check_cancelled\(\) works only inside an activity"):
        aion.check_cancelled()
