"""Continue as new: one run ends and another begins, in the same append, with what it inherits."""

from collections.abc import Awaitable, Callable

import attrs
import pytest

from aion_core import commands as c
from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.info import set_attributes, workflow_info
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.errors import Cancelled, NotInWorkflowError, WorkflowUsageError
from aion_core.ids import ChildKey, RunId, WorkflowId
from aion_core.machine.nursery import open_nursery
from aion_core.machine.run import MAX_CONTINUATIONS
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import (
    Driver,
    at,
    check_replays,
    driven,
    kinds,
    machine_for,
    payload,
    start_request,
)

go = Signal("go", int)
add = Update("add", int, int)


@activity
async def charge(amount: int) -> int:
    return amount


@workflow
async def counting(count: int) -> int:
    await go.receive()
    if count < 3:
        counting.continue_as_new(count + 1)
    return count


def begun() -> Driver:
    driver = Driver(counting)
    driver.start(count=1)
    return driver


def test_the_workflow_goes_on_as_another_run_in_the_same_append() -> None:
    driver = begun()
    events = driver.signal("go", 1)
    assert kinds(events) == ["SignalReceived", "WorkflowContinuedAsNew", "WorkflowStarted"]
    ended, started = events[1:]
    assert isinstance(ended, e.WorkflowContinuedAsNew)
    assert isinstance(started, e.WorkflowStarted)
    assert (started.run_id, started.continued_from) == (ended.successor_run_id, "run")
    assert (started.input, started.workflow_type) == (payload({"count": 2}), "counting")
    assert (ended.workflow_type, driver.run.run_id) == (None, started.run_id)
    check_replays(driver)


def test_a_workflow_may_go_on_so_again_and_again() -> None:
    driver = begun()
    for _ in range(3):
        driver.signal("go", 1)
        driver.reload()
    assert driver.run.terminal is not None
    assert kinds([driver.run.terminal]) == ["WorkflowCompleted"]
    runs = {event.run_id for event in driver.history if isinstance(event, e.WorkflowStarted)}
    assert len(runs) == 3
    check_replays(driver)


def test_a_replay_draws_the_same_id_for_the_next_run() -> None:
    first, second = begun(), begun()
    first.signal("go", 1)
    second.reload()
    second.signal("go", 1)
    assert first.run.run_id == second.run.run_id


def test_a_workflow_may_go_on_as_another_one() -> None:
    @workflow
    async def after(text: str) -> str:
        return text

    @workflow
    async def before() -> str:
        after.continue_as_new("so")

    driver = Driver(before, others=[after])
    ended, started, _ = driver.start()[1:]
    assert isinstance(ended, e.WorkflowContinuedAsNew)
    assert isinstance(started, e.WorkflowStarted)
    assert (ended.workflow_type, started.workflow_type) == ("after", "after")
    assert driver.result == "so"
    check_replays(driver)


def test_a_run_begun_under_a_former_name_goes_on_as_the_same_workflow() -> None:
    @workflow(name="renamed", aliases=("counting",))
    async def renamed(count: int) -> int:
        await go.receive()
        renamed.continue_as_new(count + 1)

    before = begun()
    machine = machine_for(before.history[0], renamed)
    machine.replay(before.history)
    arrival = before.signal("go", 1)[0]
    (command,) = machine.activate(arrival)
    assert isinstance(command, c.ContinueAsNew)
    assert command.workflow_type is None


def test_parent_memo_and_attributes_are_taken_along() -> None:
    seen: list[object] = []

    @workflow
    async def main(count: int) -> None:
        info = workflow_info()
        seen.append((info.parent, info.memo, dict(info.attributes), info.continued_from))
        if count == 0:
            set_attributes(stage="second")
            main.continue_as_new(1)

    parent = e.ParentRef(
        workflow_id=WorkflowId("p"), run_id=RunId("pr"), child_key=ChildKey("child:0")
    )
    request = start_request("main", b'{"count":0}')
    request = attrs.evolve(
        request, parent=parent, memo=payload("note"), attributes={"stage": "first", "n": 1}
    )
    driver = Driver(main)
    driver.step(request)
    assert seen == [
        (parent, "note", {"stage": "first", "n": 1}, None),
        (parent, "note", {"stage": "second", "n": 1}, "run"),
    ]
    check_replays(driver)


def test_a_parent_hears_of_the_end_of_the_last_run_only() -> None:
    parent = e.ParentRef(
        workflow_id=WorkflowId("p"), run_id=RunId("pr"), child_key=ChildKey("child:0")
    )
    driver = Driver(counting)
    driver.step(attrs.evolve(start_request("counting", b'{"count":2}'), parent=parent))
    driver.signal("go", 1)
    assert driver.outgoing == []
    driver.signal("go", 1)
    assert [(each.kind, each.target) for each in driver.outgoing] == [("child outcome", "p")]


def test_signals_that_nobody_received_are_taken_along_in_order_with_their_ids() -> None:
    other = Signal("other", str)

    @workflow
    async def main(is_second: bool) -> str:
        if not is_second:
            await go.receive()
            main.continue_as_new(True)
        await sleep(1)
        return f"{await go.receive()} {await other.receive()} {await go.receive()}"

    driver = Driver(main)
    driver.start(is_second=False)
    step = driver.step(
        driver.signalled("other", "a", "id-a"),
        driver.signalled("go", 1, "id-1"),
    )
    assert kinds(step.events) == [
        "SignalReceived",
        "SignalReceived",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
        "TimerStarted",
        "SignalReceived",
    ]
    again = step.events[-1]
    assert isinstance(again, e.SignalReceived)
    assert (again.name, again.signal_id) == ("other", "id-a")
    driver.signal("go", 2)
    driver.signal("go", 3)
    driver.fire()
    assert driver.result == "2 a 3"
    check_replays(driver)


def test_several_unreceived_signals_keep_their_order() -> None:
    @workflow
    async def main(is_second: bool) -> list[int]:
        if not is_second:
            await charge(1)
            main.continue_as_new(True)
        return [await go.receive() for _ in range(3)]

    driver = Driver(main)
    driver.start(is_second=False)
    for value in (1, 2, 3):
        driver.signal("go", value)
    driver.complete("charge", 1)
    assert driver.result == [1, 2, 3]
    ids = [event.signal_id for event in driver.history if isinstance(event, e.SignalReceived)]
    assert ids == ["s1", "s2", "s3", "s1", "s2", "s3"]
    check_replays(driver)


def test_a_signal_of_a_former_run_is_not_taken_twice() -> None:
    driver = begun()
    arrival = driver.signalled("go", 1)
    driver.step(arrival)
    assert driver.step(arrival).events == []


def test_what_a_former_run_waited_for_is_dropped() -> None:
    @workflow
    async def main(is_second: bool) -> None:
        if not is_second:
            with move_on_after(60):
                await go.receive()
            main.continue_as_new(True)
        await sleep(60)

    driver = Driver(main)
    driver.start(is_second=False)
    due = driver.due()
    driver.signal("go", 1)
    assert driver.step(due).events == []
    driver.fire()
    assert kinds(driver.history)[-1] == "WorkflowCompleted"
    check_replays(driver)


async def in_a_task() -> None:
    async def leave() -> None:
        counting.continue_as_new(1)

    await gather(leave(), sleep(5))


async def in_a_nursery() -> None:
    async with open_nursery():
        counting.continue_as_new(1)


async def in_a_scope_in_a_nursery() -> None:
    async with open_nursery():
        with move_on_after(5):
            counting.continue_as_new(1)


async def in_a_shield() -> None:
    with CancelScope(shield=True):
        counting.continue_as_new(1)


@pytest.mark.parametrize("code", [in_a_task, in_a_nursery, in_a_scope_in_a_nursery, in_a_shield])
def test_only_the_root_task_continues_outside_of_nurseries_and_shields(
    code: Callable[[], Awaitable[None]],
) -> None:
    async def main() -> None:
        try:
            await code()
        except* WorkflowUsageError as group:
            raise group.exceptions[0] from None

    failure = driven(main).failure
    assert "continue as new where the workflow's own function would return" in str(failure)


def test_a_handler_does_not_continue_as_new() -> None:
    async def main() -> None:
        async def handle(amount: int) -> int:
            counting.continue_as_new(amount)

        add.handle(handle)
        await go.receive()

    failed = driven(main).update("add", 1)[-1]
    assert isinstance(failed, e.UpdateFailed)
    assert failed.error.type == "WorkflowUsageError"


def test_a_deadline_around_it_is_left() -> None:
    @workflow
    async def main(is_second: bool) -> None:
        if not is_second:
            with move_on_after(60):
                await go.receive()
                main.continue_as_new(True)

    driver = Driver(main)
    driver.start(is_second=False)
    assert kinds(driver.signal("go", 1)) == [
        "SignalReceived",
        "TimerCancelled",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
        "WorkflowCompleted",
    ]
    check_replays(driver)


def test_except_exception_lets_it_pass_and_clean_up_runs() -> None:
    @workflow
    async def main(is_second: bool) -> None:
        if not is_second:
            try:
                main.continue_as_new(True)
            except Exception:
                return
            finally:
                await sleep(1)

    driver = Driver(main)
    driver.start(is_second=False)
    assert kinds(driver.fire()) == [
        "TimerFired",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
        "WorkflowCompleted",
    ]
    check_replays(driver)


def test_a_cancelled_run_does_not_go_on() -> None:
    async def main() -> None:
        try:
            await go.receive()
        except Cancelled:
            counting.continue_as_new(1)

    driver = driven(main)
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested", "WorkflowCancelled"]


def test_an_argument_that_does_not_fit_ends_nothing() -> None:
    async def main() -> None:
        counting.continue_as_new("one")  # type: ignore[arg-type]

    assert driven(main).failure.type == "PayloadError"


def test_outside_a_workflow_there_is_nothing_to_continue() -> None:
    with pytest.raises(NotInWorkflowError):
        counting.continue_as_new(1)


def test_a_workflow_that_never_waits_does_not_go_on_for_ever() -> None:
    @workflow
    async def main() -> None:
        main.continue_as_new()

    driver = Driver(main)
    with pytest.raises(WorkflowUsageError, match=f"continued as new {MAX_CONTINUATIONS} times"):
        driver.start()


def test_handlers_at_work_are_answered_before_the_run_continues() -> None:
    @workflow
    async def main(is_second: bool) -> None:
        async def handle(amount: int) -> int:
            await sleep(60)
            return amount

        add.handle(handle)
        await go.receive()
        main.continue_as_new(True)

    driver = Driver(main)
    driver.start(is_second=False)
    driver.update("add", 1)
    assert kinds(driver.signal("go", 1)) == [
        "SignalReceived",
        "TimerCancelled",
        "UpdateFailed",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
    ]
    check_replays(driver)


def test_what_continues_has_the_clock_of_the_end() -> None:
    driver = begun()
    driver.at = 60
    assert {event.recorded_at for event in driver.signal("go", 1)} == {at(60)}
