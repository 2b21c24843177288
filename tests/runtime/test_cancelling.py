"""Cancelling runs and what they wait for: asked once, obeyed by the code, settled in the end."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import ActivityAttempted, Observer
from aion_core.machine.arrivals import OUTCOME_UNKNOWN, STILL_RUNNING
from aion_runtime.observing import Observers
from tests.runtime.conftest import Fault
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def tidying() -> str:
    try:
        await go.receive()
    except aion.Cancelled:
        with aion.CancelScope(shield=True):
            return f"tidied up with {await go.receive()}"
    return "?"


async def test_a_run_ends_by_the_cancellation_that_was_asked_for(bench: MailBench) -> None:
    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting, workflow_id="w")
        await handle.cancel("not wanted")
        with pytest.raises(aion.WorkflowFailedError) as caught:
            await handle.result()
        failure = caught.value.failure
        assert (failure.type, failure.message, failure.kind) == (
            "Cancelled",
            "not wanted",
            "cancelled",
        )
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.WorkflowCancelRequested,
        e.WorkflowCancelled,
    ]


async def test_code_may_clean_up_and_return(bench: MailBench) -> None:
    async with bench.engine(tidying) as engine:
        handle = await engine.start(tidying, workflow_id="w")
        await handle.cancel()
        await handle.signal(go, 3)
        assert await handle.result() == "tidied up with 3"
    assert (await bench.kinds("w"))[-1] is e.WorkflowCompleted


async def test_a_second_request_is_taken_and_not_recorded(bench: MailBench) -> None:
    async with bench.engine(tidying) as engine:
        handle = await engine.start(tidying, workflow_id="w")
        await handle.cancel("first")
        await handle.cancel("second")
    async with bench.engine(tidying) as engine:
        handle = engine.get("w")
        await handle.cancel("third")
        await handle.signal(go, 3)
        assert await handle.result() == "tidied up with 3"
    requests = [
        event for event in await bench.history("w") if isinstance(event, e.WorkflowCancelRequested)
    ]
    assert [event.reason for event in requests] == ["first"]


async def test_a_run_that_has_ended_or_never_was_cannot_be_cancelled(bench: MailBench) -> None:
    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting)
        await handle.signal(go, 1)
        await handle.result()
        with pytest.raises(aion.WorkflowClosedError, match="Completed"):
            await handle.cancel()
        with pytest.raises(aion.WorkflowNotFoundError):
            await engine.get("nobody").cancel()


async def test_a_run_that_is_not_in_memory_is_cancelled(bench: MailBench) -> None:
    async with bench.engine(waiting, resident_bytes=0) as engine:
        handle = await engine.start(waiting, workflow_id="w")
        await engine.start(waiting, workflow_id="other")
        await handle.cancel()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await handle.result()
    async with bench.engine(waiting) as engine:
        await engine.get("other").cancel()
    assert await bench.status("other") == "Cancelled"


async def test_a_request_is_durable_when_the_call_returns(bench: MailBench) -> None:
    async with bench.engine(tidying) as engine:
        handle = await engine.start(tidying, workflow_id="w")
        await handle.cancel()
        assert (await bench.kinds("w"))[-1] is e.WorkflowCancelRequested
    async with bench.engine(tidying) as engine:
        await engine.get("w").signal(go, 1)
        assert await engine.get("w").result() == "tidied up with 1"


async def test_a_stuck_run_cannot_be_cancelled(bench: MailBench) -> None:
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(tidying) as engine:
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").cancel()
    assert await bench.kinds("w") == [e.WorkflowStarted]
    assert await bench.pending() == []


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_a_request_is_recorded_once(name: str) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    async with bench.engine(tidying) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(tidying, workflow_id="w")
        fault.arm(e.WorkflowCancelRequested)
        nursery.start_soon(fault.heal_when_struck)
        await handle.cancel()
    assert (await bench.kinds("w")).count(e.WorkflowCancelRequested) == 1


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_who_cancels_a_run_that_ends_by_it_hears_no_error(
    name: str,
) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting, workflow_id="w")
        fault.arm(e.WorkflowCancelled)
        nursery.start_soon(fault.heal_when_struck)
        await handle.cancel()
    assert await bench.status("w") == "Cancelled"


@pytest.mark.parametrize("method", ["cancel", "terminate"])
async def test_a_reason_that_is_no_text_is_refused(method: str) -> None:
    bench = MailBench()
    reason: Any = 5
    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting)
        with pytest.raises(aion.WorkflowUsageError, match=f"{method} takes its reason as a text"):
            await getattr(handle, method)(reason)


# What a run waits for, when it is cancelled: its activities.


class Stage:
    """An activity that may take its time to stop, and a run that gives it so much."""

    def __init__(self, cancel_grace: float | None = None, *, is_stubborn: bool = True) -> None:
        self.begun: list[int] = []
        self.stop = trio.Event()

        @aion.activity(
            cancel_grace=cancel_grace,
            retry=aion.RetryPolicy(max_attempts=3, initial_interval=60),
        )
        async def work() -> str:
            self.begun.append(aion.activity_info().attempt)
            if self.fails:
                raise ConnectionError("hung up")
            with trio.CancelScope(shield=is_stubborn):
                await self.stop.wait()
            return "done all the same"

        @aion.workflow
        async def working() -> str:
            with aion.move_on_after(10):
                return await work()
            return "gave up"

        self.fails = False
        self.workflow = working

    @asynccontextmanager
    async def running(self, bench: MailBench, **options: Any) -> AsyncIterator[aion.Engine]:
        """An engine that leaves however the test does: the activity does not hold it up."""
        async with bench.engine(self.workflow, **options) as engine:
            try:
                yield engine
            finally:
                self.stop.set()

    async def begin(self, bench: MailBench, engine: aion.Engine) -> aion.WorkflowHandle[str]:
        handle = await engine.start(self.workflow, workflow_id="w")
        await wait_all_tasks_blocked()
        return handle


async def outcome(bench: MailBench) -> e.HistoryEvent:
    events = await bench.history("w")
    return next(
        event
        for event in events
        if isinstance(event, e.ActivityCancelled | e.ActivityCompleted | e.ActivityFailed)
        and e.is_arrival(event)
    )


class Witness(Observer):
    """Notes how attempts have ended."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def attempted(self, attempt: ActivityAttempted) -> None:
        self.words.append(attempt.outcome)


async def test_an_activity_that_stops_is_recorded_as_cancelled() -> None:
    bench, stage = MailBench(), Stage(is_stubborn=False)
    async with stage.running(bench) as engine:
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        assert await handle.result() == "gave up"
    event = await outcome(bench)
    assert isinstance(event, e.ActivityCancelled)
    assert (event.attempt, event.detail) == (1, None)


async def test_what_an_activity_does_though_it_was_to_stop_is_not_lost() -> None:
    bench, stage = MailBench(), Stage()
    async with stage.running(bench) as engine:
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        assert not (await handle.describe()).status.is_closed
        stage.stop.set()
        assert await handle.result() == "done all the same"
    assert isinstance(await outcome(bench), e.ActivityCompleted)


async def test_an_activity_that_does_not_stop_in_time_is_given_up() -> None:
    bench, stage, witness = MailBench(), Stage(cancel_grace=5), Witness()
    async with stage.running(bench) as engine:
        engine._dispatcher._attempts._observers = Observers([("witness", witness)])
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        await bench.advance(4)
        assert not (await handle.describe()).status.is_closed
        await bench.advance(1)
        assert await handle.result() == "gave up"
        assert witness.words == []
        recorded = await bench.history("w")
        stage.stop.set()
        await wait_all_tasks_blocked()
        assert witness.words == ["dropped"]
        assert await bench.history("w") == recorded
    event = await outcome(bench)
    assert isinstance(event, e.ActivityCancelled)
    assert (event.attempt, event.detail) == (1, STILL_RUNNING)


async def test_an_activity_that_stops_in_time_leaves_no_alarm() -> None:
    bench, stage = MailBench(), Stage(cancel_grace=5)
    async with stage.running(bench) as engine:
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        stage.stop.set()
        assert await handle.result() == "done all the same"
        assert engine._rest.next_due is None


async def test_a_run_that_is_ended_meanwhile_leaves_no_alarm() -> None:
    bench, stage = MailBench(), Stage(cancel_grace=5)
    async with stage.running(bench) as engine:
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        await handle.terminate()
        assert engine._rest.next_due is None
        stage.stop.set()


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
async def test_the_time_to_stop_passes_whether_the_run_is_in_memory_or_not(
    resident_bytes: int,
) -> None:
    bench, stage = MailBench(), Stage(cancel_grace=5)
    async with stage.running(bench, resident_bytes=resident_bytes) as engine:
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        await bench.advance(5)
        assert await handle.result() == "gave up"
        stage.stop.set()


async def test_an_activity_that_waits_for_its_next_attempt_is_cancelled_at_once() -> None:
    bench, stage = MailBench(), Stage()
    stage.fails = True
    async with stage.running(bench) as engine:
        handle = await stage.begin(bench, engine)
        await bench.advance(10)
        assert await handle.result() == "gave up"
        await bench.advance(100)
    event = await outcome(bench)
    assert isinstance(event, e.ActivityCancelled)
    assert (event.attempt, event.detail) == (None, None)
    assert stage.begun == [1]


async def test_an_activity_that_is_cancelled_with_its_call_never_begins() -> None:
    bench, begun = MailBench(), list[int]()

    @aion.activity
    async def work() -> None:
        begun.append(1)

    @aion.workflow
    async def hasty() -> str:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(stop, nursery)
        return "gave up"

    async def stop(nursery: aion.Nursery) -> None:
        nursery.cancel_scope.cancel()

    async with bench.engine(hasty) as engine:
        assert await (await engine.start(hasty, workflow_id="w")).result() == "gave up"
    event = await outcome(bench)
    assert isinstance(event, e.ActivityCancelled)
    assert event.attempt is None
    assert begun == []


async def test_of_an_activity_that_a_former_process_was_to_stop_nobody_knows_the_outcome() -> None:
    bench, stage = MailBench(), Stage(is_stubborn=False)
    async with trio.open_nursery() as nursery, bench.engine(stage.workflow) as engine:
        await stage.begin(bench, engine)
        gate = bench.store.hold(e.ActivityCancelled)
        nursery.start_soon(bench.advance, 10)
        await gate.reached.wait()
        assert (await bench.kinds("w"))[-1] is e.ActivityCancelRequested
    bench.store._gates.clear()
    async with bench.engine(stage.workflow) as engine:
        assert await engine.get("w").result() == "gave up"
    event = await outcome(bench)
    assert isinstance(event, e.ActivityCancelled)
    assert (event.attempt, event.detail) == (1, OUTCOME_UNKNOWN)
    assert stage.begun == [1]


async def test_a_plain_activity_is_waited_for_no_longer_than_its_grace(bench: MailBench) -> None:
    stop = threading.Event()

    @aion.activity(cancel_grace=0)
    def work() -> str:
        stop.wait()
        return "too late"

    @aion.workflow
    async def working() -> str:
        try:
            return await work()
        except aion.Cancelled:
            return "gave up"

    try:
        async with bench.engine(working) as engine:
            handle = await engine.start(working, workflow_id="w")
            await handle.cancel()
            assert await handle.result() == "gave up"
            stop.set()
            await settled(engine)
    finally:
        stop.set()
    event = await outcome(bench)
    assert isinstance(event, e.ActivityCancelled)
    assert event.detail == STILL_RUNNING


async def test_an_activity_that_is_abandoned_holds_nobody_up() -> None:
    bench, stop = MailBench(), trio.Event()

    @aion.activity(on_cancel="abandon")
    async def work() -> int:
        with trio.CancelScope(shield=True):
            await stop.wait()
        return 1

    @aion.workflow
    async def working() -> str:
        with aion.move_on_after(10):
            await work()
        await go.receive()
        return "went on"

    async with bench.engine(working) as engine:
        handle = await engine.start(working, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(10)
        stop.set()
        await wait_all_tasks_blocked()
        assert isinstance(await outcome(bench), e.ActivityCompleted)
        await handle.signal(go, 1)
        assert await handle.result() == "went on"
