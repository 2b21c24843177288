"""Cancelling: activities that are to stop, and runs that are asked to."""

from collections.abc import Awaitable, Callable

import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.errors import ActivityError, ApplicationError, Cancelled
from aion_core.machine import arrivals as a
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from aion_core.status import WorkflowStatus
from tests.machine.driver import Driver, check_replays, driven, kinds, refusal_of

go = Signal("go", int)


@activity
async def charge(amount: int) -> int:
    return amount


@activity(on_cancel="abandon")
async def look(amount: int) -> int:
    return amount


said: list[str] = []


async def charging() -> None:
    said.clear()
    with move_on_after(10) as scope:
        try:
            said.append(f"charged {await charge(3)}")
        except ActivityError as error:
            said.append(error.failure.type)
        await checkpoint()
        said.append("went on")
    said.append(f"caught={scope.cancelled_caught}")
    await go.receive()


def stopping() -> Driver:
    driver = driven(charging)
    assert kinds(driver.fire()) == ["TimerFired", "ActivityCancelRequested"]
    return driver


def test_a_cancelled_activity_is_waited_for_and_raises_cancelled() -> None:
    driver = stopping()
    assert kinds(driver.cancel("charge")) == ["ActivityCancelled"]
    assert said == ["caught=True"]
    driver.signal("go", 1)
    check_replays(driver)


def test_a_result_that_came_first_is_returned_and_the_next_checkpoint_raises() -> None:
    driver = stopping()
    assert kinds(driver.complete("charge", 3)) == ["ActivityCompleted"]
    assert said == ["charged 3", "caught=True"]
    driver.signal("go", 1)
    check_replays(driver)


def test_a_cancelled_activity_that_fails_is_not_tried_again() -> None:
    driver = stopping()
    events = driver.fail("charge", non_retryable=False)
    assert kinds(events) == ["ActivityFailed"]
    assert e.is_arrival(events[0])
    assert said == ["Declined", "caught=True"]
    driver.signal("go", 1)
    check_replays(driver)


def test_an_activity_that_was_not_asked_to_stop_is_not_cancelled() -> None:
    driver = driven(charging)
    assert driver.step(driver.cancelled("charge")).events == []


def test_an_activity_is_asked_to_stop_once() -> None:
    async def main() -> None:
        with CancelScope() as outer, move_on_after(10):
            async with open_nursery() as nursery:
                nursery.start_soon(charge, 3)
                try:
                    await sleep(60)
                except Cancelled:
                    outer.cancel()
                    raise

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired", "TimerCancelled", "ActivityCancelRequested"]
    check_replays(driver)


def test_a_call_in_a_cancelled_scope_asks_for_nothing() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            await charge(3)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


async def looking() -> None:
    with move_on_after(10) as scope:
        await look(3)
    assert scope.cancelled_caught
    await go.receive()


def test_an_abandoned_activity_is_left_at_once() -> None:
    driver = driven(looking)
    assert kinds(driver.fire()) == ["TimerFired", "ActivityCancelRequested"]
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "WorkflowCompleted"]
    check_replays(driver)


@pytest.mark.parametrize("outcome", ["complete", "fail", "cancel"])
def test_what_becomes_of_an_abandoned_activity_is_recorded_and_ignored(outcome: str) -> None:
    driver = driven(looking)
    driver.fire()
    settled = {"complete": driver.complete, "fail": driver.fail, "cancel": driver.cancel}
    assert len(settled[outcome]("look")) == 1
    assert kinds(driver.signal("go", 1))[-1] == "WorkflowCompleted"
    check_replays(driver)


def test_one_call_may_abandon_what_others_wait_for() -> None:
    async def main() -> None:
        with move_on_after(10):
            await charge.options(on_cancel="abandon")(3)

    driver = driven(main)
    assert kinds(driver.fire())[-1] == "WorkflowCompleted"


def test_an_abandoned_activity_does_not_hold_up_the_end() -> None:
    async def main() -> None:
        with move_on_after(10):
            await look(3)

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired", "ActivityCancelRequested", "WorkflowCompleted"]
    check_replays(driver)


def test_how_long_an_outcome_is_waited_for_is_recorded() -> None:
    async def main() -> None:
        await charge.options(cancel_grace=5)(3)

    scheduled = driven(main).history[1]
    assert isinstance(scheduled, e.ActivityScheduled)
    assert (scheduled.options.cancel_grace, scheduled.options.on_cancel) == (5, "wait")


async def wait_for_a_signal() -> None:
    await go.receive()


async def wait_for_an_activity() -> None:
    await charge(3)


async def wait_in_a_nursery() -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(go.receive)
        nursery.start_soon(sleep, 60)


def test_a_request_cancels_what_the_code_waits_for() -> None:
    driver = driven(wait_for_a_signal)
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested", "WorkflowCancelled"]
    terminal = driver.run.terminal
    assert isinstance(terminal, e.WorkflowCancelled)
    assert terminal.reason == "enough"
    check_replays(driver)


def test_a_request_waits_for_an_activity_that_is_to_stop() -> None:
    driver = driven(wait_for_an_activity)
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested", "ActivityCancelRequested"]
    assert kinds(driver.cancel("charge")) == ["ActivityCancelled", "WorkflowCancelled"]
    check_replays(driver)


def test_a_group_of_nothing_but_cancelled_ends_the_run_cancelled() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(go.receive)
            await sleep(60)

    driver = driven(main)
    assert kinds(driver.cancel_run())[-1] == "WorkflowCancelled"
    check_replays(driver)


def test_a_group_with_something_else_in_it_ends_the_run_failed() -> None:
    async def fail() -> None:
        try:
            await sleep(60)
        except Cancelled:
            raise ApplicationError("clean-up failed") from None

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(go.receive)
            nursery.start_soon(fail)

    driver = driven(main)
    assert kinds(driver.cancel_run())[-1] == "WorkflowFailed"
    check_replays(driver)


def test_cancelled_that_nobody_asked_for_is_a_failure() -> None:
    async def main() -> None:
        raise Cancelled

    assert driven(main).failure.type == "Cancelled"


def test_a_run_that_catches_the_request_may_complete() -> None:
    async def main() -> None:
        try:
            await go.receive()
        except Cancelled:
            with CancelScope(shield=True):
                await charge(3)

    driver = driven(main)
    driver.cancel_run()
    assert kinds(driver.complete("charge", 3)) == ["ActivityCompleted", "WorkflowCompleted"]
    check_replays(driver)


def test_a_request_is_level_triggered() -> None:
    async def main() -> None:
        caught = 0
        for _ in range(3):
            try:
                await sleep(60)
            except Cancelled:
                caught += 1
        raise ApplicationError(f"caught {caught}")

    driver = driven(main)
    driver.cancel_run()
    assert driver.failure.message == "caught 3"
    check_replays(driver)


def test_an_error_while_being_cancelled_ends_the_run_failed() -> None:
    async def main() -> None:
        try:
            await go.receive()
        except Cancelled:
            raise ApplicationError("no") from None

    driver = driven(main)
    driver.cancel_run()
    assert driver.failure.message == "no"


def shielded() -> Driver:
    async def main() -> None:
        with CancelScope(shield=True):
            await charge(3)
        await sleep(60)

    return driven(main)


def test_a_shield_is_not_cancelled_from_outside() -> None:
    driver = shielded()
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested"]
    assert kinds(driver.complete("charge", 3)) == ["ActivityCompleted", "WorkflowCancelled"]
    check_replays(driver)


def test_a_second_request_is_taken_and_not_recorded() -> None:
    driver = shielded()
    driver.cancel_run()
    step = driver.step(a.CancelRequest(reason="again"))
    assert (step.events, refusal_of(step)) == ([], None)


def test_a_result_in_the_same_step_beats_the_request() -> None:
    driver = driven(wait_for_an_activity)
    step = driver.step(driver.completed("charge", 3), a.CancelRequest(reason="late"))
    assert kinds(step.events) == ["ActivityCompleted", "WorkflowCompleted"]
    assert step.refusals[0] is None
    assert step.refusals[1] is not None


@pytest.mark.parametrize(
    "code", [wait_for_a_signal, wait_for_an_activity, wait_in_a_nursery, charging, looking]
)
def test_a_terminated_run_is_not_asked(code: Callable[[], Awaitable[None]]) -> None:
    driver = driven(code)
    step = driver.step(a.TerminateRequest(reason="now"))
    assert kinds(step.events) == ["WorkflowTerminated"]
    assert driver.run.projection.summary is not None
    assert driver.run.projection.summary.status is WorkflowStatus.TERMINATED
    assert not driver.run.is_open


def test_cancelling_before_the_first_step_is_for_nobody() -> None:
    async def main() -> None: ...

    driver = driven(main)
    assert refusal_of(driver.step(a.CancelRequest(reason="late"))) is not None
