"""Activities whose attempts are over and whose caller waits for an operator: held, tried again,
supplied with an outcome, cancelled, out of time.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import EventStore
from aion_core.machine.judging import MAX_DELIVERIES
from aion_runtime.testing import VirtualClock, replay_history, test_engine
from aion_store_memory.store import MemoryStore
from tests.runtime.conftest import Bench, Fault

ONCE = aion.RetryPolicy(max_attempts=1, on_exhausted="pause")
TWICE = aion.RetryPolicy(max_attempts=2, initial_interval=60, on_exhausted="pause")

HELD = [e.WorkflowStarted, e.ActivityScheduled, e.ActivityFailed]

go = aion.Signal("go", int)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore | Path:
    return MemoryStore() if request.param == "memory" else tmp_path / "s.db"


class Works:
    """Calls an activity that fails until it is mended; says how each call has ended."""

    def __init__(self, retry: aion.RetryPolicy = ONCE, **settings: Any) -> None:
        self.attempts: list[int] = []
        self.heard: list[object] = []
        self.error: BaseException | None = ConnectionError("the bank is closed")

        @aion.activity(name="work", retry=retry, **settings)
        async def work(number: int) -> int:
            self.attempts.append(aion.activity_info().attempt)
            self.heard.append(aion.last_heartbeat())
            aion.heartbeat(f"row {number}")
            if self.error is not None:
                raise self.error
            return 10 * number

        async def outcome(number: int) -> str:
            try:
                return str(await work(number))
            except aion.ActivityError as error:
                return f"{error.kind}: {error.message}"

        @aion.workflow(name="caller")
        async def caller(calls: int) -> list[str]:
            return list(await aion.gather(*(outcome(n + 1) for n in range(calls))))

        self.caller = caller

    def mend(self) -> None:
        self.error = None


async def kinds(run: Any) -> list[type[e.HistoryEvent]]:
    return [type(event) for event in await run.history()]


async def test_an_activity_whose_attempts_are_over_is_held_and_its_run_goes_on_waiting(
    store: EventStore | Path,
) -> None:
    works = Works(TWICE)
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(10_000)
        first, second = [each for each in await run.history() if isinstance(each, e.ActivityFailed)]
        assert (first.held, second.held, second.next_attempt_at) == (False, True, None)
        assert (second.error.kind, second.error.message) == ("terminal", "the bank is closed")
        assert works.attempts == [1, 2]
        summary = await run.describe()
    assert summary.status is aion.WorkflowStatus.RUNNING
    assert summary.failed_activity == second.activity_id


async def test_a_retry_begins_the_next_attempt_with_what_the_last_one_said(
    store: EventStore | Path,
) -> None:
    works = Works()
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        works.mend()
        await run.retry("activity:0/0")
        assert await run.result() == ["10"]
        history = await run.history()
        replay_history(history, works.caller)
    (started,) = [each for each in history if isinstance(each, e.ActivityStarted)]
    assert (started.attempt, started.delivery) == (2, 1)
    assert works.attempts == [1, 2]
    assert works.heard == [None, "row 1"]


async def test_a_retry_that_fails_is_held_again() -> None:
    works = Works()
    async with test_engine(workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        await run.retry()
        await engine.clock.advance(1)
        assert await kinds(run) == [*HELD, e.ActivityStarted, e.ActivityFailed]
        works.mend()
        await run.retry()
        assert await run.result() == ["10"]
    assert works.attempts == [1, 2, 3]


async def test_a_retry_of_the_run_is_of_all_that_are_held(store: EventStore | Path) -> None:
    works = Works()
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 3)
        await engine.clock.advance(1)
        works.mend()
        await run.retry()
        assert await run.result() == ["10", "20", "30"]
        replay_history(await run.history(), works.caller)
    assert works.attempts == [1, 1, 1, 2, 2, 2]


async def test_a_retry_of_one_leaves_the_others_held() -> None:
    works = Works()
    async with test_engine(workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 2)
        await engine.clock.advance(1)
        works.mend()
        await run.retry("activity:1/0")
        await engine.clock.advance(1)
        assert works.attempts == [1, 1, 2]
        await run.retry()
        assert await run.result() == ["10", "20"]


async def test_a_retry_of_one_that_waits_for_its_time_begins_it_now(
    store: EventStore | Path,
) -> None:
    works = Works(TWICE)
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        called, works.error = engine.clock.now(), None
        await run.retry()
        assert await run.result() == ["10"]
        assert engine.clock.now() == called
        await engine.clock.advance(100)
    assert works.attempts == [1, 2]


async def test_what_is_held_is_not_tried_again_by_a_restart(store: EventStore | Path) -> None:
    works = Works()
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        works.mend()
        await engine.crash()
        await engine.clock.advance(1000)
        assert await kinds(run) == HELD
        await run.retry()
        await engine.crash()
        assert await run.result() == ["10"]
    assert works.attempts in ([1, 2], [1, 2, 2])


async def test_what_a_retry_began_and_a_crash_interrupted_is_delivered_again() -> None:
    @aion.activity(retry=ONCE)
    async def work() -> str:
        attempts.append(aion.activity_info().attempt)
        if len(attempts) == 1:
            raise ConnectionError
        if len(attempts) == 2:
            await clock.sleep(1000)
        return "worked"

    @aion.workflow
    async def caller() -> str:
        return await work()

    attempts: list[int] = []
    clock = VirtualClock()
    async with test_engine(workflows=[caller], clock=clock) as engine:
        run = await engine.start(caller)
        await clock.advance(1)
        await run.retry()
        await clock.advance(1)
        await engine.crash()
        assert await run.result() == "worked"
        started = [each for each in await run.history() if isinstance(each, e.ActivityStarted)]
    assert attempts == [1, 2, 2]
    assert [(each.attempt, each.delivery) for each in started] == [(2, 1), (2, 2)]


async def test_a_result_is_supplied_instead(store: EventStore | Path) -> None:
    works = Works()
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        await run.supply("activity:0/0", 77, supplied_by="ada")
        assert await run.result() == ["77"]
        history = await run.history()
        replay_history(history, works.caller)
    (completed,) = [each for each in history if isinstance(each, e.ActivityCompleted)]
    assert (completed.supplied_by, completed.attempt) == ("ada", 1)


async def test_a_failure_is_supplied_and_its_caller_sees_it() -> None:
    works = Works()
    async with test_engine(workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        await run.supply("activity:0/0", error=ValueError("paid in cash"), supplied_by="ada")
        assert await run.result() == ["terminal: paid in cash"]
        (_, failed) = [each for each in await run.history() if isinstance(each, e.ActivityFailed)]
    assert (failed.held, failed.next_attempt_at) == (False, None)
    assert failed.error.notes == ("supplied by ada",)


async def test_a_result_that_the_function_could_not_return_is_refused() -> None:
    works = Works()
    async with test_engine(workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        with pytest.raises(aion.PayloadError, match=r"activity:0/0 \(work\).*expected int"):
            await run.supply("activity:0/0", "seventy", supplied_by="ada")
        assert await kinds(run) == HELD


async def test_a_result_is_supplied_to_one_that_is_under_way_and_it_is_stopped() -> None:
    @aion.activity
    async def work() -> int:
        begun.append(1)
        try:
            await clock.sleep(10_000)
        finally:
            begun.append(-1)
        return 1

    @aion.workflow
    async def caller() -> int:
        value = await work()
        await go.receive()
        return value

    begun: list[int] = []
    clock = VirtualClock()
    async with test_engine(workflows=[caller], clock=clock) as engine:
        run = await engine.start(caller)
        await clock.advance(1)
        await run.supply("activity:0", 2, supplied_by="ada")
        await clock.advance(1)
        assert begun == [1, -1]
        await run.signal(go, 1)
        assert await run.result() == 2
        assert await kinds(run) == [
            e.WorkflowStarted,
            e.ActivityScheduled,
            e.ActivityCompleted,
            e.SignalReceived,
            e.WorkflowCompleted,
        ]


async def test_what_cannot_be_tried_again_is_named() -> None:
    @aion.activity
    async def work() -> None:
        await clock.sleep(10_000)

    @aion.workflow
    async def caller() -> None:
        await work()

    clock = VirtualClock()
    async with test_engine(workflows=[caller], clock=clock) as engine:
        run = await engine.start(caller, workflow_id="w")
        await clock.advance(1)
        with pytest.raises(aion.ActivityNotFoundError) as missing:
            await run.retry("activity:9")
        assert str(missing.value) == (
            "workflow 'w' has no open activity 'activity:9'; open are: activity:0"
        )
        with pytest.raises(aion.ActivityNotHeldError, match="attempt 1 is under way"):
            await run.retry("activity:0")
        with pytest.raises(aion.ActivityNotHeldError, match="none of its activities waits"):
            await run.retry()
        with pytest.raises(aion.ActivityNotFoundError):
            await run.supply("activity:9", None, supplied_by="ada")
        assert await kinds(run) == [e.WorkflowStarted, e.ActivityScheduled]


@pytest.mark.parametrize("request_", ["retry", "supply"])
async def test_a_run_that_has_ended_or_never_was_has_nothing_to_be_tried_again(
    request_: str,
) -> None:
    works = Works()
    works.mend()
    async with test_engine(workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await run.result()

        async def ask(handle: Any) -> None:
            if request_ == "retry":
                await handle.retry()
            else:
                await handle.supply("activity:0", 1, supplied_by="ada")

        with pytest.raises(aion.WorkflowClosedError, match="Completed"):
            await ask(run)
        with pytest.raises(aion.WorkflowNotFoundError):
            await ask(engine.get("nobody"))


async def test_a_held_activity_that_is_cancelled_ends_at_once(store: EventStore | Path) -> None:
    works = Works()
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1)
        await engine.crash()
        await run.cancel()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await run.result()
        history = await run.history()
        replay_history(history, works.caller)
    (cancelled,) = [each for each in history if isinstance(each, e.ActivityCancelled)]
    assert (cancelled.attempt, cancelled.detail) == (None, None)
    assert works.attempts == [1]


async def test_the_time_for_all_attempts_passes_while_it_is_held(
    store: EventStore | Path,
) -> None:
    works = Works(schedule_to_close=1000)
    async with test_engine(store, workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(500)
        assert await kinds(run) == HELD
        await engine.crash()
        assert await run.result() == ["timeout: not finished within 1000 s (schedule_to_close)"]
        held, ended = [each for each in await run.history() if isinstance(each, e.ActivityFailed)]
    assert ended.recorded_at - held.recorded_at == timedelta(seconds=1000)
    assert ended.error.cause == held.error


async def test_what_must_not_be_tried_again_is_held_too() -> None:
    works = Works(aion.RetryPolicy(non_retryable="ConnectionError", on_exhausted="pause"))
    async with test_engine(workflows=[works.caller]) as engine:
        run = await engine.start(works.caller, 1)
        await engine.clock.advance(1000)
        assert await kinds(run) == HELD
        assert works.attempts == [1]


async def test_an_attempt_that_has_killed_its_processes_is_held() -> None:
    @aion.activity(retry=ONCE)
    async def work() -> str:
        if is_mended:
            return "worked"
        await clock.sleep(10_000)
        raise AssertionError("unreachable")

    @aion.workflow
    async def caller() -> str:
        return await work()

    is_mended = False
    clock = VirtualClock()
    async with test_engine(workflows=[caller], clock=clock) as engine:
        run = await engine.start(caller)
        await clock.advance(1)
        for _ in range(MAX_DELIVERIES):
            await engine.crash()
            await clock.advance(1)
        history = await run.history()
        failed = history[-1]
        assert isinstance(failed, e.ActivityFailed)
        assert (failed.error.kind, failed.held) == ("crashed", True)
        is_mended = True
        await run.retry()
        assert await run.result() == "worked"
        replay_history(await run.history(), caller)


async def test_a_held_activity_survives_the_eviction_of_its_run(bench: Bench) -> None:
    works = Works()
    async with bench.engine(works.caller, resident_bytes=0) as engine:
        run = await engine.start(works.caller, 1, workflow_id="w")
        await engine.start(works.caller, 1, workflow_id="other")
        await bench.advance(10)
        works.mend()
        await run.retry()
        await bench.advance(1)
        assert await run.result() == ["10"]
        assert await bench.kinds("other") == HELD


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_a_retry_is_recorded_once(name: str, bench: Bench) -> None:
    works, fault = Works(), Fault(name, bench)
    async with bench.engine(works.caller) as engine, trio.open_nursery() as nursery:
        run = await engine.start(works.caller, 1, workflow_id="w")
        await bench.advance(1)
        works.mend()
        fault.arm(e.ActivityStarted)
        nursery.start_soon(fault.heal_when_struck)
        await run.retry()
        assert await run.result() == ["10"]
    assert (await bench.kinds("w")).count(e.ActivityStarted) == 1
    assert works.attempts == [1, 2]


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_a_result_is_supplied_once(name: str, bench: Bench) -> None:
    works, fault = Works(), Fault(name, bench)
    async with bench.engine(works.caller) as engine, trio.open_nursery() as nursery:
        run = await engine.start(works.caller, 1, workflow_id="w")
        await bench.advance(1)
        fault.arm(e.ActivityCompleted)
        nursery.start_soon(fault.heal_when_struck)
        await run.supply("activity:0/0", 7, supplied_by="ada")
        assert await run.result() == ["7"]
    assert (await bench.kinds("w")).count(e.ActivityCompleted) == 1


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_an_activity_is_held_once(name: str, bench: Bench) -> None:
    works, fault = Works(), Fault(name, bench)
    async with bench.engine(works.caller) as engine:
        fault.arm(e.ActivityFailed)
        await engine.start(works.caller, 1, workflow_id="w")
        await fault.struck()
        await fault.heal()
    assert await bench.kinds("w") == HELD
    assert works.attempts == [1]
