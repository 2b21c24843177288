"""How often an attempt is handed out: what counts as a delivery, and who pays for a crash."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import EventStore
from aion_core.ids import ActivityId, WorkflowId
from aion_store_memory.store import MemoryStore
from tests.runtime.conftest import Bench


class Hanging:
    """Three activities at a time that hang until they are let go.

    Attributes:
        begun: names, in order of their beginning.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.let_go = {name: trio.Event() for name in "abc"}

        @aion.activity
        async def hang(name: str) -> str:
            self.begun.append(name)
            await self.let_go[name].wait()
            return name

        @aion.workflow
        async def all_three() -> list[str]:
            return list(await aion.gather(hang("a"), hang("b"), hang("c")))

        @aion.workflow
        async def with_deadline() -> list[str]:
            with aion.move_on_after(10):
                return list(await aion.gather(hang("a"), hang("b"), hang("c")))
            return ["late"]

        self.hang = hang
        self.all_three = all_three
        self.with_deadline = with_deadline

    def take_begun(self) -> str:
        begun, self.begun = self.begun, []
        return "".join(sorted(begun))


async def test_what_was_released_in_order_is_not_counted() -> None:
    """However often the program is restarted, that is no reason to give an activity up."""
    hanging, store = Hanging(), MemoryStore()
    for _ in range(8):
        async with open_engine(store, hanging.all_three) as engine:
            await engine.start(hanging.all_three, workflow_id="w")
            await wait_all_tasks_blocked()
            assert hanging.take_begun() == "abc"
    kinds = [type(event) for event in await store.read_history(WorkflowId("w"))]
    assert kinds == [e.WorkflowStarted] + [e.ActivityScheduled] * 3


async def test_after_a_crash_the_fifth_delivery_is_made_to_one_at_a_time(bench: Bench) -> None:
    """One of them may be what kills the process; the others must not fail for that."""
    hanging = await after_four_crashes(bench, "all_three")
    async with bench.engine(hanging.all_three) as engine:
        for name in "abc":
            await wait_all_tasks_blocked()
            assert hanging.take_begun() == name
            hanging.let_go[name].set()
        assert await engine.get("w").result() == ["a", "b", "c"]
    delivered = [each for each in await bench.history("w") if isinstance(each, e.ActivityStarted)]
    assert [each.delivery for each in delivered] == [2] * 3 + [3] * 3 + [4] * 3 + [5] * 3


async def test_only_the_one_that_was_tried_has_crashed(bench: Bench) -> None:
    hanging = await after_four_crashes(bench, "all_three")
    async with bench.engine(hanging.all_three):
        await wait_all_tasks_blocked()
        assert hanging.take_begun() == "a"
    hanging.let_go["b"].set()
    hanging.let_go["c"].set()
    async with bench.engine(hanging.all_three):
        await wait_all_tasks_blocked()
        # Its siblings are cancelled by its failure, as anywhere; none of them failed.
        failed = [each for each in await bench.history("w") if isinstance(each, e.ActivityFailed)]
        assert [each.activity_id for each in failed] == [ActivityId("activity:0/0")]
        assert failed[0].error.kind == "crashed"


async def test_a_suspect_that_is_cancelled_keeps_nobody_waiting(bench: Bench) -> None:
    hanging = await after_four_crashes(bench, "with_deadline")
    async with bench.engine(hanging.with_deadline) as engine:
        await wait_all_tasks_blocked()
        assert hanging.take_begun() == "a"
        await bench.advance(10)
        assert await engine.get("w").result() == ["late"]
        assert hanging.take_begun() == ""


async def test_a_suspect_of_another_run_has_its_turn_when_a_run_ends(bench: Bench) -> None:
    hanging, stop = Hanging(), aion.Signal("stop", int)

    @aion.workflow
    async def stoppable() -> str:
        async with aion.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(hanging.hang, name)
            await stop.receive()
            nursery.cancel_scope.cancel()
        return "stopped"

    for _ in range(4):
        async with bench.engine(stoppable) as engine:
            for workflow_id in ("1", "2"):
                await engine.start(stoppable, workflow_id=workflow_id)
            await wait_all_tasks_blocked()
    hanging.take_begun()
    async with bench.engine(stoppable) as engine:
        await wait_all_tasks_blocked()
        assert hanging.take_begun() == "a"
        # Of two runs that are loaded at once, either may come first.
        tried = engine._dispatcher._attempts._tried
        assert tried is not None
        await engine.get(tried[0]).signal(stop, 0)
        assert await engine.get(tried[0]).result() == "stopped"
        await wait_all_tasks_blocked()
        assert hanging.take_begun() == "a"


async def test_a_lost_answer_does_not_deliver_the_next_suspect_twice(bench: Bench) -> None:
    hanging = await after_four_crashes(bench, "all_three")
    async with bench.engine(hanging.all_three) as engine:
        await wait_all_tasks_blocked()
        bench.store.lose_answer(e.ActivityCompleted)
        for event in hanging.let_go.values():
            event.set()
        await wait_all_tasks_blocked()
        await bench.advance(1)
        assert await engine.get("w").result() == ["a", "b", "c"]
    assert hanging.take_begun() == "abc"


async def test_a_suspect_settled_by_an_append_whose_answer_was_lost_keeps_nobody_waiting(
    bench: Bench,
) -> None:
    hanging, stop = Hanging(), aion.Signal("stop", int)

    @aion.workflow
    async def cancels_and_stays() -> None:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(hanging.hang, "a")
            await stop.receive()
            nursery.cancel_scope.cancel()
        await stop.receive()

    @aion.workflow
    async def other() -> str:
        return await hanging.hang("b")

    for _ in range(4):
        async with bench.engine(cancels_and_stays, other) as engine:
            await engine.start(cancels_and_stays, workflow_id="1")
            await engine.start(other, workflow_id="2")
            await wait_all_tasks_blocked()
    hanging.take_begun()
    bench.store.refuse(e.ActivityStarted)
    async with bench.engine(cancels_and_stays, other) as engine, trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        bench.store.lose_answer(e.ActivityCancelled)
        nursery.start_soon(engine.get("1").signal, stop, 1)
        await wait_all_tasks_blocked()
        await bench.advance(10)
        await bench.advance(10)
        assert hanging.take_begun() == "b"


async def test_an_orderly_stop_does_not_spend_the_fifth_delivery(bench: Bench) -> None:
    hanging = await after_four_crashes(bench, "all_three")
    async with bench.engine(hanging.all_three):
        await wait_all_tasks_blocked()
        assert hanging.take_begun() == "a"
    # The real store knows that this one was left in order.
    async with open_engine(bench.store.inner, hanging.all_three) as engine:
        for name in "abc":
            await wait_all_tasks_blocked()
            assert hanging.take_begun() == name
            hanging.let_go[name].set()
        assert await engine.get("w").result() == ["a", "b", "c"]
    delivered = [each for each in await bench.history("w") if isinstance(each, e.ActivityStarted)]
    assert [each.delivery for each in delivered].count(5) == 1


async def after_four_crashes(bench: Bench, workflow: str) -> Hanging:
    hanging = Hanging()
    definition = getattr(hanging, workflow)
    for _ in range(4):
        async with bench.engine(definition) as engine:
            await engine.start(definition, workflow_id="w")
            await wait_all_tasks_blocked()
            assert hanging.take_begun() == "abc"
    return hanging


def open_engine(store: EventStore, *workflows: Any) -> Any:
    return aion.open_engine(store, workflows=workflows, shutdown_grace=0)
