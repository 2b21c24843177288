"""Continue-as-new: one append ends a run and begins the next, and nobody outside can tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import SignalSentToRun
from aion_core.machine.run import MAX_CONTINUATIONS
from aion_core.payloads import JSON, Payload
from aion_runtime.letters import signal_message
from tests.runtime.conftest import Fault
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)
other = aion.Signal("other", int)
end = aion.Signal("end", int)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.workflow
async def adding(count: int, total: int) -> int:
    """Takes one signal in each run."""
    if count > 0:
        adding.continue_as_new(count - 1, total + await go.receive())
    return total


@aion.workflow
async def endless(number: int) -> None:
    endless.continue_as_new(number + 1)


async def test_a_workflow_goes_on_as_another_run(bench: MailBench) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 3, 0, workflow_id="w")
        for value in (1, 2, 3):
            await handle.signal(go, value)
        assert await handle.result() == 6
        summary = await handle.describe()
    history = await bench.history("w")
    starts = [event for event in history if isinstance(event, e.WorkflowStarted)]
    ends = [event for event in history if isinstance(event, e.WorkflowContinuedAsNew)]
    assert [event.continued_from for event in starts] == [
        None,
        *(event.run_id for event in starts[:-1]),
    ]
    assert [event.successor_run_id for event in ends] == [event.run_id for event in starts[1:]]
    assert summary.run_id == starts[-1].run_id
    assert [event.seq for event in history] == list(range(1, len(history) + 1))


async def test_the_end_and_the_next_start_are_one_append() -> None:
    bench = MailBench()
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 2, 0, workflow_id="w")
        await handle.signal(go, 1)
    (kinds,) = [each for each in bench.store.tries if e.WorkflowContinuedAsNew in each]
    assert kinds == [e.SignalReceived, e.WorkflowContinuedAsNew, e.WorkflowStarted]


async def test_a_result_follows_to_the_last_run(bench: MailBench) -> None:
    results: list[int] = []
    async with bench.engine(adding) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(adding, 2, 0)

        async def wait() -> None:
            results.append(await handle.result())

        nursery.start_soon(wait)
        await handle.signal(go, 1)
        await handle.signal(go, 1)
    assert results == [2]


async def test_the_next_run_may_be_of_another_workflow(bench: MailBench) -> None:
    @aion.workflow
    async def first() -> int:
        adding.continue_as_new(1, 10)

    async with bench.engine(first) as engine:
        handle = await engine.start(first, workflow_id="w")
        await handle.signal(go, 5)
        assert await handle.result() == 15
        assert (await handle.describe()).workflow_type == "adding"


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_start_is_the_same_start_however_often_the_workflow_has_gone_on(
    bench: MailBench, is_over: bool
) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 2, 0, workflow_id="w")
        await handle.signal(go, 1)
        if is_over:
            await handle.signal(go, 1)
            await handle.result()
        again = await engine.start(adding, 2, 0, workflow_id="w")
        assert again.workflow_id == "w"
        with pytest.raises(aion.WorkflowAlreadyStartedError):
            await engine.start(adding, 1, 1, workflow_id="w")


async def test_signals_that_nobody_has_received_are_taken_along_in_order(
    bench: MailBench,
) -> None:
    @aion.workflow
    async def slow(generation: int) -> list[int]:
        if generation == 0:
            await other.receive()
            slow.continue_as_new(1)
        return [await go.receive() for _ in range(3)]

    async with bench.engine(slow) as engine:
        handle = await engine.start(slow, 0, workflow_id="w")
        for value in (1, 2, 3):
            await handle.signal(go, value, signal_id=f"s{value}")
        await handle.signal(other, 0)
        assert await handle.result() == [1, 2, 3]
        with pytest.raises(aion.WorkflowClosedError):
            await handle.signal(go, 4)
        await handle.signal(go, 1, signal_id="s1")


async def test_more_signals_than_a_workflow_may_continue_at_once_are_all_taken(
    bench: MailBench,
) -> None:
    count = MAX_CONTINUATIONS + 50

    @aion.workflow
    async def late(generation: int) -> int:
        if generation == 0:
            await other.receive()
            adding.continue_as_new(count, 0)
        return 0

    async with bench.engine(late) as engine:
        handle = await engine.start(late, 0)
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(handle.signal, go, 1)
        await handle.signal(other, 0)
        assert await handle.result() == count


async def test_many_signals_in_one_batch_are_no_loop(bench: MailBench) -> None:
    count = MAX_CONTINUATIONS + 50
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, count, 0)
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(handle.signal, go, 1)
        assert await handle.result() == count


async def test_a_workflow_that_continues_without_waiting_is_stuck(bench: MailBench) -> None:
    async with bench.engine(endless, adding) as engine:
        with pytest.raises(aion.WorkflowStuckError, match="continued as new 100 times"):
            await engine.start(endless, 0, workflow_id="w")
        handle = await engine.start(adding, 1, 0)
        await handle.signal(go, 1)
        assert await handle.result() == 1
    assert await bench.kinds("w") == []


@aion.workflow
async def lingering(generation: int) -> list[int]:
    """Its first run is not over before a handler that it leaves has had its signal."""
    if generation == 0:
        await go.receive()
        aion.Update("wait", int, int).handle(linger)
        await go.receive()
        lingering.continue_as_new(1)
    return [await go.receive() for _ in range(3)]


async def linger(value: int) -> int:
    with aion.CancelScope(shield=True):
        await aion.sleep(10)
    return value


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
async def test_what_comes_while_a_run_is_continuing_is_for_the_next(resident_bytes: int) -> None:
    bench = MailBench()
    async with (
        bench.engine(lingering, resident_bytes=resident_bytes) as engine,
        trio.open_nursery() as nursery,
    ):
        handle = await engine.start(lingering, 0, workflow_id="w")
        await handle.signal(go, 0)

        async def update() -> None:
            await handle.update(aion.Update("wait", int, int), 5)

        nursery.start_soon(update)
        await wait_all_tasks_blocked()
        await handle.signal(go, 0)
        done: list[int] = []

        async def send(value: int) -> None:
            await handle.signal(go, value)
            done.append(value)

        for value in (1, 2):
            nursery.start_soon(send, value)
            await wait_all_tasks_blocked()
        assert done == []
        await bench.advance(10)
        assert sorted(done) == [1, 2]
        await handle.signal(go, 3)
        assert await handle.result() == [1, 2, 3]
    kinds = await bench.kinds("w")
    assert kinds.index(e.UpdateCompleted) < kinds.index(e.WorkflowContinuedAsNew)


async def test_a_cancel_request_while_a_run_is_continuing_is_for_the_next() -> None:
    bench = MailBench()
    async with bench.engine(lingering) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(lingering, 0, workflow_id="w")
        await handle.signal(go, 0)

        async def update() -> None:
            await handle.update(aion.Update("wait", int, int), 5)

        nursery.start_soon(update)
        await wait_all_tasks_blocked()
        await handle.signal(go, 0)
        nursery.start_soon(handle.cancel)
        await bench.advance(10)
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await handle.result()
    kinds = await bench.kinds("w")
    assert kinds.index(e.WorkflowContinuedAsNew) < kinds.index(e.WorkflowCancelRequested)


async def test_who_sends_to_a_continuing_run_hears_when_the_engine_stops() -> None:
    bench = MailBench()
    told: list[str] = []
    async with trio.open_nursery() as nursery, bench.engine(lingering) as engine:
        handle = await engine.start(lingering, 0, workflow_id="w")
        await handle.signal(go, 0)

        async def report(call: object) -> None:
            try:
                await call  # type: ignore[misc]
            except aion.EngineStoppedError as error:
                told.append(type(error).__name__)

        nursery.start_soon(report, handle.update(aion.Update("wait", int, int), 5))
        await wait_all_tasks_blocked()
        await handle.signal(go, 0)
        nursery.start_soon(report, handle.signal(go, 1))
        await wait_all_tasks_blocked()
    assert told == ["EngineStoppedError"] * 2


async def test_activities_of_the_run_before_are_stopped_and_their_ids_used_again() -> None:
    bench = MailBench()
    log: list[str] = []

    @aion.activity(on_cancel="abandon")
    async def work(generation: int) -> int:
        log.append(f"begun {generation}")
        if generation == 0:
            try:
                await trio.sleep_forever()
            finally:
                log.append("stopped 0")
        return generation

    @aion.workflow
    async def renewing(generation: int) -> int:
        if generation == 0:
            with aion.move_on_after(10):
                await work(generation)
            renewing.continue_as_new(1)
        return await work(generation)

    async with bench.engine(renewing) as engine:
        handle = await engine.start(renewing, 0, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(10)
        assert await handle.result() == 1
    assert sorted(log) == ["begun 0", "begun 1", "stopped 0"]
    scheduled = [
        event.activity_id
        for event in await bench.history("w")
        if isinstance(event, e.ActivityScheduled)
    ]
    assert scheduled == ["activity:0", "activity:0"]


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_the_next_run_has_its_own_activities(name: str) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    begun: list[int] = []

    @aion.activity(on_cancel="abandon")
    async def work(generation: int) -> int:
        begun.append(generation)
        if generation == 0:
            await trio.sleep_forever()
        return generation

    @aion.workflow
    async def renewing(generation: int) -> int:
        if generation == 0:
            async with aion.open_nursery() as nursery:
                nursery.start_soon(work, generation)
                await go.receive()
                nursery.cancel_scope.cancel()
            renewing.continue_as_new(1)
        async with aion.open_nursery() as nursery:
            nursery.start_soon(work, generation)
        return generation

    async with bench.engine(renewing) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(renewing, 0, workflow_id="w")
        await wait_all_tasks_blocked()
        fault.arm(e.WorkflowContinuedAsNew)
        nursery.start_soon(fault.heal_when_struck)
        await handle.signal(go, 1)
        assert await handle.result() == 1
    assert begun == [0, 1]
    kinds = await bench.kinds("w")
    assert kinds.count(e.WorkflowContinuedAsNew) == 1
    assert kinds.count(e.ActivityStarted) == 0


async def test_an_attempt_that_outlived_a_crash_does_not_pass_for_one_of_the_next_run() -> None:
    """After a crash the activity of the run is handed out again; that of the next run is new."""
    bench = MailBench()

    @aion.activity(on_cancel="abandon")
    async def work(generation: int) -> int:
        if generation == 0:
            await trio.sleep_forever()
        return generation

    @aion.workflow
    async def renewing(generation: int) -> int:
        if generation == 0:
            async with aion.open_nursery() as nursery:
                nursery.start_soon(work, generation)
                await go.receive()
                nursery.cancel_scope.cancel()
            renewing.continue_as_new(1)
        async with aion.open_nursery() as nursery:
            nursery.start_soon(work, generation)
        return generation

    async with bench.engine(renewing) as engine:
        await engine.start(renewing, 0, workflow_id="w")
        await wait_all_tasks_blocked()
    # It is there when the run is brought back: before the attempt is handed out again.
    signal = SignalSentToRun(name="go", payload=Payload(JSON, b"1"), signal_id="s")
    await bench.store.post(signal_message(WorkflowId("w"), signal, bench.clock.now()))
    async with bench.engine(renewing) as engine:
        assert await engine.get("w").result() == 1
    history = await bench.history("w")
    second = [event.seq for event in history if isinstance(event, e.WorkflowStarted)][-1]
    assert not any(isinstance(event, e.ActivityStarted) for event in history[second:])


async def test_timers_of_the_run_before_do_not_fire() -> None:
    bench = MailBench()

    @aion.workflow
    async def renewing(generation: int) -> str:
        aion.start_timer("t", 10 if generation == 0 else 100)
        if generation == 0:
            await go.receive()
            renewing.continue_as_new(1)
        await aion.sleep(50)
        return "slept"

    async with bench.engine(renewing) as engine:
        handle = await engine.start(renewing, 0, workflow_id="w")
        await handle.signal(go, 1)
        await bench.advance(20)
        await bench.advance(40)
        assert await handle.result() == "slept"
    assert (await bench.kinds("w")).count(e.TimerFired) == 1


async def test_a_run_brought_back_is_the_newest(bench: MailBench) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 3, 0, workflow_id="w")
        await handle.signal(go, 1)
    async with bench.engine(adding, resident_bytes=0) as engine:
        await engine.get("w").signal(go, 2)
        await settled(engine)
        await engine.get("w").signal(go, 3)
        assert await engine.get("w").result() == 6


async def test_attributes_and_memo_are_taken_along(bench: MailBench) -> None:
    @aion.workflow
    async def renewing(generation: int) -> list[str]:
        info = aion.workflow_info()
        if generation == 0:
            aion.set_attributes(stage="second")
            renewing.continue_as_new(1)
        return [str(info.attributes["stage"]), info.memo]

    async with bench.engine(renewing) as engine:
        handle = await engine.start(renewing, 0, attributes={"stage": "first"}, memo="a note")
        assert await handle.result() == ["second", "a note"]
        assert (await handle.describe()).attributes == {"stage": "second"}


@pytest.mark.parametrize("ending", ["cancel", "terminate"])
async def test_the_newest_run_is_the_one_that_is_ended(bench: MailBench, ending: str) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 3, 0, workflow_id="w")
        await handle.signal(go, 1)
        await getattr(handle, ending)()
        with pytest.raises(aion.WorkflowFailedError):
            await handle.result()
    kinds = await bench.kinds("w")
    assert kinds.count(e.WorkflowStarted) == 2
    assert kinds[-1] in (e.WorkflowCancelled, e.WorkflowTerminated)


async def test_the_next_run_is_not_given_the_heartbeats_of_the_one_before() -> None:
    bench = MailBench()
    found: list[object] = []

    @aion.activity(on_cancel="abandon", retry=aion.RetryPolicy(max_attempts=2, initial_interval=60))
    async def work(generation: int) -> int:
        found.append(aion.last_heartbeat())
        if generation == 0:
            aion.heartbeat(42)
            await trio.sleep_forever()
        if aion.activity_info().attempt == 1:
            raise ConnectionError("hung up")
        return generation

    @aion.workflow
    async def renewing(generation: int) -> int:
        if generation == 0:
            with aion.move_on_after(10):
                await work(generation)
            renewing.continue_as_new(1)
        return await work(generation)

    async with bench.engine(renewing) as engine:
        handle = await engine.start(renewing, 0, workflow_id="w")
        await bench.advance(10)
        await bench.advance(60)
        assert await handle.result() == 1
    assert found == [None, None, None]
