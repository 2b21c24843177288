"""Time in a test engine: it jumps to what happens next, and never past what can happen before."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_runtime.testing import TestEngine, VirtualClock, run_workflow, test_engine
from aion_store_memory.store import MemoryStore
from tests.runtime.faults import FaultyStore

DAY = 24 * 3600.0
START = VirtualClock().now()

approval = aion.Signal("approval", str)


@aion.workflow
async def sleeper(seconds: float) -> datetime:
    await aion.sleep(seconds)
    return aion.now()


@aion.workflow
async def approved(seconds: float) -> str:
    with aion.move_on_after(seconds):
        return await approval.receive()
    return "too late"


@aion.workflow(accepts=[approval])
async def busy_month() -> list[str]:
    receipt = await charge()
    await aion.sleep(30 * DAY)
    return [receipt, await approval.receive(), await approval.receive()]


@aion.activity
async def charge() -> str:
    if aion.activity_info().attempt < 5:
        raise ConnectionError("hung up")
    return "receipt"


def passed(engine: TestEngine) -> float:
    return (engine.clock.now() - START).total_seconds()


async def test_thirty_days_five_attempts_and_two_signals(store: str | Path) -> None:
    async with test_engine(store, workflows=[busy_month]) as engine:
        run = await engine.start(busy_month)
        await run.signal(approval, "by kim")
        await run.signal(approval, "by lee")
        assert await run.result() == ["receipt", "by kim", "by lee"]
        assert passed(engine) == 30 * DAY + 1 + 2 + 4 + 8


async def test_a_workflow_is_run_to_its_end(store: str | Path) -> None:
    assert await run_workflow(sleeper, 60.0, store=store) == START + timedelta(seconds=60)


async def test_running_a_workflow_raises_its_failure() -> None:
    @aion.workflow
    async def broken() -> None:
        raise aion.ApplicationError("no")

    with pytest.raises(aion.WorkflowFailedError, match="no"):
        await run_workflow(broken)


async def test_keywords_are_given_by_partial() -> None:
    assert await run_workflow(partial(sleeper, seconds=5.0)) == START + timedelta(seconds=5)


async def test_timers_of_several_runs_fire_in_order(store: str | Path) -> None:
    ended: list[str] = []

    async def follow(engine: TestEngine, name: str) -> None:
        await engine.get(name).result()
        ended.append(name)

    async with (
        test_engine(store, workflows=[sleeper]) as engine,
        trio.open_nursery() as nursery,
    ):
        for name, days in (("c", 3), ("a", 1), ("b", 2)):
            await engine.start(sleeper, days * DAY, workflow_id=name)
        for name in "cab":
            nursery.start_soon(follow, engine, name)
    assert ended == ["a", "b", "c"]


async def test_a_signal_arrives_before_the_deadline_though_the_run_waits_alone(
    store: str | Path,
) -> None:
    async with test_engine(store, workflows=[approved]) as engine:
        run = await engine.start(approved, 3 * DAY)
        await wait_all_tasks_blocked()
        for _ in range(20):
            await run.history()
        await run.signal(approval, "yes")
        assert await run.result() == "yes"
        assert passed(engine) == 0


async def test_a_deadline_passes_while_the_test_waits(store: str | Path) -> None:
    async with test_engine(store, workflows=[approved]) as engine:
        run = await engine.start(approved, 3 * DAY)
        assert await run.result() == "too late"
        assert passed(engine) == 3 * DAY


async def test_a_task_that_reads_and_then_sends_is_not_overtaken(store: str | Path) -> None:
    async with (
        test_engine(store, workflows=[approved]) as engine,
        trio.open_nursery() as nursery,
    ):
        run = await engine.start(approved, 3 * DAY)

        async def read_and_send() -> None:
            for _ in range(20):
                await run.history()
            await run.signal(approval, "yes")

        nursery.start_soon(read_and_send)
        assert await run.result() == "yes"


async def test_the_result_of_an_ended_run_is_read_without_a_jump(store: str | Path) -> None:
    async with test_engine(store, workflows=[approved, sleeper]) as engine:
        ended = await engine.start(sleeper, 0.0)
        await ended.result()
        await engine.start(approved, 3 * DAY)
        for _ in range(20):
            await ended.result()
        assert passed(engine) == 0


async def test_time_stands_still_while_nobody_waits(store: str | Path) -> None:
    async with test_engine(store, workflows=[sleeper]) as engine:
        await engine.start(sleeper, DAY)
        await wait_all_tasks_blocked(0.02)
        assert passed(engine) == 0


async def test_a_time_limit_that_was_taken_away_is_not_jumped_to(store: str | Path) -> None:
    @aion.activity(start_to_close=30)
    async def quick() -> None: ...

    @aion.workflow
    async def limited() -> str:
        await quick()
        with aion.move_on_after(3 * DAY):
            await approval.receive()
        return await approval.receive()

    async with (
        test_engine(store, workflows=[limited]) as engine,
        trio.open_nursery() as nursery,
    ):
        run = await engine.start(limited)
        await run.signal(approval, "one")

        async def wait_for_the_second() -> None:
            assert await run.result() == "two"

        nursery.start_soon(wait_for_the_second)
        await wait_all_tasks_blocked(0.02)
        assert passed(engine) == 0
        await run.signal(approval, "two")


async def test_no_time_passes_while_an_activity_works_in_a_thread(store: str | Path) -> None:
    may_end = threading.Event()

    @aion.activity
    def work() -> None:
        assert may_end.wait(10)

    @aion.workflow
    async def worker() -> str:
        with aion.move_on_after(10):
            await work()
            return "done"
        return "too late"

    async with (
        test_engine(store, workflows=[worker]) as engine,
        trio.open_nursery() as nursery,
    ):
        run = await engine.start(worker)

        async def expect() -> None:
            assert await run.result() == "done"

        nursery.start_soon(expect)
        await wait_all_tasks_blocked(0.02)
        may_end.set()
    assert passed(engine) == 0


async def test_an_attempt_that_sleeps_by_the_clock_holds_nothing_up(store: str | Path) -> None:
    @aion.activity
    async def slow() -> None:
        await engine.clock.sleep(7 * DAY)

    @aion.workflow
    async def patient() -> datetime:
        await slow()
        return aion.now()

    async with test_engine(store, workflows=[patient]) as engine:
        run = await engine.start(patient)
        assert await run.result() == START + timedelta(days=7)


async def test_a_thread_may_sleep_by_the_clock() -> None:
    @aion.activity
    def slow() -> None:
        trio.from_thread.run(engine.clock.sleep, DAY)

    @aion.workflow
    async def patient() -> None:
        await slow()

    async with test_engine(workflows=[patient]) as engine:
        await (await engine.start(patient)).result()
        assert passed(engine) == DAY


async def test_an_attempt_that_sleeps_too_long_is_timed_out(store: str | Path) -> None:
    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(max_attempts=1))
    async def slow() -> None:
        await engine.clock.sleep(7 * DAY)

    @aion.workflow
    async def impatient() -> None:
        await slow()

    async with test_engine(store, workflows=[impatient]) as engine:
        run = await engine.start(impatient)
        with pytest.raises(aion.WorkflowFailedError, match="30"):
            await run.result()
        assert passed(engine) == 30


async def test_one_attempt_that_works_holds_up_those_that_sleep() -> None:
    may_end = trio.Event()

    @aion.activity
    async def slow() -> None:
        await engine.clock.sleep(DAY)

    @aion.activity
    async def work() -> None:
        await may_end.wait()

    @aion.workflow
    async def both() -> None:
        await aion.gather(slow(), work())

    async with test_engine(workflows=[both]) as engine, trio.open_nursery() as nursery:
        run = await engine.start(both)
        nursery.start_soon(run.result)
        await wait_all_tasks_blocked(0.02)
        assert passed(engine) == 0
        may_end.set()
    assert passed(engine) == DAY


async def test_a_task_of_the_test_may_sleep_by_the_clock(store: str | Path) -> None:
    async with (
        test_engine(store, workflows=[approved]) as engine,
        trio.open_nursery() as nursery,
    ):
        run = await engine.start(approved, 3 * DAY)

        async def send_after_two_days() -> None:
            await engine.clock.sleep(2 * DAY)
            await run.signal(approval, "in time")

        nursery.start_soon(send_after_two_days)
        assert await run.result() == "in time"
        assert passed(engine) == 2 * DAY


async def test_what_the_store_refuses_is_tried_again_in_virtual_time() -> None:
    store = FaultyStore()
    store.refuse(e.WorkflowStarted, times=5)
    async with test_engine(store, workflows=[sleeper]) as engine:
        run = await engine.start(sleeper, DAY)
        assert 0 < passed(engine) < 10
        await run.result()


async def test_advancing_goes_from_instant_to_instant(store: str | Path) -> None:
    @aion.workflow
    async def twice() -> list[datetime]:
        await aion.sleep(10)
        first = aion.now()
        await aion.sleep(10)
        return [first, aion.now()]

    async with test_engine(store, workflows=[twice]) as engine:
        run = await engine.start(twice)
        await engine.clock.advance(100)
        assert passed(engine) == 100
        assert [event.recorded_at for event in await run.history()][-1] == START + timedelta(
            seconds=20
        )
        first, second = await run.result()
        assert (second - first, second - START) == (timedelta(seconds=10), timedelta(seconds=20))


async def test_advancing_does_not_wait_for_an_activity() -> None:
    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(max_attempts=1))
    async def endless() -> None:
        await trio.sleep_forever()

    @aion.workflow
    async def hopeful() -> None:
        await endless()

    async with test_engine(workflows=[hopeful]) as engine:
        run = await engine.start(hopeful)
        await engine.clock.advance(60)
        assert (await run.describe()).status is aion.WorkflowStatus.FAILED


async def test_engines_that_share_a_clock_wait_for_each_other() -> None:
    may_end = trio.Event()

    @aion.activity
    async def work() -> None:
        await may_end.wait()

    @aion.workflow
    async def worker() -> None:
        await work()

    clock = VirtualClock()
    async with (
        test_engine(MemoryStore(), workflows=[sleeper], clock=clock) as one,
        test_engine(MemoryStore(), workflows=[worker], clock=clock) as other,
        trio.open_nursery() as nursery,
    ):
        sleeping, working = await one.start(sleeper, DAY), await other.start(worker)
        nursery.start_soon(sleeping.result)
        nursery.start_soon(working.result)
        await wait_all_tasks_blocked(0.02)
        assert clock.now() == START
        may_end.set()
    assert clock.now() == START + timedelta(days=1)


async def test_an_error_of_the_test_comes_out_as_it_is(store: str | Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with test_engine(store, workflows=[sleeper]) as engine:
            await engine.start(sleeper, DAY)
            raise ZeroDivisionError


async def test_an_error_that_stops_the_engine_comes_out_as_it_is() -> None:
    store = MemoryStore()
    with pytest.raises(aion.FencedError):
        async with (
            test_engine(store, workflows=[sleeper]) as engine,
            store.writer(takeover=True),
        ):
            await (await engine.start(sleeper, DAY)).result()


async def test_after_the_test_the_engine_has_stopped(store: str | Path) -> None:
    async with test_engine(store, workflows=[sleeper]) as engine:
        run = await engine.start(sleeper, DAY)
    with pytest.raises(aion.EngineStoppedError):
        await run.describe()
    with pytest.raises(aion.EngineStoppedError):
        await run.result()
