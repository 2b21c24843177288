"""Time limits of activities: for an attempt's silence, and for all attempts together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import Append, EventStore
from aion_core.errors import StoreUnavailableError
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.machine.arrivals import ActivityOutcome, AttemptFailed
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions
from aion_runtime.alarms import Alarms
from aion_runtime.executor import LocalExecutor
from aion_runtime.letters import arrival_in, outcome_message
from aion_runtime.testing import VirtualClock, replay_history, test_engine
from aion_runtime.time_limits import TimeLimits
from aion_store_memory.store import MemoryStore
from tests.runtime.conftest import Bench, Fault

AnyWorkflow = aion.Workflow[[], str]

OVER = "timeout: not finished within 100 s (schedule_to_close)"
SILENT = "timeout: activity 'work' sent no heartbeat for 30 s (heartbeat_timeout)"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore | Path:
    return MemoryStore() if request.param == "memory" else tmp_path / "s.db"


def calling(activity: Any) -> AnyWorkflow:
    """A workflow that says how its only activity has ended."""

    @aion.workflow
    async def caller() -> str:
        try:
            return str(await activity())
        except aion.ActivityError as error:
            return f"{error.kind}: {error.message}"

    return caller


async def failures_of(run: Any) -> list[e.ActivityFailed]:
    return [event for event in await run.history() if isinstance(event, e.ActivityFailed)]


@contextmanager
def a_thread() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Says when it works; let go at the end in any case."""
    running, finish = threading.Event(), threading.Event()
    try:
        yield running, finish
    finally:
        finish.set()


async def hang_from(attempt: int, begun: list[int]) -> str:
    """Fail up to an attempt, and from there on never end."""
    begun.append(aion.activity_info().attempt)
    if begun[-1] < attempt:
        raise ConnectionError(f"attempt {begun[-1]}")
    await trio.sleep_forever()


async def test_the_attempt_under_way_is_ended_when_the_time_for_all_is_over(
    store: EventStore | Path,
) -> None:
    begun: list[int] = []
    ended: list[datetime] = []

    @aion.activity(schedule_to_close=100, retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> str:
        try:
            return await hang_from(2, begun)
        finally:
            if begun == [1, 2]:
                ended.append(engine.clock.now())

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        called = engine.clock.now()
        run = await engine.start(caller)
        await engine.clock.advance(99.9)
        assert (begun, ended) == ([1, 2], [])
        await engine.clock.advance(0.1)
        assert ended == [called + timedelta(seconds=100)]
        assert await run.result() == OVER
        first, last = await failures_of(run)
        replay_history(await run.history(), caller)
    assert (last.attempt, last.next_attempt_at) == (2, None)
    assert last.error.cause == first.error


async def test_a_thread_is_left_behind_when_the_time_for_all_is_over(
    store: EventStore | Path,
) -> None:
    with a_thread() as (running, finish):

        @aion.activity(schedule_to_close=100)
        def work() -> str:
            running.set()
            finish.wait()
            return "late"

        caller = calling(work)
        async with test_engine(store, workflows=[caller]) as engine:
            run = await engine.start(caller)
            await trio.to_thread.run_sync(running.wait)
            await engine.clock.advance(100)
            assert await run.result() == OVER
            finish.set()
            await engine.clock.advance(1)
            assert [type(event) for event in await run.history()] == [
                e.WorkflowStarted,
                e.ActivityScheduled,
                e.ActivityFailed,
                e.WorkflowCompleted,
            ]


@pytest.mark.parametrize("interval", [100, 1000])
async def test_a_retry_that_would_begin_too_late_is_not_waited_for(
    store: EventStore | Path, interval: float
) -> None:
    @aion.activity(
        schedule_to_close=100,
        retry=aion.RetryPolicy(initial_interval=interval, max_interval=interval),
    )
    async def work() -> None:
        raise ConnectionError("hung up")

    caller = calling(work)
    clock = VirtualClock()
    async with test_engine(store, workflows=[caller], clock=clock) as engine:
        called = clock.now()
        run = await engine.start(caller)
        assert await run.result() == OVER
        assert clock.now() == called
        (failed,) = await failures_of(run)
    assert failed.next_attempt_at is None
    assert failed.error.cause is not None
    assert (failed.error.cause.type, failed.error.cause.message) == ("ConnectionError", "hung up")


async def test_a_failure_that_is_not_tried_again_in_any_case_is_no_timeout() -> None:
    retry = aion.RetryPolicy(max_attempts=2, initial_interval=90)

    @aion.activity(schedule_to_close=100, retry=retry)
    async def work() -> None:
        raise ConnectionError(f"attempt {aion.activity_info().attempt}")

    caller = calling(work)
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        assert await run.result() == "terminal: attempt 2"


async def test_an_attempt_that_fails_when_it_is_ended_is_the_cause() -> None:
    @aion.activity(schedule_to_close=100)
    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the clean-up")

    caller = calling(work)
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(100)
        assert await run.result() == OVER
        (failed,) = await failures_of(run)
    assert failed.error.cause is not None
    assert failed.error.cause.message == "in the clean-up"


async def test_a_crash_gives_no_more_time_for_all_attempts(store: EventStore | Path) -> None:
    begun: list[int] = []

    @aion.activity(schedule_to_close=100)
    async def work() -> str:
        return await hang_from(1, begun)

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(60)
        await engine.crash()
        await engine.clock.advance(39.9)
        assert begun == [1, 1]
        assert not (await run.describe()).status.is_closed
        await engine.clock.advance(0.1)
        assert await run.result() == OVER
        replay_history(await run.history(), caller)


async def test_a_crash_in_backoff_gives_no_more_time_for_all_attempts(
    store: EventStore | Path,
) -> None:
    begun: list[int] = []

    @aion.activity(schedule_to_close=100, retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> str:
        return await hang_from(2, begun)

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(30)
        await engine.crash()
        await engine.clock.advance(69.9)
        assert begun == [1, 2]
        assert not (await run.describe()).status.is_closed
        await engine.clock.advance(0.1)
        assert await run.result() == OVER
        first, last = await failures_of(run)
    assert last.error.cause == first.error


@pytest.mark.parametrize("hangs_from", [1, 2], ids=["running", "in backoff"])
async def test_time_in_which_no_engine_runs_counts(
    store: EventStore | Path, hangs_from: int
) -> None:
    begun: list[int] = []

    @aion.activity(schedule_to_close=100, retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> str:
        return await hang_from(hangs_from, begun)

    caller = calling(work)
    clock = VirtualClock()
    async with test_engine(store, workflows=[caller], clock=clock) as engine:
        await engine.start(caller, workflow_id="w")
        await clock.advance(30)
    clock.jump(70)
    async with test_engine(store, workflows=[caller], clock=clock) as engine:
        run = engine.get("w")
        assert await run.result() == OVER
        *_, last = await failures_of(run)
    assert begun == [1]
    assert last.attempt == hangs_from


async def recorded_elsewhere(clock: VirtualClock, workflow: AnyWorkflow) -> MemoryStore:
    """A history as one is found whose writer did not watch deadlines: with a retry after it."""
    async with test_engine(workflows=[workflow], clock=clock) as engine:
        run = await engine.start(workflow, workflow_id="w")
        await clock.advance(0)
        started, scheduled, failed = await run.history()
    assert isinstance(scheduled, e.ActivityScheduled)
    options = attrs.evolve(scheduled.options, schedule_to_close=100)
    store = MemoryStore()
    async with store.writer() as writer:
        events = [started, attrs.evolve(scheduled, options=options), failed]
        await writer.append_many([Append(WorkflowId("w"), events, 0)])
    return store


@pytest.mark.parametrize("resident_bytes", [10**9, 0])
async def test_an_attempt_that_waits_for_its_time_fails_at_the_deadline(
    resident_bytes: int,
) -> None:
    begun: list[int] = []
    retry = aion.RetryPolicy(initial_interval=600, max_interval=600)

    @aion.activity(retry=retry)
    async def work() -> str:
        return await hang_from(2, begun)

    caller = calling(work)
    clock = VirtualClock()
    store = await recorded_elsewhere(clock, caller)
    async with test_engine(
        store, workflows=[caller], clock=clock, resident_bytes=resident_bytes
    ) as engine:
        run = engine.get("w")
        await clock.advance(99.9)
        assert not (await run.describe()).status.is_closed
        await clock.advance(0.1)
        assert (await run.describe()).status.is_closed
        assert await run.result() == OVER
        first, last = await failures_of(run)
    assert begun == [1]
    assert (last.attempt, last.error.cause) == (2, first.error)


async def test_the_deadline_of_an_evicted_run_is_kept(store: EventStore | Path) -> None:
    begun: list[int] = []

    @aion.activity(schedule_to_close=100, retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> str:
        return await hang_from(2, begun)

    caller = calling(work)
    async with test_engine(store, workflows=[caller], resident_bytes=0) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(99.9)
        assert begun == [1, 2]
        await engine.clock.advance(0.1)
        assert await run.result() == OVER


async def test_an_attempt_that_has_no_thread_in_time_is_not_begun() -> None:
    begun: list[int] = []
    with a_thread() as (running, finish):

        @aion.activity
        def busy() -> str:
            running.set()
            finish.wait()
            return "done"

        @aion.activity(schedule_to_close=100)
        def work() -> None:
            begun.append(1)

        @aion.workflow
        async def both() -> str:
            async with aion.open_nursery() as nursery:
                nursery.start_soon(busy)
                await aion.sleep(1)
                try:
                    await work()
                except aion.ActivityError as error:
                    return f"{error.kind}: {error.message}"
            return "?"

        executor = LocalExecutor(threads=1)
        async with test_engine(workflows=[both], executor=executor) as engine:
            run = await engine.start(both)
            await trio.to_thread.run_sync(running.wait)
            await engine.clock.advance(101)
            finish.set()
            assert await run.result() == OVER
    assert begun == []


async def test_the_time_for_all_attempts_goes_by_the_wall_clock() -> None:
    @aion.activity(schedule_to_close=100)
    async def work() -> None:
        await trio.sleep_forever()

    caller = calling(work)
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(1)
        engine.clock.set_wall_clock(engine.clock.now() + timedelta(seconds=100))
        assert await run.result() == OVER


async def test_a_cancelled_activity_in_backoff_does_not_run_out_of_time(
    store: EventStore | Path,
) -> None:
    @aion.activity(schedule_to_close=100, retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> None:
        raise ConnectionError

    @aion.workflow
    async def impatient() -> str:
        with aion.move_on_after(10):
            await work()
        await aion.sleep(200)
        return "went on"

    async with test_engine(store, workflows=[impatient]) as engine:
        run = await engine.start(impatient)
        assert await run.result() == "went on"
        assert len(await failures_of(run)) == 1
        kinds = [type(event) for event in await run.history()]
    assert kinds.count(e.ActivityCancelled) == 1


async def test_an_attempt_that_is_to_stop_is_not_said_to_be_late() -> None:
    @aion.activity(schedule_to_close=100, start_to_close=50)
    async def work() -> None:
        try:
            await engine.clock.sleep(1000)
        finally:
            with trio.CancelScope(shield=True):
                await engine.clock.sleep(200)

    @aion.workflow
    async def impatient() -> str:
        with aion.move_on_after(10) as scope:
            await work()
        return f"cancelled: {scope.cancelled_caught}"

    async with test_engine(workflows=[impatient]) as engine:
        run = await engine.start(impatient)
        assert await run.result() == "cancelled: True"
        assert await failures_of(run) == []


async def test_a_thread_that_is_to_stop_is_waited_for_until_the_deadline() -> None:
    with a_thread() as (running, finish):

        @aion.activity(schedule_to_close=100)
        def work() -> None:
            running.set()
            finish.wait()

        @aion.workflow
        async def impatient() -> str:
            with aion.move_on_after(10):
                try:
                    await work()
                except aion.ActivityError as error:
                    return f"{error.kind}: {error.message}"
            return "?"

        async with test_engine(workflows=[impatient]) as engine:
            run = await engine.start(impatient)
            await trio.to_thread.run_sync(running.wait)
            await engine.clock.advance(100)
            assert await run.result() == OVER


async def test_the_next_run_has_its_own_deadlines() -> None:
    begun: list[int] = []

    @aion.activity(schedule_to_close=100, on_cancel="abandon")
    async def work() -> str:
        return await hang_from(1, begun)

    @aion.workflow
    async def renewing(generation: int) -> str:
        if generation == 0:
            with aion.move_on_after(60):
                await work()
            renewing.continue_as_new(1)
        try:
            return await work()
        except aion.ActivityError as error:
            return f"{error.kind}: {error.message}"

    async with test_engine(workflows=[renewing]) as engine:
        run = await engine.start(renewing, 0)
        await engine.clock.advance(60 + 99.9)
        assert begun == [1, 1]
        assert not (await run.describe()).status.is_closed
        await engine.clock.advance(0.1)
        assert await run.result() == OVER


async def test_the_next_run_has_its_own_deadlines_when_the_answer_of_its_start_is_lost(
    bench: Bench,
) -> None:
    begun: list[int] = []

    retry = aion.RetryPolicy(initial_interval=80)

    @aion.activity(on_cancel="abandon", schedule_to_close=100, retry=retry)
    async def work(generation: int) -> str:
        return await hang_from(2 - generation, begun)

    @aion.workflow
    async def renewing(generation: int) -> str:
        if generation == 0:
            with aion.move_on_after(60):
                await work(0)
            renewing.continue_as_new(1)
        try:
            return await work(1)
        except aion.ActivityError as error:
            return f"{error.kind}: {error.message}"

    async with bench.engine(renewing) as engine:
        run = await engine.start(renewing, 0, workflow_id="w")
        await wait_all_tasks_blocked()
        bench.store.lose_answer(e.WorkflowContinuedAsNew)
        await bench.advance(60)
        await bench.advance(1)
        assert begun == [1, 1]
        await bench.advance(98.9)
        assert not (await run.describe()).status.is_closed
        await bench.advance(0.1)
        assert await run.result() == OVER
    assert begun == [1, 1]


async def test_a_run_that_has_ended_has_no_deadlines(bench: Bench) -> None:
    @aion.activity(schedule_to_close=100)
    async def work() -> None:
        await trio.sleep_forever()

    caller = calling(work)
    async with bench.engine(caller) as engine:
        run = await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
        await run.terminate("enough")
        assert engine._rest.next_due is None
        await bench.advance(100)
    assert (await bench.kinds("w"))[-1] is e.WorkflowTerminated


async def test_a_deadline_that_cannot_be_recorded_at_once_is_recorded_later(
    bench: Bench, fault: Fault
) -> None:
    begun: list[int] = []

    @aion.activity(schedule_to_close=100)
    async def work() -> str:
        return await hang_from(1, begun)

    caller = calling(work)
    async with bench.engine(caller) as engine:
        run = await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
        fault.arm(e.ActivityFailed)
        bench.clock.jump(100)
        await fault.struck()
        await fault.heal()
        assert await run.result() == OVER
    assert begun == [1]
    assert (await bench.kinds("w")).count(e.ActivityFailed) == 1


async def test_a_silent_attempt_has_failed_and_is_tried_again(store: EventStore | Path) -> None:
    begun: list[int] = []

    @aion.activity(heartbeat_timeout=30, retry=aion.RetryPolicy(max_attempts=2))
    async def work() -> str:
        return await hang_from(1, begun)

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(29.9)
        assert await failures_of(run) == []
        await engine.clock.advance(0.1)
        (failed,) = await failures_of(run)
        assert failed.next_attempt_at == failed.recorded_at + timedelta(seconds=1)
        assert failed.heartbeat is None
        await engine.clock.advance(31)
        assert await run.result() == SILENT
        replay_history(await run.history(), caller)
    assert begun == [1, 2]


async def test_heartbeats_keep_an_attempt_alive(store: EventStore | Path) -> None:
    @aion.activity(heartbeat_timeout=30)
    async def work() -> str:
        for number in range(5):
            await engine.clock.sleep(29)
            aion.heartbeat(number)
        await engine.clock.sleep(29)
        return "worked"

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        run = await engine.start(caller)
        assert await run.result() == "worked"
        assert await failures_of(run) == []


async def test_a_heartbeat_gives_time_from_when_it_came() -> None:
    @aion.activity(heartbeat_timeout=30, retry=aion.RetryPolicy(max_attempts=1))
    async def work() -> None:
        await engine.clock.sleep(20)
        aion.heartbeat()
        await trio.sleep_forever()

    caller = calling(work)
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(49.9)
        assert await failures_of(run) == []
        await engine.clock.advance(0.1)
        assert await run.result() == SILENT


async def test_a_silent_thread_is_left_behind() -> None:
    with a_thread() as (running, finish), a_thread() as (said, beat):

        @aion.activity(heartbeat_timeout=30, retry=aion.RetryPolicy(max_attempts=1))
        def work() -> None:
            running.set()
            beat.wait()
            aion.heartbeat("alive")
            said.set()
            finish.wait()

        caller = calling(work)
        async with test_engine(workflows=[caller]) as engine:
            run = await engine.start(caller)
            await trio.to_thread.run_sync(running.wait)
            await engine.clock.advance(20)
            beat.set()
            await trio.to_thread.run_sync(said.wait)
            await engine.clock.advance(29.9)
            assert await failures_of(run) == []
            await engine.clock.advance(0.1)
            assert await run.result() == SILENT
            (failed,) = await failures_of(run)
    assert failed.heartbeat == Payload(JSON, b'"alive"')


async def test_a_heartbeat_that_a_busy_event_loop_takes_late_counts() -> None:
    with a_thread() as (running, finish), a_thread() as (said, beat):

        @aion.activity(heartbeat_timeout=30)
        def work() -> str:
            running.set()
            beat.wait()
            aion.heartbeat()
            said.set()
            finish.wait()
            return "worked"

        caller = calling(work)
        async with test_engine(workflows=[caller]) as engine:
            run = await engine.start(caller)
            await trio.to_thread.run_sync(running.wait)
            await engine.clock.advance(1)
            beat.set()
            said.wait()
            engine.clock.jump(30)
            await engine.clock.advance(29)
            finish.set()
            assert await run.result() == "worked"


async def test_an_attempt_that_waits_for_a_thread_is_not_silent() -> None:
    with a_thread() as (running, finish):

        @aion.activity
        def busy() -> None:
            running.set()
            finish.wait()

        @aion.activity(heartbeat_timeout=30, retry=aion.RetryPolicy(max_attempts=1))
        def work() -> str:
            return "worked"

        @aion.workflow
        async def both() -> str:
            async with aion.open_nursery() as nursery:
                nursery.start_soon(busy)
                await aion.sleep(1)
                result = await work()
            return result

        executor = LocalExecutor(threads=1)
        async with test_engine(workflows=[both], executor=executor) as engine:
            run = await engine.start(both)
            await trio.to_thread.run_sync(running.wait)
            await engine.clock.advance(100)
            finish.set()
            assert await run.result() == "worked"


async def test_silence_goes_by_the_steady_clock() -> None:
    go_on = trio.Event()

    @aion.activity(heartbeat_timeout=30)
    async def work() -> str:
        await go_on.wait()
        return "worked"

    caller = calling(work)
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(1)
        engine.clock.set_wall_clock(engine.clock.now() + timedelta(seconds=1000))
        await engine.clock.advance(1)
        go_on.set()
        assert await run.result() == "worked"


async def test_after_a_crash_an_attempt_may_be_silent_for_as_long_again(
    store: EventStore | Path,
) -> None:
    @aion.activity(heartbeat_timeout=30, retry=aion.RetryPolicy(max_attempts=1))
    async def work() -> None:
        await trio.sleep_forever()

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(20)
        await engine.crash()
        await engine.clock.advance(29.9)
        assert await failures_of(run) == []
        await engine.clock.advance(0.1)
        assert await run.result() == SILENT


async def test_a_silence_that_is_not_tried_again_in_time_is_the_cause_of_the_end() -> None:
    retry = aion.RetryPolicy(initial_interval=70)

    @aion.activity(heartbeat_timeout=30, schedule_to_close=100, retry=retry)
    async def work() -> None:
        await trio.sleep_forever()

    caller = calling(work)
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(30)
        assert await run.result() == OVER
        (failed,) = await failures_of(run)
    assert failed.error.cause is not None
    assert f"timeout: {failed.error.cause.message}" == SILENT


@pytest.mark.parametrize("crash", [False, True])
async def test_what_a_failed_attempt_has_said_is_kept_with_its_failure(
    store: EventStore | Path, crash: bool
) -> None:
    found: list[object] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> str:
        found.append(aion.last_heartbeat())
        if len(found) == 3:
            return "worked"
        if len(found) == 1:
            aion.heartbeat("half")
            aion.heartbeat("more than half")
        raise ConnectionError

    caller = calling(work)
    async with test_engine(store, workflows=[caller]) as engine:
        run = await engine.start(caller)
        await engine.clock.advance(30)
        if crash:
            await engine.crash()
        assert await run.result() == "worked"
        first, second = await failures_of(run)
    assert found[:2] == [None, "more than half"]
    assert first.heartbeat == Payload(JSON, b'"more than half"')
    assert second.heartbeat is None


async def test_after_a_restart_an_attempt_gets_what_is_kept_with_the_failure_before(
    bench: Bench,
) -> None:
    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def work() -> str:
        if aion.activity_info().attempt == 1:
            aion.heartbeat("half")
            raise ConnectionError
        return str(aion.last_heartbeat())

    caller = calling(work)
    bench.store.unkept.append(StoreUnavailableError("the disk is full"))
    async with bench.engine(caller) as engine:
        await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
    assert bench.store.unkept == []
    async with bench.engine(caller) as engine:
        await bench.advance(60)
        assert await engine.get("w").result() == "half"


async def test_a_failure_that_a_held_run_has_to_take_later_keeps_the_heartbeat() -> None:
    clock = VirtualClock()
    outcome = ActivityOutcome(
        run_id=RunId("run"),
        activity_id=ActivityId("activity:0"),
        scheduled_seq=2,
        attempt=1,
        outcome=AttemptFailed(Failure(type="E", message="m"), non_retryable=True),
        heartbeat=Payload(JSON, b"1"),
    )
    assert arrival_in(outcome_message(WorkflowId("w"), outcome, clock.now())) == outcome


@attrs.define
class Watched:
    """Limits without an attempt.

    Attributes:
        ended: by which failures it was ended.
    """

    clock: VirtualClock = attrs.Factory(VirtualClock)
    ended: list[Failure] = attrs.Factory(list)

    def limits(self, **options: float) -> tuple[TimeLimits, Alarms[float]]:
        delays = Alarms(self.clock.monotonic, self.clock.sleep_until_monotonic)
        settings = ActivityOptions(**options)  # type: ignore[arg-type]
        return TimeLimits(settings, "work", delays, self.ended.append, lambda _: True), delays


async def test_a_heartbeat_that_is_still_on_its_way_counts() -> None:
    """A busy event loop takes it late: that is no fault of the thread that has sent it."""
    watched = Watched()
    limits, delays = watched.limits(heartbeat_timeout=30)
    limits.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delays.run)
        await wait_all_tasks_blocked()
        limits.announce()
        watched.clock.jump(30)
        await wait_all_tasks_blocked()
        assert watched.ended == []
        watched.clock.jump(30)
        await wait_all_tasks_blocked()
        assert len(watched.ended) == 1
        nursery.cancel_scope.cancel()


async def test_heartbeats_set_no_alarms() -> None:
    limits, delays = Watched().limits(heartbeat_timeout=30, start_to_close=60)
    limits.start()
    for _ in range(1000):
        limits.hear()
    assert len(delays) == 2
    limits.stop()
    assert delays.next_due is None
