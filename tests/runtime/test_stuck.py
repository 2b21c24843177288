"""Runs whose code does not fit: held as they are, with all that arrives, until fitting code comes.

One bad deploy must not fail the open runs; rolling it back brings them back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import (
    Append,
    EventStore,
    RecoveryDriver,
    RecoveryPlan,
    RunFilter,
    StoreWriter,
)
from aion_core.ids import WorkflowId
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store
from tests.runtime.conftest import Bench, Fault
from tests.runtime.faults import FaultyStore

RUNS = 200

go = aion.Signal("go", int)

Opener = Callable[[], AbstractAsyncContextManager[EventStore]]


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    memory = MemoryStore()

    @asynccontextmanager
    async def opened() -> AsyncIterator[EventStore]:
        yield memory

    return opened if request.param == "memory" else lambda: open_store(f"sqlite:///{tmp_path}/s.db")


@aion.activity
async def one() -> int:
    return 1


@aion.activity
async def two() -> int:
    return 2


@aion.workflow(name="deployed")
async def good() -> list[int]:
    first = await one()
    second = await two()
    return [first, second, await go.receive()]


@aion.workflow(name="deployed")
async def swapped() -> list[int]:
    second = await two()
    first = await one()
    return [first, second, await go.receive()]


class Breaking:
    """A run that gets stuck by a signal, while the attempt of its activity is under way.

    Attributes:
        mended: the code is all right.
        fails: the attempt fails, and may be made again.
    """

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.let_go = trio.Event()
        self.mended = False
        self.fails = False

        @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
        async def work() -> str:
            self.begun.append(aion.activity_info().attempt)
            await self.let_go.wait()
            if self.fails:
                raise ConnectionError("hung up")
            return "worked"

        async def receive() -> int:
            value = await go.receive()
            if not self.mended:
                raise SystemExit("a defect")
            return value

        @aion.workflow
        async def breaking() -> tuple[str, int]:
            return await aion.gather(work(), receive())

        self.workflow = breaking

    async def break_it(self, engine: aion.Engine) -> None:
        await engine.start(self.workflow, workflow_id="w")
        await wait_all_tasks_blocked()
        await engine.get("w").signal(go, 1)
        with pytest.raises(aion.WorkflowStuckError, match="a defect"):
            await engine.get("w").result()


async def test_a_bad_deploy_that_is_rolled_back_fails_no_open_run(opener: Opener) -> None:
    ids = [f"w{number}" for number in range(RUNS)]
    async with opener() as store:
        async with aion.open_engine(store, workflows=[good]) as engine:
            handles = [await engine.start(good, workflow_id=workflow_id) for workflow_id in ids]
            for handle in handles:
                while (await handle.describe()).events < 5:
                    await trio.lowlevel.checkpoint()
        async with aion.open_engine(store, workflows=[swapped]) as engine:
            for number, workflow_id in enumerate(ids):
                await engine.get(workflow_id).signal(go, number)
            for workflow_id in ids:
                assert (await engine.get(workflow_id).describe()).stuck
        async with aion.open_engine(store, workflows=[good]) as engine:
            assert len(engine.recovery_report.resumed) == RUNS
            for number, workflow_id in enumerate(ids):
                assert await engine.get(workflow_id).result() == [1, 2, number]
        for workflow_id in ids:
            history = await store.read_history(WorkflowId(workflow_id))
            assert e.WorkflowFailed not in {type(event) for event in history}
        assert await store.messages() == []


async def test_a_stuck_run_is_listed_with_its_reason_by_every_process(opener: Opener) -> None:
    async with opener() as store:
        async with aion.open_engine(store, workflows=[good]) as engine:
            await engine.start(good, workflow_id="w")
            while (await engine.get("w").describe()).events < 5:
                await trio.lowlevel.checkpoint()
        async with aion.open_engine(store, workflows=[swapped]) as engine:
            await engine.get("w").signal(go, 1)
        (run,) = (await store.list_runs(RunFilter(stuck=True))).runs
        assert "no longer fits its history" in (run.stuck or "")


async def test_a_run_that_goes_on_is_listed_as_stuck_no_more(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        await engine.get("w").signal(go, 1)
        await wait_all_tasks_blocked()
    assert (await bench.store.list_runs(RunFilter(stuck=True))).runs
    async with bench.engine(good):
        assert not (await bench.store.list_runs(RunFilter(stuck=True))).runs


async def test_a_signal_to_a_stuck_run_is_acknowledged_when_its_message_is_durable(
    bench: Bench,
) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.store.unpostable.append(aion.StoreUnavailableError("the disk is on fire"))
    acknowledged: list[str] = []

    async def send() -> None:
        await engine.get("w").signal(go, 1, signal_id="the one")
        acknowledged.append("sent")

    async with bench.engine(swapped) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert acknowledged == []
        await bench.advance(1)
        assert acknowledged == ["sent"]
    (stored,) = await bench.store.messages()
    assert (stored.message.kind, stored.message.target) == ("signal", "w")


async def test_a_signal_that_cannot_be_kept_is_refused_in_the_end(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.store.unpostable += [aion.StoreError("it cannot be stored")] * 100
    refused: list[str] = []

    async def send() -> None:
        with pytest.raises(aion.StoreError, match="it cannot be stored"):
            await engine.get("w").signal(go, 1)
        refused.append("refused")

    async with bench.engine(swapped) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        for _ in range(10):
            await bench.advance(5)
        assert refused == ["refused"]
    assert await bench.store.messages() == []


async def test_a_run_is_marked_as_stuck_once_the_store_can_take_it(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.store.unmarkable += [aion.StoreUnavailableError("the disk is on fire")] * 3
    async with bench.engine(swapped) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(engine.get("w").signal, go, 1)
        for _ in range(4):
            await bench.advance(5)
    assert (await bench.store.list_runs(RunFilter(stuck=True))).runs


async def test_a_run_goes_on_only_when_it_is_marked_as_stuck_no_more(bench: Bench) -> None:
    """Else every process would go on saying that it is stuck."""
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        await engine.get("w").signal(go, 1)
        await wait_all_tasks_blocked()
    bench.store.unmarkable += [aion.StoreUnavailableError("the disk is on fire")]
    async with bench.engine(good) as engine:
        assert e.WorkflowCompleted not in await bench.kinds("w")
        await bench.advance(1)
        assert await engine.get("w").result() == [1, 2, 1]


async def test_an_engine_that_is_taken_over_while_it_keeps_something_stops(bench: Bench) -> None:
    run = Breaking()
    with pytest.raises(aion.FencedError):
        async with bench.engine(run.workflow) as engine:
            await run.break_it(engine)
            await wait_all_tasks_blocked()
            async with bench.store.inner.writer(takeover=True):
                run.let_go.set()
                await trio.sleep_forever()
    assert [stored.message.kind for stored in await bench.store.messages()] == ["signal"]


async def test_an_engine_that_is_taken_over_does_not_take_a_signal_for_a_stuck_run(
    bench: Bench,
) -> None:
    """The engine that has the run now would not see it."""
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    with pytest.raises(aion.FencedError):
        async with bench.engine(swapped) as engine:
            await engine.get("w").signal(go, 0, signal_id="before")
            async with bench.store.inner.writer(takeover=True):
                with trio.CancelScope(shield=True), pytest.raises(aion.AionError):
                    await engine.get("w").signal(go, 1)
                await trio.sleep_forever()
    assert len(await bench.store.messages()) == 1


async def test_one_signal_id_sent_to_two_stuck_runs_reaches_both(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        for workflow_id in ("v", "w"):
            await engine.start(good, workflow_id=workflow_id)
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        for workflow_id in ("v", "w"):
            await engine.get(workflow_id).signal(go, 1, signal_id="the same")
    async with bench.engine(good) as engine:
        for workflow_id in ("v", "w"):
            assert await engine.get(workflow_id).result() == [1, 2, 1]


async def test_a_signal_that_is_sent_again_to_a_stuck_run_is_received_once(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        for _ in range(2):
            await engine.get("w").signal(go, 1, signal_id="the one")
    async with bench.engine(good) as engine:
        assert await engine.get("w").result() == [1, 2, 1]
    assert (await bench.kinds("w")).count(e.SignalReceived) == 1
    assert await bench.store.messages() == []


async def test_what_was_sent_to_a_stuck_run_enters_history_in_order(bench: Bench) -> None:
    @aion.workflow(name="deployed")
    async def collecting() -> list[int]:
        await one()
        return [await go.receive() for _ in range(3)]

    async with bench.engine(collecting) as engine:
        await engine.start(collecting, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        for number in (3, 1, 2):
            await engine.get("w").signal(go, number)
    async with bench.engine(collecting) as engine:
        assert await engine.get("w").result() == [3, 1, 2]


async def test_the_attempt_of_a_run_that_gets_stuck_ends_and_its_outcome_is_a_message(
    bench: Bench,
) -> None:
    run = Breaking()
    async with bench.engine(run.workflow) as engine:
        await run.break_it(engine)
        run.let_go.set()
        await wait_all_tasks_blocked()
        kinds = [stored.message.kind for stored in await bench.store.messages()]
        assert kinds == ["signal", "outcome"]
    assert await bench.kinds("w") == [e.WorkflowStarted, e.ActivityScheduled]


@pytest.mark.parametrize("store", ["orderly", "crashed"])
async def test_an_attempt_whose_outcome_is_a_message_is_not_made_again(
    bench: Bench, store: str
) -> None:
    """Neither at once, as after an orderly stop, nor as a recorded redelivery."""
    run = Breaking()
    chosen = bench.store if store == "crashed" else bench.store.inner
    async with aion.open_engine(chosen, workflows=[run.workflow]) as engine:
        await run.break_it(engine)
        run.let_go.set()
        await wait_all_tasks_blocked()
    run.mended = True
    async with aion.open_engine(chosen, workflows=[run.workflow]) as engine:
        assert await engine.get("w").result() == ("worked", 1)
    assert run.begun == [1]


async def test_kept_signals_and_outcomes_enter_history_as_they_came(bench: Bench) -> None:
    run = Breaking()
    async with bench.engine(run.workflow) as engine:
        await run.break_it(engine)
        run.let_go.set()
        await wait_all_tasks_blocked()
    run.mended = True
    async with bench.engine(run.workflow) as engine:
        await engine.get("w").result()
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.SignalReceived,
        e.ActivityCompleted,
        e.WorkflowCompleted,
    ]
    assert await bench.store.messages() == []


class DyingStore(FaultyStore):
    """Whoever posts the outcome of an attempt hears nothing any more.

    Args:
        commits: whether the message is durable by then.
    """

    def __init__(self, inner: EventStore, *, commits: bool) -> None:
        super().__init__(inner)
        self.died = trio.Event()
        self._commits = commits

    async def commit(
        self, inner: StoreWriter, appends: Sequence[Append]
    ) -> Sequence[aion.StoreError | None]:
        if any(message.kind == "outcome" for append in appends for message in append.post):
            if self._commits:
                await super().commit(inner, appends)
            self.died.set()
            await trio.sleep_forever()
        return await super().commit(inner, appends)


@pytest.mark.parametrize(("commits", "begun"), [(True, [1]), (False, [1, 1])])
async def test_after_a_crash_only_an_outcome_that_was_not_kept_yet_is_asked_for_again(
    bench: Bench, commits: bool, begun: list[int]
) -> None:
    run = Breaking()
    store = DyingStore(bench.store.inner, commits=commits)
    with trio.CancelScope() as life:
        async with aion.open_engine(store, workflows=[run.workflow], shutdown_grace=0) as engine:
            await run.break_it(engine)
            run.let_go.set()
            await store.died.wait()
            life.cancel()
    run.mended = True
    async with bench.engine(run.workflow) as engine:
        assert await engine.get("w").result() == ("worked", 1)
    assert run.begun == begun
    assert await bench.store.messages() == []


async def test_a_failure_that_was_kept_plans_the_next_attempt(bench: Bench) -> None:
    run = Breaking()
    run.fails = True
    async with bench.engine(run.workflow) as engine:
        await run.break_it(engine)
        run.let_go.set()
        await wait_all_tasks_blocked()
    run.mended, run.fails = True, False
    async with bench.engine(run.workflow) as engine:
        await wait_all_tasks_blocked()
        assert run.begun == [1]
        await bench.advance(60)
        assert await engine.get("w").result() == ("worked", 1)
    assert run.begun == [1, 2]


async def test_no_attempt_of_a_stuck_run_is_begun(bench: Bench) -> None:
    run = Breaking()
    run.fails = True
    run.let_go.set()
    async with bench.engine(run.workflow) as engine:
        await run.break_it(engine)
        assert run.begun == [1]
        await bench.advance(3600)
        assert run.begun == [1]
    async with bench.engine(run.workflow):
        await bench.advance(3600)
        assert run.begun == [1]


async def test_what_arrives_at_a_run_that_is_stuck_again_stays_where_it_is(bench: Bench) -> None:
    run = Breaking()
    async with bench.engine(run.workflow) as engine:
        await run.break_it(engine)
    kept = await bench.store.messages()
    async with bench.engine(run.workflow) as engine:
        await wait_all_tasks_blocked()
        assert (await engine.get("w").describe()).stuck == "SystemExit: a defect"
    assert await bench.store.messages() == kept


async def test_a_message_whose_answer_is_lost_is_taken_once(bench: Bench) -> None:
    run = Breaking()
    async with bench.engine(run.workflow) as engine:
        await run.break_it(engine)
        run.let_go.set()
        await wait_all_tasks_blocked()
    run.mended = True
    bench.store.lose_answer(e.SignalReceived)
    async with bench.engine(run.workflow) as engine:
        await bench.advance(1)
        assert await engine.get("w").result() == ("worked", 1)
        tries = len(bench.store.tries)
        await bench.advance(60)
        assert len(bench.store.tries) == tries
    assert (await bench.kinds("w")).count(e.SignalReceived) == 1


async def test_a_kept_signal_that_history_has_already_is_consumed(bench: Bench) -> None:
    """It was recorded, its answer was lost, and its sender sent it once more."""

    @aion.workflow(name="deployed")
    async def waiting() -> list[int]:
        return [await one(), await two(), await go.receive(), await go.receive()]

    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="v")
        await engine.get("v").signal(go, 1, signal_id="the one")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        await engine.get("v").signal(go, 1, signal_id="the one")
    async with bench.engine(waiting) as engine:
        await wait_all_tasks_blocked()
        assert await bench.store.messages() == []
    assert (await bench.kinds("v")).count(e.SignalReceived) == 1


async def test_a_stuck_run_that_is_started_again_is_taken_as_started(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped) as engine:
        handle = await engine.start(swapped, workflow_id="w")
        assert (await handle.describe()).stuck
    assert (await bench.kinds("w")).count(e.WorkflowStarted) == 1


async def test_a_stuck_run_is_not_started_as_another_workflow(bench: Bench) -> None:
    @aion.workflow
    async def other() -> None: ...

    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(other) as engine:
        with pytest.raises(aion.WorkflowAlreadyStartedError, match="as 'deployed', not 'other'"):
            await engine.start(other, workflow_id="w")


async def test_a_run_of_a_type_that_is_not_there_keeps_its_signals(bench: Bench) -> None:
    @aion.workflow
    async def other() -> None: ...

    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(other) as engine:
        await engine.get("w").signal(go, 3)
    async with bench.engine(good) as engine:
        assert await engine.get("w").result() == [1, 2, 3]


async def test_by_the_opt_in_a_run_that_does_not_fit_fails(bench: Bench) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(swapped, on_nondeterminism="fail") as engine:
        with pytest.raises(aion.WorkflowClosedError):
            await engine.get("w").signal(go, 1)
        with pytest.raises(aion.WorkflowFailedError, match="non-determinism violation"):
            await engine.get("w").result()
    *_, failed = await bench.history("w")
    assert isinstance(failed, e.WorkflowFailed)
    assert failed.error.message.startswith("non-determinism violation")
    assert (await bench.kinds("w")).count(e.WorkflowFailed) == 1


@pytest.mark.parametrize("fault", ["refused", "lost"], indirect=True)
async def test_by_the_opt_in_the_failure_is_recorded_once_whatever_the_store_does(
    bench: Bench, fault: Fault
) -> None:
    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    fault.arm(e.WorkflowFailed)
    async with (
        bench.engine(swapped, on_nondeterminism="fail") as engine,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(fault.heal_when_struck)
        with pytest.raises(aion.WorkflowClosedError):
            await engine.get("w").signal(go, 1)
    assert (await bench.kinds("w")).count(e.WorkflowFailed) == 1


async def test_an_error_in_the_plan_fails_no_run_even_by_the_opt_in(bench: Bench) -> None:
    class Refusing(RecoveryDriver):
        def recovery_plan(
            self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
        ) -> RecoveryPlan:
            raise aion.NonDeterminismError(workflow_id, 1, "this", "that")

    async with bench.engine(good) as engine:
        await engine.start(good, workflow_id="w")
        await wait_all_tasks_blocked()
    options: dict[str, Any] = {"recovery_driver": Refusing(), "on_nondeterminism": "fail"}
    async with bench.engine(good, **options) as engine:
        await engine.get("w").signal(go, 1)
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").result()
    assert e.WorkflowFailed not in await bench.kinds("w")


async def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(aion.ConfigError, match="'hold' or 'fail', not 'skip'"):
        async with aion.open_engine("memory:", on_nondeterminism="skip"):  # type: ignore[arg-type]
            pytest.fail("opened")
