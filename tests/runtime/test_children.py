"""Children: started, awaited, stopped and left, each by one message that is taken once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId, child_workflow_id
from tests.runtime.conftest import Fault
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)

Policy = Literal["cancel", "terminate", "abandon"]


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.workflow
async def double(value: int) -> int:
    return 2 * value


@aion.workflow
async def broken() -> int:
    raise aion.ApplicationError("no money", type="Declined")


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def calling(value: int) -> int:
    return await double.options(workflow_id="child")(value)


@aion.workflow
async def watching() -> str:
    """Says how the child with the id ``child`` ended, which waits for a signal."""
    handle = await waiting.options(workflow_id="child").spawn()
    try:
        return f"returned {await handle.result()}"
    except aion.ChildWorkflowError as error:
        return f"{error.failure.type}: {error.failure.message} ({error.failure.kind})"


async def test_a_child_returns_to_its_parent(bench: MailBench) -> None:
    async with bench.engine(calling) as engine:
        handle = await engine.start(calling, 21, workflow_id="parent")
        assert await handle.result() == 42
        assert await engine.get("child").result() == 42
        parent, child = await engine.describe("parent"), await engine.describe("child")
        assert child.parent is not None
        assert (child.parent.workflow_id, child.parent.run_id) == ("parent", parent.run_id)
    assert await bench.kinds("parent") == [
        e.WorkflowStarted,
        e.ChildWorkflowStarted,
        e.ChildWorkflowCompleted,
        e.WorkflowCompleted,
    ]
    assert await bench.kinds("child") == [e.WorkflowStarted, e.WorkflowCompleted]
    assert await bench.pending() == []


async def test_the_id_of_a_child_follows_from_its_place_in_the_parent(bench: MailBench) -> None:
    @aion.workflow
    async def plain() -> int:
        return await double(1)

    async with bench.engine(plain) as engine:
        await (await engine.start(plain, workflow_id="parent")).result()
    started, spawned, *_ = await bench.history("parent")
    assert isinstance(started, e.WorkflowStarted)
    assert isinstance(spawned, e.ChildWorkflowStarted)
    expected = child_workflow_id(WorkflowId("parent"), started.run_id, spawned.child_key)
    assert spawned.child_workflow_id == expected
    assert await bench.status(expected) == "Completed"


async def test_children_run_side_by_side(bench: MailBench) -> None:
    @aion.workflow
    async def many() -> list[int]:
        return list(await aion.gather(*(double(value) for value in range(20))))

    async with bench.engine(many) as engine:
        assert await (await engine.start(many)).result() == [2 * value for value in range(20)]
    assert await bench.pending() == []


async def test_children_have_children(bench: MailBench) -> None:
    @aion.workflow
    async def grandparent() -> int:
        return 1 + await calling(10)

    async with bench.engine(grandparent) as engine:
        assert await (await engine.start(grandparent)).result() == 21
    assert await bench.pending() == []


async def test_a_spawned_child_goes_on_beside_its_parent(bench: MailBench) -> None:
    async with bench.engine(watching) as engine:
        parent = await engine.start(watching, workflow_id="parent")
        await settled(engine)
        await engine.get("child").signal(go, 7)
        assert await parent.result() == "returned 7"


async def test_a_result_that_is_there_already_is_given_at_once(bench: MailBench) -> None:
    @aion.workflow
    async def late() -> int:
        handle = await double.spawn(4)
        await go.receive()
        return await handle.result()

    async with bench.engine(late) as engine:
        parent = await engine.start(late)
        await settled(engine)
        await parent.signal(go, 0)
        assert await parent.result() == 8


async def test_a_child_that_fails_fails_its_parent_with_the_reason(bench: MailBench) -> None:
    @aion.workflow
    async def parent() -> int:
        return await broken()

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent)
        with pytest.raises(aion.WorkflowFailedError) as caught:
            await handle.result()
    failure = caught.value.failure
    assert failure.type == "ChildWorkflowError"
    assert failure.cause is not None
    assert (failure.cause.type, failure.cause.message) == ("Declined", "no money")


async def test_a_child_that_is_cancelled_from_outside_is_an_error_of_its_parent(
    bench: MailBench,
) -> None:
    async with bench.engine(watching) as engine:
        parent = await engine.start(watching)
        await settled(engine)
        await engine.get("child").cancel("not wanted")
        assert await parent.result() == "Cancelled: not wanted (cancelled)"


async def test_a_child_that_is_cancelled_from_outside_does_not_vanish_in_a_nursery(
    bench: MailBench,
) -> None:
    @aion.workflow
    async def parent() -> str:
        try:
            async with aion.open_nursery() as nursery:
                nursery.start_soon(waiting.options(workflow_id="child"))
        except ExceptionGroup as group:
            return type(group.exceptions[0]).__name__
        return "nothing"

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent)
        await settled(engine)
        await engine.get("child").cancel()
        assert await handle.result() == "ChildWorkflowError"


async def test_a_child_that_is_terminated_is_an_error_of_its_parent(bench: MailBench) -> None:
    async with bench.engine(watching) as engine:
        parent = await engine.start(watching)
        await settled(engine)
        await engine.get("child").terminate("enough")
        assert await parent.result() == "Terminated: enough (None)"


@pytest.mark.parametrize("is_closed", [False, True])
async def test_an_id_that_somebody_else_has_is_an_error_of_the_parent(
    bench: MailBench, is_closed: bool
) -> None:
    async with bench.engine(watching) as engine:
        other = await engine.start(waiting, workflow_id="child")
        if is_closed:
            await other.signal(go, 1)
            await other.result()
        result = await (await engine.start(watching, workflow_id="parent")).result()
        assert result.startswith(
            "WorkflowAlreadyStartedError: workflow 'child' was already started"
        )
        await settled(engine)
        assert (await other.describe()).status.is_closed == is_closed
    assert (await bench.kinds("child"))[1:] == [e.SignalReceived, e.WorkflowCompleted][
        : 2 * is_closed
    ]
    assert await bench.pending() == []


async def test_two_children_of_one_parent_cannot_have_one_id(bench: MailBench) -> None:
    @aion.workflow
    async def parent() -> list[str]:
        child = double.options(workflow_id="child")
        first, second = await child.spawn(1), await child.spawn(1)
        try:
            return [str(await first.result()), str(await second.result())]
        except aion.ChildWorkflowError as error:
            return [str(await first.result()), error.failure.type]

    async with bench.engine(parent) as engine:
        result = await (await engine.start(parent)).result()
    assert result == ["2", "WorkflowAlreadyStartedError"]


def hidden(workflow: aion.Workflow[[], int]) -> Any:
    """A parent that does not name its child statically: the engine is not given it this way."""
    children = [workflow]

    @aion.workflow
    async def parent() -> int:
        return await children[0].options(workflow_id="child")()

    return parent


async def test_a_child_of_an_unknown_type_waits_for_an_engine_that_has_it(
    bench: MailBench,
) -> None:
    @aion.workflow
    async def rare() -> int:
        return 5

    parent = hidden(rare)
    async with bench.engine(parent) as engine:
        await engine.start(parent, workflow_id="parent")
        await settled(engine)
        assert "has no workflow 'rare'" in engine._dispatcher.stuck[WorkflowId("child")]
    assert await bench.kinds("child") == []
    async with bench.engine(parent, rare) as engine:
        assert await engine.get("parent").result() == 5
    assert await bench.pending() == []


@pytest.mark.parametrize("policy", ["cancel", "terminate"])
async def test_a_child_of_an_unknown_type_whose_parent_has_closed_does_not_live_on(
    bench: MailBench, policy: Policy
) -> None:
    @aion.workflow
    async def rare() -> int:
        return await go.receive()

    children = [rare]

    @aion.workflow
    async def parent() -> None:
        await children[0].options(workflow_id="child", on_parent_close=policy).spawn()

    async with bench.engine(parent) as engine:
        await (await engine.start(parent)).result()
    async with bench.engine(parent, rare) as engine:
        await settled(engine)
    assert await bench.status("child") in ("Cancelled", "Terminated")
    assert await bench.pending() == []


ENDINGS = ["completion", "failure", "cancellation", "termination", "continuation"]
STATUS_BY_POLICY = {"cancel": "Cancelled", "terminate": "Terminated", "abandon": "Running"}


@aion.workflow
async def leaving(policy: Policy, ending: str, generation: int) -> None:
    """Leaves a child behind, in one of many ways."""
    if generation == 0:
        await waiting.options(workflow_id="child", on_parent_close=policy).spawn()
    await go.receive()
    if ending == "failure":
        raise aion.ApplicationError("it does not work")
    if ending == "continuation" and generation == 0:
        leaving.continue_as_new(policy, ending, 1)


@pytest.mark.parametrize("policy", ["cancel", "terminate", "abandon"])
@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_becomes_of_a_child_whose_parent_closes_is_for_the_parent_to_say(
    bench: MailBench, ending: str, policy: Policy
) -> None:
    async with bench.engine(leaving) as engine:
        parent = await engine.start(leaving, policy, ending, 0)
        await settled(engine)
        match ending:
            case "cancellation":
                await parent.cancel()
            case "termination":
                await parent.terminate()
            case _:
                await parent.signal(go, 1)
        await settled(engine)
        assert await bench.status("child") == STATUS_BY_POLICY[policy]
        assert (await parent.describe()).status.is_closed == (ending != "continuation")
        assert await bench.pending() == []


@pytest.mark.parametrize("policy", ["cancel", "terminate", "abandon"])
async def test_a_child_that_is_started_and_left_in_one_step_goes_by_the_same_policy(
    bench: MailBench, policy: Policy
) -> None:
    @aion.workflow
    async def hasty() -> None:
        await waiting.options(workflow_id="child", on_parent_close=policy).spawn()

    async with bench.engine(hasty) as engine:
        await (await engine.start(hasty)).result()
        await settled(engine)
        assert await bench.status("child") == STATUS_BY_POLICY[policy]
    assert await bench.pending() == []


async def test_the_end_of_a_child_that_was_left_concerns_nobody(bench: MailBench) -> None:
    async with bench.engine(leaving) as engine:
        parent = await engine.start(leaving, "abandon", "completion", 0, workflow_id="parent")
        await settled(engine)
        await parent.signal(go, 1)
        await parent.result()
        recorded = await bench.kinds("parent")
        await engine.get("child").signal(go, 3)
        assert await engine.get("child").result() == 3
        await settled(engine)
    assert await bench.kinds("parent") == recorded
    assert await bench.pending() == []


async def test_the_end_of_a_child_whose_parent_was_purged_leaves_nothing(bench: MailBench) -> None:
    async with bench.engine(leaving) as engine:
        parent = await engine.start(leaving, "abandon", "completion", 0, workflow_id="parent")
        await settled(engine)
        await parent.signal(go, 1)
        await parent.result()
    async with bench.store.inner.writer() as writer:
        assert await writer.purge([WorkflowId("parent")]) == 1
    async with bench.engine(leaving) as engine:
        await engine.get("child").signal(go, 3)
        await engine.get("child").result()
        await settled(engine)
    assert await bench.kinds("parent") == []
    assert await bench.pending() == []


async def test_the_next_run_hears_nothing_of_a_child_of_the_one_before(bench: MailBench) -> None:
    async with bench.engine(leaving) as engine:
        parent = await engine.start(leaving, "abandon", "continuation", 0, workflow_id="parent")
        await settled(engine)
        await parent.signal(go, 1)
        await engine.get("child").signal(go, 3)
        await settled(engine)
    kinds = await bench.kinds("parent")
    assert kinds[-1] is e.WorkflowStarted
    assert e.ChildWorkflowCompleted not in kinds
    assert await bench.pending() == []


async def test_a_child_that_continues_as_new_returns_in_the_end(bench: MailBench) -> None:
    @aion.workflow
    async def counting(left: int, total: int) -> int:
        if left:
            await go.receive()
            counting.continue_as_new(left - 1, total + 1)
        return total

    @aion.workflow
    async def parent() -> int:
        return await counting.options(workflow_id="child")(3, 0)

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent)
        await settled(engine)
        for _ in range(3):
            await engine.get("child").signal(go, 0)
        assert await handle.result() == 3
    assert (await bench.kinds("child")).count(e.WorkflowStarted) == 4


async def test_to_cancel_a_parent_is_to_cancel_the_child_that_it_waits_for(
    bench: MailBench,
) -> None:
    @aion.workflow
    async def parent() -> int:
        return await waiting.options(workflow_id="child")()

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent, workflow_id="parent")
        await settled(engine)
        await handle.cancel("enough")
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled: enough"):
            await handle.result()
    assert await bench.status("child") == "Cancelled"
    assert await bench.kinds("parent") == [
        e.WorkflowStarted,
        e.ChildWorkflowStarted,
        e.WorkflowCancelRequested,
        e.ChildCancelRequested,
        e.ChildWorkflowCancelled,
        e.WorkflowCancelled,
    ]
    assert await bench.pending() == []


async def test_what_a_child_returns_though_it_was_to_stop_is_not_lost(bench: MailBench) -> None:
    seen: list[int] = []

    @aion.workflow
    async def stubborn() -> int:
        try:
            return await go.receive()
        except aion.Cancelled:
            return 9

    @aion.workflow
    async def parent() -> None:
        seen.append(await stubborn())
        await aion.checkpoint()

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent)
        await settled(engine)
        await handle.cancel()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await handle.result()
    assert seen == [9]


async def test_a_parent_can_ask_a_child_to_stop(bench: MailBench) -> None:
    @aion.workflow
    async def parent() -> str:
        handle = await waiting.options(workflow_id="child").spawn()
        handle.cancel()
        handle.cancel()
        try:
            await handle.result()
        except aion.ChildWorkflowError as error:
            return error.failure.message
        return "?"

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent, workflow_id="parent")
        assert await handle.result() == "its parent asked for it"
    assert (await bench.kinds("parent")).count(e.ChildCancelRequested) == 1
    assert await bench.pending() == []


async def test_a_workflow_of_somebody_else_is_not_stopped_by_the_id(bench: MailBench) -> None:
    @aion.workflow
    async def parent() -> str:
        handle = await waiting.options(workflow_id="child", on_parent_close="terminate").spawn()
        handle.cancel()
        try:
            await handle.result()
        except aion.ChildWorkflowError as error:
            return error.failure.type
        return "?"

    async with bench.engine(parent) as engine:
        other = await engine.start(waiting, workflow_id="child")
        assert await (await engine.start(parent)).result() == "WorkflowAlreadyStartedError"
        await settled(engine)
        assert not (await other.describe()).status.is_closed
    assert await bench.kinds("child") == [e.WorkflowStarted]


async def test_a_child_that_no_longer_fits_its_code_tells_its_parent_when_it_is_to_fail(
    bench: MailBench,
) -> None:
    @aion.workflow(name="waiting")
    async def changed() -> int:
        await aion.sleep(1)
        return 1

    @aion.workflow(name="watching")
    async def watching_changed() -> str:
        handle = await changed.options(workflow_id="child").spawn()
        try:
            return f"returned {await handle.result()}"
        except aion.ChildWorkflowError as error:
            return error.failure.type

    async with bench.engine(watching) as engine:
        await engine.start(watching, workflow_id="parent")
        await settled(engine)
        await engine.get("child").signal(aion.Signal("other", int), 1)
    async with bench.engine(watching_changed, on_nondeterminism="fail") as engine:
        engine._dispatcher.wake(WorkflowId("child"))
        assert await engine.get("parent").result() == "NonDeterminismError"
    assert await bench.pending() == []


async def test_a_stuck_child_that_is_terminated_tells_its_parent(bench: MailBench) -> None:
    @aion.workflow
    async def defective() -> int:
        await go.receive()
        raise SystemExit("a defect")

    @aion.workflow
    async def parent() -> str:
        handle = await defective.options(workflow_id="child").spawn()
        try:
            return str(await handle.result())
        except aion.ChildWorkflowError as error:
            return error.failure.message

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent)
        await settled(engine)
        await engine.get("child").signal(go, 1)
        await settled(engine)
        await engine.get("child").terminate("it will not work")
        assert await handle.result() == "it will not work"
        await settled(engine)
        assert await bench.pending() == []
        assert len(engine._dispatcher._in_hand) == 0


@pytest.mark.parametrize("policy", ["cancel", "terminate"])
async def test_a_stuck_child_is_stopped_by_its_parents_end(
    bench: MailBench, policy: Policy
) -> None:
    works: list[int] = []

    @aion.workflow
    async def defective() -> int:
        await go.receive()
        if not works:
            raise SystemExit("a defect")
        return await go.receive()

    @aion.workflow
    async def parent() -> None:
        await defective.options(workflow_id="child", on_parent_close=policy).spawn()
        await go.receive()

    async with bench.engine(parent) as engine:
        handle = await engine.start(parent)
        await settled(engine)
        await engine.get("child").signal(go, 1)
        await settled(engine)
        await handle.signal(go, 1)
        await handle.result()
        await settled(engine)
        is_at_once = policy == "terminate"
        assert (await bench.status("child") == "Terminated") == is_at_once
        assert (await bench.pending() == []) == is_at_once
    works.append(1)
    async with bench.engine(parent) as engine:
        await settled(engine)
    assert await bench.status("child") == STATUS_BY_POLICY[policy]
    assert await bench.pending() == []


@pytest.mark.parametrize(
    "kind",
    [
        e.ChildWorkflowStarted,
        e.ChildWorkflowCompleted,
        e.WorkflowCompleted,
    ],
)
@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_a_child_is_started_once_and_answers_once_whatever_goes_wrong(
    name: str, kind: type[e.HistoryEvent]
) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    async with bench.engine(calling) as engine, trio.open_nursery() as nursery:
        fault.arm(kind)
        nursery.start_soon(fault.heal_when_struck)
        parent = await engine.start(calling, 4, workflow_id="parent")
        assert await parent.result() == 8
        await settled(engine)
        assert len(engine._dispatcher._in_hand) == 0
    assert await bench.kinds("parent") == [
        e.WorkflowStarted,
        e.ChildWorkflowStarted,
        e.ChildWorkflowCompleted,
        e.WorkflowCompleted,
    ]
    assert await bench.kinds("child") == [e.WorkflowStarted, e.WorkflowCompleted]
    assert await bench.pending() == []
