"""Loading: a long history on its way into memory keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import commands as c
from aion_core import events as e
from aion_core.contracts import RecoveryPlan, SeamContext
from aion_core.ids import WorkflowId
from aion_runtime import loading
from aion_runtime.recovery.driver import MachineDriver
from tests.runtime.conftest import Bench
from tests.runtime.test_seams import context_of

go = aion.Signal("go", int)


@aion.workflow
async def total(count: int) -> int:
    return sum([await go.receive() for _ in range(count)])


class Endless(MachineDriver):
    """Its plans for one workflow end only when they may."""

    def __init__(self, context: SeamContext, workflow_id: str) -> None:
        super().__init__(context)
        self._workflow_id = workflow_id
        self.has_begun = trio.Event()
        self.may_end = False

    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
    ) -> RecoveryPlan:
        plan = super().recovery_plan(workflow_id, history)
        if workflow_id != self._workflow_id:
            return plan
        return attrs.evolve(plan, commands=self._prolonged(plan.commands))

    def _prolonged(self, commands: Any) -> Iterator[c.Command]:
        yield from commands
        self.has_begun.set()
        while not self.may_end:
            yield c.Park()


async def test_a_short_history_does_not_wait_for_the_end_of_a_long_one(bench: Bench) -> None:
    async with bench.engine(total) as engine:
        await engine.start(total, 1, workflow_id="long")
        await engine.start(total, 1, workflow_id="short")
    driver = Endless(context_of(total), "long")
    async with bench.engine(total, recovery_driver=driver) as engine:
        engine._dispatcher.wake(WorkflowId("long"))
        await engine.get("short").signal(go, 2)
        assert await engine.get("short").result() == 2
        driver.may_end = True
        await engine.get("long").signal(go, 1)
        assert await engine.get("long").result() == 1


async def test_few_histories_of_several_pages_are_in_memory_at_a_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "EVENTS_PER_PAGE", 2)
    monkeypatch.setattr(loading, "PAGED_AT_ONCE", 1)
    async with bench.engine(total) as engine:
        for name, signals in (("first", 2), ("second", 2), ("short", 0)):
            handle = await engine.start(total, signals + 1, workflow_id=name)
            for _ in range(signals):
                await handle.signal(go, 1)
    driver = Endless(context_of(total), "first")
    ended: list[str] = []
    async with (
        bench.engine(total, recovery_driver=driver) as engine,
        trio.open_nursery() as nursery,
    ):

        async def end(name: str) -> None:
            await engine.get(name).signal(go, 1)
            await engine.get(name).result()
            ended.append(name)

        engine._dispatcher.wake(WorkflowId("first"))
        await driver.has_begun.wait()
        nursery.start_soon(end, "second")
        await end("short")
        # Meanwhile the second would have ended many times over.
        for _ in range(10):
            await (await engine.start(total, 0)).result()
        assert ended == ["short"]
        driver.may_end = True
    assert ended == ["short", "second"]


async def test_who_waits_until_all_are_loaded_waits_for_the_longest(bench: Bench) -> None:
    async with bench.engine(total) as engine:
        for name in ("long", "short"):
            await engine.start(total, 2, workflow_id=name)
    driver = Endless(context_of(total), "long")
    loaded: list[str] = []
    async with (
        bench.engine(total, recovery_driver=driver) as engine,
        trio.open_nursery() as nursery,
    ):
        waker = engine._dispatcher._waker

        async def wait() -> None:
            await waker.loaded()
            loaded.append("all")

        names = [WorkflowId("long"), WorkflowId("short")]
        waker.expect(names)
        for name in names:
            engine._dispatcher.wake(name)
        nursery.start_soon(wait)
        await engine.get("short").signal(go, 2)
        assert loaded == []
        driver.may_end = True
        await wait_all_tasks_blocked()
        assert loaded == ["all"]


async def test_others_get_their_turn_while_a_history_is_read_and_replayed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "LONGEST_SLICE_S", 0)
    events = 2 * loading.EVENTS_PER_PAGE + 100
    async with bench.engine(total) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(total, events, workflow_id="w")
        for _ in range(events - 1):
            nursery.start_soon(handle.signal, go, 1)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with bench.engine(total) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await engine.get("w").signal(go, 1)
        nursery.cancel_scope.cancel()
    # Once for each event that is read, and for each await that is answered.
    assert turns > 2 * events
