"""Start-up with much to do: only what is due, the first go on while the last are read, bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import DueTimer
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import SignalSentToRun
from aion_core.payloads import PayloadConverter
from aion_runtime.letters import signal_message
from aion_runtime.recovery import Failed, Resumed
from aion_runtime.residents import Residents
from tests.runtime.conftest import Bench
from tests.runtime.faults import FaultyStore

RUNS = 60
LAST = f"w{RUNS - 1:02}"

go = aion.Signal("go", int)


@aion.workflow
async def sleeping(number: int) -> int:
    await aion.sleep(60)
    return number


@aion.workflow
async def dozing(number: int) -> int:
    await aion.sleep(60)
    await aion.sleep(60)
    return number


@aion.workflow
async def waiting(number: int) -> int:
    return number + await go.receive()


class Steps:
    """An activity that hangs in the first engine, and works in the next."""

    def __init__(self) -> None:
        self.hangs = True
        self.begun: list[str] = []

        @aion.activity
        async def work(number: int) -> int:
            self.begun.append(aion.activity_info().workflow_id)
            if self.hangs:
                await trio.sleep_forever()
            return number

        @aion.workflow
        async def working(number: int) -> int:
            return await work(number)

        self.workflow = working


class ReluctantStore(FaultyStore):
    """Does not hand a history out before it is let.

    Attributes:
        last: whose history it keeps back; None for nobody's.
        released: set when it may be read.
        questions: how often it was asked which timers are due.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last: str | None = None
        self.released = trio.Event()
        self.reached = trio.Event()
        self.questions = 0

    async def read_history_from(
        self, workflow_id: WorkflowId, seq: int, limit: int | None = None
    ) -> Sequence[e.HistoryEvent]:
        if workflow_id == self.last:
            self.reached.set()
            await self.released.wait()
        return await super().read_history_from(workflow_id, seq, limit)

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        self.questions += 1
        return await super().expired_timers(as_of, starts=starts)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.store = ReluctantStore()
    return bench


def reluctant(bench: Bench) -> ReluctantStore:
    assert isinstance(bench.store, ReluctantStore)
    return bench.store


def ids() -> list[str]:
    return [f"w{number:02}" for number in range(RUNS)]


async def start_all(bench: Bench, workflow: aion.Workflow[[int], int]) -> None:
    async with bench.engine(workflow) as engine:
        for number, workflow_id in enumerate(ids()):
            await engine.start(workflow, number, workflow_id=workflow_id)
        await wait_all_tasks_blocked()


async def send_all(bench: Bench) -> None:
    """From another process: rows of the store."""
    payload = PayloadConverter().encode(1, int)
    for workflow_id in ids():
        arrival = SignalSentToRun(name="go", payload=payload, signal_id="s")
        message = signal_message(WorkflowId(workflow_id), arrival, bench.clock.now())
        await bench.store.inner.post(message)


async def closed(bench: Bench) -> set[str]:
    return {
        workflow_id
        for workflow_id in ids()
        if (summary := await bench.store.inner.read_summary(WorkflowId(workflow_id))) is not None
        and summary.status.is_closed
    }


@asynccontextmanager
async def opening(
    bench: Bench, *workflows: aion.Workflow[[int], int]
) -> AsyncIterator[list[aion.Engine]]:
    """An engine that is being opened; the list has it once that is done."""
    opened: list[aion.Engine] = []

    async def open_and_stay() -> None:
        async with bench.engine(*workflows) as engine:
            opened.append(engine)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_and_stay)
        yield opened
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("due", ["attempts", "timers", "messages"])
async def test_the_first_runs_end_while_the_last_one_is_still_read(bench: Bench, due: str) -> None:
    steps = Steps()
    workflow = {"attempts": steps.workflow, "timers": sleeping, "messages": waiting}[due]
    await start_all(bench, workflow)
    steps.hangs = False
    if due == "messages":
        await send_all(bench)
    bench.clock.jump(60)
    store = reluctant(bench)
    store.last = LAST
    async with opening(bench, workflow) as opened:
        await store.reached.wait()
        await wait_all_tasks_blocked()
        assert not opened
        assert await closed(bench) == set(ids()) - {LAST}
        store.released.set()
        await wait_all_tasks_blocked()
        (engine,) = opened
        assert engine.recovery_report.resumed == tuple(ids())
        assert await closed(bench) == set(ids())


async def test_what_falls_due_in_the_meantime_is_not_put_off(bench: Bench) -> None:
    """A run that is back sleeps on, and its next timer rings, before the last one is back."""
    await start_all(bench, dozing)
    bench.clock.jump(60)
    store = reluctant(bench)
    store.last = LAST
    async with opening(bench, dozing) as opened:
        await store.reached.wait()
        await wait_all_tasks_blocked()
        await bench.advance(60)
        assert not opened
        assert await closed(bench) == set(ids()) - {LAST}
        store.released.set()


async def test_opening_does_not_wait_for_runs_that_are_loaded_again_and_again(
    bench: Bench,
) -> None:
    """Those that go on have no room in memory, so each thing that happens to one loads it."""
    hangs = True

    @aion.activity
    async def turn() -> None:
        if hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()

    @aion.workflow
    async def turning(number: int) -> int:
        while True:
            await turn()

    await start_all(bench, turning)
    hangs = False
    with trio.fail_after(30):
        async with bench.engine(turning, resident_bytes=0) as engine:
            assert len(engine.recovery_report.resumed) == RUNS


@pytest.mark.parametrize("resident_bytes", [0, 2**20])
async def test_timers_that_are_due_together_are_asked_for_a_few_times_only(
    bench: Bench, resident_bytes: int
) -> None:
    """Each one that was handed over again, whenever another was fired, made ten thousand of them
    take minutes and gigabytes.
    """
    async with bench.engine(sleeping, resident_bytes=resident_bytes) as engine:
        for number, workflow_id in enumerate(ids()):
            await engine.start(sleeping, number, workflow_id=workflow_id)
        await wait_all_tasks_blocked()
        store = reluctant(bench)
        store.questions = 0
        await bench.advance(60)
        assert await closed(bench) == set(ids())
        assert store.questions <= 3
    for workflow_id in ids():
        assert (await bench.kinds(workflow_id)).count(e.TimerFired) == 1


async def test_timers_that_are_due_together_fire_in_order_in_each_run(bench: Bench) -> None:
    @aion.workflow
    async def several(number: int) -> list[float]:
        order: list[float] = []

        async def after(seconds: float) -> None:
            await aion.sleep(seconds)
            order.append(seconds)

        async with aion.open_nursery() as nursery:
            for seconds in (30.0, 10.0, 20.0):
                nursery.start_soon(after, seconds)
        return order

    async with bench.engine(several) as engine:
        await engine.start(several, 0, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.clock.jump(60)
    async with bench.engine(several) as engine:
        assert await engine.get("w").result() == [10.0, 20.0, 30.0]


async def test_a_due_timer_whose_commit_fails_fires_all_the_same(bench: Bench) -> None:
    await start_all(bench, sleeping)
    bench.store.refuse(e.TimerFired, times=3)
    async with bench.engine(sleeping) as engine:
        await bench.advance(60)
        for _ in range(8):
            await bench.advance(1)
        assert await closed(bench) == set(ids())
        assert await engine.get(LAST).result() == RUNS - 1


async def test_parked_runs_are_neither_read_nor_kept(bench: Bench) -> None:
    await start_all(bench, sleeping)
    await start_one_waiting(bench)
    bench.store.reads.clear()
    async with bench.engine(sleeping, waiting) as engine:
        assert engine.recovery_report.parked == RUNS + 1
        assert engine.recovery_report.resumed == ()
        assert bench.store.reads == []
        assert len(residents_of(engine)) == 0


async def start_one_waiting(bench: Bench) -> None:
    async with bench.engine(waiting, sleeping) as engine:
        await engine.start(waiting, 0, workflow_id="waiting")


def residents_of(engine: aion.Engine) -> Residents:
    return engine._dispatcher._residents


async def test_runs_that_do_not_fit_into_memory_are_recovered_one_after_the_other(
    bench: Bench,
) -> None:
    await start_all(bench, dozing)
    bench.clock.jump(60)
    async with bench.engine(dozing, resident_bytes=0) as engine:
        await wait_all_tasks_blocked()
        assert len(engine.recovery_report.resumed) == RUNS
        assert len(residents_of(engine)) == 0
        await bench.advance(60)
        assert await closed(bench) == set(ids())


async def test_what_is_wrong_with_one_run_is_in_the_report_and_stops_no_other(
    bench: Bench,
) -> None:
    await start_all(bench, sleeping)
    bench.clock.jump(60)
    bench.store.unreadable.append(StoreUnavailableError("the disk is on fire"))
    async with bench.engine(sleeping) as engine:
        failed = [
            run
            for run in engine.recovery_report.runs
            if isinstance(run.outcome, Failed) and isinstance(run.outcome.error, StoreError)
        ]
        assert len(failed) == 1
        others = [run for run in engine.recovery_report.runs if isinstance(run.outcome, Resumed)]
        assert len(others) == RUNS - 1
        await bench.advance(1)
        assert await closed(bench) == set(ids())


async def test_an_opening_engine_that_is_told_to_stop_does_not_load_the_rest(
    bench: Bench,
) -> None:
    await start_all(bench, sleeping)
    bench.clock.jump(60)
    store = reluctant(bench)
    store.last = "w00"
    async with opening(bench, sleeping):
        await store.reached.wait()
    # The nursery has left the engine although a history cannot be had: nothing is lost by that.
    assert not store.released.is_set()
    store.released.set()
    async with bench.engine(sleeping):
        await wait_all_tasks_blocked()
        assert await closed(bench) == set(ids())
