"""The races once more, through a real engine: what came in one batch is settled as in the table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from tests.races import table
from tests.runtime.messaging import MailBench

Call = Callable[[], Awaitable[object]]


class Scene:
    """An engine whose next batch is put together while another one is being written.

    Attributes:
        told: what the senders were told, in order.
    """

    def __init__(self) -> None:
        self.bench = MailBench()
        self.told: list[str] = []
        self.finish = trio.Event()
        finish = self.finish

        @aion.activity(name="work", cancel_grace=5)
        async def work() -> str:
            with trio.CancelScope(shield=True):
                await finish.wait()
            return "paid"

        self.work = work

    @asynccontextmanager
    async def running(self, *workflows: aion.Workflow[..., Any]) -> AsyncIterator[aion.Engine]:
        """An engine that leaves however the test does: the activity does not hold it up."""
        async with self.bench.engine(*workflows) as engine:
            try:
                yield engine
            finally:
                self.finish.set()

    async def together(self, engine: aion.Engine, *calls: Call) -> None:
        """Have calls made one after the other, and what they bring taken in one batch."""
        gate = self.bench.store.hold(e.WorkflowStarted)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.start, blocker)
            await gate.reached.wait()
            for call in calls:
                nursery.start_soon(self._make, call)
                await wait_all_tasks_blocked()
            gate.open()
        self.bench.store._gates.clear()
        await wait_all_tasks_blocked()

    async def done(self) -> None:
        """The activity returns."""
        self.finish.set()

    async def time_out(self) -> None:
        """Ten seconds pass."""
        self.bench.clock.jump(10)

    async def _make(self, call: Call) -> None:
        try:
            await call()
        except aion.AionError as error:
            self.told.append(type(error).__name__)


@aion.workflow
async def blocker() -> None:
    pass


@pytest.fixture
def scene() -> Scene:
    return Scene()


def results(scene: Scene) -> tuple[aion.Workflow[[], str], aion.Workflow[[], str]]:
    """A run that charges, and one that gives up after ten seconds."""
    work = scene.work

    @aion.workflow
    async def charging() -> str:
        receipt = await work()
        await aion.checkpoint()
        return receipt

    @aion.workflow
    async def limited() -> str:
        with aion.move_on_after(10):
            return await work()
        return "gave up"

    return charging, limited


@pytest.mark.parametrize("is_result_first", [False, True])
async def test_a_result_in_hand_beats_a_cancel_request(scene: Scene, is_result_first: bool) -> None:
    charging, _ = results(scene)
    async with scene.running(charging, blocker) as engine:
        handle = await engine.start(charging, workflow_id="w")
        await wait_all_tasks_blocked()
        calls: list[Call] = [scene.done, handle.cancel]
        await scene.together(engine, *(calls if is_result_first else reversed(calls)))
        assert await handle.result() == "paid"
    assert scene.told == ["WorkflowClosedError"]


async def test_a_cancel_request_that_came_earlier_beats_the_result(scene: Scene) -> None:
    charging, _ = results(scene)
    async with scene.running(charging) as engine:
        handle = await engine.start(charging, workflow_id="w")
        await wait_all_tasks_blocked()
        await handle.cancel()
        scene.finish.set()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await handle.result()


@pytest.mark.parametrize("is_result_first", [False, True])
async def test_a_result_in_hand_beats_a_deadline(scene: Scene, is_result_first: bool) -> None:
    _, limited = results(scene)
    async with scene.running(limited, blocker) as engine:
        handle = await engine.start(limited, workflow_id="w")
        await wait_all_tasks_blocked()
        calls: list[Call] = [scene.done, scene.time_out]
        await scene.together(engine, *(calls if is_result_first else reversed(calls)))
        assert await handle.result() == "paid"
    assert e.TimerFired not in await scene.bench.kinds("w")


async def test_an_activity_that_swallows_cancellation_is_late_when_it_was_given_up(
    scene: Scene,
) -> None:
    _, limited = results(scene)
    async with scene.running(limited) as engine:
        handle = await engine.start(limited, workflow_id="w")
        await wait_all_tasks_blocked()
        await scene.bench.advance(10)
        await scene.bench.advance(5)
        scene.finish.set()
        assert await handle.result() == "gave up"
        await wait_all_tasks_blocked()
    assert e.ActivityCompleted not in await scene.bench.kinds("w")


@pytest.mark.parametrize("is_signal_first", [False, True])
async def test_a_signal_in_hand_beats_a_deadline(scene: Scene, is_signal_first: bool) -> None:
    async with scene.bench.engine(table.awaiting_approval, blocker) as engine:
        handle = await engine.start(table.awaiting_approval, workflow_id="w")
        calls: list[Call] = [lambda: handle.signal(table.go, 7), scene.time_out]
        await scene.together(engine, *(calls if is_signal_first else reversed(calls)))
        assert await handle.result() == "approved 7"
    assert scene.told == []


async def test_a_signal_after_the_deadline_is_refused_and_not_lost(scene: Scene) -> None:
    async with scene.bench.engine(table.awaiting_approval) as engine:
        handle = await engine.start(table.awaiting_approval, workflow_id="w")
        await scene.bench.advance(10)
        with pytest.raises(aion.WorkflowClosedError):
            await handle.signal(table.go, 7)
        assert await handle.result() == "late"


async def test_a_child_that_completes_beats_a_cancel_request(scene: Scene) -> None:
    @aion.workflow
    async def child() -> int:
        return await table.go.receive()

    @aion.workflow
    async def parent() -> int:
        result = await child.options(workflow_id="child")()
        await aion.checkpoint()
        return result

    async with scene.bench.engine(parent) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(parent, workflow_id="w")
        await wait_all_tasks_blocked()
        gate = scene.bench.store.hold(e.WorkflowCompleted)
        nursery.start_soon(engine.get("child").signal, table.go, 1)
        await gate.reached.wait()
        # Both are in the mailbox of the parent when it takes its next step.
        nursery.start_soon(scene._make, handle.cancel)
        await wait_all_tasks_blocked()
        gate.open()
        assert await handle.result() == 1
    assert scene.told == ["WorkflowClosedError"]


async def test_a_cancel_request_reaches_the_child_before_it_completes(scene: Scene) -> None:
    @aion.workflow
    async def child() -> int:
        return await table.go.receive()

    @aion.workflow
    async def parent() -> int:
        result = await child.options(workflow_id="child")()
        await aion.checkpoint()
        return result

    async with scene.bench.engine(parent, blocker) as engine:
        handle = await engine.start(parent, workflow_id="w")
        await wait_all_tasks_blocked()
        signalled = engine.get("child")
        await scene.together(engine, handle.cancel, lambda: signalled.signal(table.go, 1))
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await handle.result()
    # It had its result before the request of its parent came.
    assert await scene.bench.status("child") == "Completed"


@pytest.mark.parametrize("is_signal_first", [False, True])
async def test_one_signal_goes_to_one_receiver(scene: Scene, is_signal_first: bool) -> None:
    async with scene.bench.engine(table.two_receivers, blocker) as engine:
        handle = await engine.start(table.two_receivers, workflow_id="w")
        calls: list[Call] = [lambda: handle.signal(table.go, 7), scene.time_out]
        await scene.together(engine, *(calls if is_signal_first else reversed(calls)))
        await scene.bench.advance(10)
        assert await handle.result() == ["first got 7"]


@pytest.mark.parametrize("is_restart_first", [False, True])
async def test_a_timer_that_was_restarted_does_not_fire_for_its_first_start(
    scene: Scene, is_restart_first: bool
) -> None:
    async with scene.bench.engine(table.restarting, blocker) as engine:
        handle = await engine.start(table.restarting, workflow_id="w")
        calls: list[Call] = [lambda: handle.signal(table.go, 7), scene.time_out]
        await scene.together(engine, *(calls if is_restart_first else reversed(calls)))
        assert not (await handle.describe()).status.is_closed
        # Counted from the instant at which the restart was recorded.
        await scene.bench.advance(20)
        assert (await handle.result()).startswith("had fired: False")
    assert (await scene.bench.kinds("w")).count(e.TimerFired) == 1


@pytest.mark.parametrize("is_update_first", [False, True])
async def test_an_update_counts_if_it_came_before_the_return(
    scene: Scene, is_update_first: bool
) -> None:
    async with scene.bench.engine(table.updated, blocker) as engine:
        handle = await engine.start(table.updated, workflow_id="w")
        calls: list[Call] = [
            lambda: handle.update(table.add, 5),
            lambda: handle.signal(table.go, 1),
        ]
        await scene.together(engine, *(calls if is_update_first else reversed(calls)))
        assert await handle.result() == (5 if is_update_first else 0)
    assert scene.told == ([] if is_update_first else ["WorkflowClosedError"])


async def test_a_second_cancel_request_is_acknowledged(scene: Scene) -> None:
    async with scene.bench.engine(table.tidying, blocker) as engine:
        handle = await engine.start(table.tidying, workflow_id="w")
        await scene.together(engine, lambda: handle.cancel("one"), lambda: handle.cancel("two"))
        await handle.signal(table.go, 1)
        assert await handle.result() == "tidied up"
    assert scene.told == []
    assert (await scene.bench.kinds("w")).count(e.WorkflowCancelRequested) == 1


@pytest.mark.parametrize("is_result_first", [False, True])
async def test_a_signal_with_the_end_is_told_the_truth(scene: Scene, is_result_first: bool) -> None:
    charging, _ = results(scene)
    async with scene.running(charging, blocker) as engine:
        handle = await engine.start(charging, workflow_id="w")
        await wait_all_tasks_blocked()
        calls: list[Call] = [scene.done, lambda: handle.signal(table.go, 1)]
        await scene.together(engine, *(calls if is_result_first else reversed(calls)))
        assert await handle.result() == "paid"
    received = (await scene.bench.kinds("w")).count(e.SignalReceived)
    assert (received, scene.told) == ((0, ["WorkflowClosedError"]) if is_result_first else (1, []))


async def test_a_signal_of_another_run_before_the_start_is_taken_right_after_it(
    scene: Scene,
) -> None:
    @aion.workflow
    async def sending() -> None:
        await table.go.send("w", 7)

    async with scene.bench.engine(table.waiting, sending, blocker) as engine:
        await (await engine.start(sending)).result()
        await scene.together(engine, lambda: engine.start(table.waiting, workflow_id="w"))
        assert await engine.get("w").result() == 7
    assert (await scene.bench.kinds("w"))[:2] == [e.WorkflowStarted, e.SignalReceived]


@pytest.mark.parametrize("is_result_first", [False, True])
async def test_termination_is_judged_first(scene: Scene, is_result_first: bool) -> None:
    charging, _ = results(scene)
    async with scene.running(charging, blocker) as engine:
        handle = await engine.start(charging, workflow_id="w")
        await wait_all_tasks_blocked()
        calls: list[Call] = [scene.done, handle.terminate]
        await scene.together(engine, *(calls if is_result_first else reversed(calls)))
        with pytest.raises(aion.WorkflowFailedError, match="Terminated"):
            await handle.result()
    assert scene.told == []


async def test_a_clock_that_steps_back_an_hour_takes_no_deadline_back(scene: Scene) -> None:
    @aion.workflow
    async def timing() -> list[Any]:
        before = aion.now()
        value = await table.go.receive()
        between = aion.now()
        with aion.move_on_after(10):
            await table.go.receive()
        return [value, before <= between, (aion.now() - between).total_seconds()]

    clock = scene.bench.clock
    async with scene.bench.engine(timing) as engine:
        handle = await engine.start(timing, workflow_id="w")
        right = clock.now()
        clock.set_wall_clock(right - timedelta(hours=1))
        await handle.signal(table.go, 7)
        await wait_all_tasks_blocked()
        await scene.bench.advance(3600)
        assert not (await handle.describe()).status.is_closed
        await scene.bench.advance(10)
        assert await handle.result() == [7, True, 10.0]
    times = [event.recorded_at for event in await scene.bench.history("w")]
    assert times == sorted(times)
