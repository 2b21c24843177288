"""Terminating: a run ends here and now, stuck or not, and everybody concerned is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.errors import StoreError
from aion_core.ids import WorkflowId
from tests.runtime.conftest import Fault
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def defective() -> int:
    await waiting.options(workflow_id="child", on_parent_close="terminate").spawn()
    await go.receive()
    raise SystemExit("a defect")


@aion.workflow
async def watching() -> str:
    handle = await defective.options(workflow_id="w").spawn()
    try:
        return str(await handle.result())
    except aion.ChildWorkflowError as error:
        return error.failure.message


async def stick(engine: aion.Engine) -> aion.WorkflowHandle[int]:
    handle = await engine.start(defective, workflow_id="w")
    await handle.signal(go, 1)
    await settled(engine)
    assert WorkflowId("w") in engine._dispatcher.stuck
    return handle


async def test_an_open_run_ends_at_once(bench: MailBench) -> None:
    cleaned: list[int] = []

    @aion.workflow
    async def tidy() -> int:
        try:
            return await go.receive()
        except BaseException:
            cleaned.append(1)
            raise

    async with bench.engine(tidy) as engine:
        handle = await engine.start(tidy, workflow_id="w")
        await handle.terminate("enough")
        assert await bench.status("w") == "Terminated"
        with pytest.raises(aion.WorkflowFailedError) as caught:
            await handle.result()
        assert (caught.value.failure.type, caught.value.failure.message) == ("Terminated", "enough")
        with pytest.raises(aion.WorkflowClosedError, match="Terminated"):
            await handle.terminate()
        with pytest.raises(aion.WorkflowNotFoundError):
            await engine.get("nobody").terminate()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.WorkflowTerminated]


async def test_who_waits_for_the_result_is_told(bench: MailBench) -> None:
    told = trio.Event()
    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting)

        async def wait() -> None:
            with pytest.raises(aion.WorkflowFailedError, match="Terminated"):
                await handle.result()
            told.set()

        nursery.start_soon(wait)
        await handle.terminate()
        await told.wait()


async def test_activities_of_a_terminated_run_are_stopped() -> None:
    bench, ended = MailBench(), trio.Event()

    @aion.activity
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    @aion.workflow
    async def working() -> None:
        await endless()

    async with bench.engine(working) as engine:
        handle = await engine.start(working, workflow_id="w")
        await wait_all_tasks_blocked()
        await handle.terminate()
        await ended.wait()
    assert (await bench.kinds("w"))[-1] is e.WorkflowTerminated


async def test_termination_is_judged_before_whatever_came_with_it() -> None:
    bench, results = MailBench(), list[str]()
    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting, workflow_id="w")
        gate = bench.store.hold(e.WorkflowStarted)
        nursery.start_soon(engine.start, waiting)
        await gate.reached.wait()

        async def signal() -> None:
            try:
                await handle.signal(go, 1)
            except aion.WorkflowClosedError as error:
                results.append(error.status)

        nursery.start_soon(signal)
        await wait_all_tasks_blocked()
        nursery.start_soon(handle.terminate)
        await wait_all_tasks_blocked()
        gate.open()
    assert results == ["Terminated"]
    assert await bench.kinds("w") == [e.WorkflowStarted, e.WorkflowTerminated]


async def test_a_stuck_run_ends_at_once_with_all_that_follows(bench: MailBench) -> None:
    async with bench.engine(watching) as engine:
        parent = await engine.start(watching)
        await settled(engine)
        await engine.get("w").signal(go, 1)
        await settled(engine)
        await engine.get("w").signal(go, 2)
        await engine.get("w").terminate("it will not work")
        assert await parent.result() == "it will not work"
        await settled(engine)
        assert await bench.status("child") == "Terminated"
        assert engine._dispatcher.stuck == {}
        assert (await engine.describe("w")).stuck is None
        assert len(engine._dispatcher._in_hand) == 0
        with pytest.raises(aion.WorkflowFailedError, match="Terminated"):
            await engine.get("w").result()
    assert await bench.pending() == []


async def test_a_stuck_run_of_an_unknown_type_can_be_terminated(bench: MailBench) -> None:
    async with bench.engine(defective) as engine:
        await engine.start(defective, workflow_id="w")
    async with bench.engine(waiting) as engine:
        await engine.get("w").terminate()
    assert await bench.status("w") == "Terminated"


async def test_activities_of_a_stuck_run_are_stopped_by_its_termination() -> None:
    bench, ended = MailBench(), trio.Event()

    @aion.activity
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    @aion.workflow
    async def working() -> None:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(endless)
            await go.receive()
            raise SystemExit("a defect")

    async with bench.engine(working) as engine:
        handle = await engine.start(working, workflow_id="w")
        await wait_all_tasks_blocked()
        await handle.signal(go, 1)
        await wait_all_tasks_blocked()
        assert not ended.is_set()
        await handle.terminate()
        await ended.wait()
        await settled(engine)
    assert await bench.pending() == []


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
@pytest.mark.parametrize("is_stuck", [False, True])
async def test_whatever_goes_wrong_a_run_is_terminated_once(name: str, is_stuck: bool) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    async with bench.engine(defective) as engine, trio.open_nursery() as nursery:
        if is_stuck:
            handle = await stick(engine)
        else:
            handle = await engine.start(defective, workflow_id="w")
            await settled(engine)
        fault.arm(e.WorkflowTerminated)
        nursery.start_soon(fault.heal_when_struck)
        await handle.terminate("enough")
        await settled(engine)
        assert await bench.status("child") == "Terminated"
        assert engine._dispatcher.stuck == {}
    assert (await bench.kinds("w")).count(e.WorkflowTerminated) == 1
    assert await bench.pending() == []


async def test_a_termination_that_the_store_will_not_take_is_answered_by_its_error() -> None:
    bench = MailBench()
    errors: list[Exception] = []
    async with bench.engine(defective) as engine:
        handle = await stick(engine)
        bench.store.refuse(e.WorkflowTerminated, times=100, error=StoreError("no"))

        async def terminate() -> None:
            try:
                await handle.terminate()
            except StoreError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminate)
            for _ in range(12):
                await bench.advance(5)
        assert len(errors) == 1
        bench.store._refused.clear()
        await handle.terminate()
    assert await bench.status("w") == "Terminated"


async def test_a_run_that_was_ended_by_the_code_in_the_same_moment_stays_as_it_ended() -> None:
    bench = MailBench()
    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting, workflow_id="w")
        gate = bench.store.hold(e.WorkflowCompleted)
        nursery.start_soon(handle.signal, go, 1)
        await gate.reached.wait()

        async def terminate() -> None:
            with pytest.raises(aion.WorkflowClosedError, match="Completed"):
                await handle.terminate()

        nursery.start_soon(terminate)
        await wait_all_tasks_blocked()
        gate.open()
        assert await handle.result() == 1
