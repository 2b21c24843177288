"""Children: workflows that a workflow starts, waits for, signals and stops."""

import pytest

from aion_core import events as e
from aion_core.authoring.children import ChildHandle
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import (
    ChildWorkflowError,
    InvalidIdError,
    NotInWorkflowError,
    WorkflowAlreadyStartedError,
)
from aion_core.failures import Failure
from aion_core.ids import ChildKey, RunId, WorkflowId, child_workflow_id
from aion_core.machine import arrivals as a
from aion_core.machine.nursery import open_nursery
from aion_core.machine.outgoing import refused_start
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import FAILURE, Driver, check_replays, driven, kinds, payload

go = Signal("go", int)


@workflow
async def child(amount: int) -> int:
    return amount


@workflow
async def parent() -> int:
    return await child(7) + 1


@workflow
async def spawning() -> int:
    handle = await child.spawn(7)
    await handle.signal(go, 3)
    return await handle.result()


@workflow
async def stopping() -> str:
    handle = await child.options(workflow_id="c").spawn(7)
    handle.cancel()
    handle.cancel()
    try:
        return str(await handle.result())
    except ChildWorkflowError as error:
        return error.failure.type


@workflow
async def giving_up() -> str:
    with move_on_after(10) as scope:
        await child(7)
    return f"caught={scope.cancelled_caught}"


def started(driver: Driver) -> Driver:
    driver.start()
    return driver


def test_an_awaited_workflow_is_a_child_and_its_result_comes_back() -> None:
    driver = started(Driver(parent))
    assert kinds(driver.history) == ["WorkflowStarted", "ChildWorkflowStarted"]
    driver.complete_child("child", 41)
    assert driver.result == 42
    check_replays(driver)


def test_a_child_has_its_place_and_an_id_that_follows_from_it() -> None:
    driver = started(Driver(parent))
    start = driver.child("child")
    key = ChildKey("child:0")
    assert start.child_key == key
    assert start.child_workflow_id == child_workflow_id(WorkflowId("w"), RunId("run"), key)
    assert (start.close_policy, start.input) == ("cancel", payload({"amount": 7}))


def test_options_give_a_child_its_id_and_its_close_policy() -> None:
    async def main() -> None:
        await child.options(workflow_id="c-1", on_parent_close="abandon").spawn(1)

    start = driven(main).history[1]
    assert isinstance(start, e.ChildWorkflowStarted)
    assert (start.child_workflow_id, start.close_policy) == ("c-1", "abandon")


def test_options_of_a_workflow_keep_what_they_do_not_name() -> None:
    twice = child.options(workflow_id="c").options(on_parent_close="terminate")
    assert (twice.as_child.workflow_id, twice.as_child.close_policy) == ("c", "terminate")
    assert child.as_child.workflow_id is None


def test_an_id_or_a_policy_that_cannot_be_one_is_refused_at_once() -> None:
    with pytest.raises(InvalidIdError):
        child.options(workflow_id="")
    with pytest.raises(ValueError, match=r"'cancel', 'terminate', 'abandon', not 'kill'"):
        child.options(on_parent_close="kill")  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [child, child.spawn], ids=["await", "spawn"])
def test_a_workflow_called_outside_names_what_runs_it(call: object) -> None:
    with pytest.raises(NotInWorkflowError) as info:
        call(7)  # type: ignore[operator]
    assert "engine.start(child, ...)" in str(info.value)
    assert "aion_runtime.testing.run_workflow(child, ...)" in str(info.value)


def test_a_spawned_child_goes_on_beside_its_parent() -> None:
    driver = started(Driver(spawning))
    assert kinds(driver.history) == ["WorkflowStarted", "ChildWorkflowStarted", "SignalSent"]
    driver.complete_child("child", 9)
    assert driver.result == 9
    check_replays(driver)


def test_a_signal_to_a_child_goes_to_its_id() -> None:
    driver = started(Driver(spawning))
    sent = driver.history[2]
    assert isinstance(sent, e.SignalSent)
    assert (sent.target_workflow_id, sent.name) == (driver.child("child").child_workflow_id, "go")
    assert [each.kind for each in driver.outgoing] == ["start", "signal"]


def test_a_child_that_has_ended_gives_its_result_as_often_as_it_is_asked() -> None:
    async def main() -> None:
        handle = await child.spawn(7)
        await go.receive()
        assert (await handle.result(), await handle.result()) == (9, 9)

    driver = driven(main)
    driver.complete_child("child", 9)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "WorkflowCompleted"]
    check_replays(driver)


def test_a_child_that_fails_fails_its_parent() -> None:
    driver = started(Driver(parent))
    driver.fail_child("child", FAILURE)
    assert (driver.failure.type, driver.failure.cause) == ("ChildWorkflowError", FAILURE)
    check_replays(driver)


def test_the_failure_of_a_child_can_be_caught() -> None:
    async def main() -> None:
        with pytest.raises(ChildWorkflowError) as info:
            await child(7)
        assert (info.value.workflow_type, info.value.failure) == ("child", FAILURE)
        await sleep(1)

    driver = driven(main)
    assert kinds(driver.fail_child("child")) == ["ChildWorkflowFailed", "TimerStarted"]


def test_a_child_that_could_not_be_started_has_failed() -> None:
    driver = started(Driver(parent))
    (start,) = driver.outgoing
    assert isinstance(start.arrival, a.StartRequest)
    refused = refused_start(start.arrival, str(WorkflowAlreadyStartedError("c", "by another")))
    assert refused is not None
    assert (refused.target, refused.kind) == ("w", "child outcome")
    driver.step(refused.arrival)
    assert driver.failure.cause is not None
    assert driver.failure.cause.type == "WorkflowAlreadyStartedError"


def test_a_cancelled_await_asks_the_child_to_stop_and_waits_on() -> None:
    driver = started(Driver(giving_up))
    assert kinds(driver.fire()) == ["TimerFired", "ChildCancelRequested"]
    assert kinds(driver.cancel_child("child")) == ["ChildWorkflowCancelled", "WorkflowCompleted"]
    assert driver.result == "caught=True"
    check_replays(driver)


def test_a_child_that_returns_all_the_same_has_its_result_taken() -> None:
    driver = started(Driver(giving_up))
    driver.fire()
    driver.complete_child("child", 9)
    assert driver.result == "caught=False"
    check_replays(driver)


def test_a_child_that_was_to_stop_and_failed_raises_that() -> None:
    driver = started(Driver(giving_up))
    driver.fire()
    driver.fail_child("child")
    assert driver.failure.type == "ChildWorkflowError"


def test_a_handle_asks_its_child_to_stop_once() -> None:
    driver = started(Driver(stopping))
    assert kinds(driver.history)[1:] == ["ChildWorkflowStarted", "ChildCancelRequested"]
    assert [(each.kind, each.target) for each in driver.outgoing] == [
        ("start", "c"),
        ("child cancel", "c"),
    ]
    driver.cancel_child("child")
    assert driver.result == "Cancelled"
    check_replays(driver)


def test_a_child_that_has_ended_is_not_asked_to_stop() -> None:
    async def main() -> None:
        handle = await child.spawn(7)
        await handle.result()
        handle.cancel()

    driver = driven(main)
    last = kinds(driver.complete_child("child", 9))
    assert last == ["ChildWorkflowCompleted", "WorkflowCompleted"]


def test_a_cancelled_wait_for_a_handle_leaves_the_child_alone() -> None:
    async def main() -> None:
        handle = await child.spawn(7)
        with move_on_after(10) as scope:
            await handle.result()
        assert scope.cancelled_caught
        assert await handle.result() == 9

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired"]
    assert kinds(driver.complete_child("child", 9))[-1] == "WorkflowCompleted"
    check_replays(driver)


def test_two_tasks_may_wait_for_one_child() -> None:
    async def main() -> None:
        handle = await child.spawn(7)
        assert await gather(handle.result(), handle.result()) == (9, 9)

    driver = driven(main)
    assert kinds(driver.complete_child("child", 9))[-1] == "WorkflowCompleted"
    check_replays(driver)


def test_nothing_is_started_in_a_cancelled_scope() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            await child(7)
        with CancelScope() as scope:
            scope.cancel()
            await child.spawn(7)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_an_argument_that_does_not_fit_starts_nothing() -> None:
    async def main() -> None:
        await child("seven")  # type: ignore[arg-type]

    driver = driven(main)
    assert kinds(driver.history) == ["WorkflowStarted", "WorkflowFailed"]
    assert driver.failure.type == "PayloadError"


def test_a_result_that_does_not_fit_fails_the_parent() -> None:
    driver = started(Driver(parent))
    driver.complete_child("child", "nine")
    assert driver.failure.type == "PayloadError"


def test_a_child_that_has_ended_is_settled_once() -> None:
    driver = started(Driver(spawning))
    ended = driver.child_ended("child", a.ChildCompleted(payload(9)))
    step = driver.step(ended, ended)
    assert kinds(step.events) == ["ChildWorkflowCompleted", "WorkflowCompleted"]


def test_the_outcome_of_another_runs_child_is_dropped() -> None:
    driver = started(Driver(parent))
    key = driver.child("child").child_key
    outcome = a.ChildCompleted(payload(9))
    stray = a.ChildEnded(run_id=RunId("other"), child_key=key, outcome=outcome)
    assert driver.step(stray).events == []


def test_a_handle_is_of_one_run() -> None:
    kept: list[ChildHandle[int]] = []

    async def keeping() -> None:
        kept.append(await child.spawn(7))
        await go.receive()

    async def using() -> None:
        kept[0].cancel()

    driven(keeping)
    failure: Failure = driven(using).failure
    assert failure.type == "WorkflowUsageError"
    assert "belongs to workflow 'w' (run run)" in failure.message


@pytest.mark.parametrize(
    ("policy", "told"),
    [("cancel", a.CancelRequest), ("terminate", a.TerminateRequest), ("abandon", None)],
)
def test_a_closing_parent_deals_with_its_children_by_their_policy(
    policy: str, told: type[a.Arrival] | None
) -> None:
    async def main() -> None:
        await child.options(on_parent_close=policy).spawn(7)  # type: ignore[arg-type]

    closed = [each for each in driven(main).outgoing if each.kind == "parent closed"]
    assert [type(each.arrival) for each in closed] == ([] if told is None else [told])


def test_a_child_started_under_a_former_name_is_still_this_workflows() -> None:
    driver = started(Driver(parent))

    @workflow(name="renamed", aliases=("child",))
    async def renamed(amount: int) -> int:
        return amount

    @workflow(name="parent")
    async def grown() -> int:
        return await renamed(7) + 1

    again = Driver(grown, driver.history)
    again.complete_child("child", 41)
    assert again.result == 42


def test_a_child_that_has_been_started_is_not_lost_on_a_caller_cancelled_then() -> None:
    handles: list[ChildHandle[int]] = []

    async def main() -> None:
        async def start() -> None:
            handles.append(await child.spawn(7))

        async def stop() -> None:
            nursery.cancel_scope.cancel()

        async with open_nursery() as nursery:
            nursery.start_soon(start)
            nursery.start_soon(stop)

    driver = driven(main)
    assert kinds(driver.history)[1:] == ["ChildWorkflowStarted", "WorkflowCompleted"]
    assert len(handles) == 1
