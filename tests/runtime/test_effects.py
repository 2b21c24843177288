"""Nothing has an effect before it is durable, whatever the store does; and then it happens once.

Each test with ``fault`` runs three times: with a commit that is held, one that is refused, and one
that succeeds although its answer is lost.
"""

from __future__ import annotations

import logging
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import StoreWriter
from aion_core.payloads import PayloadConverter
from tests.runtime.conftest import Bench, Fault

go = aion.Signal("go", int)


@aion.workflow
async def empty() -> str:
    return "done"


@aion.workflow
async def waiting() -> int:
    return await go.receive()


async def test_no_start_is_acknowledged_before_it_is_durable(bench: Bench, fault: Fault) -> None:
    acknowledged = trio.Event()

    async def start() -> None:
        await engine.start(waiting, workflow_id="w")
        acknowledged.set()

    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        fault.arm(e.WorkflowStarted)
        nursery.start_soon(start)
        await fault.struck()
        assert not acknowledged.is_set()
        await fault.heal()
        assert acknowledged.is_set()
    assert await bench.kinds("w") == [e.WorkflowStarted]


async def test_no_activity_starts_before_its_intent_is_durable(bench: Bench, fault: Fault) -> None:
    begun: list[int] = []

    @aion.activity
    async def work() -> int:
        begun.append(aion.activity_info().attempt)
        return 7

    @aion.workflow
    async def worker() -> int:
        return await work()

    async with bench.engine(worker) as engine, trio.open_nursery() as nursery:
        fault.arm(e.ActivityScheduled)
        nursery.start_soon(partial(engine.start, worker, workflow_id="w"))
        await fault.struck()
        assert begun == []
        await fault.heal()
        assert await engine.get("w").result() == 7
    assert begun == [1]
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
        e.WorkflowCompleted,
    ]


async def test_no_thread_starts_before_its_intent_is_durable(bench: Bench, fault: Fault) -> None:
    begun: list[int] = []

    @aion.activity
    def work() -> int:
        begun.append(aion.activity_info().attempt)
        return 7

    @aion.workflow
    async def worker() -> int:
        return await work()

    async with bench.engine(worker) as engine, trio.open_nursery() as nursery:
        fault.arm(e.ActivityScheduled)
        nursery.start_soon(partial(engine.start, worker, workflow_id="w"))
        await fault.struck()
        assert begun == []
        await fault.heal()
        assert await engine.get("w").result() == 7
    assert begun == [1]


async def test_no_handle_resolves_before_the_end_is_durable(bench: Bench, fault: Fault) -> None:
    results: list[int] = []

    async def wait() -> None:
        results.append(await handle.result())

    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting, workflow_id="w")
        nursery.start_soon(wait)
        fault.arm(e.WorkflowCompleted)
        nursery.start_soon(handle.signal, go, 3)
        await fault.struck()
        assert results == []
        await fault.heal()
        assert results == [3]
    assert await bench.kinds("w") == [e.WorkflowStarted, e.SignalReceived, e.WorkflowCompleted]


async def test_no_signal_is_acknowledged_before_it_is_durable(bench: Bench, fault: Fault) -> None:
    acknowledged = trio.Event()

    async def send() -> None:
        await engine.get("w").signal(go, 3)
        acknowledged.set()

    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        await engine.start(waiting, workflow_id="w")
        fault.arm(e.SignalReceived)
        nursery.start_soon(send)
        await fault.struck()
        assert not acknowledged.is_set()
        await fault.heal()
        assert acknowledged.is_set()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.SignalReceived, e.WorkflowCompleted]


async def test_no_retry_is_planned_before_the_failure_is_durable(
    bench: Bench, fault: Fault
) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=10))
    async def flaky() -> int:
        begun.append(aion.activity_info().attempt)
        if aion.activity_info().attempt == 1:
            raise ConnectionError("hung up")
        return 7

    @aion.workflow
    async def worker() -> int:
        return await flaky()

    async with bench.engine(worker) as engine:
        fault.arm(e.ActivityFailed)
        await engine.start(worker, workflow_id="w")
        await fault.struck()
        # The retry's time passes, and nothing knows of it.
        bench.clock.jump(0.04)
        await wait_all_tasks_blocked()
        assert begun == [1]
        await fault.heal()
        assert begun == [1]
        await bench.advance(10)
        assert begun == [1, 2]
        assert await engine.get("w").result() == 7
    assert (await bench.kinds("w")).count(e.ActivityFailed) == 1


async def test_a_retry_whose_time_passes_while_its_failure_is_written_is_not_lost(
    bench: Bench,
) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=10))
    async def flaky() -> int:
        begun.append(aion.activity_info().attempt)
        if aion.activity_info().attempt == 1:
            raise ConnectionError("hung up")
        return 7

    @aion.workflow
    async def worker() -> int:
        return await flaky()

    async with bench.engine(worker) as engine:
        gate = bench.store.hold(e.ActivityFailed)
        await engine.start(worker, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(60)
        assert begun == [1]
        gate.open()
        assert await engine.get("w").result() == 7
    assert begun == [1, 2]


async def test_no_timer_is_armed_before_its_start_is_durable(bench: Bench, fault: Fault) -> None:
    @aion.workflow
    async def sleeper() -> str:
        await aion.sleep(0.01)
        return "awake"

    async with bench.engine(sleeper) as engine, trio.open_nursery() as nursery:
        fault.arm(e.TimerStarted)
        nursery.start_soon(partial(engine.start, sleeper, workflow_id="w"))
        await fault.struck()
        await bench.advance(0.02)
        # It is past due by now; had it been armed, its firing would have been tried.
        assert not any(e.TimerFired in kinds for kinds in bench.store.tries)
        await fault.heal()
        await bench.advance(0.05)
        assert await engine.get("w").result() == "awake"
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.TimerStarted,
        e.TimerFired,
        e.WorkflowCompleted,
    ]


async def test_a_timer_fires_once_whatever_its_commit_does(bench: Bench, fault: Fault) -> None:
    @aion.workflow
    async def sleeper() -> str:
        await aion.sleep(10)
        await aion.sleep(10)
        return "awake"

    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, workflow_id="w")
        fault.arm(e.TimerFired)
        await bench.advance(10)
        await fault.struck()
        # Asked for again and again while the first firing is not through.
        await bench.advance(0.01)
        await fault.heal()
        assert (await bench.kinds("w"))[1:] == [e.TimerStarted, e.TimerFired, e.TimerStarted]
        await bench.advance(10)
        assert await engine.get("w").result() == "awake"


async def test_no_running_activity_is_cancelled_before_the_request_is_durable(
    bench: Bench, fault: Fault
) -> None:
    stopped: list[str] = []

    @aion.activity
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.append("stopped")

    @aion.workflow
    async def impatient() -> str:
        with aion.move_on_after(10) as scope:
            await endless()
        return "gave up" if scope.cancelled_caught else "?"

    async with bench.engine(impatient) as engine:
        await engine.start(impatient, workflow_id="w")
        await wait_all_tasks_blocked()
        fault.arm(e.ActivityCancelRequested)
        await bench.advance(10)
        await fault.struck()
        assert stopped == []
        await fault.heal()
        assert stopped == ["stopped"]
        assert await engine.get("w").result() == "gave up"
    assert (await bench.kinds("w"))[-4:] == [
        e.TimerFired,
        e.ActivityCancelRequested,
        e.ActivityCancelled,
        e.WorkflowCompleted,
    ]


async def test_no_activity_is_cancelled_before_the_failure_beside_it_is_durable(
    bench: Bench, fault: Fault
) -> None:
    stopped: list[str] = []

    @aion.activity
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.append("stopped")

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def broken() -> None:
        await let_fail.wait()
        raise ValueError("broken")

    @aion.workflow
    async def both() -> None:
        await aion.gather(endless(), broken())

    let_fail = trio.Event()
    async with bench.engine(both) as engine:
        await engine.start(both, workflow_id="w")
        await wait_all_tasks_blocked()
        fault.arm(e.ActivityFailed)
        let_fail.set()
        await fault.struck()
        assert stopped == []
        await fault.heal()
        assert stopped == ["stopped"]
        with pytest.raises(aion.WorkflowFailedError):
            await engine.get("w").result()


@pytest.mark.parametrize("kind", ["held", "refused"])
async def test_no_failure_is_logged_before_it_is_durable(
    bench: Bench, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    @aion.workflow
    async def broken() -> None:
        raise ValueError("broken on purpose")

    def failures() -> list[str]:
        return [text for text in caplog.messages if "broken on purpose" in text]

    fault = Fault(kind, bench)
    with caplog.at_level(logging.WARNING, "aion_runtime"):
        async with bench.engine(broken) as engine, trio.open_nursery() as nursery:
            fault.arm(e.WorkflowFailed)
            nursery.start_soon(partial(engine.start, broken, workflow_id="w"))
            await fault.struck()
            assert failures() == []
            await fault.heal()
            assert failures() == ["workflow 'w' failed: ValueError: broken on purpose"]


@pytest.mark.parametrize("kind", ["held", "refused"])
async def test_no_dropped_signal_is_logged_before_it_is_durable(
    bench: Bench, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    text_by_the_same_name = aion.Signal("go", str)
    fault = Fault(kind, bench)

    def dropped() -> int:
        return sum("dropped a signal 'go'" in text for text in caplog.messages)

    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        await engine.start(waiting, workflow_id="w")
        fault.arm(e.SignalReceived)
        nursery.start_soon(engine.get("w").signal, text_by_the_same_name, "text")
        await fault.struck()
        assert dropped() == 0
        await fault.heal()
        assert dropped() == 1


async def test_a_step_that_failed_is_activated_by_new_code_objects(bench: Bench) -> None:
    """The machine that ran ahead is thrown away: its local state must not be seen again."""
    seen: list[list[int]] = []

    @aion.workflow
    async def collecting() -> list[int]:
        taken: list[int] = []
        while len(taken) < 2:
            taken.append(await go.receive())
            seen.append(list(taken))
        return taken

    async with bench.engine(collecting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(collecting, workflow_id="w")
        bench.store.refuse(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 1)
        await wait_all_tasks_blocked()
        await bench.advance(0.05)
        await handle.signal(go, 2)
        assert await handle.result() == [1, 2]
    assert seen == [[1], [1], [1, 2]]


async def test_arrivals_of_a_failed_step_keep_their_place_before_later_ones(bench: Bench) -> None:
    @aion.workflow
    async def collecting() -> list[int]:
        return [await go.receive() for _ in range(5)]

    async with bench.engine(collecting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(collecting, workflow_id="w")
        gate = bench.store.hold(e.SignalReceived)
        bench.store.refuse(e.SignalReceived, times=2)
        for number in range(3):
            nursery.start_soon(handle.signal, go, number)
            await wait_all_tasks_blocked()
        # The first is being written, the others have gathered; now that writing fails.
        gate.open()
        for number in range(3, 5):
            await wait_all_tasks_blocked()
            nursery.start_soon(handle.signal, go, number)
        await wait_all_tasks_blocked()
        await bench.advance(0.05)
        await bench.advance(0.1)
        assert await handle.result() == [0, 1, 2, 3, 4]


async def test_the_code_of_a_failed_step_is_closed_at_once(bench: Bench) -> None:
    closed: list[str] = []

    @aion.workflow
    async def tidy() -> int:
        try:
            return await go.receive() + await go.receive()
        finally:
            closed.append("closed")

    async with bench.engine(tidy) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(tidy)
        bench.store.refuse(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 1)
        await wait_all_tasks_blocked()
        assert closed == ["closed"]
        await bench.advance(0.05)


async def test_a_retry_whose_time_comes_while_its_run_is_written_is_not_lost(
    bench: Bench, fault: Fault
) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=10))
    async def flaky() -> int:
        begun.append(aion.activity_info().attempt)
        if aion.activity_info().attempt == 1:
            raise ConnectionError("hung up")
        return 7

    @aion.workflow
    async def both() -> tuple[int, int]:
        return await aion.gather(flaky(), go.receive())

    async with bench.engine(both) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(both)
        await wait_all_tasks_blocked()
        fault.arm(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 1)
        await fault.struck()
        await bench.advance(10)
        await fault.heal()
        assert await handle.result() == (7, 1)
    assert begun == [1, 2]


async def test_a_refused_commit_is_tried_again_after_longer_and_longer_times(
    bench: Bench,
) -> None:
    async with bench.engine(empty) as engine, trio.open_nursery() as nursery:
        bench.store.refuse(e.WorkflowStarted, times=4)
        nursery.start_soon(partial(engine.start, empty, workflow_id="w"))
        await wait_all_tasks_blocked()
        for tries, delay in enumerate([0.05, 0.1, 0.2, 0.4], start=1):
            await bench.advance(delay - 0.001)
            assert len(bench.store.tries) == tries
            await bench.advance(0.001)
            assert len(bench.store.tries) == tries + 1
        assert await engine.get("w").result() == "done"


async def test_a_history_that_cannot_be_read_now_is_read_later(bench: Bench) -> None:
    async with bench.engine(empty) as engine, trio.open_nursery() as nursery:
        bench.store.unreadable = [aion.StoreUnavailableError("busy")] * 2
        nursery.start_soon(partial(engine.start, empty, workflow_id="w"))
        await wait_all_tasks_blocked()
        assert bench.store.tries == []
        await bench.advance(0.05)
        await bench.advance(0.1)
        assert await engine.get("w").result() == "done"


async def test_a_failing_append_of_one_run_does_not_hold_up_the_others(bench: Bench) -> None:
    @aion.workflow
    async def other() -> str:
        return "done"

    async with bench.engine(waiting, other) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting, workflow_id="w")
        bench.store.refuse(e.SignalReceived, times=100)
        nursery.start_soon(handle.signal, go, 1)
        await wait_all_tasks_blocked()
        assert await (await engine.start(other)).result() == "done"
        nursery.cancel_scope.cancel()


async def test_a_signal_sent_again_with_its_id_is_acknowledged_but_recorded_once(
    bench: Bench, fault: Fault
) -> None:
    @aion.workflow
    async def collecting() -> list[int]:
        return [await go.receive(), await go.receive()]

    async with bench.engine(collecting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(collecting, workflow_id="w")
        fault.arm(e.SignalReceived)
        nursery.start_soon(partial(handle.signal, go, 1, signal_id="first"))
        nursery.start_soon(partial(handle.signal, go, 1, signal_id="first"))
        await fault.struck()
        await fault.heal()
        await handle.signal(go, 1, signal_id="first")
        assert await bench.kinds("w") == [e.WorkflowStarted, e.SignalReceived]
        await handle.signal(go, 2)
        assert await handle.result() == [1, 2]


async def test_a_foreign_event_has_the_run_loaded_again(bench: Bench) -> None:
    """Somebody writes beside us: a conflict, after which history counts, and nothing is lost."""

    @aion.workflow
    async def collecting() -> list[int]:
        return [await go.receive(), await go.receive()]

    async def write_beside(writer: StoreWriter) -> None:
        (started,) = await bench.history("w")
        foreign = e.SignalReceived(
            seq=2,
            recorded_at=started.recorded_at,
            workflow_id=started.workflow_id,
            name="go",
            payload=go.encode(1, PayloadConverter()),
            signal_id="foreign",
        )
        await writer.append(started.workflow_id, [foreign], 1)

    async with bench.engine(collecting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(collecting, workflow_id="w")
        bench.store.meddle(e.SignalReceived, write_beside)
        nursery.start_soon(handle.signal, go, 2)
        await wait_all_tasks_blocked()
        await bench.advance(0.05)
        assert await handle.result() == [1, 2]


async def test_an_attempt_is_not_begun_twice_when_answers_get_lost(bench: Bench) -> None:
    begun: list[str] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=1))
    async def flaky(name: str) -> str:
        info = aion.activity_info()
        begun.append(f"{name}{info.attempt}")
        await trio.lowlevel.checkpoint()
        if info.attempt < 3:
            raise ConnectionError
        return name

    @aion.workflow
    async def both() -> tuple[str, str]:
        return await aion.gather(flaky("a"), flaky("b"))

    for kind in (e.ActivityScheduled, e.ActivityFailed, e.ActivityCompleted):
        bench.store.lose_answer(kind, times=3)
    async with bench.engine(both) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(partial(engine.start, both, workflow_id="w"))
        for _ in range(40):
            await wait_all_tasks_blocked()
            await bench.advance(0.5)
        assert await engine.get("w").result() == ("a", "b")
    assert sorted(begun) == ["a1", "a2", "a3", "b1", "b2", "b3"]
    kinds = await bench.kinds("w")
    assert kinds.count(e.ActivityFailed) == 4
    assert kinds.count(e.ActivityCompleted) == 2
    assert e.ActivityStarted not in kinds


async def test_an_outcome_survives_commits_that_fail_while_the_engine_stops(bench: Bench) -> None:
    """A drained result is worth another try within the grace period."""
    finish = trio.Event()

    @aion.activity
    async def work() -> int:
        await finish.wait()
        return 7

    @aion.workflow
    async def worker() -> int:
        return await work()

    async def let_time_pass() -> None:
        await wait_all_tasks_blocked()
        await bench.advance(0.05)

    async with (
        trio.open_nursery() as nursery,
        bench.engine(worker, shutdown_grace=60) as engine,
    ):
        await engine.start(worker, workflow_id="w")
        await wait_all_tasks_blocked()
        bench.store.refuse(e.ActivityCompleted)
        finish.set()
        nursery.start_soon(let_time_pass)
    assert e.ActivityCompleted in await bench.kinds("w")
