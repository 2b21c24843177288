"""A test engine that is killed: what is durable goes on, and nothing else is left."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import Append, StoreWriter
from aion_core.errors import StoreError
from aion_runtime.testing import test_engine
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter
from aion_store_memory.store import MemoryStore

approval = aion.Signal("approval", str)


@aion.workflow
async def approved() -> str:
    return await approval.receive()


@aion.workflow
async def sleeper(seconds: float) -> str:
    await aion.sleep(seconds)
    return "slept"


async def test_a_handle_from_before_the_crash_goes_on(store: str | Path) -> None:
    async with test_engine(store, workflows=[approved]) as engine:
        run = await engine.start(approved)
        await engine.crash()
        await run.signal(approval, "yes")
        assert await run.result() == "yes"


async def test_who_waits_for_a_result_waits_on(store: str | Path) -> None:
    results: list[str] = []

    async with (
        test_engine(store, workflows=[approved]) as engine,
        trio.open_nursery() as nursery,
    ):
        run = await engine.start(approved)

        async def wait() -> None:
            results.append(await run.result())

        nursery.start_soon(wait)
        await wait_all_tasks_blocked(0.01)
        await engine.crash()
        await engine.crash()
        await run.signal(approval, "yes")
    assert results == ["yes"]


async def test_timers_and_time_go_on(store: str | Path) -> None:
    async with test_engine(store, workflows=[sleeper]) as engine:
        began = engine.clock.now()
        run = await engine.start(sleeper, 60.0)
        await engine.clock.advance(20)
        await engine.crash()
        assert await run.result() == "slept"
        assert (engine.clock.now() - began).total_seconds() == 60


async def test_the_outcome_of_an_attempt_that_ran_is_lost(store: str | Path) -> None:
    attempts: list[int] = []
    began = [trio.Event(), trio.Event()]

    @aion.activity
    async def charge() -> str:
        attempts.append(aion.activity_info().attempt)
        began[len(attempts) - 1].set()
        try:
            if len(attempts) == 1:
                await trio.sleep_forever()
        except trio.Cancelled:
            return "from before the crash"
        return "after it"

    @aion.workflow
    async def buyer() -> str:
        return await charge()

    async with test_engine(store, workflows=[buyer]) as engine:
        run = await engine.start(buyer)
        await began[0].wait()
        await engine.crash()
        assert await run.result() == "after it"
        kinds = [type(event) for event in await run.history()]
    assert attempts == [1, 1]
    assert kinds == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityStarted,  # the delivery after a crash is recorded before it begins
        e.ActivityCompleted,
        e.WorkflowCompleted,
    ]


async def test_a_thread_is_left_behind(store: str | Path) -> None:
    may_end = threading.Event()
    ended = threading.Event()
    began: list[str] = []

    @aion.activity
    def charge() -> str:
        began.append(threading.current_thread().name)
        if len(began) == 1:
            assert may_end.wait(10)
            ended.set()
            return "from before the crash"
        return "after it"

    @aion.workflow
    async def buyer() -> str:
        return await charge()

    async with test_engine(store, workflows=[buyer]) as engine:
        run = await engine.start(buyer)
        while not began:
            await trio.to_thread.run_sync(int)
        await engine.crash()
        assert await run.result() == "after it"
        may_end.set()
        assert await trio.to_thread.run_sync(ended.wait, 10)
        assert await run.result() == "after it"


class _HeldStore(WrappedStore):
    """Its first append takes for ever: before anything is written, or after."""

    def __init__(self, *, before: bool) -> None:
        super().__init__(MemoryStore())
        self.before = before
        self.reached = trio.Event()

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        return _HeldWriter(self, writer)


class _HeldWriter(WrappedWriter):
    def __init__(self, store: _HeldStore, inner: StoreWriter) -> None:
        super().__init__(store, inner)
        self._store = store

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        is_first = not self._store.reached.is_set()
        if is_first and self._store.before:
            self._store.reached.set()
            await trio.sleep_forever()
        refusals = await super().append_many(appends)
        if is_first:
            self._store.reached.set()
            await trio.sleep_forever()
        return refusals


@pytest.mark.parametrize("before", [True, False])
async def test_a_call_whose_append_the_crash_cuts_off_is_made_again(*, before: bool) -> None:
    store = _HeldStore(before=before)
    started: list[aion.WorkflowHandle[str]] = []

    async with test_engine(store, workflows=[approved]) as engine:
        async with trio.open_nursery() as nursery:

            async def start() -> None:
                started.append(await engine.start(approved))

            nursery.start_soon(start)
            await store.reached.wait()
            assert len(await store.inner.list_workflow_ids()) == (0 if before else 1)
            await engine.crash()
        (run,) = started
        await run.signal(approval, "yes")
        assert await run.result() == "yes"
        kinds = [type(event) for event in await run.history()]
    assert kinds == [e.WorkflowStarted, e.SignalReceived, e.WorkflowCompleted]
    assert len(await store.inner.list_workflow_ids()) == 1


async def test_a_call_made_while_the_engine_is_opened_again_waits_for_it(
    store: str | Path,
) -> None:
    async with test_engine(store, workflows=[approved]) as engine:
        run = await engine.start(approved)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.crash)
            nursery.start_soon(run.signal, approval, "yes")
            nursery.start_soon(run.describe)
            nursery.start_soon(run.history)
        assert await run.result() == "yes"
        assert sum(isinstance(event, e.SignalReceived) for event in await run.history()) == 1


async def test_a_crash_comes_from_inside_an_activity(store: str | Path) -> None:
    crashes = [1, 1]

    @aion.activity
    async def fatal() -> str:
        if crashes:
            crashes.pop()
            await engine.crash()
        return "survived"

    @aion.workflow
    async def endangered() -> str:
        return await fatal()

    async with test_engine(store, workflows=[endangered]) as engine:
        assert await (await engine.start(endangered)).result() == "survived"
        assert crashes == []


async def test_only_the_writer_after_a_crash_says_so() -> None:
    attempts: list[int] = []

    @aion.activity
    async def endless() -> None:
        attempts.append(1)
        await trio.sleep_forever()

    @aion.workflow
    async def waiting() -> None:
        await endless()

    store = MemoryStore()
    async with test_engine(store, workflows=[waiting]) as engine:
        run = await engine.start(waiting)
        await wait_all_tasks_blocked()
    async with test_engine(store, workflows=[waiting]) as engine:
        await wait_all_tasks_blocked()
        run = engine.get(run.workflow_id)
        assert [type(event) for event in await run.history()] == [
            e.WorkflowStarted,
            e.ActivityScheduled,
        ]
        await engine.crash()
        await wait_all_tasks_blocked()
        assert [type(event) for event in await run.history()][2:] == [e.ActivityStarted]
    assert len(attempts) == 3


async def test_the_store_of_a_file_is_really_closed_and_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    async with test_engine(file, workflows=[approved]) as engine:
        run = await engine.start(approved)
        stores = [engine._store.inner]  # type: ignore[attr-defined]
        await engine.crash()
        stores.append(engine._store.inner)  # type: ignore[attr-defined]
        await run.signal(approval, "yes")
        assert await run.result() == "yes"
    assert stores[0] is not stores[1]
    async with aion.open_engine(f"sqlite:///{file}", workflows=[approved]) as later:
        assert await later.get(run.workflow_id).result() == "yes"


async def test_a_store_that_cannot_be_opened_again_ends_the_test(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with pytest.raises(aion.StoreUnavailableError):
        async with test_engine(file, workflows=[approved]) as engine:
            run = await engine.start(approved)
            for each in tmp_path.iterdir():  # noqa: ASYNC240
                each.unlink()
            file.mkdir()
            await engine.crash()
    with pytest.raises(aion.EngineStoppedError):
        await run.result()
