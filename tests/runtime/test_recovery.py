"""An engine opened on what another left: what goes on at once, what sleeps on, what is held.

Most tests just leave an engine that has no grace period, and the store of the bench then says that
there may have been a crash. ``tests/crash`` has the kills, ``test_deliveries`` what follows when
there was none.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import ActivityId
from aion_runtime.testing import VirtualClock
from tests.runtime.conftest import Bench

go = aion.Signal("go", int)


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def sleeper(seconds: float) -> str:
    await aion.sleep(seconds)
    return "awake"


class Work:
    """An activity that hangs until it is let go, and a workflow that calls it."""

    def __init__(self, **settings: Any) -> None:
        self.begun: list[int] = []
        self.let_go = trio.Event()

        @aion.activity(**settings)
        async def work() -> str:
            self.begun.append(aion.activity_info().attempt)
            await self.let_go.wait()
            return "worked"

        @aion.workflow
        async def worker() -> str:
            return await work()

        self.workflow = worker


async def test_an_unfinished_attempt_is_run_again_after_that_is_recorded(bench: Bench) -> None:
    work = Work()
    async with bench.engine(work.workflow) as engine:
        await engine.start(work.workflow, workflow_id="w")
        await wait_all_tasks_blocked()
    assert work.begun == [1]
    gate = bench.store.hold(e.ActivityStarted)
    async with bench.engine(work.workflow) as engine:
        await wait_all_tasks_blocked()
        assert gate.reached.is_set()
        assert work.begun == [1]
        gate.open()
        await wait_all_tasks_blocked()
        assert work.begun == [1, 1]
        work.let_go.set()
        assert await engine.get("w").result() == "worked"
    delivered = [each for each in await bench.history("w") if isinstance(each, e.ActivityStarted)]
    assert [(each.attempt, each.delivery) for each in delivered] == [(1, 2)]


@pytest.mark.parametrize("times", [1, 3])
async def test_no_attempt_is_run_again_while_that_cannot_be_recorded(
    bench: Bench, times: int
) -> None:
    """Else an activity that kills its process could do so for ever."""
    work = Work()
    async with bench.engine(work.workflow) as engine:
        await engine.start(work.workflow, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.store.refuse(e.ActivityStarted, times=times)
    async with bench.engine(work.workflow) as engine:
        for _ in range(times):
            await wait_all_tasks_blocked()
            assert work.begun == [1]
            await bench.advance(1)
        assert work.begun == [1, 1]
        assert (await bench.kinds("w")).count(e.ActivityStarted) == 1


async def test_a_redelivery_whose_answer_is_lost_counts_once(bench: Bench) -> None:
    work = Work()
    async with bench.engine(work.workflow) as engine:
        await engine.start(work.workflow, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.store.lose_answer(e.ActivityStarted)
    async with bench.engine(work.workflow) as engine:
        await wait_all_tasks_blocked()
        assert work.begun == [1]
        await bench.advance(0.05)
        assert work.begun == [1, 1]
        work.let_go.set()
        assert await engine.get("w").result() == "worked"
    assert (await bench.kinds("w")).count(e.ActivityStarted) == 1


async def test_the_sixth_delivery_of_an_attempt_is_a_crash_instead(bench: Bench) -> None:
    work = Work()
    for _ in range(5):
        async with bench.engine(work.workflow) as engine:
            await engine.start(work.workflow, workflow_id="w")
            await wait_all_tasks_blocked()
    assert work.begun == [1] * 5
    async with bench.engine(work.workflow) as engine:
        with pytest.raises(aion.WorkflowFailedError, match="Crashed"):
            await engine.get("w").result()
    assert work.begun == [1] * 5
    (failed,) = [each for each in await bench.history("w") if isinstance(each, e.ActivityFailed)]
    assert failed.error.kind == "crashed"


async def test_the_deliveries_of_the_next_attempt_are_counted_anew(bench: Bench) -> None:
    begun: list[int] = []
    fail = [False]

    @aion.activity(retry=aion.RetryPolicy(initial_interval=0))
    async def work() -> None:
        begun.append(aion.activity_info().attempt)
        if fail and aion.activity_info().attempt == 1:
            raise ConnectionError
        await trio.sleep_forever()

    @aion.workflow
    async def worker() -> None:
        await work()

    fail.clear()
    for opening in range(9):
        if opening == 4:
            fail.append(True)
        async with bench.engine(worker) as engine:
            await engine.start(worker, workflow_id="w")
            await wait_all_tasks_blocked()
    assert begun == [1] * 5 + [2] * 5


async def test_a_planned_retry_is_not_made_at_once_after_a_restart(bench: Bench) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def flaky() -> str:
        begun.append(aion.activity_info().attempt)
        if aion.activity_info().attempt == 1:
            raise ConnectionError
        return "done"

    @aion.workflow
    async def caller() -> str:
        return await flaky()

    async with bench.engine(caller) as engine:
        await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(caller) as engine:
        assert engine.recovery_report.resumed == ()
        await bench.advance(59)
        assert begun == [1]
        await bench.advance(1)
        assert begun == [1, 2]
        assert await engine.get("w").result() == "done"
    assert e.ActivityStarted not in await bench.kinds("w")


async def test_a_planned_retry_is_made_once_although_a_signal_woke_its_run_before(
    bench: Bench,
) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def flaky() -> str:
        begun.append(aion.activity_info().attempt)
        if aion.activity_info().attempt == 1:
            raise ConnectionError
        return "done"

    @aion.workflow
    async def caller() -> tuple[str, int]:
        return await aion.gather(flaky(), go.receive())

    async with bench.engine(caller) as engine:
        await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(caller) as engine:
        await engine.get("w").signal(go, 1)
        assert begun == [1]
        await bench.advance(60)
        assert begun == [1, 2]
        assert await engine.get("w").result() == ("done", 1)


async def test_a_retry_that_fell_due_while_down_is_made_at_once(bench: Bench) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def flaky() -> str:
        begun.append(aion.activity_info().attempt)
        if aion.activity_info().attempt == 1:
            raise ConnectionError
        return "done"

    @aion.workflow
    async def caller() -> str:
        return await flaky()

    async with bench.engine(caller) as engine:
        await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.clock.jump(61)
    async with bench.engine(caller) as engine:
        assert engine.recovery_report.resumed == ("w",)
        assert await engine.get("w").result() == "done"
    assert begun == [1, 2]


async def test_an_activity_asked_to_stop_before_the_crash_ends_with_its_outcome_unknown(
    bench: Bench,
) -> None:
    begun = threading.Semaphore(0)
    finish = threading.Event()

    @aion.activity
    def charge() -> None:
        begun.release()
        finish.wait()

    @aion.workflow
    async def impatient() -> bool:
        with aion.move_on_after(10) as scope:
            await charge()
        return scope.cancelled_caught

    async with bench.engine(impatient) as engine:
        await engine.start(impatient, workflow_id="w")
        await trio.to_thread.run_sync(begun.acquire)
        await wait_all_tasks_blocked()
        await bench.advance(10)  # the thread cannot be stopped, and works on
        assert (await bench.kinds("w"))[-1] is e.ActivityCancelRequested
    finish.set()
    async with bench.engine(impatient) as engine:
        assert engine.recovery_report.resumed == ("w",)
        assert await engine.get("w").result() is True
    assert not begun.acquire(blocking=False)
    (cancelled,) = [
        each for each in await bench.history("w") if isinstance(each, e.ActivityCancelled)
    ]
    assert (cancelled.attempt, cancelled.detail) == (1, "outcome unknown")


async def test_a_planned_retry_that_was_given_up_before_the_crash_is_settled_at_once(
    bench: Bench,
) -> None:
    @aion.activity(retry=aion.RetryPolicy(initial_interval=3600, max_interval=3600))
    async def flaky() -> None:
        raise ConnectionError

    @aion.workflow
    async def impatient() -> bool:
        with aion.move_on_after(10) as scope:
            await flaky()
        return scope.cancelled_caught

    async with bench.engine(impatient) as engine:
        await engine.start(impatient, workflow_id="w")
        await wait_all_tasks_blocked()
        bench.store.refuse(e.ActivityCancelled)
        await bench.advance(10)
        assert (await bench.kinds("w"))[-1] is e.ActivityCancelRequested
    async with bench.engine(impatient) as engine:
        assert engine.recovery_report.resumed == ("w",)
        assert await engine.get("w").result() is True
    (cancelled,) = [
        each for each in await bench.history("w") if isinstance(each, e.ActivityCancelled)
    ]
    assert (cancelled.attempt, cancelled.detail) == (None, None)


async def test_an_activity_given_up_before_it_was_run_again_ends_with_its_outcome_unknown(
    bench: Bench,
) -> None:
    """A deadline and the redelivery meet in the first step; a former process may have begun it."""
    begun: list[int] = []

    @aion.activity
    async def work() -> None:
        begun.append(aion.activity_info().attempt)
        await trio.sleep_forever()

    @aion.workflow
    async def impatient() -> bool:
        with aion.move_on_after(10) as scope:
            await work()
        return scope.cancelled_caught

    async with bench.engine(impatient) as engine:
        await engine.start(impatient, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.store.refuse(e.ActivityStarted)
    async with bench.engine(impatient) as engine:
        # The redelivery is refused; when it is tried again the deadline is there, too.
        await wait_all_tasks_blocked()
        await bench.advance(10)
        assert await engine.get("w").result() is True
    assert begun == [1]
    (cancelled,) = [
        each for each in await bench.history("w") if isinstance(each, e.ActivityCancelled)
    ]
    assert (cancelled.attempt, cancelled.detail) == (1, "outcome unknown")


async def test_timers_that_came_due_while_down_fire_in_order(bench: Bench) -> None:
    @aion.workflow
    async def three() -> list[str]:
        order: list[str] = []

        async def nap(name: str, seconds: float) -> None:
            await aion.sleep(seconds)
            order.append(name)

        async with aion.open_nursery() as nursery:
            nursery.start_soon(nap, "late", 30)
            nursery.start_soon(nap, "early", 10)
            nursery.start_soon(nap, "middle", 20)
        return order

    async with bench.engine(three) as engine:
        await engine.start(three, workflow_id="w")
    bench.clock.jump(3600)
    async with bench.engine(three) as engine:
        assert engine.recovery_report.resumed == ("w",)
        assert await engine.get("w").result() == ["early", "middle", "late"]


async def test_a_sleep_goes_on_where_it_was(bench: Bench) -> None:
    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, 100, workflow_id="w")
    bench.clock.jump(60)
    async with bench.engine(sleeper) as engine:
        await bench.advance(39)
        assert not (await engine.get("w").describe()).status.is_closed
        await bench.advance(1)
        assert await engine.get("w").result() == "awake"


async def test_a_run_that_waits_is_left_alone_until_its_signal_comes(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    bench.store.reads.clear()
    async with bench.engine(waiting) as engine:
        assert engine.recovery_report.resumed == ()
        await wait_all_tasks_blocked()
        assert bench.store.reads == []
        await engine.get("w").signal(go, 3)
        assert await engine.get("w").result() == 3
        assert bench.store.reads == ["w"]


async def test_a_run_that_waits_is_left_alone_until_its_timer_is_due(bench: Bench) -> None:
    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, 100, workflow_id="w")
    bench.store.reads.clear()
    async with bench.engine(sleeper) as engine:
        assert engine.recovery_report.resumed == ()
        await bench.advance(99)
        assert bench.store.reads == []
        await bench.advance(1)
        assert await engine.get("w").result() == "awake"


async def test_a_closed_run_is_not_run_again(bench: Bench) -> None:
    runs: list[int] = []

    @aion.workflow
    async def once() -> int:
        runs.append(1)
        return 1

    async with bench.engine(once) as engine:
        await (await engine.start(once, workflow_id="w")).result()
    async with bench.engine(once) as engine:
        await engine.start(once, workflow_id="w")
        assert await engine.get("w").result() == 1
    assert runs == [1]


async def test_a_run_of_an_unregistered_type_is_listed_while_the_others_run(bench: Bench) -> None:
    async with bench.engine(waiting, sleeper) as engine:
        await engine.start(waiting, workflow_id="parked")
        await engine.start(sleeper, 10, workflow_id="strange")
        await engine.start(sleeper, 10, workflow_id="strange too")

    @aion.workflow
    async def other() -> str:
        await aion.sleep(10)
        return "done"

    bench.clock.jump(10)
    async with bench.engine(other) as engine:
        assert set(engine.recovery_report.stuck) == {"strange", "strange too"}
        assert all("'sleeper'" in why for why in engine.recovery_report.stuck.values())
        assert engine.recovery_report.resumed == ()
        stuck = {run.workflow_id: run.stuck or "" for run in (await engine.list_runs()).runs}
        assert set(stuck) == {"strange", "strange too", "parked"}
        assert all("this engine has no workflow" in reason for reason in stuck.values())
        handle = await engine.start(other)
        await bench.advance(10)
        assert await handle.result() == "done"


async def test_a_run_of_an_unregistered_type_goes_on_when_its_type_is_there(bench: Bench) -> None:
    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, 10, workflow_id="w")
    bench.clock.jump(10)
    async with bench.engine(waiting) as engine:
        await wait_all_tasks_blocked()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.TimerStarted]
    async with bench.engine(sleeper) as engine:
        assert (await engine.get("w").describe()).stuck is None
        assert await engine.get("w").result() == "awake"


async def test_whoever_waits_for_a_run_that_is_held_is_told_why(bench: Bench) -> None:
    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, 10, workflow_id="w")
    async with bench.engine(waiting) as engine:
        with pytest.raises(aion.WorkflowStuckError, match="this engine has no workflow 'sleeper'"):
            await engine.get("w").result()


@aion.activity
async def one() -> int:
    return 1


@aion.activity
async def two() -> int:
    return 2


@aion.workflow(name="deployed")
async def old_code() -> int:
    first = await one()
    return first + await go.receive()


@aion.workflow(name="deployed")
async def new_code() -> int:
    first = await two()
    return first + await go.receive()


async def test_a_run_that_the_code_no_longer_fits_is_held_and_nothing_is_recorded(
    bench: Bench,
) -> None:
    async with bench.engine(old_code) as engine:
        await engine.start(old_code, workflow_id="w")
        await wait_all_tasks_blocked()
    history = await bench.history("w")
    async with bench.engine(new_code, waiting) as engine:
        await engine.get("w").signal(go, 10)
        summary = await engine.get("w").describe()
        assert summary.status is aion.WorkflowStatus.RUNNING
        assert "no longer fits its history" in (summary.stuck or "")
        other = await engine.start(waiting)
        await other.signal(go, 1)
        assert await other.result() == 1
    assert await bench.history("w") == history


async def test_a_run_that_was_held_goes_on_with_the_old_code(bench: Bench) -> None:
    async with bench.engine(old_code) as engine:
        await engine.start(old_code, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(new_code) as engine:
        await engine.get("w").signal(go, 10)
        with pytest.raises(aion.WorkflowStuckError, match="no longer fits its history"):
            await engine.get("w").result()
    async with bench.engine(old_code) as engine:
        assert await engine.get("w").result() == 11


async def test_a_run_held_at_start_up_is_in_the_report(bench: Bench) -> None:
    @aion.workflow(name="deployed")
    async def old() -> None:
        await aion.sleep(10)

    @aion.workflow(name="deployed")
    async def new() -> None:
        await one()

    async with bench.engine(old) as engine:
        await engine.start(old, workflow_id="w")
        await engine.start(old, workflow_id="v")
    bench.clock.jump(10)
    async with bench.engine(new) as engine:
        assert set(engine.recovery_report.stuck) == {"v", "w"}
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").result()


async def test_who_waits_is_told_when_the_run_turns_out_not_to_fit(bench: Bench) -> None:
    async with bench.engine(old_code) as engine:
        await engine.start(old_code, workflow_id="w")
        await wait_all_tasks_blocked()
    told: list[str] = []

    async def wait() -> None:
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").result()
        told.append("w")

    async with bench.engine(new_code) as engine, trio.open_nursery() as nursery:
        # To wait for its end brings the run into memory.
        assert engine.recovery_report.parked == 1
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert told == ["w"]


async def test_a_history_that_cannot_be_read_back_holds_its_run_alone(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        for workflow_id in ("good", "bad"):
            await engine.start(waiting, workflow_id=workflow_id)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute(
            "UPDATE events SET data = '{' WHERE workflow = "
            "(SELECT workflow FROM workflows WHERE workflow_id = 'bad')"
        )
    connection.close()
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        await engine.get("bad").signal(go, 1)
        with pytest.raises(aion.WorkflowStuckError, match="cannot be read"):
            await engine.get("bad").result()
        await engine.get("good").signal(go, 1)
        assert await engine.get("good").result() == 1
        assert {run.workflow_id for run in (await engine.list_runs()).runs if run.stuck} == {"bad"}


@pytest.mark.parametrize("seq", [1, 2, 3, 4])
async def test_a_history_that_makes_no_sense_holds_its_run_alone(tmp_path: Path, seq: int) -> None:
    """Whatever the replay makes of it, and be it an error that nobody thought of."""

    @aion.workflow
    async def stepping() -> int:
        return await one() + await go.receive() + await go.receive()

    url = f"sqlite:///{tmp_path}/a.db"
    async with aion.open_engine(url, workflows=[stepping]) as engine:
        for workflow_id in ("good", "bad"):
            handle = await engine.start(stepping, workflow_id=workflow_id)
            while (await handle.describe()).events < 3:
                await trio.lowlevel.checkpoint()
            await handle.signal(go, 1)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        # Readable, every event for itself; only that this one should be another.
        connection.execute(
            "UPDATE events SET kind = 'ActivityCompleted', data = ? WHERE seq = ? AND workflow = "
            "(SELECT workflow FROM workflows WHERE workflow_id = 'bad')",
            (json.dumps(completed_data(connection)), seq),
        )
    connection.close()
    async with aion.open_engine(url, workflows=[stepping]) as engine:
        good = engine.get("good")
        await good.signal(go, 1)
        assert await good.result() == 3
        await engine.get("bad").signal(go, 1)
        assert ((await engine.get("bad").describe()).stuck is None) == (seq == 3)


def completed_data(connection: sqlite3.Connection) -> Any:
    (data,) = connection.execute(
        "SELECT data FROM events WHERE kind = 'ActivityCompleted' LIMIT 1"
    ).fetchone()
    return json.loads(data)


async def test_an_error_of_ours_in_a_replay_holds_that_run_alone(bench: Bench) -> None:
    """A defect must not take the engine down with one run, at this start and at every other."""

    async with bench.engine(waiting) as engine:
        for workflow_id in ("good", "bad"):
            await engine.start(waiting, workflow_id=workflow_id)
    (started,) = await bench.history("bad")
    completed = e.ActivityCompleted(
        seq=2,
        recorded_at=started.recorded_at,
        workflow_id=started.workflow_id,
        activity_id=ActivityId("activity:0"),
        result=started.input,  # type: ignore[attr-defined]
        attempt=1,
    )
    async with bench.store.inner.writer() as writer:
        await writer.append(started.workflow_id, [completed], 1)
    async with bench.engine(waiting) as engine:
        await engine.get("bad").signal(go, 1)
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("bad").result()
        await engine.get("good").signal(go, 1)
        assert await engine.get("good").result() == 1


async def test_code_that_has_grown_goes_on_where_history_ends(bench: Bench) -> None:
    @aion.workflow(name="growing")
    async def short() -> int:
        return await go.receive() + await go.receive()

    @aion.workflow(name="growing")
    async def longer() -> int:
        first = await go.receive()
        async with aion.open_nursery() as nursery:
            nursery.start_soon(two)
        return first + await go.receive()

    async with bench.engine(short) as engine:
        await (await engine.start(short, workflow_id="w")).signal(go, 1)
    async with bench.engine(longer) as engine:
        await engine.get("w").signal(go, 10)
        assert await engine.get("w").result() == 11
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.SignalReceived,
        e.WorkflowVersionAdopted,
        e.ActivityScheduled,
        e.SignalReceived,
        e.ActivityCompleted,
        e.WorkflowCompleted,
    ]


async def test_what_grown_code_asks_for_is_recorded_although_nothing_arrives(
    bench: Bench,
) -> None:
    """The run is loaded for a retry whose time has come, and its code is ahead of history."""
    touched: list[str] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def flaky() -> None:
        if aion.activity_info().attempt == 1:
            raise ConnectionError
        await trio.sleep_forever()

    @aion.activity
    async def touch() -> None:
        touched.append("touched")

    @aion.workflow(name="growing")
    async def short() -> None:
        await flaky()

    @aion.workflow(name="growing")
    async def longer() -> None:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(touch)
            await flaky()

    async with bench.engine(short) as engine:
        await engine.start(short, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(longer):
        await wait_all_tasks_blocked()
        assert touched == []
        await bench.advance(60)
        assert touched == ["touched"]


async def test_recovery_reads_all_pages_of_open_activities(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aion_runtime.recovery.startup.PAGE", 3)
    work = Work()
    async with bench.engine(work.workflow) as engine:
        for number in range(10):
            await engine.start(work.workflow, workflow_id=f"w{number}")
        await wait_all_tasks_blocked()
    work.let_go.set()
    async with bench.engine(work.workflow) as engine:
        assert len(engine.recovery_report.resumed) == 10
        for number in range(10):
            assert await engine.get(f"w{number}").result() == "worked"


async def test_a_clock_that_was_set_back_does_not_take_time_back(bench: Bench) -> None:
    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, 10, workflow_id="w")
    bench.clock.set_wall_clock(bench.clock.now() - timedelta(seconds=3600))
    async with bench.engine(sleeper) as engine:
        await bench.advance(3600 + 10)
        assert await engine.get("w").result() == "awake"
    started, *_, completed = await bench.history("w")
    assert completed.recorded_at - started.recorded_at == timedelta(seconds=10)


async def test_a_defect_in_a_step_holds_that_run_alone() -> None:
    """At the end of time the next attempt has no date: an error that the machine does not know."""
    bench = Bench()
    bench.clock = VirtualClock(datetime(9999, 12, 31, tzinfo=UTC))

    @aion.activity(retry=aion.RetryPolicy(initial_interval=1e9, max_interval=1e9))
    async def flaky() -> None:
        raise ConnectionError

    @aion.workflow
    async def caller() -> None:
        await flaky()

    async with bench.engine(caller, waiting) as engine:
        handle = await engine.start(caller, workflow_id="w")
        with pytest.raises(aion.WorkflowStuckError, match="OverflowError"):
            await handle.result()
        other = await engine.start(waiting)
        await other.signal(go, 1)
        assert await other.result() == 1
    assert await bench.kinds("w") == [e.WorkflowStarted, e.ActivityScheduled]
