"""Leaving an engine: what runs is finished and recorded, what is left is released, nothing is lost.

``tests/crash/test_stopping.py`` has the same with real signals, ``test_opening`` what comes out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import EngineView
from aion_core.errors import StoreUnavailableError
from aion_core.hookspecs import hookimpl
from aion_core.plugins import PluginManager
from aion_store_memory.store import MemoryStore
from tests.runtime.conftest import Bench

GRACE_S = 60.0
"""No test waits it out."""

go = aion.Signal("go", int)


class Work:
    """Activities that end when they are let go, and workflows that call one."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.let_go = trio.Event()
        self.finish = threading.Event()
        self.failing = False

        @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
        async def work() -> str:
            self.begun.append(aion.activity_info().attempt)
            await self.let_go.wait()
            if self.failing:
                raise ConnectionError("hung up")
            return "worked"

        @aion.activity
        def work_in_a_thread() -> str:
            self.begun.append(aion.activity_info().attempt)
            self.finish.wait()
            return "worked"

        @aion.activity
        async def endless() -> None:
            self.begun.append(aion.activity_info().attempt)
            await trio.sleep_forever()

        @aion.workflow
        async def working() -> str:
            return await work()

        @aion.workflow
        async def working_in_a_thread() -> str:
            return await work_in_a_thread()

        @aion.workflow
        async def working_for_ever() -> None:
            await endless()

        self.working = working
        self.working_in_a_thread = working_in_a_thread
        self.working_for_ever = working_for_ever

    def end(self) -> None:
        self.let_go.set()
        self.finish.set()


@pytest.mark.parametrize("name", ["working", "working_in_a_thread"])
async def test_an_outcome_that_comes_in_the_grace_period_is_recorded_and_not_made_again(
    bench: Bench, name: str
) -> None:
    work = Work()
    workflow: aion.Workflow[[], str] = getattr(work, name)
    async with trio.open_nursery() as nursery:
        async with bench.engine(workflow, shutdown_grace=GRACE_S) as engine:
            await engine.start(workflow, workflow_id="w")
            await wait_all_tasks_blocked()
            nursery.start_soon(after_the_body, work.end)
        assert await bench.kinds("w") == [
            e.WorkflowStarted,
            e.ActivityScheduled,
            e.ActivityCompleted,
            e.WorkflowCompleted,
        ]
    async with bench.engine(workflow) as engine:
        assert await engine.get("w").result() == "worked"
    assert work.begun == [1]


async def after_the_body(action: Callable[[], Any]) -> None:
    await wait_all_tasks_blocked()
    action()


async def test_a_failure_that_comes_in_the_grace_period_is_retried_at_its_time_by_the_next(
    bench: Bench,
) -> None:
    work = Work()
    work.failing = True
    async with trio.open_nursery() as nursery:
        async with bench.engine(work.working, shutdown_grace=GRACE_S) as engine:
            await engine.start(work.working, workflow_id="w")
            await wait_all_tasks_blocked()
            nursery.start_soon(after_the_body, work.end)
        assert (await bench.kinds("w"))[-1] is e.ActivityFailed
    work.failing = False
    async with bench.engine(work.working) as engine:
        await bench.advance(59)
        assert work.begun == [1]
        await bench.advance(1)
        assert await engine.get("w").result() == "worked"
    assert work.begun == [1, 2]


async def test_what_is_released_is_not_counted(autojump_clock: trio.testing.MockClock) -> None:
    """Neither as an attempt nor as a delivery, however often: no event tells of it."""
    work = Work()
    store = MemoryStore()  # which knows that nothing crashed
    for _ in range(7):
        async with aion.open_engine(
            store, workflows=[work.working_for_ever], shutdown_grace=1
        ) as engine:
            await engine.start(work.working_for_ever, workflow_id="w")
            await wait_all_tasks_blocked()
    history = await store.read_history("w")  # type: ignore[arg-type]
    assert [type(event) for event in history] == [e.WorkflowStarted, e.ActivityScheduled]
    assert work.begun == [1] * 7


async def test_a_child_that_is_due_to_start_when_the_engine_stops_starts_in_the_next(
    bench: Bench,
) -> None:
    work = Work()

    @aion.activity
    async def first() -> None:
        await work.let_go.wait()

    @aion.workflow
    async def child() -> str:
        return "child"

    @aion.workflow
    async def parent() -> str:
        await first()
        return await child()

    async with (
        trio.open_nursery() as nursery,
        bench.engine(parent, child, shutdown_grace=GRACE_S) as engine,
    ):
        await engine.start(parent, workflow_id="w")
        await wait_all_tasks_blocked()
        nursery.start_soon(after_the_body, work.end)
    async with bench.engine(parent, child) as engine:
        assert await engine.get("w").result() == "child"
    assert (await bench.kinds("w")).count(e.ChildWorkflowStarted) == 1


async def test_an_outcome_that_the_store_refuses_is_tried_again_within_the_grace_period(
    bench: Bench,
) -> None:
    work = Work()

    async def end_and_wait() -> None:
        await wait_all_tasks_blocked()
        bench.store.refuse(e.ActivityCompleted, times=2)
        work.end()
        for _ in range(3):
            await bench.advance(1)

    async with trio.open_nursery() as nursery:
        async with bench.engine(work.working, shutdown_grace=GRACE_S) as engine:
            await engine.start(work.working, workflow_id="w")
            await wait_all_tasks_blocked()
            nursery.start_soon(end_and_wait)
        assert (await bench.kinds("w"))[-1] is e.WorkflowCompleted


@pytest.mark.parametrize("waits_for", ["its history", "another try"])
async def test_leaving_does_not_wait_for_what_is_not_lost(bench: Bench, waits_for: str) -> None:
    """A due timer is a row of the store: the next engine finds it. Time does not pass here, so
    waiting for another try would take the whole grace period.
    """

    @aion.workflow
    async def sleeping() -> None:
        await aion.sleep(60)

    async with bench.engine(sleeping) as engine:
        await engine.start(sleeping, workflow_id="w")
        await wait_all_tasks_blocked()
    bench.clock.jump(60)
    if waits_for == "another try":
        bench.store.refuse(e.TimerFired)
    else:
        bench.store.unreadable.append(StoreUnavailableError("the disk is on fire"))
    with trio.fail_after(5):
        async with bench.engine(sleeping, shutdown_grace=GRACE_S):
            await wait_all_tasks_blocked()
            assert e.TimerFired not in await bench.kinds("w")
    async with bench.engine(sleeping) as engine:
        await engine.get("w").result()


async def test_a_signal_whose_sender_waits_is_recorded_or_refused(bench: Bench) -> None:
    @aion.workflow
    async def waiting() -> int:
        return await go.receive()

    told: list[str] = []

    async def send(engine: aion.Engine) -> None:
        try:
            await engine.get("w").signal(go, 1)
        except aion.EngineStoppedError:
            told.append("refused")
        else:
            told.append("recorded")

    gate = bench.store.hold(e.SignalReceived)
    async with (
        trio.open_nursery() as nursery,
        bench.engine(waiting, shutdown_grace=GRACE_S) as engine,
    ):
        await engine.start(waiting, workflow_id="w")
        nursery.start_soon(send, engine)
        await gate.reached.wait()
        nursery.start_soon(after_the_body, gate.open)
    assert told == ["recorded"]
    assert (await bench.kinds("w"))[-1] is e.WorkflowCompleted


class Watching:
    """A plugin that writes down what it is told, and whether the store still answers."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    @hookimpl
    def aion_engine_starting(self, engine: EngineView) -> None:
        self._said.append("starting")

    @hookimpl
    def aion_engine_stopped(self, engine: EngineView) -> None:
        self._said.append("stopped")


async def test_the_order_is_attempts_then_plugins_then_the_store(bench: Bench) -> None:
    said: list[str] = []
    work = Work()
    plugins = PluginManager.installed(disabled=())
    plugins.register(Watching(said), name="watching")
    inner = bench.store.writer

    class Closing:
        def __init__(self, context: Any) -> None:
            self._context = context

        async def __aenter__(self) -> Any:
            return await self._context.__aenter__()

        async def __aexit__(self, *details: object) -> Any:
            said.append("closed")
            return await self._context.__aexit__(*details)

    bench.store.writer = lambda **options: Closing(inner(**options))  # type: ignore[assignment, method-assign]

    def end() -> None:
        said.append("ended")
        work.end()

    async with (
        trio.open_nursery() as nursery,
        bench.engine(work.working, shutdown_grace=GRACE_S, plugins=plugins) as engine,
    ):
        await engine.start(work.working, workflow_id="w")
        await wait_all_tasks_blocked()
        nursery.start_soon(after_the_body, end)
    assert said == ["starting", "ended", "stopped", "closed"]
    assert (await bench.kinds("w"))[-1] is e.WorkflowCompleted
